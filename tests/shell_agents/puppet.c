/* Plays the part that its config names, for the tests of the command line and of recording. */
#include "tickwork.h"

static tw_string part;
static int64_t seen;

static tw_result on_setup(const tw_identity *me) {
  part = me->config;
  return tw_is(part, "cannot start") ? "told not to start" : TW_OK;
}

/* Each line goes to the output, the log and the agent `sink`. */
static void echo(const tw_message *message) {
  tw_output(tw_str("out"), message->body);
  tw_log(TW_INFO, message->body);
  tw_send(tw_str("sink"), tw_str("seen"), message->body);
}

/* Everything a guest can say, meant for the terminal of whoever looks. */
static tw_result shout(void) {
  tw_string evil = tw_str("\x1b[31mred\x1b]0;title\x07\nfake line\r\xe2\x80\xae" "desrever\xc2\x9b" "0m\x7f");
  tw_string bytes = tw_bytes("\x1b[2J\xff\xfe\n", 8);
  tw_log(TW_WARN, evil);
  tw_metric(evil, 0.5);
  tw_send(tw_str("sink"), evil, bytes);
  tw_send(evil, tw_str("t"), evil);
  tw_publish(evil, evil);
  tw_output(tw_str("out"), bytes);
  tw_output(tw_str("out"), evil);
  tw_output(evil, evil);
  tw_spawn(evil, evil, bytes);
  tw_infer(evil, bytes, 7);
  tw_stop(evil);
  return TW_OK;
}

static void say_tick(const tw_context *now) {
  tw_builder line = {0};
  tw_add_text(&line, "{\"tick\":");
  tw_add_u64(&line, now->tick);
  tw_add_byte(&line, '}');
  tw_output(tw_str("out"), tw_built(&line));
}

/* About 25 ms. */
static void dawdle(void) {
  for (volatile uint32_t left = 10000000; left > 0; left--) {
  }
}

static tw_result on_step(const tw_context *now, tw_inbox inbox) {
  if (tw_is(part, "ticker") || tw_is(part, "slow")) say_tick(now);
  if (tw_is(part, "slow")) dawdle();
  if (tw_is(part, "random")) {
    tw_builder line = {0};
    tw_add_u64(&line, now->seed);
    tw_output(tw_str("out"), tw_built(&line));
  }
  for (TW_EACH(message, inbox)) {
    seen++;
    if (tw_is(part, "echo")) echo(message);
    if (tw_is(part, "sink")) tw_metric(tw_str("seen"), (double)seen);
    if (tw_is(part, "shout")) return shout();
    if (tw_is(part, "shout and fail")) return "\x1b[31mred\x1b[0m\nfake line\r\xe2\x80\xae";
    if (tw_is(part, "fail")) return tw_error(message->body);
    if (tw_is(part, "spawner") && tw_is(message->topic, "line")) tw_spawn(tw_str("worker/1"), tw_str("worker"), tw_str("sink"));
  }
  return TW_OK;
}

TICKWORK_AGENT(on_setup, on_step)
