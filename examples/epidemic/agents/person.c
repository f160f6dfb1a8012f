/* One person: susceptible, then sick, then recovered. A sick person meets every contact once a day. */
#include "tickwork.h"

#include "settings.h"

#define NEAR 4 /* contacts next door, on a grid whose edges meet */
#define FAR 4  /* contacts anywhere */
#define MILLION 1000000u

typedef enum status { SUSCEPTIBLE, SICK, RECOVERED } status;

static status now_i_am;
static uint64_t self, people, catch_ppm, recover_ppm;
static uint64_t contact[NEAR + FAR];

/* Whom I know: the same people for the whole run, and in every run of as many people. */
static void make_contacts(void) {
  uint64_t side = 1;
  while ((side + 1) * (side + 1) <= people) side++;
  const uint64_t steps[NEAR] = {1, people - 1, side, people - side};
  for (uint32_t which = 0; which < NEAR; which++) contact[which] = (self + steps[which]) % people;
  for (uint32_t which = 0; which < FAR; which++) {
    uint64_t state = self * FAR + which;
    contact[NEAR + which] = tw_random(&state) % people;
  }
}

static tw_result on_setup(const tw_identity *me) {
  if (me->id.size < 8 || !tw_parse_u64(tw_bytes(me->id.data + 7, me->id.size - 7), &self)) return "the id is not person-N";
  if (!setting(me->config, "people", &people) || !setting(me->config, "catch_ppm", &catch_ppm) ||
      !setting(me->config, "recover_ppm", &recover_ppm))
    return "the config needs people, catch_ppm and recover_ppm";
  if (people <= self) return "there are fewer people than that";
  make_contacts();
  return TW_OK;
}

static bool happens(uint64_t ppm, uint64_t *random) { return tw_random(random) % MILLION < ppm; }

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  bool infected = false, day = false;
  for (TW_EACH(message, inbox)) {
    infected |= tw_is(message->topic, "cough");
    day |= tw_is(message->topic, "day");
  }
  uint64_t random = now->seed;
  if (now_i_am == SUSCEPTIBLE && infected) {
    now_i_am = SICK;
    tw_send(tw_str("census"), tw_str("sick"), tw_str(""));
  } else if (now_i_am == SICK && day) {
    for (uint32_t which = 0; which < NEAR + FAR; which++)
      if (happens(catch_ppm, &random)) tw_send(numbered("person-", contact[which]), tw_str("cough"), tw_str(""));
    if (happens(recover_ppm, &random)) {
      now_i_am = RECOVERED;
      tw_send(tw_str("census"), tw_str("recovered"), tw_str(""));
    }
  }
  if (now_i_am == SICK) tw_send(numbered("person-", self), tw_str("day"), tw_str(""));
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
