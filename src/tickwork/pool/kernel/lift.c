/* Lifting a turn's effects by the Canonical ABI: `guest/abi.py` says the same in Python, and says why where
 * this only says no. Two passes: the first checks and measures, the second copies out, because the guest's
 * `cabi_post_step` may then do what it likes with its memory. */
#include "turn.h"

#include <string.h>

#define RESULT_BYTES 12
#define RESULT_ALIGN 4
#define EFFECT_BYTES 48
#define EFFECT_ALIGN 8

#define LEVEL_MAX 3

/* Where the parts of a case lie in its 48 bytes. `option` and `number` are 0 where there is none. */
typedef struct shape {
    uint8_t pieces;
    uint8_t texts; /* how many of the pieces, from the first, are strings */
    uint8_t piece[TW_PIECES_MAX];
    uint8_t option;
    uint8_t option_max;
    uint8_t number[2];
} shape;

static const shape SHAPES[TW_TAGS] = {
    [TW_SEND] = {3, 2, {8, 16, 24}, 32, 1, {40, 0}},
    [TW_PUBLISH] = {2, 1, {8, 16, 0}, 0, 0, {0, 0}},
    [TW_INFER] = {2, 1, {8, 16, 0}, 0, 0, {24, 0}},
    [TW_CALL] = {2, 1, {8, 16, 0}, 0, 0, {24, 0}},
    [TW_OUTPUT] = {2, 1, {8, 16, 0}, 0, 0, {0, 0}},
    [TW_TIMER] = {2, 1, {8, 16, 0}, 0, 0, {24, 32}},
    [TW_LOG] = {1, 1, {12, 0, 0}, 8, LEVEL_MAX, {0, 0}},
    [TW_METRIC] = {1, 1, {8, 0, 0}, 0, 0, {16, 0}},
    [TW_SPAWN] = {3, 2, {8, 16, 24}, 0, 0, {0, 0}},
    [TW_STOP] = {2, 2, {12, 20, 0}, 8, 1, {0, 0}},
};
/* stop { id: option<string>, reason: string } without an id. */
static const shape STOP_SELF = {1, 1, {20, 0, 0}, 8, 1, {0, 0}};

static uint32_t load32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static uint64_t load64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* The shape of the effect at `at`, or null if its case, option or level is none. */
static const shape *shape_of(const uint8_t *at)
{
    if (at[0] >= TW_TAGS) {
        return NULL;
    }
    const shape *found = &SHAPES[at[0]];
    if (found->option != 0 && at[found->option] > found->option_max) {
        return NULL;
    }
    return at[0] == TW_STOP && at[found->option] == 0 ? &STOP_SELF : found;
}

static size_t padded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

/* First pass. Returns the bytes that the effects take in the outbox, or 0 if one of them is not good. */
static size_t measure(const tw_engine *engine, tw_agent *agent, uint32_t list, uint32_t count)
{
    uint64_t room = agent->bytes_max;
    size_t total = 0;
    for (uint32_t place = 0; place < count; place++) {
        const uint8_t *at = agent->base + list + (size_t)place * EFFECT_BYTES;
        const shape *found = shape_of(at);
        if (found == NULL) {
            return 0;
        }
        uint64_t size = 0;
        for (int piece = 0; piece < found->pieces; piece++) {
            uint32_t pointer = load32(at + found->piece[piece]);
            uint32_t length = load32(at + found->piece[piece] + 4);
            if (!tw_within(engine, agent, pointer, length)) {
                return 0;
            }
            size += length;
        }
        if (size > room) {
            return 0;
        }
        room -= size;
        total += sizeof(tw_effect) + padded(size);
    }
    return total;
}

/* Second pass, into `to`. Returns whether every string is UTF-8. */
static bool copy_out(const tw_agent *agent, uint32_t list, uint32_t count, uint8_t *to)
{
    for (uint32_t place = 0; place < count; place++) {
        const uint8_t *at = agent->base + list + (size_t)place * EFFECT_BYTES;
        const shape *found = shape_of(at);
        tw_effect effect = {.tag = at[0], .pieces = found->pieces};
        if (found->option != 0) {
            effect.option = at[found->option];
        }
        for (int number = 0; number < 2; number++) {
            if (found->number[number] != 0) {
                effect.number[number] = load64(at + found->number[number]);
            }
        }
        uint8_t *bytes = to + sizeof effect;
        size_t size = 0;
        for (int piece = 0; piece < found->pieces; piece++) {
            const uint8_t *from = agent->base + load32(at + found->piece[piece]);
            uint32_t length = load32(at + found->piece[piece] + 4);
            if (piece < found->texts && !tw_utf8(from, length)) {
                return false;
            }
            effect.size[piece] = length;
            if (length != 0) {
                memcpy(bytes + size, from, length);
            }
            size += length;
        }
        memset(bytes + size, 0, padded(size) - size);
        memcpy(to, &effect, sizeof effect);
        to = bytes + padded(size);
    }
    return true;
}

enum tw_fault tw_lift(const tw_engine *engine, tw_agent *agent, uint32_t pointer, tw_turn *turn,
                      tw_outbox *outbox)
{
    turn->first = pointer;
    if (pointer % RESULT_ALIGN != 0 || !tw_within(engine, agent, pointer, RESULT_BYTES)) {
        return TW_NOT_LIFTED;
    }
    const uint8_t *result = agent->base + pointer;
    if (result[0] != 0) {
        return TW_NOT_LIFTED; /* the guest's own error, or no case at all */
    }
    uint32_t list = load32(result + 4);
    uint32_t count = load32(result + 8);
    if (count == 0) {
        return TW_FINE;
    }
    if (count > agent->effects_max || list % EFFECT_ALIGN != 0 ||
        !tw_within(engine, agent, list, (uint64_t)count * EFFECT_BYTES)) {
        return TW_NOT_LIFTED;
    }
    size_t total = measure(engine, agent, list, count);
    if (total == 0) {
        return TW_NOT_LIFTED;
    }
    uint8_t *effects = tw_outbox_take(outbox, total);
    if (effects == NULL) {
        return TW_NO_MEMORY;
    }
    if (!copy_out(agent, list, count, effects)) {
        return TW_NOT_LIFTED;
    }
    turn->effects = effects;
    turn->count = count;
    return TW_FINE;
}
