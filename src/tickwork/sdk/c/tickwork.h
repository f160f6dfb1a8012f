/* tickwork.h: write an agent for tickwork in C or C++, without a C library.
 *
 * Include this in the one source file of an agent, write two functions and name them:
 *
 *     static tw_result on_setup(const tw_identity *me) { ...; return TW_OK; }
 *     static tw_result on_step(const tw_context *now, tw_inbox inbox) { ...; return TW_OK; }
 *     TICKWORK_AGENT(on_setup, on_step)
 *
 * The structs are the Canonical ABI layouts of wit/tickwork-agent.wit (package tickwork:agent@1.0.0).
 *
 * Memory. What lies in an inbox, and whatever `tw_alloc` gives, lives until the turn ends; the identity and
 * `tw_keep` live as long as the agent. Nothing is freed singly. Every tw_* effect copies its arguments, so a
 * buffer may be reused at once. When the agent's memory limit is reached, the turn ends in a trap.
 */
#ifndef TICKWORK_H
#define TICKWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define TW_EXTERN extern "C"
#define TW_STATIC_ASSERT(claim) static_assert(claim, #claim)
#define TW_ALIGNOF alignof
#else
#define TW_EXTERN extern
#define TW_STATIC_ASSERT(claim) _Static_assert(claim, #claim)
#define TW_ALIGNOF _Alignof
#endif
#define TW_EXPORT(name) TW_EXTERN __attribute__((export_name(name)))

/* ---- The ABI ---- */

/* Bytes; where the ABI says `string`, UTF-8. Not terminated by a zero. */
typedef struct tw_string {
  const char *data;
  uint32_t size;
} tw_string;

typedef struct tw_option_u64 {
  uint8_t some; /* 0 or 1 */
  uint64_t value;
} tw_option_u64;

typedef struct tw_option_string {
  uint8_t some;
  tw_string value;
} tw_option_string;

typedef struct tw_message {
  tw_string sender; /* an agent's id, `input:NAME`, or `tickwork` */
  tw_string topic;
  tw_string body;
  tw_option_u64 reply_to;
} tw_message;

typedef struct tw_inbox {
  const tw_message *first;
  uint32_t count;
} tw_inbox;

typedef struct tw_context {
  uint64_t tick;
  uint64_t now_ns; /* since the Unix epoch, on the run's virtual clock */
  uint64_t seed;   /* 64 fresh bits for this agent and tick */
  uint64_t fuel;   /* instructions that this turn may use */
} tw_context;

typedef struct tw_identity {
  tw_string id;
  tw_string config;
  tw_string abi;
} tw_identity;

typedef enum tw_level { TW_DEBUG, TW_INFO, TW_WARN, TW_ERROR } tw_level;

enum {
  TW_EFFECT_SEND,
  TW_EFFECT_PUBLISH,
  TW_EFFECT_INFER,
  TW_EFFECT_CALL,
  TW_EFFECT_OUTPUT,
  TW_EFFECT_TIMER,
  TW_EFFECT_LOG,
  TW_EFFECT_METRIC,
  TW_EFFECT_SPAWN,
  TW_EFFECT_STOP
};

typedef struct tw_effect {
  uint8_t kind;
  union {
    struct { tw_string to, topic, body; tw_option_u64 reply_to; } send;
    struct { tw_string topic, body; } publish;
    struct { tw_string model, body; uint64_t request; } infer;
    struct { tw_string tool, body; uint64_t request; } call;
    struct { tw_string name, body; } output;
    struct { tw_string topic, body; uint64_t after_ticks, request; } timer;
    struct { uint8_t level; tw_string text; } log;
    struct { tw_string name; double value; } metric;
    struct { tw_string id, kind, config; } spawn;
    struct { tw_option_string id; tw_string reason; } stop;
  } as;
} tw_effect;

/* result<list<effect>, string> and result<_, string> */
typedef struct tw_answer {
  uint8_t failed;
  const void *first; /* effects, or the bytes of the error */
  uint32_t count;
} tw_answer;

TW_STATIC_ASSERT(sizeof(void *) == 4);
TW_STATIC_ASSERT(sizeof(tw_string) == 8);
TW_STATIC_ASSERT(sizeof(tw_message) == 40 && TW_ALIGNOF(tw_message) == 8);
TW_STATIC_ASSERT(offsetof(tw_message, body) == 16);
TW_STATIC_ASSERT(offsetof(tw_message, reply_to.some) == 24 && offsetof(tw_message, reply_to.value) == 32);
TW_STATIC_ASSERT(sizeof(tw_effect) == 48 && TW_ALIGNOF(tw_effect) == 8 && offsetof(tw_effect, as) == 8);
TW_STATIC_ASSERT(offsetof(tw_effect, as.send.reply_to.some) == 8 + 24);
TW_STATIC_ASSERT(offsetof(tw_effect, as.send.reply_to.value) == 8 + 32);
TW_STATIC_ASSERT(offsetof(tw_effect, as.infer.request) == 8 + 16);
TW_STATIC_ASSERT(offsetof(tw_effect, as.call.request) == 8 + 16);
TW_STATIC_ASSERT(offsetof(tw_effect, as.timer.after_ticks) == 8 + 16);
TW_STATIC_ASSERT(offsetof(tw_effect, as.timer.request) == 8 + 24);
TW_STATIC_ASSERT(offsetof(tw_effect, as.log.text) == 8 + 4);
TW_STATIC_ASSERT(offsetof(tw_effect, as.metric.value) == 8 + 8);
TW_STATIC_ASSERT(offsetof(tw_effect, as.stop.id.value) == 8 + 4);
TW_STATIC_ASSERT(offsetof(tw_effect, as.stop.reason) == 8 + 12);
TW_STATIC_ASSERT(sizeof(tw_answer) == 12 && offsetof(tw_answer, first) == 4);

/* What the agent's two functions return: TW_OK, or the reason of a failure as zero-terminated UTF-8. */
typedef const char *tw_result;
#define TW_OK ((const char *)0)

/* for (TW_EACH(message, inbox)) { ... message->topic ... } */
#define TW_EACH(message, inbox) \
  const tw_message *message = (inbox).first; message != (inbox).first + (inbox).count; message++

/* ---- Memory ---- */

typedef struct tw_chunk {
  struct tw_chunk *next;
  uint32_t size;
  uint64_t padding; /* what follows is aligned to 16 */
} tw_chunk;

typedef struct tw_arena {
  tw_chunk *first;
  tw_chunk *current;
  uint32_t used;
} tw_arena;

typedef struct tw_agent {
  tw_arena kept;
  tw_arena turn;
  uint32_t heap_end;
  tw_effect *effects;
  uint32_t effect_count;
  uint32_t effect_capacity;
  bool is_set_up;
  bool turn_is_over;
  tw_identity me;
  tw_answer answer;
} tw_agent;

enum { TW_CHUNK_MIN = 1024, TW_PAGE = 65536, TW_ALIGN_MAX = 16, TW_EFFECTS_MIN = 8 };

static tw_agent tw_self;
TW_EXTERN unsigned char __heap_base;
TW_EXTERN void __wasm_call_ctors(void);

#ifdef __wasi__
/* With a C library, the heap is its own. */
TW_EXTERN void *malloc(size_t size);
static inline void *tw_extend(uint32_t size) { return malloc(size); }
#else
/* Takes `size` bytes from the end of the heap, growing the memory; null if it may not grow. */
static inline void *tw_extend(uint32_t size) {
  if (!tw_self.heap_end) tw_self.heap_end = ((uint32_t)&__heap_base + TW_ALIGN_MAX - 1) & ~(TW_ALIGN_MAX - 1u);
  uint64_t end = (uint64_t)tw_self.heap_end + size;
  uint64_t limit = (uint64_t)__builtin_wasm_memory_size(0) * TW_PAGE;
  if (end > limit) {
    uint64_t pages = (end - limit + TW_PAGE - 1) / TW_PAGE;
    if (pages > TW_PAGE || __builtin_wasm_memory_grow(0, (uint32_t)pages) == (size_t)-1) return NULL;
  }
  void *block = (void *)tw_self.heap_end;
  tw_self.heap_end = (uint32_t)end;
  return block;
}
#endif

static inline void *tw_arena_alloc(tw_arena *arena, uint32_t size, uint32_t align) {
  for (;;) {
    tw_chunk *chunk = arena->current;
    if (chunk) {
      uint64_t start = ((uint64_t)arena->used + align - 1) & ~(uint64_t)(align - 1);
      if (start + size <= chunk->size) {
        arena->used = (uint32_t)(start + size);
        return (char *)(chunk + 1) + start;
      }
    }
    tw_chunk *next = chunk ? chunk->next : NULL;
    if (!next) {
      /* Doubling keeps the sum of all chunks in proportion to the largest turn. */
      uint64_t wanted = chunk ? (uint64_t)chunk->size * 2 : TW_CHUNK_MIN;
      uint64_t needed = ((uint64_t)size + TW_ALIGN_MAX - 1) & ~(uint64_t)(TW_ALIGN_MAX - 1);
      if (wanted < needed) wanted = needed;
      if (wanted + sizeof(tw_chunk) <= UINT32_MAX) next = (tw_chunk *)tw_extend((uint32_t)(wanted + sizeof(tw_chunk)));
      if (!next && needed + sizeof(tw_chunk) <= UINT32_MAX) {
        wanted = needed;
        next = (tw_chunk *)tw_extend((uint32_t)(needed + sizeof(tw_chunk)));
      }
      if (!next) __builtin_trap();
      next->next = NULL;
      next->size = (uint32_t)wanted;
      if (chunk) chunk->next = next;
      else arena->first = next;
    }
    arena->current = next;
    arena->used = 0;
  }
}

/* Memory, not zeroed and aligned to 16 bytes, until the end of this turn. */
static inline void *tw_alloc(uint32_t size) { return tw_arena_alloc(&tw_self.turn, size, TW_ALIGN_MAX); }

/* Memory, not zeroed and aligned to 16 bytes, as long as the agent lives. */
static inline void *tw_keep(uint32_t size) { return tw_arena_alloc(&tw_self.kept, size, TW_ALIGN_MAX); }

/* Forgets the last turn's memory when the next one is being prepared: its effects were read in between. */
static inline void tw_begin_turn(void) {
  if (!tw_self.turn_is_over) return;
  tw_self.turn_is_over = false;
  tw_self.turn.current = tw_self.turn.first;
  tw_self.turn.used = 0;
  tw_self.effect_count = 0;
}

/* ---- Text ---- */

static inline tw_string tw_bytes(const void *data, uint32_t size) {
  tw_string string;
  string.data = (const char *)data;
  string.size = size;
  return string;
}

/* The bytes of a zero-terminated text. */
static inline tw_string tw_str(const char *text) {
  uint32_t size = 0;
  while (text[size]) size++;
  return tw_bytes(text, size);
}

static inline bool tw_equal(tw_string a, tw_string b) {
  if (a.size != b.size) return false;
  for (uint32_t i = 0; i < a.size; i++)
    if (a.data[i] != b.data[i]) return false;
  return true;
}

static inline bool tw_is(tw_string a, const char *text) { return tw_equal(a, tw_str(text)); }

static inline bool tw_starts_with(tw_string a, const char *text) {
  tw_string start = tw_str(text);
  return a.size >= start.size && tw_equal(tw_bytes(a.data, start.size), start);
}

/* Below, at or above zero, byte by byte: for UTF-8 the order of code points. */
static inline int tw_compare(tw_string a, tw_string b) {
  for (uint32_t i = 0; i < a.size && i < b.size; i++)
    if (a.data[i] != b.data[i]) return (unsigned char)a.data[i] < (unsigned char)b.data[i] ? -1 : 1;
  return a.size < b.size ? -1 : a.size > b.size;
}

/* A copy until the end of this turn. */
static inline tw_string tw_copy(tw_string string) {
  char *data = (char *)tw_arena_alloc(&tw_self.turn, string.size, 1);
  if (string.size) __builtin_memcpy(data, string.data, string.size);
  return tw_bytes(data, string.size);
}

/* A copy that lives as long as the agent. */
static inline tw_string tw_keep_copy(tw_string string) {
  char *data = (char *)tw_arena_alloc(&tw_self.kept, string.size, 1);
  if (string.size) __builtin_memcpy(data, string.data, string.size);
  return tw_bytes(data, string.size);
}

/* A zero-terminated copy until the end of this turn: `return tw_error(tw_built(&reason));` */
static inline tw_result tw_error(tw_string reason) {
  char *text = (char *)tw_arena_alloc(&tw_self.turn, reason.size + 1, 1);
  if (reason.size) __builtin_memcpy(text, reason.data, reason.size);
  text[reason.size] = 0;
  return text;
}

/* Text in the making, until the end of this turn; begins as `tw_builder b = {0};`. */
typedef struct tw_builder {
  char *data;
  uint32_t size;
  uint32_t capacity;
} tw_builder;

static inline void tw_add_bytes(tw_builder *to, const void *data, uint32_t size) {
  if (size > to->capacity - to->size) {
    uint64_t capacity = ((uint64_t)to->size + size) * 2;
    if (capacity > INT32_MAX) __builtin_trap();
    char *grown = (char *)tw_arena_alloc(&tw_self.turn, (uint32_t)capacity, 1);
    if (to->size) __builtin_memcpy(grown, to->data, to->size);
    to->data = grown;
    to->capacity = (uint32_t)capacity;
  }
  if (size) __builtin_memcpy(to->data + to->size, data, size);
  to->size += size;
}

static inline void tw_add(tw_builder *to, tw_string string) { tw_add_bytes(to, string.data, string.size); }
static inline void tw_add_text(tw_builder *to, const char *text) { tw_add(to, tw_str(text)); }
static inline void tw_add_byte(tw_builder *to, char byte) { tw_add_bytes(to, &byte, 1); }

static inline void tw_add_u64(tw_builder *to, uint64_t number) {
  char digits[20];
  uint32_t at = sizeof digits;
  do {
    digits[--at] = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  tw_add_bytes(to, digits + at, sizeof digits - at);
}

static inline void tw_add_i64(tw_builder *to, int64_t number) {
  if (number < 0) tw_add_byte(to, '-');
  tw_add_u64(to, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static inline tw_string tw_built(const tw_builder *from) { return tw_bytes(from->data, from->size); }

static inline tw_string tw_decimal(int64_t number) {
  tw_builder text = {0, 0, 0};
  tw_add_i64(&text, number);
  return tw_built(&text);
}

/* Digits and nothing else, at most 2^64 - 1. */
static inline bool tw_parse_u64(tw_string text, uint64_t *number) {
  uint64_t value = 0;
  for (uint32_t i = 0; i < text.size; i++) {
    uint64_t digit = (uint64_t)(unsigned char)text.data[i] - '0';
    if (digit > 9 || value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *number = value;
  return text.size > 0;
}

static inline bool tw_parse_i64(tw_string text, int64_t *number) {
  bool negative = text.size && text.data[0] == '-';
  uint64_t size;
  if (!tw_parse_u64(tw_bytes(text.data + negative, text.size - negative), &size)) return false;
  if (size > (uint64_t)INT64_MAX + negative) return false;
  *number = (int64_t)(negative ? 0 - size : size);
  return true;
}

/* The next of a stream of random numbers (SplitMix64); begin with `uint64_t state = now->seed;`. */
static inline uint64_t tw_random(uint64_t *state) {
  uint64_t mixed = (*state += 0x9e3779b97f4a7c15u);
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
  return mixed ^ (mixed >> 31);
}

#include "tickwork_effects.h"

#endif
