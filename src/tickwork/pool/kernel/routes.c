#include "routes.h"

#include <stdlib.h>

#define PAIRS_FIRST ((size_t)1 << 10)
/* Bounds what is remembered where everybody talks to everybody: 16 MiB. */
#define PAIRS_MAX ((size_t)1 << 21)

void tw_routes_free(tw_routes *routes)
{
    free(routes->boxes);
    free(routes->ids);
    free(routes->names);
    free(routes->pairs);
    free(routes->due);
    free(routes->touched);
    free(routes->every);
    *routes = (tw_routes){.boxes = NULL};
}

static bool allocate(tw_routes *routes, const tw_receiver *receivers, uint32_t count)
{
    size_t bytes = 1;
    for (uint32_t place = 0; place < count; place++) {
        bytes += receivers[place].id_size;
    }
    size_t names = 16;
    while (names < 2 * (size_t)count) {
        names *= 2;
    }
    routes->boxes = calloc((size_t)count + 1, sizeof *routes->boxes);
    routes->ids = malloc(bytes);
    routes->names = malloc(names * sizeof *routes->names);
    routes->names_mask = names - 1;
    routes->pairs = calloc(PAIRS_FIRST, sizeof *routes->pairs);
    routes->pairs_mask = PAIRS_FIRST - 1;
    routes->due = calloc((size_t)count / 64 + 1, sizeof *routes->due);
    routes->touched = malloc(((size_t)count + 1) * sizeof *routes->touched);
    routes->every = malloc(((size_t)count + 1) * sizeof *routes->every);
    return routes->boxes != NULL && routes->ids != NULL && routes->names != NULL && routes->pairs != NULL &&
           routes->due != NULL && routes->touched != NULL && routes->every != NULL;
}

bool tw_routes_set(tw_routes *routes, const tw_receiver *receivers, uint32_t count)
{
    tw_routes_free(routes);
    if (!allocate(routes, receivers, count)) {
        tw_routes_free(routes);
        return false;
    }
    memset(routes->names, 0xff, (routes->names_mask + 1) * sizeof *routes->names); /* TW_NO_AGENT */
    uint8_t *id = routes->ids;
    for (uint32_t place = 0; place < count; place++) {
        const tw_receiver *from = &receivers[place];
        memcpy(id, from->id, from->id_size);
        routes->boxes[place] = (tw_box){.id = id,
                                        .id_size = from->id_size,
                                        .live = from->live,
                                        .room = from->room,
                                        .room_bytes = from->room_bytes};
        id += from->id_size;
        size_t slot = tw_hash(from->id, from->id_size);
        while (routes->names[slot & routes->names_mask] != TW_NO_AGENT) {
            slot++;
        }
        routes->names[slot & routes->names_mask] = place;
        if (from->every_tick) {
            routes->every[routes->every_count++] = place;
        }
    }
    routes->agents = count;
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

void tw_routes_permit(tw_routes *routes, uint32_t sender, uint32_t receiver)
{
    if (tw_routes_permitted(routes, sender, receiver)) {
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
    insert(routes->pairs, routes->pairs_mask, tw_pair(sender, receiver));
    routes->pairs_count++;
}
