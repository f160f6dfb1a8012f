/* Does what each message's topic says, so that tests can reach every function of the header. */
#include "tickwork.h"
#include "tickwork_json.h"

static tw_identity self;
static tw_string remembered;

static tw_result on_setup(const tw_identity *me) {
  self = *me;
  tw_send(tw_str("nobody"), tw_str("lost"), tw_str("effects of setup are not sent"));
  if (tw_is(me->config, "fail")) return "told to fail";
  return TW_OK;
}

static void every_effect(void) {
  char body[] = "body";
  tw_send(tw_str("a"), tw_str("t"), tw_str(body));
  tw_send_numbered(tw_str("a"), tw_str(""), tw_str(body), UINT64_MAX);
  body[0] = 'B';
  tw_publish(tw_str("news"), tw_str(body));
  tw_infer(tw_str("model"), tw_str(body), 1);
  tw_call(tw_str("tool"), tw_str(body), 2);
  tw_output(tw_str("out"), tw_str(body));
  tw_timer(tw_str("wake"), tw_str(body), 3, 4);
  tw_cancel_timer(5);
  tw_log(TW_WARN, tw_str("careful"));
  tw_metric(tw_str("load"), 0.5);
  tw_spawn(tw_str("worker/1"), tw_str("worker"), tw_str(body));
  tw_stop_agent(tw_str("b"), tw_str("why"));
  tw_stop(tw_str("done"));
}

static void add_context(const tw_context *now, tw_builder *out) {
  uint64_t state = now->seed;
  uint64_t numbers[] = {now->tick, now->now_ns, now->seed, now->fuel, tw_random(&state), tw_random(&state)};
  for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    tw_add_u64(out, numbers[i]);
    tw_add_byte(out, ' ');
  }
}

static void add_json(tw_string object, tw_builder *out) {
  tw_string text;
  int64_t number;
  bool truth;
  if (tw_json_string(object, "k", &text)) {
    tw_add_text(out, "string ");
    tw_add(out, text);
  } else if (tw_json_i64(object, "k", &number)) {
    tw_add_text(out, "number ");
    tw_add_i64(out, number);
  } else if (tw_json_bool(object, "k", &truth)) {
    tw_add_text(out, truth ? "true" : "false");
  } else if (tw_json_value(object, "k", &text)) {
    tw_add_text(out, "other ");
    tw_add(out, text);
  } else {
    tw_add_text(out, "absent");
  }
}

static void add_number(tw_string text, tw_builder *out) {
  uint64_t plain;
  int64_t with_sign;
  if (tw_parse_u64(text, &plain)) tw_add_u64(out, plain);
  tw_add_byte(out, ' ');
  if (tw_parse_i64(text, &with_sign)) tw_add(out, tw_decimal(with_sign));
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  for (TW_EACH(message, inbox)) {
    tw_builder out = {0};
    if (tw_is(message->topic, "every effect")) every_effect();
    else if (tw_is(message->topic, "fail")) return tw_error(message->body);
    else if (tw_is(message->topic, "echo")) tw_reply(message, message->topic, message->body);
    else if (tw_is(message->topic, "remember")) remembered = tw_keep_copy(message->body);
    else {
      if (tw_is(message->topic, "recall")) tw_add(&out, remembered);
      if (tw_is(message->topic, "who")) {
        tw_add(&out, self.id);
        tw_add_byte(&out, '|');
        tw_add(&out, self.config);
      }
      if (tw_is(message->topic, "context")) add_context(now, &out);
      if (tw_is(message->topic, "json")) add_json(message->body, &out);
      if (tw_is(message->topic, "quote")) tw_add_json(&out, message->body);
      if (tw_is(message->topic, "number")) add_number(message->body, &out);
      if (tw_is(message->topic, "compare")) tw_add_i64(&out, tw_compare(message->body, message->sender));
      tw_output(tw_str("out"), tw_built(&out));
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
