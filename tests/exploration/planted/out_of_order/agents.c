/* A writer opens a file, writes to it and closes it, again and again, one step a tick. Bug: the store takes for
 * granted that the steps come in their order, and fails where they do not. */
#include "../planted.h"

#define STEPS 12
#define FILE_STEPS 4

static int64_t sent, expected;
static bool open_;
static bool here[STEPS];

static tw_result apply(int64_t step) {
  int64_t what = step % FILE_STEPS;
  if (what == 0) {
    if (open_) return "open: the file is open already";
    open_ = true;
  } else {
    if (!open_) return "write: the file is not open";
    if (what == FILE_STEPS - 1) open_ = false;
  }
  measure("applied", step + 1);
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  (void)now;
  if (is("writer")) {
    if (sent < STEPS) {
      say("store", "step", field("number", sent++));
      tw_timer(tw_str("next"), tw_str(""), 1, 1);
    }
    return TW_OK;
  }
  for (TW_EACH(message, inbox)) {
    int64_t step = number(message->body, "number") % STEPS;
    if (!careful) {
      tw_result failed = apply(step);
      if (failed) return failed;
      continue;
    }
    here[step] = true;
    while (expected < STEPS && here[expected]) apply(expected++);
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
