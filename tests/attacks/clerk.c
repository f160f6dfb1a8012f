/* A good agent in C, of which the tests make broken modules. */
#include "tickwork.h"

static uint64_t seen;

static tw_result on_setup(const tw_identity *me) {
  tw_log(TW_INFO, tw_keep_copy(me->id));
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) {
    seen += message->body.size;
    tw_send(message->sender, tw_str("seen"), tw_decimal((int64_t)seen));
  }
  uint64_t state = now->seed;
  tw_metric(tw_str("drawn"), (double)(tw_random(&state) % 100));
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
