/* A team's escalation timers: an incident that nobody starts in time goes up a level, at most twice.
 *
 * Config: `team`. Takes `graded` from the team's desk and `started` from its people on call.
 */
#include "tickwork.h"
#include "tickwork_json.h"

/* Minutes that an incident of severity 1, 2 or 3 may wait; severity 4 may wait for ever. */
static const uint64_t patience[] = {0, 2, 8, 20};
enum { SEVERITY_PATIENT = 4, LEVEL_MAX = 2 };

typedef struct watch {
  struct watch *next;
  tw_string incident;
  uint64_t number; /* of its timer */
  uint64_t deadline;
  int64_t severity;
  uint32_t level;
  bool armed;
  bool done;
} watch;

static tw_string oncall;
static watch *watches;
static uint64_t watch_count;

static watch *find(tw_string incident) {
  watch *each = watches;
  while (each && !tw_equal(each->incident, incident)) each = each->next;
  return each;
}

static watch *find_or_add(tw_string incident) {
  watch *found = find(incident);
  if (found) return found;
  watch *added = tw_keep(sizeof *added);
  *added = (watch){.next = watches, .incident = tw_keep_copy(incident), .number = watch_count++};
  watches = added;
  return added;
}

/* Sets the timer, unless one is set that goes off sooner. */
static void arm(watch *watch, uint64_t tick) {
  if (watch->done || watch->severity >= SEVERITY_PATIENT) return;
  uint64_t deadline = tick + patience[watch->severity];
  if (watch->armed && watch->deadline <= deadline) return;
  watch->armed = true;
  watch->deadline = deadline;
  tw_builder body = {0};
  tw_add_text(&body, "{\"incident\":");
  tw_add_json(&body, watch->incident);
  tw_add_text(&body, "}");
  tw_timer(tw_str("deadline"), tw_built(&body), deadline - tick, watch->number);
}

static void on_started(watch *watch) {
  watch->done = true;
  if (watch->armed) tw_cancel_timer(watch->number);
}

static void on_deadline(watch *watch, uint64_t tick) {
  /* Word of the start may come in the very tick in which the timer goes off. */
  if (watch->done) return;
  watch->level++;
  watch->armed = false;
  tw_builder note = {0};
  tw_add_text(&note, "{\"incident\":");
  tw_add_json(&note, watch->incident);
  tw_add_text(&note, ",\"level\":");
  tw_add_u64(&note, watch->level);
  tw_add_text(&note, "}");
  tw_send(oncall, tw_str("escalated"), tw_built(&note));
  tw_send(tw_str("reporter"), tw_str("escalated"), tw_built(&note));
  watch->done = watch->level == LEVEL_MAX;
  arm(watch, tick);
}

static tw_result on_setup(const tw_identity *me) {
  tw_string team;
  if (!tw_json_string(me->config, "team", &team)) return "the config needs a team";
  tw_builder name = {0};
  tw_add_text(&name, "oncall-");
  tw_add(&name, team);
  oncall = tw_keep_copy(tw_built(&name));
  return TW_OK;
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) {
    tw_string incident;
    if (!tw_json_string(message->body, "incident", &incident)) return "a message names no incident";
    watch *watch = find_or_add(incident);
    if (tw_is(message->topic, "graded")) {
      if (!tw_json_i64(message->body, "severity", &watch->severity) || watch->severity < 1)
        return "a graded incident has no severity";
      arm(watch, now->tick);
    } else if (tw_is(message->topic, "started")) {
      on_started(watch);
    } else if (tw_is(message->topic, "deadline")) {
      on_deadline(watch, now->tick);
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
