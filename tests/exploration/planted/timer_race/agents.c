/* Workers take turns with a lock that is lent for six ticks and given to the next when they are over. Bug: a
 * worker counts them from when the lock came, not from when it was lent, and works on behind its end. */
#include "../planted.h"

#define LOAN 6
#define WORKERS 3
#define ROUNDS 4

static const char *NAMES[WORKERS] = {"worker-0", "worker-1", "worker-2"};
static int64_t round_;

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  int64_t tick = (int64_t)now->tick;
  for (TW_EACH(message, inbox)) {
    if (is("lock")) {
      if (round_ == ROUNDS * WORKERS) break;
      say(NAMES[round_ % WORKERS], "lend", field("at", tick));
      round_++;
      tw_timer(tw_str("over"), tw_str(""), LOAN, 1);
    } else {
      int64_t at = careful ? number(message->body, "at") : tick - 1;
      if (at + LOAN <= tick) continue; /* it came too late to be of use */
      measure("works-to", at + LOAN);
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
