/* A queue hands six jobs out, a worker sends each one's result to a store until that confirms it. The worker may
 * crash, and then starts with nothing. Bug: it acknowledges a job before the result is sent, so that a crash between
 * the two sends loses the result. */
#include "../planted.h"

#define JOBS 6
#define EVERY 3
#define PATIENCE 6

static int64_t waiting_since[JOBS], made;
static bool done[JOBS];
static bool stored[JOBS], unconfirmed[JOBS];

static void hand_out(int64_t tick) {
  bool open = made < JOBS;
  if (made < JOBS && tick % EVERY == 0) waiting_since[made++] = tick - PATIENCE;
  for (int64_t job = 0; job < made; job++) {
    if (done[job]) continue;
    open = true;
    if (tick - waiting_since[job] < PATIENCE) continue;
    waiting_since[job] = tick;
    say("worker", "job", field("job", job));
  }
  if (open) tw_timer(tw_str("next"), tw_str(""), 1, 1);
}

static void send_results(void) {
  bool open = false;
  for (int64_t job = 0; job < JOBS; job++) {
    if (!unconfirmed[job]) continue;
    open = true;
    say("store", "result", field("job", job));
  }
  if (open) tw_timer(tw_str("again"), tw_str(""), PATIENCE, 1);
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  bool due = false;
  for (TW_EACH(message, inbox)) {
    int64_t job = number(message->body, "job") % JOBS;
    if (is("queue")) {
      if (about(message, "acknowledge")) done[job] = true;
      else due |= about(message, "next") || about(message, "start");
    } else if (is("store")) {
      if (!about(message, "result")) continue;
      if (!stored[job]) tw_output(tw_str("results"), message->body);
      stored[job] = true;
      tw_reply(message, tw_str("stored"), message->body);
    } else if (about(message, "job")) {
      if (!careful) say("queue", "acknowledge", message->body);
      unconfirmed[job] = true;
      due = true;
    } else if (about(message, "stored")) {
      if (careful) say("queue", "acknowledge", message->body);
      unconfirmed[job] = false;
    } else if (about(message, "again")) {
      due = true;
    }
  }
  if (due && is("queue")) hand_out((int64_t)now->tick);
  if (due && is("worker")) send_results();
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
