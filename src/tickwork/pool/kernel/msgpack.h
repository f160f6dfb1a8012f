/* MessagePack as msgspec writes it: every head in its shortest form, floats always in eight bytes.
 * https://github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef TICKWORK_MSGPACK_H
#define TICKWORK_MSGPACK_H

#include <stdint.h>
#include <string.h>

/* The longest head of anything: one byte and a number of eight. */
#define TW_HEAD_MAX 9
#define TW_NIL 0xc0

/* The lowest `bytes` bytes of `value`, the highest first. */
static inline uint8_t *tw_put_big(uint8_t *to, uint64_t value, int bytes)
{
    for (int place = bytes - 1; place >= 0; place--) {
        *to++ = (uint8_t)(value >> (8 * place));
    }
    return to;
}

/* A head whose form depends on a size: `code`, `code + 1`, `code + 2` say that 1, 2 or 4 bytes follow. */
static inline uint8_t *tw_put_sized(uint8_t *to, uint8_t code, uint64_t size)
{
    int step = size <= UINT8_MAX ? 0 : size <= UINT16_MAX ? 1 : 2;
    *to++ = (uint8_t)(code + step);
    return tw_put_big(to, size, 1 << step);
}

static inline uint8_t *tw_put_uint(uint8_t *to, uint64_t value)
{
    if (value <= 0x7f) {
        *to++ = (uint8_t)value;
        return to;
    }
    if (value > UINT32_MAX) {
        *to++ = 0xcf;
        return tw_put_big(to, value, 8);
    }
    return tw_put_sized(to, 0xcc, value);
}

static inline uint8_t *tw_put_array(uint8_t *to, uint32_t count)
{
    if (count < 16) {
        *to++ = (uint8_t)(0x90 | count);
        return to;
    }
    *to++ = count <= UINT16_MAX ? 0xdc : 0xdd;
    return tw_put_big(to, count, count <= UINT16_MAX ? 2 : 4);
}

static inline uint8_t *tw_put_bytes(uint8_t *to, const uint8_t *bytes, uint32_t size)
{
    memcpy(to, bytes, size);
    return to + size;
}

static inline uint8_t *tw_put_str(uint8_t *to, const uint8_t *bytes, uint32_t size)
{
    if (size < 32) {
        *to++ = (uint8_t)(0xa0 | size);
    } else {
        to = tw_put_sized(to, 0xd9, size);
    }
    return tw_put_bytes(to, bytes, size);
}

static inline uint8_t *tw_put_bin(uint8_t *to, const uint8_t *bytes, uint32_t size)
{
    return tw_put_bytes(tw_put_sized(to, 0xc4, size), bytes, size);
}

static inline uint8_t *tw_put_float(uint8_t *to, uint64_t bits)
{
    *to++ = 0xcb;
    return tw_put_big(to, bits, 8);
}

#endif
