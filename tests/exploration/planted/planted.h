/* What the planted systems share: settings, small JSON bodies, and who a message is from. */
#include "tickwork.h"
#include "tickwork_json.h"

/* Whether this is the twin without the bug. */
static bool careful;
static tw_string self;

static int64_t number(tw_string object, const char *key) {
  int64_t found = 0;
  return tw_json_i64(object, key, &found) ? found : 0;
}

static tw_result planted_setup(const tw_identity *me) {
  self = tw_keep_copy(me->id);
  careful = number(me->config, "careful") != 0;
  return TW_OK;
}

/* {"key":value} */
static tw_string field(const char *key, int64_t value) {
  tw_builder body = {0};
  tw_add_text(&body, "{\"");
  tw_add_text(&body, key);
  tw_add_text(&body, "\":");
  tw_add_i64(&body, value);
  tw_add_text(&body, "}");
  return tw_built(&body);
}

static bool is(const char *id) { return tw_is(self, id); }
static bool about(const tw_message *message, const char *topic) { return tw_is(message->topic, topic); }
static void say(const char *to, const char *topic, tw_string body) { tw_send(tw_str(to), tw_str(topic), body); }
static void measure(const char *name, int64_t value) { tw_metric(tw_str(name), (double)value); }
