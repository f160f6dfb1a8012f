/* Begins the outbreak, and puts out a line for each day until nobody is sick. */
#include "tickwork.h"

#include "settings.h"

static uint64_t people, sick, recovered;
static uint64_t expected; /* patients whose sickness has not been reported yet */

static tw_result on_setup(const tw_identity *me) {
  return setting(me->config, "people", &people) && people ? TW_OK : "the config needs people";
}

static void put_number(tw_builder *line, const char *name, uint64_t number) {
  tw_add_text(line, name);
  tw_add_u64(line, number);
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  uint64_t patients = 0;
  for (TW_EACH(message, inbox)) {
    if (tw_is(message->topic, "outbreak") && !setting(message->body, "patients", &patients))
      return "an outbreak needs patients";
    if (tw_is(message->topic, "sick")) {
      sick++;
      if (expected) expected--;
    } else if (tw_is(message->topic, "recovered")) {
      sick--;
      recovered++;
    }
  }
  if (patients > people) return "there are more patients than people";
  /* Evenly spread over everybody, from a random place on. */
  for (uint64_t patient = 0; patient < patients; patient++)
    tw_send(numbered("person-", (now->seed % people + patient * people / patients) % people), tw_str("cough"), tw_str(""));
  expected += patients;
  tw_builder line = {0};
  put_number(&line, "{\"tick\":", now->tick);
  put_number(&line, ",\"susceptible\":", people - sick - recovered);
  put_number(&line, ",\"sick\":", sick);
  put_number(&line, ",\"recovered\":", recovered);
  tw_add_byte(&line, '}');
  tw_output(tw_str("curve"), tw_built(&line));
  if (sick || expected) tw_send(tw_str("census"), tw_str("day"), tw_str(""));
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
