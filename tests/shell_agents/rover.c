/* Plays the part that its config names, for the tests of time travel: state in static data, on the heap and in
 * what the turn is seeded with; timers, spawned agents, topics, outputs, refused effects and failures. */
#include "tickwork.h"

/* Another version of this agent: same memory, other behaviour. */
#ifndef STEP
#define STEP 31
#endif

#define PILES 64

static tw_string part;
static uint64_t hash = 14695981039346656037ull;
static uint64_t count;
static tw_string piles[PILES];

static void mix(tw_string bytes) {
  for (uint32_t i = 0; i < bytes.size; i++) hash = (hash ^ (uint8_t)bytes.data[i]) * 1099511628211ull;
  hash = hash * STEP + 1;
}

static tw_string told(const tw_context *now) {
  tw_builder line = {0};
  tw_add_text(&line, "{\"n\":");
  tw_add_u64(&line, count);
  tw_add_text(&line, ",\"tick\":");
  tw_add_u64(&line, now->tick);
  tw_add_text(&line, ",\"hash\":\"");
  tw_add_u64(&line, hash);
  tw_add_text(&line, "\"}");
  return tw_built(&line);
}

static tw_string worker_id(void) {
  tw_builder id = {0};
  tw_add_text(&id, "worker/");
  tw_add_u64(&id, count);
  return tw_built(&id);
}

static tw_result on_setup(const tw_identity *me) {
  part = tw_keep_copy(me->config);
  mix(me->id);
  return TW_OK;
}

/* Each line to the output and the keeper; every third sets a timer that is heard of later. */
static void teller(const tw_context *now, const tw_message *message) {
  uint64_t random = now->seed ^ hash;
  if (count == 20) tw_send(tw_str("frail"), tw_str("fail"), message->body);
  if (tw_is(message->topic, "wake")) {
    tw_output(tw_str("late"), told(now));
    return;
  }
  tw_output(tw_str("told"), told(now));
  tw_send(tw_str("keeper"), tw_str("keep"), message->body);
  if (count % 3 == 0) tw_timer(tw_str("wake"), message->body, 1 + tw_random(&random) % 9, count);
  if (count % 11 == 0) tw_send(tw_str("nobody"), tw_str("t"), message->body);
}

/* Keeps what it is sent in memory that grows, at a place that the turn's seed draws. */
static void keeper(const tw_context *now, const tw_message *message) {
  uint64_t random = now->seed;
  tw_string body = message->body;
  char *kept = (char *)tw_keep(body.size * 40 + 1);
  for (uint32_t i = 0; i < body.size * 40; i++) kept[i] = (char)(body.data[i % body.size] + i);
  uint32_t place = (uint32_t)(tw_random(&random) % PILES);
  if (piles[place].size) mix(piles[place]);
  piles[place] = tw_bytes(kept, body.size * 40);
  if (count % 7 == 0) tw_publish(tw_str("news"), told(now));
}

/* Hires on news; a worker tells and goes. */
static void nanny(const tw_context *now) {
  if (count % 2) tw_spawn(worker_id(), tw_str("worker"), tw_str("worker"));
  tw_metric(tw_str("hash"), (double)(hash >> 12));
  tw_log(TW_INFO, told(now));
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) {
    count++;
    mix(message->body);
    mix(tw_bytes(&now->seed, 8));
    if (tw_is(part, "teller")) teller(now, message);
    if (tw_is(part, "keeper")) keeper(now, message);
    if (tw_is(part, "nanny")) nanny(now);
    if (tw_is(part, "worker")) {
      tw_output(tw_str("late"), told(now));
      if (count == 2) tw_stop(tw_str("done"));
    }
    if (tw_is(part, "frail") && tw_is(message->topic, "fail")) return "told to";
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
