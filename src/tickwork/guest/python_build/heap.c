/* Python's small blocks, from pools of one size each.
 *
 * This CPython is built without its own allocator for small objects, and libc's takes several times as long.
 * A pool is a 4 KiB page: a head, then blocks of one size. Blocks that were freed are given out again first,
 * the latest first, so that a turn touches the same few pages as the turn before. A pool that is empty again
 * may serve another size. What is larger than BLOCK_MAX, and what was there before `heap_begin`, is libc's. */
#include "heap.h"

#include "cpython.h"

#define POOL 4096u
#define STEP 16u
#define BLOCK_MAX 512u
#define SIZES (BLOCK_MAX / STEP)
#define WASM_PAGE 65536u
#define PAGES_AT_ONCE 4u

typedef struct pool {
    char *freed; /* blocks given back, each holding the address of the next */
    uint8_t used;
    uint8_t size;       /* of its blocks, in steps, less one */
    uint16_t untouched; /* offset of the first block that was never given out */
    struct pool *next;  /* of the pools of this size with a free block, or of empty pools */
    struct pool *before;
} pool;

_Static_assert(sizeof(pool) == STEP, "blocks keep their alignment");

static struct {
    pool *open[SIZES]; /* with a free block */
    pool *empty;
    char *fresh; /* memory that never was a pool */
    char *fresh_end;
    PyMemAllocatorEx libc;
    uint8_t ours[WASM_PAGE]; /* by address / WASM_PAGE: whether pools lie there */
} heap;

static uint32_t block_size(const pool *from)
{
    return (from->size + 1u) * STEP;
}

static int is_full(const pool *of)
{
    return of->freed == NULL && of->untouched + block_size(of) > POOL;
}

static pool *pool_of(void *block)
{
    uintptr_t address = (uintptr_t)block;
    return heap.ours[address / WASM_PAGE] ? (pool *)(address & ~(uintptr_t)(POOL - 1)) : NULL;
}

static void open_pool(pool *with_room)
{
    pool *next = heap.open[with_room->size];
    with_room->next = next;
    with_room->before = NULL;
    if (next != NULL) {
        next->before = with_room;
    }
    heap.open[with_room->size] = with_room;
}

static void close_pool(pool *closing)
{
    if (closing->before != NULL) {
        closing->before->next = closing->next;
    } else {
        heap.open[closing->size] = closing->next;
    }
    if (closing->next != NULL) {
        closing->next->before = closing->before;
    }
}

/* Room for a pool, or NULL. */
static pool *take_page(void)
{
    pool *found = heap.empty;
    if (found != NULL) {
        heap.empty = found->next;
        return found;
    }
    if (heap.fresh == heap.fresh_end) {
        size_t count = PAGES_AT_ONCE;
        size_t first = __builtin_wasm_memory_grow(0, count);
        if (first == SIZE_MAX) {
            count = 1;
            first = __builtin_wasm_memory_grow(0, count);
        }
        if (first == SIZE_MAX) {
            return NULL;
        }
        for (size_t page = first; page < first + count; page++) {
            heap.ours[page] = 1;
        }
        heap.fresh = (char *)(first * WASM_PAGE);
        heap.fresh_end = heap.fresh + count * WASM_PAGE;
    }
    found = (pool *)(void *)heap.fresh;
    heap.fresh += POOL;
    return found;
}

static void *block_of(size_t size)
{
    uint32_t steps = (uint32_t)(size - 1) / STEP;
    pool *from = heap.open[steps];
    if (from == NULL) {
        from = take_page();
        if (from == NULL) {
            return NULL;
        }
        *from = (pool){.size = (uint8_t)steps, .untouched = sizeof(pool)};
        open_pool(from);
    }
    char *block = from->freed;
    if (block != NULL) {
        from->freed = *(char **)(void *)block;
    } else {
        block = (char *)from + from->untouched;
        from->untouched = (uint16_t)(from->untouched + block_size(from));
    }
    from->used++;
    if (is_full(from)) {
        close_pool(from);
    }
    return block;
}

static void *heap_malloc(void *context, size_t size)
{
    (void)context;
    if (size - 1 < BLOCK_MAX) { /* not 0, which libc may answer */
        void *block = block_of(size);
        if (block != NULL) {
            return block;
        }
    }
    return heap.libc.malloc(heap.libc.context, size);
}

static void *heap_calloc(void *context, size_t count, size_t size)
{
    size_t all;
    if (__builtin_mul_overflow(count, size, &all)) {
        return NULL;
    }
    void *block = heap_malloc(context, all == 0 ? 1 : all);
    return block == NULL ? NULL : __builtin_memset(block, 0, all);
}

static void heap_free(void *context, void *block)
{
    (void)context;
    pool *to = pool_of(block);
    if (to == NULL) {
        heap.libc.free(heap.libc.context, block);
        return;
    }
    int was_full = is_full(to);
    *(char **)block = to->freed;
    to->freed = block;
    to->used--;
    if (was_full) {
        open_pool(to);
    }
    if (to->used == 0 && (to->next != NULL || to->before != NULL)) {
        close_pool(to);
        to->next = heap.empty;
        heap.empty = to;
    }
}

static void *heap_realloc(void *context, void *block, size_t size)
{
    pool *from = pool_of(block);
    if (block == NULL) {
        return heap_malloc(context, size);
    }
    if (from == NULL) {
        return heap.libc.realloc(heap.libc.context, block, size);
    }
    size_t had = block_size(from);
    if (size <= had && size > had / 2) {
        return block;
    }
    void *moved = heap_malloc(context, size);
    if (moved != NULL) {
        __builtin_memcpy(moved, block, size < had ? size : had);
        heap_free(context, block);
    }
    return moved;
}

void heap_begin(void)
{
    static PyMemAllocatorEx own = {NULL, heap_malloc, heap_calloc, heap_realloc, heap_free};
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, &heap.libc);
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &own);
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &own);
}
