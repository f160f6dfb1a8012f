#include "outbox.h"

#include <stdlib.h>

#define BLOCK_BYTES ((size_t)256 << 10)

struct tw_block {
    tw_block *next;
    size_t size;
    size_t used;
    uint64_t data[]; /* aligned to 8 */
};

static tw_block *block_of(size_t size)
{
    if (size < BLOCK_BYTES) {
        size = BLOCK_BYTES;
    }
    tw_block *block = malloc(sizeof(tw_block) + size);
    if (block != NULL) {
        *block = (tw_block){.next = NULL, .size = size, .used = 0};
    }
    return block;
}

static void free_from(tw_block *block)
{
    while (block != NULL) {
        tw_block *next = block->next;
        free(block);
        block = next;
    }
}

uint8_t *tw_outbox_take(tw_outbox *outbox, size_t size)
{
    size = (size + 7) & ~(size_t)7;
    tw_block *block = outbox->current;
    while (block != NULL && block->size - block->used < size && block->next != NULL) {
        block = block->next;
    }
    if (block == NULL || block->size - block->used < size) {
        tw_block *more = block_of(size);
        if (more == NULL) {
            return NULL;
        }
        if (block == NULL) {
            outbox->first = more;
        } else {
            block->next = more;
        }
        block = more;
    }
    outbox->current = block;
    uint8_t *taken = (uint8_t *)block->data + block->used;
    block->used += size;
    return taken;
}

void tw_outbox_reset(tw_outbox *outbox)
{
    if (outbox->current != NULL) {
        free_from(outbox->current->next);
        outbox->current->next = NULL;
    }
    for (tw_block *block = outbox->first; block != NULL; block = block->next) {
        block->used = 0;
    }
    outbox->current = outbox->first;
}

void tw_outbox_free(tw_outbox *outbox)
{
    free_from(outbox->first);
    *outbox = (tw_outbox){NULL, NULL};
}
