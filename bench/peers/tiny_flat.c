/* The tiny agent as a bare WASM module, one instance for each agent. */
#include "tiny_flat.h"

#define WORDS 4096

static tiny self;
static uint32_t in[WORDS], out[WORDS];

__attribute__((export_name("init"))) void init(uint32_t index, uint32_t count, uint32_t messages) {
  tiny_init(&self, index, count, messages);
}
__attribute__((export_name("inbox"))) uint32_t *inbox(void) { return in; }
__attribute__((export_name("outbox"))) uint32_t *outbox(void) { return out; }
__attribute__((export_name("step"))) uint32_t step(uint32_t tick) { return tiny_step(&self, tick, in, out); }
