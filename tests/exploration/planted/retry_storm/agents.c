/* A producer makes an item in every tick until forty are done; a consumer confirms each. Bug: all that is not
 * confirmed is sent again in every tick, so that a consumer who pauses is buried. */
#include "../planted.h"

#define ITEMS 40
#define WINDOW 6
#define PATIENCE 4

static bool confirmed[ITEMS];
static int64_t made, waited;

static void produce(void) {
  int64_t open = 0, oldest = -1;
  for (int64_t i = 0; i < made; i++) {
    if (confirmed[i]) continue;
    if (oldest < 0) oldest = i;
    open++;
    if (!careful) say("consumer", "item", field("number", i));
  }
  waited = open ? waited + 1 : 0;
  if (careful && open && waited >= PATIENCE) {
    say("consumer", "item", field("number", oldest));
    waited = 0;
  }
  if (made < ITEMS && (!careful || open < WINDOW)) say("consumer", "item", field("number", made++));
  if (made < ITEMS || open) tw_timer(tw_str("next"), tw_str(""), 1, 1);
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  (void)now;
  bool due = false;
  for (TW_EACH(message, inbox)) {
    if (is("consumer")) tw_reply(message, tw_str("confirm"), message->body);
    else if (about(message, "confirm")) confirmed[number(message->body, "number") % ITEMS] = true;
    else due = true;
  }
  if (due) produce();
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
