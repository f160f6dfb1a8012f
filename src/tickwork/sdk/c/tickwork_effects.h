/* The second half of tickwork.h: what an agent may ask for, and the functions that the host calls. */
#ifndef TICKWORK_EFFECTS_H
#define TICKWORK_EFFECTS_H

#include "tickwork.h"

/* ---- Effects: performed, in this order, if the turn succeeds and the agent holds the grants ---- */

/* A new effect of `kind`, zeroed. What its strings point to must last until the turn ends (`tw_copy`). */
static inline tw_effect *tw_push(uint8_t kind) {
  if (tw_self.effect_count == tw_self.effect_capacity) {
    uint32_t capacity = tw_self.effect_capacity ? tw_self.effect_capacity * 2 : TW_EFFECTS_MIN;
    if (capacity > UINT32_MAX / sizeof(tw_effect)) __builtin_trap();
    tw_effect *grown = (tw_effect *)tw_keep(capacity * sizeof(tw_effect));
    if (tw_self.effect_count) __builtin_memcpy(grown, tw_self.effects, tw_self.effect_count * sizeof(tw_effect));
    tw_self.effects = grown;
    tw_self.effect_capacity = capacity;
  }
  tw_effect *effect = &tw_self.effects[tw_self.effect_count++];
  __builtin_memset(effect, 0, sizeof *effect);
  effect->kind = kind;
  return effect;
}

/* A message to the agent `to`, in the next tick. */
static inline void tw_send(tw_string to, tw_string topic, tw_string body) {
  tw_effect *effect = tw_push(TW_EFFECT_SEND);
  effect->as.send.to = tw_copy(to);
  effect->as.send.topic = tw_copy(topic);
  effect->as.send.body = tw_copy(body);
}

/* The same with a number: on a request the one its answer shall bear, on an answer that number. */
static inline void tw_send_numbered(tw_string to, tw_string topic, tw_string body, uint64_t reply_to) {
  tw_send(to, topic, body);
  tw_option_u64 *option = &tw_self.effects[tw_self.effect_count - 1].as.send.reply_to;
  option->some = 1;
  option->value = reply_to;
}

/* An answer to `message`, with its number if it has one. */
static inline void tw_reply(const tw_message *message, tw_string topic, tw_string body) {
  tw_send(message->sender, topic, body);
  tw_self.effects[tw_self.effect_count - 1].as.send.reply_to = message->reply_to;
}

/* A message to every agent that subscribes to `topic`. */
static inline void tw_publish(tw_string topic, tw_string body) {
  tw_effect *effect = tw_push(TW_EFFECT_PUBLISH);
  effect->as.publish.topic = tw_copy(topic);
  effect->as.publish.body = tw_copy(body);
}

/* A request to a model; its answer is a message with reply_to = `request`. */
static inline void tw_infer(tw_string model, tw_string body, uint64_t request) {
  tw_effect *effect = tw_push(TW_EFFECT_INFER);
  effect->as.infer.model = tw_copy(model);
  effect->as.infer.body = tw_copy(body);
  effect->as.infer.request = request;
}

/* A request to a tool; its answer is a message with reply_to = `request`. */
static inline void tw_call(tw_string tool, tw_string body, uint64_t request) {
  tw_effect *effect = tw_push(TW_EFFECT_CALL);
  effect->as.call.tool = tw_copy(tool);
  effect->as.call.body = tw_copy(body);
  effect->as.call.request = request;
}

/* A record for the run's output `name`. */
static inline void tw_output(tw_string name, tw_string body) {
  tw_effect *effect = tw_push(TW_EFFECT_OUTPUT);
  effect->as.output.name = tw_copy(name);
  effect->as.output.body = tw_copy(body);
}

/* A message on `topic` to oneself, `after_ticks` ticks from now; `request` names the timer, and setting it
 * again replaces it. */
static inline void tw_timer(tw_string topic, tw_string body, uint64_t after_ticks, uint64_t request) {
  tw_effect *effect = tw_push(TW_EFFECT_TIMER);
  effect->as.timer.topic = tw_copy(topic);
  effect->as.timer.body = tw_copy(body);
  effect->as.timer.after_ticks = after_ticks;
  effect->as.timer.request = request;
}

static inline void tw_cancel_timer(uint64_t request) { tw_timer(tw_str(""), tw_str(""), 0, request); }

/* A line for whoever inspects the run. */
static inline void tw_log(tw_level level, tw_string text) {
  tw_effect *effect = tw_push(TW_EFFECT_LOG);
  effect->as.log.level = (uint8_t)level;
  effect->as.log.text = tw_copy(text);
}

/* A number for whoever inspects the run. */
static inline void tw_metric(tw_string name, double value) {
  tw_effect *effect = tw_push(TW_EFFECT_METRIC);
  effect->as.metric.name = tw_copy(name);
  effect->as.metric.value = value;
}

/* A new agent of a declared kind; its id must be `KIND/NAME`. */
static inline void tw_spawn(tw_string id, tw_string kind, tw_string config) {
  tw_effect *effect = tw_push(TW_EFFECT_SPAWN);
  effect->as.spawn.id = tw_copy(id);
  effect->as.spawn.kind = tw_copy(kind);
  effect->as.spawn.config = tw_copy(config);
}

/* The end of this agent. */
static inline void tw_stop(tw_string reason) { tw_push(TW_EFFECT_STOP)->as.stop.reason = tw_copy(reason); }

/* The end of the agent `id`. */
static inline void tw_stop_agent(tw_string id, tw_string reason) {
  tw_effect *effect = tw_push(TW_EFFECT_STOP);
  effect->as.stop.id.some = 1;
  effect->as.stop.id.value = tw_copy(id);
  effect->as.stop.reason = tw_copy(reason);
}

/* ---- What the host calls ---- */

static inline tw_answer *tw_answer_with(tw_result failure, const void *first, uint32_t count) {
  tw_self.answer.failed = failure != TW_OK;
  tw_self.answer.first = failure ? failure : first;
  tw_self.answer.count = failure ? tw_str(failure).size : count;
  tw_self.turn_is_over = true;
  return &tw_self.answer;
}

/* Memory for what the host passes: kept during setup, afterwards for one turn. */
static inline void *tw_lower(void *old, uint32_t old_size, uint32_t align, uint32_t size) {
  tw_begin_turn();
  if (align > TW_ALIGN_MAX) __builtin_trap();
  void *block = tw_arena_alloc(tw_self.is_set_up ? &tw_self.turn : &tw_self.kept, size, align);
  if (old_size) __builtin_memcpy(block, old, old_size < size ? old_size : size);
  return block;
}

static inline tw_answer *tw_run_setup(tw_result (*setup)(const tw_identity *), tw_identity me) {
  tw_self.me = me;
  tw_self.is_set_up = true;
  if (!tw_starts_with(me.abi, "1.")) return tw_answer_with("this agent needs a host with ABI 1.x", NULL, 0);
  return tw_answer_with(setup(&tw_self.me), NULL, 0);
}

static inline tw_answer *tw_run_step(
    tw_result (*step)(const tw_context *, tw_inbox), tw_context now, tw_inbox inbox) {
  tw_begin_turn();
  tw_result failure = step(&now, inbox);
  return tw_answer_with(failure, tw_self.effects, tw_self.effect_count);
}

/* A `setup` that does nothing. */
static inline tw_result tw_no_setup(const tw_identity *me) {
  (void)me;
  return TW_OK;
}

/* Runs C++ constructors of static objects, once. With a C library that is its start-up code's to do. */
#ifdef __wasi__
#define TW_INITIALIZE
#else
#define TW_INITIALIZE                                     \
  TW_EXPORT("_initialize") void tw_export_initialize(void); \
  void tw_export_initialize(void) { __wasm_call_ctors(); }
#endif

/* Exports the agent. */
#define TICKWORK_AGENT(setup_function, step_function)                                                        \
  TW_INITIALIZE                                                                                              \
  TW_EXPORT("cabi_realloc") void *tw_export_realloc(void *, uint32_t, uint32_t, uint32_t);                   \
  void *tw_export_realloc(void *old, uint32_t old_size, uint32_t align, uint32_t size) {                     \
    return tw_lower(old, old_size, align, size);                                                             \
  }                                                                                                          \
  TW_EXPORT("tickwork_inbox") void *tw_export_inbox(uint32_t);                                               \
  void *tw_export_inbox(uint32_t size) { return tw_lower(NULL, 0, 8, size); }                                \
  TW_EXPORT("setup")                                                                                         \
  tw_answer *tw_export_setup(const char *, uint32_t, const char *, uint32_t, const char *, uint32_t);        \
  tw_answer *tw_export_setup(const char *id, uint32_t id_size, const char *config, uint32_t config_size,     \
                             const char *abi, uint32_t abi_size) {                                           \
    tw_identity me;                                                                                          \
    me.id = tw_bytes(id, id_size);                                                                           \
    me.config = tw_bytes(config, config_size);                                                               \
    me.abi = tw_bytes(abi, abi_size);                                                                        \
    return tw_run_setup(setup_function, me);                                                                 \
  }                                                                                                          \
  TW_EXPORT("step")                                                                                          \
  tw_answer *tw_export_step(uint64_t, uint64_t, uint64_t, uint64_t, const tw_message *, uint32_t);           \
  tw_answer *tw_export_step(uint64_t tick, uint64_t now_ns, uint64_t seed, uint64_t fuel,                    \
                            const tw_message *first, uint32_t count) {                                       \
    tw_context now;                                                                                          \
    now.tick = tick;                                                                                         \
    now.now_ns = now_ns;                                                                                     \
    now.seed = seed;                                                                                         \
    now.fuel = fuel;                                                                                         \
    tw_inbox inbox;                                                                                          \
    inbox.first = first;                                                                                     \
    inbox.count = count;                                                                                     \
    return tw_run_step(step_function, now, inbox);                                                           \
  }

#endif
