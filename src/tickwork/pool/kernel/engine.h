/* The engine's C functions that a turn needs. Their addresses come from Python; nothing is linked. */
#ifndef TICKWORK_ENGINE_H
#define TICKWORK_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* wasmtime_val_raw_t: any argument or result; a scalar lies in its first bytes, little-endian. */
typedef struct tw_raw {
    uint64_t low;
    uint64_t high;
} tw_raw;

#define TW_RAW_BYTES 16
_Static_assert(sizeof(tw_raw) == TW_RAW_BYTES, "wasmtime_val_raw_t");

typedef struct tw_engine {
    /* wasmtime_func_call_unchecked: returns an error or null; a trap goes to *trap. */
    void *(*call)(void *context, const void *func, tw_raw *values, size_t count, void **trap);
    void *(*set_fuel)(void *context, uint64_t fuel);
    void *(*get_fuel)(void *context, uint64_t *fuel);
    uint8_t *(*memory_data)(void *context, const void *memory);
    size_t (*memory_size)(void *context, const void *memory);
    bool (*trap_code)(const void *trap, uint8_t *code);
    void (*trap_delete)(void *trap);
} tw_engine;

#define TW_ENGINE_FUNCTIONS 7
_Static_assert(sizeof(tw_engine) == TW_ENGINE_FUNCTIONS * sizeof(void *), "only functions");

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a guest's memory is little-endian, and so must be the host that reads it in place"
#endif
#if UINTPTR_MAX != UINT64_MAX
#error "the engine reserves 4 GiB for each guest, which takes 64-bit addresses"
#endif

#endif
