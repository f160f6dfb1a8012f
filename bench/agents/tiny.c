/* A tiny agent: mixes its inbox into its state and sends 1 to 4 messages of
 * 32 to 200 bytes to neighbours. Agents are called a-0, a-1, ... */
#include "tickwork.h"

#define NEIGHBOURS 16
#define BODY_WORDS 25

static uint64_t state;
static tw_string neighbours[NEIGHBOURS];
static uint32_t messages;
static uint64_t spin;

static uint64_t mix(uint64_t h) {
  h ^= h << 13;
  h ^= h >> 7;
  return h ^ h << 17;
}

/* Reads the number at *at and what is behind it up to the next; returns whether there is one. */
static bool take_number(tw_string text, uint32_t *at, uint64_t *number) {
  uint32_t end = *at;
  while (end < text.size && text.data[end] != ' ') end++;
  bool found = tw_parse_u64(tw_bytes(text.data + *at, end - *at), number);
  *at = end < text.size ? end + 1 : end;
  return found;
}

/* The config is "COUNT MESSAGES" or "COUNT MESSAGES SPIN": how many agents there are, how many messages to send, 0 for
 * 1 to 4, and how many rounds of mixing to spend besides. */
static tw_result on_setup(const tw_identity *me) {
  uint64_t self = 0, count = 0, wanted = 0;
  uint32_t at = 0;
  if (me->id.size < 3 || !tw_parse_u64(tw_bytes(me->id.data + 2, me->id.size - 2), &self)) return "the id is not a-N";
  if (!take_number(me->config, &at, &count) || !count || !take_number(me->config, &at, &wanted) || wanted > 4)
    return "the config is not COUNT MESSAGES";
  if (at < me->config.size && !take_number(me->config, &at, &spin)) return "the config is not COUNT MESSAGES SPIN";
  messages = (uint32_t)wanted;
  state = self * 0x9E3779B97F4A7C15ull ^ 88172645463325252ull;
  for (uint32_t i = 0; i < NEIGHBOURS; i++) {
    tw_builder id = {0};
    tw_add_text(&id, "a-");
    tw_add_u64(&id, (self + 1 + i * 7) % count);
    neighbours[i] = tw_keep_copy(tw_built(&id));
  }
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  uint64_t h = state ^ now->tick;
  for (TW_EACH(message, inbox))
    for (uint32_t i = 0; i < message->body.size; i += 8) h = (h ^ (uint8_t)message->body.data[i]) * 1099511628211ull;
  for (uint64_t i = 0; i < spin; i++) h = mix(h | 1);
  state = h = mix(h | 1);
  uint32_t count = messages ? messages : 1 + (uint32_t)(h >> 7 & 3);
  for (uint32_t i = 0; i < count; i++) {
    h = mix(h);
    uint32_t size = 32 + (uint32_t)(h >> 23) % 169;
    uint64_t *body = (uint64_t *)tw_alloc(BODY_WORDS * sizeof *body);
    for (uint32_t j = 0; j < (size + 7) / 8; j++) body[j] = ((h + j * 0x9E3779B97F4A7C15ull) & 0x0F0F0F0F0F0F0F0Full) | 0x6060606060606060ull;
    tw_send(neighbours[(h >> 11) % NEIGHBOURS], tw_str("m"), tw_bytes(body, size));
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
