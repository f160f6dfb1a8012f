/* Answers every message with its own body, and counts them. */
#include "tickwork.h"

static uint64_t answered;
static const tw_identity *self;

static tw_result on_setup(const tw_identity *me) {
  self = me;
  if (me->config.size && !tw_parse_u64(me->config, &answered)) return "the config is not a number to count from";
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) {
    tw_reply(message, message->topic, message->body);
    answered++;
  }
  tw_builder line = {0};
  tw_add(&line, self->id);
  tw_add_text(&line, " has answered ");
  tw_add_u64(&line, answered);
  tw_add_text(&line, " by tick ");
  tw_add_u64(&line, now->tick);
  tw_log(TW_INFO, tw_built(&line));
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
