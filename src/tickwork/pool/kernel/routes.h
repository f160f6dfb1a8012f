/* Look-ups in the routes, by workers in a wave; nobody writes them then. */
#ifndef TICKWORK_ROUTES_H
#define TICKWORK_ROUTES_H

#include <string.h>

#include "plain.h"

static inline uint64_t tw_hash(const uint8_t *bytes, size_t size)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t place = 0; place < size; place++) {
        hash = (hash ^ bytes[place]) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 32;
}

static inline uint64_t tw_mix(uint64_t key)
{
    key *= UINT64_C(0x9E3779B97F4A7C15);
    return key ^ key >> 32;
}

/* The aim of this kind with this name, or TW_NO_AGENT. */
static inline uint32_t tw_routes_find(const tw_routes *routes, enum tw_aim aim, const uint8_t *id, uint32_t size)
{
    const tw_names *names = &routes->names[aim];
    for (size_t slot = tw_hash(id, size);; slot++) {
        uint32_t found = names->slots[slot & names->mask];
        if (found == TW_NO_AGENT ||
            (routes->boxes[found].id_size == size && memcmp(routes->boxes[found].id, id, size) == 0)) {
            return found;
        }
    }
}

/* No pair is 0: a free place is. */
static inline uint64_t tw_pair(uint32_t sender, uint32_t aim)
{
    return ((uint64_t)sender << 32 | aim) + 1;
}

static inline uint32_t tw_routes_permitted(const tw_routes *routes, uint32_t sender, uint32_t aim)
{
    uint64_t pair = tw_pair(sender, aim);
    for (size_t slot = tw_mix(pair);; slot++) {
        uint64_t found = routes->pairs[slot & routes->pairs_mask];
        if (found == pair || found == 0) {
            return found == pair;
        }
    }
}

#endif
