/* A client asks a server five questions, one after the other. Bug: it waits for each answer for ever. */
#include "../planted.h"

#define QUESTIONS 5
#define PATIENCE 4

static int64_t asked;

static void ask(void) {
  say("server", "question", field("number", asked));
  if (careful) tw_timer(tw_str("again"), tw_str(""), PATIENCE, 1);
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  (void)now;
  for (TW_EACH(message, inbox)) {
    if (is("server")) {
      tw_reply(message, tw_str("answer"), message->body);
    } else if (about(message, "answer")) {
      if (number(message->body, "number") != asked) continue; /* an answer that was given before */
      if (++asked < QUESTIONS) {
        ask();
      } else {
        tw_cancel_timer(1);
        tw_output(tw_str("done"), field("questions", asked));
      }
    } else if (asked < QUESTIONS) {
      ask(); /* at the start, and when patience is at its end */
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
