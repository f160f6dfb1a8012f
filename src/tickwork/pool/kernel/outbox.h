/* An outbox arena: blocks that never move while a wave lasts, so that what lies in them can be read by
 * another thread as soon as it is published. One worker takes from it; nothing is given back in a wave. */
#ifndef TICKWORK_OUTBOX_H
#define TICKWORK_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

typedef struct tw_block tw_block;

typedef struct tw_outbox {
    tw_block *first;
    tw_block *current;
} tw_outbox;

/* Returns `size` bytes aligned to 8, or null if the host has no more memory. */
uint8_t *tw_outbox_take(tw_outbox *outbox, size_t size);
/* Begins a new wave: everything that was taken is void. Blocks that the last wave did not need are freed. */
void tw_outbox_reset(tw_outbox *outbox);
void tw_outbox_free(tw_outbox *outbox);

#endif
