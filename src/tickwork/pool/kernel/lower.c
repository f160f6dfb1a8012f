/* Lowering an inbox by the Canonical ABI: `guest/abi.py` says the same in Python. */
#include "turn.h"

#include <stdlib.h>
#include <string.h>

/* record message { sender: string, topic: string, body: list<u8>, reply-to: option<u64> } */
typedef struct message {
    uint32_t span[2 * TW_PIECES_MAX]; /* pointer and length of each piece */
    uint32_t has_reply_to;            /* a byte, and padding that is zero */
    uint32_t padding;
    uint64_t reply_to;
} message;

_Static_assert(sizeof(message) == 40, "message");
#define MESSAGE_ALIGN 8

static enum tw_fault beyond(tw_turn *turn, uint64_t pointer, uint64_t length)
{
    turn->first = pointer;
    turn->second = length;
    return TW_BEYOND;
}

static void put(tw_agent *agent, uint32_t pointer, const void *bytes, size_t size)
{
    if (size != 0) {
        memcpy(agent->base + pointer, bytes, size);
    }
}

/* Everything in one block from `tickwork_inbox`: the records, then what they point to. */
static enum tw_fault lower_at_once(const tw_engine *engine, tw_agent *agent, const tw_letter *letters,
                                   tw_turn *turn, uint32_t *pointer)
{
    uint64_t size = (uint64_t)turn->letters * sizeof(message);
    for (uint32_t place = 0; place < turn->letters; place++) {
        const tw_letter *letter = &letters[place];
        size += (uint64_t)letter->size[0] + letter->size[1] + letter->size[2];
    }
    tw_raw values[1] = {{size, 0}};
    enum tw_fault fault = tw_call(engine, agent, agent->arena, values, 1, turn);
    if (fault != TW_FINE) {
        return fault;
    }
    uint32_t block = (uint32_t)values[0].low;
    if (block % MESSAGE_ALIGN != 0) {
        turn->first = block;
        return TW_BLOCK_UNALIGNED;
    }
    if (!tw_within(engine, agent, block, size)) {
        return beyond(turn, block, size);
    }
    uint64_t at = block + (uint64_t)turn->letters * sizeof(message);
    for (uint32_t place = 0; place < turn->letters; place++) {
        const tw_letter *letter = &letters[place];
        message record = {.has_reply_to = letter->has_reply_to, .reply_to = letter->reply_to};
        for (int piece = 0; piece < TW_PIECES_MAX; piece++) {
            if (at > UINT32_MAX) {
                return TW_SPACE_END; /* an empty piece behind the last byte of a 4 GiB memory */
            }
            record.span[2 * piece] = (uint32_t)at;
            record.span[2 * piece + 1] = letter->size[piece];
            put(agent, (uint32_t)at, letter->piece[piece], letter->size[piece]);
            at += letter->size[piece];
        }
        put(agent, block + place * (uint32_t)sizeof(message), &record, sizeof(message));
    }
    *pointer = block;
    return TW_FINE;
}

static enum tw_fault allocate(const tw_engine *engine, tw_agent *agent, uint64_t size, uint64_t align,
                              tw_turn *turn, uint32_t *pointer)
{
    tw_raw values[4] = {{0, 0}, {0, 0}, {align, 0}, {size, 0}};
    enum tw_fault fault = tw_call(engine, agent, agent->realloc, values, 4, turn);
    *pointer = (uint32_t)values[0].low;
    return fault;
}

/* Piece by piece through `cabi_realloc`. Empty pieces are allocated too, as specified. The records are
 * written last: what the guest puts over each other is its own affair, but must be the same everywhere. */
static enum tw_fault lower_piecewise(const tw_engine *engine, tw_agent *agent, const tw_letter *letters,
                                     tw_turn *turn, tw_scratch *scratch, uint32_t *pointer)
{
    size_t size = (size_t)turn->letters * sizeof(message);
    if (size > scratch->size) {
        uint8_t *more = realloc(scratch->bytes, size);
        if (more == NULL) {
            return TW_NO_MEMORY;
        }
        scratch->bytes = more;
        scratch->size = size;
    }
    uint32_t list;
    enum tw_fault fault = allocate(engine, agent, size, MESSAGE_ALIGN, turn, &list);
    if (fault != TW_FINE) {
        return fault;
    }
    if (list % MESSAGE_ALIGN != 0) {
        turn->first = list;
        return TW_LIST_UNALIGNED;
    }
    for (uint32_t place = 0; place < turn->letters; place++) {
        const tw_letter *letter = &letters[place];
        message record = {.has_reply_to = letter->has_reply_to, .reply_to = letter->reply_to};
        for (int piece = 0; piece < TW_PIECES_MAX; piece++) {
            uint32_t at;
            uint32_t length = letter->size[piece];
            fault = allocate(engine, agent, length, 1, turn, &at);
            if (fault != TW_FINE) {
                return fault;
            }
            if (!tw_within(engine, agent, at, length)) {
                return beyond(turn, at, length);
            }
            put(agent, at, letter->piece[piece], length);
            record.span[2 * piece] = at;
            record.span[2 * piece + 1] = length;
        }
        memcpy(scratch->bytes + place * sizeof(message), &record, sizeof(message));
    }
    if (!tw_within(engine, agent, list, size)) {
        return beyond(turn, list, size);
    }
    put(agent, list, scratch->bytes, size);
    *pointer = list;
    return TW_FINE;
}

enum tw_fault tw_lower(const tw_engine *engine, tw_agent *agent, const tw_letter *letters, tw_turn *turn,
                       tw_scratch *scratch, uint32_t *pointer)
{
    return agent->arena != NULL ? lower_at_once(engine, agent, letters, turn, pointer)
                                : lower_piecewise(engine, agent, letters, turn, scratch, pointer);
}
