/* A customer orders four things and asks again where no receipt comes. Bug: the shop charges for each request. */
#include "../planted.h"

#define ORDERS 4
#define PATIENCE 4

static int64_t order;
static uint64_t charged; /* one bit for each order */

static void request(void) {
  say("shop", "order", field("order", order));
  tw_timer(tw_str("again"), tw_str(""), PATIENCE, 1);
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  (void)now;
  for (TW_EACH(message, inbox)) {
    if (is("shop")) {
      uint64_t bit = 1ull << number(message->body, "order");
      if (!careful || !(charged & bit)) tw_output(tw_str("charges"), message->body);
      charged |= bit;
      tw_reply(message, tw_str("receipt"), message->body);
    } else if (about(message, "receipt")) {
      if (number(message->body, "order") != order) continue;
      if (++order < ORDERS) request();
      else tw_cancel_timer(1);
    } else if (order < ORDERS) {
      request();
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
