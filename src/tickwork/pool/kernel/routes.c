#include "routes.h"

#include <stdlib.h>

#define PAIRS_FIRST ((size_t)1 << 10)
/* Bounds what is remembered where everybody talks to everybody: 16 MiB. */
#define PAIRS_MAX ((size_t)1 << 21)

void tw_routes_free(tw_routes *routes)
{
    free(routes->boxes);
    free(routes->ids);
    for (int aim = 0; aim < TW_AIMS; aim++) {
        free(routes->names[aim].slots);
    }
    free(routes->pairs);
    free(routes->due);
    free(routes->touched);
    free(routes->every);
    free(routes->subscribers);
    *routes = (tw_routes){.boxes = NULL};
}

/* An empty table with room for so many names; returns whether there was memory. */
static bool make_names(tw_names *names, size_t count)
{
    size_t size = 16;
    while (size < 2 * count) {
        size *= 2;
    }
    names->slots = malloc(size * sizeof *names->slots);
    names->mask = size - 1;
    if (names->slots != NULL) {
        memset(names->slots, 0xff, size * sizeof *names->slots); /* TW_NO_AGENT */
    }
    return names->slots != NULL;
}

static bool allocate(tw_routes *routes, const tw_receiver *receivers, uint32_t count)
{
    size_t bytes = 1;
    size_t subscribers = 1;
    size_t kinds[TW_AIMS] = {0};
    for (uint32_t place = 0; place < count; place++) {
        bytes += receivers[place].id_size;
        subscribers += receivers[place].subscribers_count;
        kinds[receivers[place].aim]++;
    }
    size_t agents = kinds[TW_AGENTS];
    routes->boxes = calloc((size_t)count + 1, sizeof *routes->boxes);
    routes->ids = malloc(bytes);
    routes->pairs = calloc(PAIRS_FIRST, sizeof *routes->pairs);
    routes->pairs_mask = PAIRS_FIRST - 1;
    routes->due = calloc(agents / 64 + 1, sizeof *routes->due);
    routes->touched = malloc((agents + 1) * sizeof *routes->touched);
    routes->every = malloc((agents + 1) * sizeof *routes->every);
    routes->subscribers = malloc(subscribers * sizeof *routes->subscribers);
    bool fine = routes->boxes != NULL && routes->ids != NULL && routes->pairs != NULL && routes->due != NULL &&
                routes->touched != NULL && routes->every != NULL && routes->subscribers != NULL;
    for (int aim = 0; aim < TW_AIMS; aim++) {
        fine = make_names(&routes->names[aim], kinds[aim]) && fine;
    }
    routes->agents = (uint32_t)agents;
    return fine;
}

static void add_name(tw_names *names, const uint8_t *id, uint32_t size, uint32_t aim)
{
    size_t slot = tw_hash(id, size);
    while (names->slots[slot & names->mask] != TW_NO_AGENT) {
        slot++;
    }
    names->slots[slot & names->mask] = aim;
}

bool tw_routes_set(tw_routes *routes, const tw_receiver *receivers, uint32_t count)
{
    tw_routes_free(routes);
    if (!allocate(routes, receivers, count)) {
        tw_routes_free(routes);
        return false;
    }
    uint8_t *id = routes->ids;
    uint32_t subscribers = 0;
    for (uint32_t place = 0; place < count; place++) {
        const tw_receiver *from = &receivers[place];
        tw_box *box = &routes->boxes[place];
        memcpy(id, from->id, from->id_size);
        *box = (tw_box){.id = id, .id_size = from->id_size};
        id += from->id_size;
        add_name(&routes->names[from->aim], from->id, from->id_size, place);
        if (from->aim == TW_AGENTS) {
            box->live = from->live;
            box->room = from->room;
            box->room_bytes = from->room_bytes;
            if (from->every_tick) {
                routes->every[routes->every_count++] = place;
            }
        } else if (from->aim == TW_TOPICS) {
            box->next = subscribers;
            box->count = from->subscribers_count;
            if (from->subscribers_count != 0) {
                memcpy(routes->subscribers + subscribers, from->subscribers,
                       from->subscribers_count * sizeof *from->subscribers);
            }
            subscribers += from->subscribers_count;
        }
    }
    return true;
}

static void insert(uint64_t *pairs, size_t mask, uint64_t pair)
{
    size_t slot = tw_mix(pair);
    while (pairs[slot & mask] != 0) {
        slot++;
    }
    pairs[slot & mask] = pair;
}

void tw_routes_permit(tw_routes *routes, uint32_t sender, uint32_t aim)
{
    if (tw_routes_permitted(routes, sender, aim)) {
        return;
    }
    size_t size = routes->pairs_mask + 1;
    if (2 * (routes->pairs_count + 1) > size) {
        uint64_t *more = size < PAIRS_MAX ? calloc(2 * size, sizeof *more) : NULL;
        if (more == NULL) {
            return;
        }
        for (size_t slot = 0; slot < size; slot++) {
            if (routes->pairs[slot] != 0) {
                insert(more, 2 * size - 1, routes->pairs[slot]);
            }
        }
        free(routes->pairs);
        routes->pairs = more;
        routes->pairs_mask = 2 * size - 1;
    }
    insert(routes->pairs, routes->pairs_mask, tw_pair(sender, aim));
    routes->pairs_count++;
}
