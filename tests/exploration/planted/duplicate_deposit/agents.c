/* A teller sends deposits, an account adds them up. Bug: a deposit that comes twice counts twice. */
#include "../planted.h"

#define DEPOSITS 8

static int64_t sent, balance;
static uint64_t seen; /* one bit for each deposit */

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  (void)now;
  if (is("teller")) {
    if (sent < DEPOSITS) {
      say("account", "deposit", field("number", sent++));
      tw_timer(tw_str("next"), tw_str(""), 1, 1);
    }
    return TW_OK;
  }
  for (TW_EACH(message, inbox)) {
    uint64_t bit = 1ull << number(message->body, "number");
    if (careful && seen & bit) continue;
    seen |= bit;
    balance++;
    measure("balance", balance);
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
