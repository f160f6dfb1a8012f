/* Ask a language model, and read its answer. Needs the grant `infer:MODEL`.
 *
 * `tw_infer` asks any model with any body; docs/reference/inference.md has the fields.
 */
#ifndef TICKWORK_CHAT_H
#define TICKWORK_CHAT_H

#include "tickwork.h"
#include "tickwork_json.h"

/* Asks `model` to answer one message of a user in at most `max_tokens` tokens. The answer is a message on topic
 * `reply` with reply_to = `request`. */
static inline void tw_chat(tw_string model, tw_string text, uint32_t max_tokens, uint64_t request) {
  tw_builder body = {0};
  tw_add_text(&body, "{\"messages\":[{\"role\":\"user\",\"content\":");
  tw_add_json(&body, text);
  tw_add_text(&body, "}],\"max_tokens\":");
  tw_add_u64(&body, max_tokens);
  tw_add_text(&body, "}");
  tw_infer(model, tw_built(&body), request);
}

/* What the model said in an answer, or in a piece of one on topic `reply.piece`. False if it failed: then
 * `tw_chat_error` says why. The text lives until the turn ends. */
static inline bool tw_chat_text(const tw_message *message, tw_string *text) {
  tw_string choices, choice, said;
  return tw_json_value(message->body, "choices", &choices) && tw_json_first(choices, &choice) &&
         (tw_json_value(choice, "message", &said) || tw_json_value(choice, "delta", &said)) &&
         tw_json_string(said, "content", text);
}

/* Why there is no answer: in a word, such as `context_length_exceeded`, and in words. */
static inline bool tw_chat_error(const tw_message *message, tw_string *code, tw_string *words) {
  tw_string error;
  return tw_json_value(message->body, "error", &error) && tw_json_string(error, "code", code) &&
         tw_json_string(error, "message", words);
}

#endif
