/* The tiny agent's logic (bench/agents/tiny.c) for runtimes without tickwork's ABI. Inboxes and outboxes are
 * arrays of 32-bit words: a count, then for each message the other agent's index, the size in bytes, and the
 * body padded to whole words. */
#include <stdint.h>

#define NEIGHBOURS 16

typedef struct tiny {
  uint64_t state;
  uint32_t neighbour[NEIGHBOURS];
  uint32_t messages;
  uint32_t spin;
} tiny;

static uint64_t mix(uint64_t h) {
  h ^= h << 13;
  h ^= h >> 7;
  return h ^ h << 17;
}

static void tiny_init(tiny *self, uint32_t index, uint32_t count, uint32_t messages) {
  self->state = index * 0x9E3779B97F4A7C15ull ^ 88172645463325252ull;
  self->messages = messages;
  for (uint32_t i = 0; i < NEIGHBOURS; i++) self->neighbour[i] = (index + 1 + i * 7) % count;
}

/* Returns the words written to `out`. */
static uint32_t tiny_step(tiny *self, uint64_t tick, const uint32_t *in, uint32_t *out) {
  uint64_t h = self->state ^ tick;
  uint32_t received = *in++;
  for (uint32_t m = 0; m < received; m++) {
    uint32_t size = in[1];
    const uint8_t *body = (const uint8_t *)(in + 2);
    for (uint32_t i = 0; i < size; i += 8) h = (h ^ body[i]) * 1099511628211ull;
    in += 2 + (size + 3) / 4;
  }
  self->state = h = mix(h | 1);
  uint32_t count = self->messages ? self->messages : 1 + (uint32_t)(h >> 7 & 3);
  uint32_t *at = out;
  *at++ = count;
  for (uint32_t i = 0; i < count; i++) {
    h = mix(h);
    uint32_t size = 32 + (uint32_t)(h >> 23) % 169;
    at[0] = self->neighbour[(h >> 11) % NEIGHBOURS];
    at[1] = size;
    uint64_t word = 0;
    for (uint32_t j = 0; j < (size + 3) / 4; j++) {
      if (j % 2 == 0) word = ((h + j / 2 * 0x9E3779B97F4A7C15ull) & 0x0F0F0F0F0F0F0F0Full) | 0x6060606060606060ull;
      at[2 + j] = j % 2 ? (uint32_t)(word >> 32) : (uint32_t)word;
    }
    /* Bytes behind the body are zero, so that equal messages are equal words. */
    if (size % 4) at[2 + size / 4] &= 0xffffffffu >> 8 * (4 - size % 4);
    at += 2 + (size + 3) / 4;
  }
  return (uint32_t)(at - out);
}
