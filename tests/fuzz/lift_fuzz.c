/* libFuzzer's way into the kernel's decoding: a guest's memory, and where it says that its result lies, are the
 * fuzzer's. What was lifted is then recorded and settled as in a plain tick. Built by fuzz.sh. */
#include <stdlib.h>
#include <string.h>

#include "plain.h"
#include "routes.h"

#define HEAD 8 /* bytes of the input that are not memory: result's pointer, and limits */
#define FIXED 64

static size_t size_of(void *context, const void *memory)
{
    (void)context;
    return *(const size_t *)memory;
}

static int allow(void *context, uint32_t sender, uint32_t aim)
{
    (void)context;
    return (sender + aim) % 5 != 0;
}

static tw_routes *routes(void)
{
    static tw_routes made;
    static const uint32_t READERS[] = {0, 2};
    static const tw_receiver AIMS[] = {
        {(const uint8_t *)"a", 1, TW_AGENTS, 1, 1, 4, 64, NULL, 0},
        {(const uint8_t *)"bb", 2, TW_AGENTS, 1, 0, 1, 8, NULL, 0},
        {(const uint8_t *)"\xc3\xa9", 2, TW_AGENTS, 1, 0, 1000, 1 << 20, NULL, 0},
        {(const uint8_t *)"out", 3, TW_OUTPUTS, 0, 0, 0, 0, NULL, 0},
        {(const uint8_t *)"news", 4, TW_TOPICS, 0, 0, 0, 0, READERS, 2},
    };
    if (made.boxes == NULL && !tw_routes_set(&made, AIMS, sizeof AIMS / sizeof *AIMS)) {
        abort();
    }
    return &made;
}

/* Settles one turn; every size that is told beforehand must be the size that is written. */
static void settle(tw_turn *turn)
{
    tw_routes *known = routes();
    if (tw_is_plain(known, turn, 1, allow, NULL) != 1) {
        return;
    }
    size_t size = tw_entry_size(turn, 1, 1);
    uint8_t *entry = malloc(size);
    tw_entry_write(turn, 1, 1, entry);
    if (entry[size - 1] != 0x90) { /* nothing was undelivered */
        abort();
    }
    free(entry);
    uint32_t turns;
    uint64_t letters;
    tw_count_out(known, &turns, &letters);
    tw_turn *next = calloc(turns + 1, sizeof *next);
    tw_letter *laid = calloc(letters + 1, sizeof *laid);
    tw_lay_out(known, turn, 1, next, laid);
    uint64_t found = 0;
    for (uint32_t place = 0; place < turns; place++) {
        found += next[place].letters;
    }
    for (uint64_t letter = 0; letter < letters; letter++) {
        if (laid[letter].piece[0] == NULL || laid[letter].piece[2] == NULL) {
            abort();
        }
    }
    if (found != letters || laid[letters].piece[0] != NULL) {
        abort();
    }
    free(next);
    free(laid);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t given);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t given)
{
    if (given < HEAD) {
        return 0;
    }
    uint32_t pointer;
    uint16_t limits[2];
    memcpy(&pointer, input, sizeof pointer);
    memcpy(limits, input + sizeof pointer, sizeof limits);
    size_t size = given - HEAD;
    /* Exactly as large as it says: a byte beyond is the sanitizer's to find. */
    uint8_t *memory = malloc(size);
    if (size != 0) {
        memcpy(memory, input + HEAD, size);
    }
    tw_engine engine = {.memory_size = size_of};
    tw_agent agent = {.memory = &size, .base = memory, .effects_max = limits[0], .bytes_max = limits[1]};
    tw_turn turn = {.agent = 0, .fuel = pointer};
    tw_outbox outbox = {NULL, NULL};
    turn.fault = (uint32_t)tw_lift(&engine, &agent, pointer, &turn, &outbox);
    if (turn.fault == TW_FINE) {
        free(memory); /* the guest may do what it likes with it from here on */
        memory = NULL;
        tw_record_turn(routes(), &turn, &outbox);
        settle(&turn);
    }
    free(memory);
    tw_outbox_free(&outbox);
    return 0;
}
