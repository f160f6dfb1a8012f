/* Unicode 15, table 3-7: well-formed UTF-8 byte sequences. */
#include "turn.h"

#include <string.h>

/* Whether a sequence of `length` bytes begins at `at`, whose second byte lies in [low, high]. */
static bool sequence(const uint8_t *at, const uint8_t *end, int length, uint8_t low, uint8_t high)
{
    if (end - at < length || at[1] < low || at[1] > high) {
        return false;
    }
    for (int place = 2; place < length; place++) {
        if ((at[place] & 0xC0) != 0x80) {
            return false;
        }
    }
    return true;
}

bool tw_utf8(const uint8_t *at, size_t size)
{
    const uint8_t *end = at + size;
    while (at < end) {
        uint64_t eight;
        while (end - at >= 8 && (memcpy(&eight, at, 8), (eight & 0x8080808080808080U) == 0)) {
            at += 8;
        }
        if (at == end) {
            break;
        }
        uint8_t lead = *at;
        int length = 1;
        uint8_t low = 0x80;
        uint8_t high = 0xBF;
        if (lead < 0x80) {
            at += 1;
            continue;
        }
        if (lead >= 0xC2 && lead <= 0xDF) {
            length = 2;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            length = 3;
            low = lead == 0xE0 ? 0xA0 : 0x80;
            high = lead == 0xED ? 0x9F : 0xBF;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            length = 4;
            low = lead == 0xF0 ? 0x90 : 0x80;
            high = lead == 0xF4 ? 0x8F : 0xBF;
        } else {
            return false;
        }
        if (!sequence(at, end, length, low, high)) {
            return false;
        }
        at += length;
    }
    return true;
}
