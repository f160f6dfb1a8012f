/* Sends a greeting to whom its config names, whenever it has a turn; remembers how much it was told. */
#include "tickwork.h"

static tw_string to;
static uint64_t told;

static tw_result on_setup(const tw_identity *me) {
  to = tw_keep_copy((tw_string){(const char *)me->config.data, me->config.size});
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) told += message->body.size + now->tick;
  tw_send(to, tw_str("greeting"), tw_bytes((const uint8_t *)&told, sizeof told));
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
