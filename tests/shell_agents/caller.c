/* Asks the model of its config once, and puts out what it said, or why it did not. */
#include "tickwork_chat.h"

static tw_string model;
static bool asked;

static tw_result on_setup(const tw_identity *me) {
  tw_string name;
  if (!tw_json_string(me->config, "model", &name)) return "the config names no model";
  model = tw_keep_copy(name);
  return TW_OK;
}

static void put_out(const char *kind, tw_string text, uint64_t request) {
  tw_builder record = {0};
  tw_add_text(&record, "{\"kind\":\"");
  tw_add_text(&record, kind);
  tw_add_text(&record, "\",\"request\":");
  tw_add_u64(&record, request);
  tw_add_text(&record, ",\"text\":");
  tw_add_json(&record, text);
  tw_add_text(&record, "}");
  tw_output(tw_str("told"), tw_built(&record));
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  if (!asked && now->tick > 0) {
    asked = true;
    tw_chat(model, tw_str("what is \"it\"?\n"), 6, 7);
    tw_infer(model, tw_str("{\"messages\":[]}"), 8);
    tw_infer(model, tw_str("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stream\":true,\"max_tokens\":6}"), 9);
  }
  for (TW_EACH(message, inbox)) {
    tw_string text, code;
    if (tw_chat_text(message, &text)) {
      put_out(tw_is(message->topic, "reply") ? "reply" : "piece", text, message->reply_to.value);
    } else if (tw_chat_error(message, &code, &text)) {
      put_out("error", code, message->reply_to.value);
    } else {
      put_out("other", message->body, message->reply_to.value);
    }
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
