/* Does what its own history and the turn's random numbers draw, for random worlds: its config names its neighbours,
 * with spaces between. What it ever got and did is in its hash, and its hash is in what it sends. */
#include "tickwork.h"

#define NEIGHBOURS 32
#define PILES 16

static tw_string neighbours[NEIGHBOURS];
static uint32_t neighbours_count;
static uint64_t hash = 14695981039346656037ull, turns;
static tw_string piles[PILES];

static void mix(tw_string bytes) {
  for (uint32_t i = 0; i < bytes.size; i++) hash = (hash ^ (uint8_t)bytes.data[i]) * 1099511628211ull;
}

static tw_result on_setup(const tw_identity *me) {
  tw_string config = tw_keep_copy(me->config);
  mix(me->id);
  for (uint32_t at = 0, end = 0; end < config.size && neighbours_count < NEIGHBOURS; at = end + 1) {
    for (end = at; end < config.size && config.data[end] != ' ';) end++;
    neighbours[neighbours_count++] = tw_bytes(config.data + at, end - at);
  }
  return TW_OK;
}

/* Also a ticket, for who reads tickets. */
static tw_string body(void) {
  static const char *words[] = {"vpn", "mail", "printer"};
  tw_builder text = {0};
  tw_add_text(&text, "{\"id\":\"T-");
  tw_add_u64(&text, hash % 1000);
  tw_add_text(&text, "\",\"team\":\"net\",\"title\":\"the ");
  tw_add_text(&text, words[hash % 3]);
  tw_add_text(&text, " is down\",\"text\":\"");
  tw_add_u64(&text, hash);
  tw_add_text(&text, "\"}");
  return tw_built(&text);
}

static tw_string worker_id(void) {
  tw_builder id = {0};
  tw_add_text(&id, "worker/");
  tw_add_u64(&id, hash % 100000);
  return tw_built(&id);
}

/* Memory that grows by up to a page, and is looked at again. */
static void pile_up(uint64_t random) {
  tw_string *pile = &piles[random % PILES];
  mix(*pile);
  uint32_t size = (uint32_t)(random >> 8) % 4096;
  char *kept = (char *)tw_keep(size + 1);
  for (uint32_t i = 0; i < size; i++) kept[i] = (char)(hash >> (i % 8 * 8));
  *pile = tw_bytes(kept, size);
}

static tw_result fail(uint64_t random) {
  if (random % 4 == 0) __builtin_trap();
  if (random % 4 == 1)
    for (volatile uint64_t spins = 0;; spins++) {
    }
  if (random % 4 == 2) return (const char *)0x7ffffff0;
  return "told to";
}

static tw_result act(uint64_t random, tw_inbox inbox) {
  tw_string to = neighbours_count ? neighbours[(random >> 8) % neighbours_count] : tw_str("nobody");
  switch (random % 20) {
    case 0: tw_publish(tw_str("news"), body()); break;
    case 1: tw_timer(tw_str("wake"), body(), 1 + (random >> 16) % 6, (random >> 24) % 4); break;
    case 2: tw_cancel_timer((random >> 24) % 4); break;
    case 3: tw_output(tw_str("told"), body()); break;
    case 4: tw_log(TW_INFO, body()); break;
    case 5: tw_metric(tw_str("hash"), (double)(hash >> 12)); break;
    case 6: tw_send(tw_str("nobody"), tw_str("ticket"), body()); break;
    case 7: pile_up(random >> 8); break;
    case 8: if ((random >> 8) % 6 == 0) tw_spawn(worker_id(), tw_str("worker"), tw_str("")); break;
    case 9: if ((random >> 8) % 24 == 0) tw_stop(tw_str("done")); break;
    case 10: if ((random >> 8) % 16 == 0) return fail(random >> 16); break;
    case 11: if (inbox.count) tw_reply(inbox.first, tw_str("ticket"), body()); break;
    default: tw_send(to, tw_str("ticket"), body());
  }
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  uint64_t random = now->seed;
  turns++;
  for (TW_EACH(message, inbox)) {
    mix(message->sender);
    mix(message->topic);
    mix(message->body);
  }
  for (uint64_t left = 1 + tw_random(&random) % 3; left; left--) {
    tw_result failed = act(tw_random(&random) ^ hash % 1024, inbox);
    if (failed) return failed;
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
