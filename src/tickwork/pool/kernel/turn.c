#include "turn.h"

enum tw_fault tw_call(const tw_engine *engine, tw_agent *agent, const void *func, tw_raw *values,
                      size_t count, tw_turn *turn)
{
    void *trap = NULL;
    void *error = engine->call(agent->context, func, values, count, &trap);
    if (error != NULL) {
        turn->first = (uintptr_t)error;
        return TW_REFUSED;
    }
    if (trap != NULL) {
        uint8_t code = 0;
        turn->first = engine->trap_code(trap, &code) ? code : TW_TRAP_UNKNOWN;
        engine->trap_delete(trap);
        return TW_TRAP;
    }
    return TW_FINE;
}

static enum tw_fault step(const tw_engine *engine, tw_agent *agent, const tw_moment *moment, tw_turn *turn,
                          tw_outbox *outbox, tw_scratch *scratch)
{
    uint32_t inbox;
    enum tw_fault fault =
        tw_lower(engine, agent, moment->letters + turn->letter, turn, scratch, &inbox);
    if (fault != TW_FINE) {
        return fault;
    }
    tw_raw values[6] = {{moment->tick, 0}, {moment->now_ns, 0}, {turn->seed, 0},
                        {agent->fuel, 0},  {inbox, 0},          {turn->letters, 0}};
    fault = tw_call(engine, agent, agent->step, values, 6, turn);
    if (fault != TW_FINE) {
        return fault;
    }
    uint32_t result = (uint32_t)values[0].low;
    fault = tw_lift(engine, agent, result, turn, outbox);
    if (fault != TW_FINE || agent->post == NULL) {
        return fault;
    }
    values[0] = (tw_raw){result, 0};
    return tw_call(engine, agent, agent->post, values, 1, turn);
}

void tw_take_turn(const tw_engine *engine, tw_agent *agent, const tw_moment *moment, tw_turn *turn,
                  tw_outbox *outbox, tw_scratch *scratch)
{
    turn->fuel = 0;
    turn->effects = NULL;
    turn->count = 0;
    turn->first = 0;
    turn->second = 0;
    engine->set_fuel(agent->context, agent->fuel);
    enum tw_fault fault = step(engine, agent, moment, turn, outbox, scratch);
    turn->fault = (uint32_t)fault;
    if (fault == TW_FINE) {
        uint64_t left = 0;
        engine->get_fuel(agent->context, &left);
        turn->fuel = agent->fuel - left;
    }
}
