/* A plain tick settled: judged, recorded, and its messages laid out for the next tick. The orchestrator does
 * this alone, in the turns' order, so that nothing depends on who took which turn. */
#include "msgpack.h"
#include "plain.h"
#include "routes.h"

#define BITS 64

void tw_routes_empty(tw_routes *routes)
{
    for (uint32_t place = 0; place < routes->touched_count; place++) {
        uint32_t agent = routes->touched[place];
        routes->boxes[agent].count = 0;
        routes->boxes[agent].bytes = 0;
        routes->due[agent / BITS] = 0;
    }
    routes->touched_count = 0;
}

/* Puts one message into its receiver's box; returns whether there was room. */
static bool put(tw_routes *routes, uint32_t receiver, uint32_t size)
{
    tw_box *box = &routes->boxes[receiver];
    if (!box->live || box->count >= box->room || size > box->room_bytes - box->bytes) {
        return false;
    }
    if (box->count == 0) {
        routes->touched[routes->touched_count++] = receiver;
        routes->due[receiver / BITS] |= UINT64_C(1) << receiver % BITS;
    }
    box->count++;
    box->bytes += size;
    return true;
}

static bool put_all(tw_routes *routes, const tw_effect *effect)
{
    const tw_box *topic = &routes->boxes[effect->aim];
    for (uint64_t place = 0; place < topic->count; place++) {
        if (!put(routes, routes->subscribers[topic->next + place], effect->size[1])) {
            return false;
        }
    }
    return true;
}

/* Delivers the effect into boxes, if it is one that does that; returns whether there was room. */
static bool deliver(tw_routes *routes, const tw_effect *effect)
{
    switch (effect->tag) {
    case TW_SEND:
        return put(routes, effect->aim, effect->size[2]);
    case TW_PUBLISH:
        return put_all(routes, effect);
    default:
        routes->asides += effect->tag == TW_OUTPUT;
        return true;
    }
}

static int permitted(tw_routes *routes, uint32_t sender, const tw_effect *effect, tw_judge judge, void *context)
{
    if (effect->tag == TW_LOG || effect->tag == TW_METRIC || effect->permitted ||
        tw_routes_permitted(routes, sender, effect->aim)) {
        return 1;
    }
    int judged = judge(context, sender, effect->aim);
    if (judged == 1) {
        tw_routes_permit(routes, sender, effect->aim);
    }
    return judged;
}

static int judge_turn(tw_routes *routes, const tw_turn *turn, tw_judge judge, void *context)
{
    if (!turn->plain) {
        return 0;
    }
    const uint8_t *at = turn->effects;
    for (uint32_t place = 0; place < turn->count; place++, at = tw_effect_after(at)) {
        const tw_effect *effect = (const tw_effect *)at;
        int fine = permitted(routes, turn->agent, effect, judge, context);
        if (fine != 1) {
            return fine;
        }
        if (!deliver(routes, effect)) {
            return 0;
        }
    }
    return 1;
}

int tw_is_plain(tw_routes *routes, const tw_turn *turns, uint32_t count, tw_judge judge, void *context)
{
    int fine = 1;
    routes->asides = 0;
    for (uint32_t place = 0; fine == 1 && place < count; place++) {
        fine = judge_turn(routes, &turns[place], judge, context);
    }
    if (fine != 1) {
        tw_routes_empty(routes);
    }
    return fine;
}

/* [tick, [inputs], turns, undelivered] */
static uint8_t *put_entry_head(uint8_t *to, uint64_t tick, uint32_t count)
{
    to = tw_put_array(to, 4);
    to = tw_put_uint(to, tick);
    to = tw_put_array(to, 1);
    to = tw_put_array(to, 0);
    return tw_put_array(to, count);
}

size_t tw_entry_size(const tw_turn *turns, uint32_t count, uint64_t tick)
{
    uint8_t head[5 * TW_HEAD_MAX];
    size_t size = (size_t)(put_entry_head(head, tick, count) - head) + 1;
    for (uint32_t place = 0; place < count; place++) {
        size += turns[place].record_size;
    }
    return size;
}

void tw_entry_write(const tw_turn *turns, uint32_t count, uint64_t tick, uint8_t *to)
{
    to = put_entry_head(to, tick, count);
    for (uint32_t place = 0; place < count; place++) {
        to = tw_put_bytes(to, turns[place].record, turns[place].record_size);
    }
    tw_put_array(to, 0);
}

size_t tw_fuel_size(const tw_turn *turns, uint32_t count)
{
    uint8_t head[TW_HEAD_MAX];
    size_t size = 1 + (size_t)(tw_put_array(head, count) - head);
    for (uint32_t place = 0; place < count; place++) {
        size += (size_t)(tw_put_uint(head, turns[place].fuel) - head);
    }
    return size;
}

void tw_fuel_write(const tw_turn *turns, uint32_t count, uint8_t *to)
{
    to = tw_put_array(to, 1);
    to = tw_put_array(to, count);
    for (uint32_t place = 0; place < count; place++) {
        to = tw_put_uint(to, turns[place].fuel);
    }
}

void tw_count_out(const tw_routes *routes, uint32_t *turns, uint64_t *letters)
{
    *turns = routes->touched_count;
    *letters = 0;
    for (uint32_t place = 0; place < routes->touched_count; place++) {
        *letters += routes->boxes[routes->touched[place]].count;
    }
    for (uint32_t place = 0; place < routes->every_count; place++) {
        *turns += routes->boxes[routes->every[place]].count == 0;
    }
}

static uint32_t lowest_bit(uint64_t bits)
{
    uint32_t place = 0;
    while (!(bits >> place & 1)) {
        place++;
    }
    return place;
}

/* The next tick's turns, in the agents' order. */
static void lay_turns(tw_routes *routes, tw_turn *next)
{
    for (uint32_t place = 0; place < routes->every_count; place++) {
        routes->due[routes->every[place] / BITS] |= UINT64_C(1) << routes->every[place] % BITS;
    }
    uint64_t letter = 0;
    for (uint32_t word = 0; word <= routes->agents / BITS; word++) {
        for (uint64_t bits = routes->due[word]; bits != 0; bits &= bits - 1) {
            uint32_t agent = word * BITS + lowest_bit(bits);
            tw_box *box = &routes->boxes[agent];
            next->agent = agent;
            next->letters = (uint32_t)box->count;
            next->letter = letter;
            atomic_store_explicit(&next->done, 0, memory_order_relaxed);
            next++;
            box->next = letter;
            letter += box->count;
            box->count = 0;
            box->bytes = 0;
        }
        routes->due[word] = 0;
    }
    routes->touched_count = 0;
}

static void lay_letter(tw_routes *routes, uint32_t receiver, const tw_letter *letter, tw_letter *letters)
{
    letters[routes->boxes[receiver].next++] = *letter;
}

static void lay_letters(tw_routes *routes, const tw_box *sender, const tw_effect *effect, tw_letter *letters)
{
    bool send = effect->tag == TW_SEND;
    if (!send && effect->tag != TW_PUBLISH) {
        return;
    }
    uint32_t head = send ? 1 : 0; /* a send's first piece is its receiver */
    const uint8_t *topic = (const uint8_t *)(effect + 1) + (send ? effect->size[0] : 0);
    const tw_letter letter = {.piece = {sender->id, topic, topic + effect->size[head]},
                              .size = {sender->id_size, effect->size[head], effect->size[head + 1]},
                              .has_reply_to = send ? effect->option : 0,
                              .reply_to = send ? effect->number[0] : 0};
    if (send) {
        lay_letter(routes, effect->aim, &letter, letters);
        return;
    }
    const tw_box *subscribed = &routes->boxes[effect->aim];
    for (uint64_t place = 0; place < subscribed->count; place++) {
        lay_letter(routes, routes->subscribers[subscribed->next + place], &letter, letters);
    }
}

void tw_lay_out(tw_routes *routes, const tw_turn *turns, uint32_t count, tw_turn *next, tw_letter *letters)
{
    lay_turns(routes, next);
    for (uint32_t place = 0; place < count; place++) {
        const tw_box *sender = &routes->boxes[turns[place].agent];
        const uint8_t *at = turns[place].effects;
        for (uint32_t sent = 0; sent < turns[place].count; sent++, at = tw_effect_after(at)) {
            lay_letters(routes, sender, (const tw_effect *)at, letters);
        }
    }
}
