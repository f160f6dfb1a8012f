/* Three nodes keep one leader, who sends a heartbeat in every tick. Bug: who misses the leader for some ticks
 * takes over at once, without the votes of a majority, so that two may lead in one term. */
#include "../planted.h"

#define NODES 3
#define PATIENCE 5

static const char *NAMES[NODES] = {"node-0", "node-1", "node-2"};
static int64_t me, term, voted, votes, heard, patience;
static bool leads, ready;

static void tell_all(const char *topic, tw_string body) {
  for (int i = 0; i < NODES; i++)
    if (i != me) say(NAMES[i], topic, body);
}

static void lead(void) {
  leads = true;
  measure("leads", term);
  tell_all("heartbeat", field("term", term));
}

/* Newer terms end what was before. */
static void follow(int64_t newer) {
  if (newer <= term) return;
  term = newer;
  leads = false;
  votes = 0;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  if (!ready) {
    me = self.data[self.size - 1] - '0';
    heard = (int64_t)now->tick;
    term = 1;
    voted = 1;
    leads = me == 0;
    if (leads) measure("leads", term);
    ready = true;
  }
  uint64_t random = now->seed;
  for (TW_EACH(message, inbox)) {
    int64_t theirs = number(message->body, "term");
    follow(theirs);
    if (theirs < term) continue;
    if (about(message, "heartbeat")) {
      heard = (int64_t)now->tick;
    } else if (about(message, "vote-me") && voted < term) {
      voted = term;
      heard = (int64_t)now->tick;
      tw_reply(message, tw_str("vote"), field("term", term));
    } else if (about(message, "vote") && !leads && voted == term) {
      votes |= 1 << (message->sender.data[message->sender.size - 1] - '0');
      if (__builtin_popcountll((uint64_t)votes | 1ull << me) > NODES / 2) lead();
    }
  }
  if (leads) {
    tell_all("heartbeat", field("term", term));
  } else if ((int64_t)now->tick - heard > PATIENCE + patience) {
    patience = (int64_t)(tw_random(&random) % 3);
    heard = (int64_t)now->tick;
    term++;
    voted = term;
    votes = 0;
    if (careful) tell_all("vote-me", field("term", term));
    else lead();
  }
  return TW_OK;
}

TICKWORK_AGENT(planted_setup, on_step)
