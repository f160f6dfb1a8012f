/* The tiny agent as an Extism plugin: input is an inbox, output an outbox. */
#include "tiny_flat.h"

#define WORDS 4096
#define HOST(name) __attribute__((import_module("extism:host/env"), import_name(#name)))

HOST(input_length) uint64_t input_length(void);
HOST(input_load_u8) uint32_t input_load_u8(uint64_t at);
HOST(input_load_u64) uint64_t input_load_u64(uint64_t at);
HOST(alloc) uint64_t alloc(uint64_t size);
HOST(store_u8) void store_u8(uint64_t at, uint32_t value);
HOST(store_u64) void store_u64(uint64_t at, uint64_t value);
HOST(output_set) void output_set(uint64_t at, uint64_t size);

static tiny self;
static union { uint64_t wide[WORDS / 2]; uint32_t words[WORDS]; uint8_t bytes[4 * WORDS]; } in, out;

static void load(void) {
  uint64_t size = input_length(), at = 0;
  for (; at + 8 <= size; at += 8) in.wide[at / 8] = input_load_u64(at);
  for (; at < size; at++) in.bytes[at] = (uint8_t)input_load_u8(at);
}

/* Input: index, count, messages. */
__attribute__((export_name("init"))) int32_t init(void) {
  load();
  tiny_init(&self, in.words[0], in.words[1], in.words[2]);
  return 0;
}

/* Input: the tick, then the inbox. */
__attribute__((export_name("step"))) int32_t step(void) {
  load();
  uint64_t size = 4 * (uint64_t)tiny_step(&self, in.words[0], in.words + 1, out.words), at = 0;
  uint64_t memory = alloc(size);
  for (; at + 8 <= size; at += 8) store_u64(memory + at, out.wide[at / 8]);
  for (; at < size; at++) store_u8(memory + at, out.bytes[at]);
  output_set(memory, size);
  return 0;
}
