/* A plain turn's bytes in the tick's entry, made by the worker that took the turn. */
#include <math.h>

#include "msgpack.h"
#include "plain.h"
#include "routes.h"

#define AGENT_HEADS (4 * TW_HEAD_MAX)
#define EFFECT_HEADS (7 * TW_HEAD_MAX)
/* Longer topics are refused by their number of characters, which only Python counts. */
#define TOPIC_BYTES_MAX 256
#define CANONICAL_NAN UINT64_C(0x7ff8000000000000)
#define OUTCOME_OK "\xa2ok"

static uint64_t canonical(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return isnan(value) ? CANONICAL_NAN : bits;
}

/* Finds what the effect is aimed at, by the name that is its first piece; returns whether there is such. */
static bool aim(const tw_routes *routes, uint32_t sender, tw_effect *effect, enum tw_aim kind)
{
    effect->aim = tw_routes_find(routes, kind, (const uint8_t *)(effect + 1), effect->size[0]);
    effect->permitted = effect->aim != TW_NO_AGENT && tw_routes_permitted(routes, sender, effect->aim);
    return effect->aim != TW_NO_AGENT;
}

static uint8_t *put_send(const tw_effect *effect, uint8_t *to)
{
    const uint8_t *piece = (const uint8_t *)(effect + 1);
    to = tw_put_array(to, 5);
    to = tw_put_uint(to, effect->tag);
    to = tw_put_str(to, piece, effect->size[0]);
    to = tw_put_str(to, piece + effect->size[0], effect->size[1]);
    to = tw_put_bin(to, piece + effect->size[0] + effect->size[1], effect->size[2]);
    if (effect->option) {
        return tw_put_uint(to, effect->number[0]);
    }
    *to++ = TW_NIL;
    return to;
}

/* The effect's record; null if the effect is not plain. */
static uint8_t *put_effect(const tw_routes *routes, uint32_t sender, tw_effect *effect, uint8_t *to)
{
    const uint8_t *piece = (const uint8_t *)(effect + 1);
    switch (effect->tag) {
    case TW_SEND:
        return effect->size[1] <= TOPIC_BYTES_MAX && aim(routes, sender, effect, TW_AGENTS)
                   ? put_send(effect, to)
                   : NULL;
    case TW_PUBLISH:
    case TW_OUTPUT:
        if (!aim(routes, sender, effect, effect->tag == TW_PUBLISH ? TW_TOPICS : TW_OUTPUTS)) {
            return NULL;
        }
        to = tw_put_array(to, 3);
        to = tw_put_uint(to, effect->tag);
        to = tw_put_str(to, piece, effect->size[0]);
        return tw_put_bin(to, piece + effect->size[0], effect->size[1]);
    case TW_LOG:
        to = tw_put_array(to, 3);
        to = tw_put_uint(to, effect->tag);
        to = tw_put_uint(to, effect->option);
        return tw_put_str(to, piece, effect->size[0]);
    case TW_METRIC:
        to = tw_put_array(to, 3);
        to = tw_put_uint(to, effect->tag);
        to = tw_put_str(to, piece, effect->size[0]);
        return tw_put_float(to, canonical(effect->number[0]));
    default:
        return NULL;
    }
}

/* Room for the turn's record, whatever its effects are. */
static size_t record_max(const tw_turn *turn)
{
    size_t size = AGENT_HEADS;
    const uint8_t *at = turn->effects;
    for (uint32_t place = 0; place < turn->count; place++, at = tw_effect_after(at)) {
        size += EFFECT_HEADS + tw_effect_bytes((const tw_effect *)at);
    }
    return size;
}

void tw_record_turn(const tw_routes *routes, tw_turn *turn, tw_outbox *outbox)
{
    turn->plain = 0;
    if (turn->fault != TW_FINE) {
        return;
    }
    uint8_t *record = tw_outbox_take(outbox, record_max(turn));
    if (record == NULL) {
        return;
    }
    uint8_t *to = tw_put_array(record, 5);
    to = tw_put_uint(to, turn->agent);
    to = tw_put_bytes(to, (const uint8_t *)OUTCOME_OK, sizeof OUTCOME_OK - 1);
    to = tw_put_array(to, turn->count);
    const uint8_t *at = turn->effects;
    for (uint32_t place = 0; place < turn->count; place++, at = tw_effect_after(at)) {
        to = put_effect(routes, turn->agent, (tw_effect *)at, to);
        if (to == NULL) {
            return;
        }
    }
    to = tw_put_array(to, 0);              /* no refusals */
    to = tw_put_str(to, (uint8_t *)"", 0); /* no detail */
    turn->record = record;
    turn->record_size = (uint32_t)(to - record);
    turn->plain = 1;
}
