/* One turn in the sandbox: lower the inbox, call `step`, lift the effects, read the fuel. No Python here.
 *
 * Everything that a guest says is checked before use: no byte outside [base, base + size) is read or written.
 * What is found wrong is only named here; `pool/faults.py` makes the outcome of it, in the same words as the
 * inline pool. */
#ifndef TICKWORK_TURN_H
#define TICKWORK_TURN_H

#include "arena.h"
#include "engine.h"
#include "outbox.h"

/* Why a turn ended early. The values and numbers are known to pool/faults.py. */
enum tw_fault {
    TW_FINE = 0,
    TW_TRAP = 1,            /* first: the engine's trap code, or TW_TRAP_UNKNOWN */
    TW_REFUSED = 2,         /* first: address of the engine's error, which the reader frees */
    TW_LIST_UNALIGNED = 3,  /* first: what cabi_realloc gave for the list of messages */
    TW_BLOCK_UNALIGNED = 4, /* first: what tickwork_inbox gave */
    TW_BEYOND = 5,          /* first: a pointer, second: a length that do not lie within the memory */
    TW_SPACE_END = 6,       /* the block reaches the end of the address space */
    TW_NOT_LIFTED = 7,      /* first: what `step` returned, and there is something wrong with it */
    TW_NO_MEMORY = 8,       /* of the host */
};
#define TW_TRAP_UNKNOWN 256

/* The cases of the WIT variant `effect`. */
enum tw_tag {
    TW_SEND, TW_PUBLISH, TW_INFER, TW_CALL, TW_OUTPUT, TW_TIMER, TW_LOG, TW_METRIC, TW_SPAWN, TW_STOP, TW_TAGS
};

/* The bytes of an effect's pieces, and where the effect after it lies. */
static inline size_t tw_effect_bytes(const tw_effect *effect)
{
    return (size_t)effect->size[0] + effect->size[1] + effect->size[2];
}

static inline const uint8_t *tw_effect_after(const uint8_t *at)
{
    return at + sizeof(tw_effect) + ((tw_effect_bytes((const tw_effect *)at) + 7) & ~(size_t)7);
}

/* Room that a worker keeps between turns. */
typedef struct tw_scratch {
    uint8_t *bytes;
    size_t size;
} tw_scratch;

/* What is the same for all turns of a wave. */
typedef struct tw_moment {
    uint64_t tick;
    uint64_t now_ns;
    const tw_letter *letters;
} tw_moment;

/* Fills in everything from `fuel` to `second` of the turn. */
void tw_take_turn(const tw_engine *engine, tw_agent *agent, const tw_moment *moment, tw_turn *turn,
                  tw_outbox *outbox, tw_scratch *scratch);

/* Lowers the inbox. Returns a fault; *pointer is what the guest is to be given. */
enum tw_fault tw_lower(const tw_engine *engine, tw_agent *agent, const tw_letter *letters, tw_turn *turn,
                       tw_scratch *scratch, uint32_t *pointer);

/* Lifts `result<list<effect>, string>` at `pointer`. Returns TW_NOT_LIFTED for anything but effects. */
enum tw_fault tw_lift(const tw_engine *engine, tw_agent *agent, uint32_t pointer, tw_turn *turn,
                      tw_outbox *outbox);

/* Calls with `count` values; the first result is left in values[0]. */
enum tw_fault tw_call(const tw_engine *engine, tw_agent *agent, const void *func, tw_raw *values,
                      size_t count, tw_turn *turn);

/* Whether [pointer, pointer + length) lies within the guest's memory. */
static inline bool tw_within(const tw_engine *engine, tw_agent *agent, uint32_t pointer, uint64_t length)
{
    uint64_t end = pointer + length;
    if (end <= agent->size) {
        return true;
    }
    agent->size = engine->memory_size(agent->context, agent->memory);
    return end <= agent->size;
}

/* Whether the bytes are UTF-8 as Python decodes it: no surrogates, nothing overlong, nothing over 10FFFF. */
bool tw_utf8(const uint8_t *bytes, size_t size);

#endif
