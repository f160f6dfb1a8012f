/* Drives the kernel without Python and without the engine, so that sanitizers see every byte and every
 * thread: guests are C functions on memories of their own size, some of which lie at random.
 * `make sanitize` builds and runs it. The argument is the number of rounds. */
#include "workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGENTS 97
#define MEMORY 4096
#define GROWN (2 * MEMORY)
#define WAVES 6
#define LETTERS_MAX 5

enum { REALLOC, ARENA, STEP, POST };
static const int FUNCTIONS[] = {REALLOC, ARENA, STEP, POST};

/* One guest. Its memory is exactly as large as it says: a byte beyond is a sanitizer's to find. */
typedef struct guest {
    uint8_t *memory;
    size_t size;
    uint64_t random;
    uint64_t fuel;
    uint32_t free;
    bool lies;
} guest;

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static int trap_object; /* any address will do for a trap */

static uint32_t allocate(guest *self, uint64_t size)
{
    if (self->lies && next_random(&self->random) % 7 == 0) {
        return (uint32_t)next_random(&self->random) & 0x1FFF;
    }
    uint32_t at = (self->free + 7) & ~7U;
    self->free = at + (uint32_t)size;
    return at;
}

static void put32(guest *self, uint32_t at, uint32_t value)
{
    memcpy(self->memory + at, &value, sizeof value);
}

/* An effect of any case at `at`; honest guests say what is there. */
static void put_effect(guest *self, uint32_t at)
{
    memset(self->memory + at, 0, 48);
    self->memory[at] = (uint8_t)(next_random(&self->random) % (self->lies ? 11 : 10));
    uint32_t text = 64 + (uint32_t)(next_random(&self->random) % 32);
    for (uint32_t place = 8; place < 32; place += 8) {
        put32(self, at + place, text);
        put32(self, at + place + 4, (uint32_t)(next_random(&self->random) % 16));
    }
    if (self->memory[at] == 6 || self->memory[at] == 9) { /* log and stop begin with a byte of their own */
        put32(self, at + 8, 1);
        put32(self, at + 12, text);
        put32(self, at + 16, 5);
        put32(self, at + 20, text);
        put32(self, at + 24, 7);
    }
    if (self->lies && next_random(&self->random) % 3 == 0) {
        put32(self, at + 4 * (uint32_t)(next_random(&self->random) % 12), (uint32_t)next_random(&self->random));
    }
}

static uint32_t answer(guest *self)
{
    uint32_t count = (uint32_t)(next_random(&self->random) % 9);
    uint32_t at = 3072;
    for (uint32_t place = 0; place < count; place++) {
        put_effect(self, at + 48 * place);
    }
    put32(self, 16, self->lies && next_random(&self->random) % 9 == 0);
    put32(self, 20, at);
    put32(self, 24, count);
    if (self->lies && next_random(&self->random) % 5 == 0) {
        put32(self, 24, (uint32_t)next_random(&self->random) >> (next_random(&self->random) & 31));
        return (uint32_t)next_random(&self->random) & 0x1FFF;
    }
    return 16;
}

static void *fake_call(void *context, const void *func, tw_raw *values, size_t count, void **trap)
{
    guest *self = context;
    (void)count;
    self->fuel -= 3;
    if (self->lies && next_random(&self->random) % 50 == 0) {
        *trap = &trap_object;
        return NULL;
    }
    switch (*(const int *)func) {
    case REALLOC:
        values[0].low = allocate(self, values[3].low);
        break;
    case ARENA:
        values[0].low = allocate(self, values[0].low);
        break;
    case STEP:
        for (uint64_t spin = next_random(&self->random) % 300; spin > 0; spin--) {
            tw_relax();
        }
        values[0].low = answer(self);
        break;
    default:
        memset(self->memory, 0xEE, 16);
        self->free = 128;
    }
    return NULL;
}

static void *fake_set_fuel(void *context, uint64_t fuel)
{
    guest *self = context;
    self->fuel = fuel;
    self->free = 128;
    return NULL;
}

static void *fake_get_fuel(void *context, uint64_t *fuel)
{
    *fuel = ((guest *)context)->fuel;
    return NULL;
}

static uint8_t *fake_data(void *context, const void *memory)
{
    (void)memory;
    return ((guest *)context)->memory;
}

static size_t fake_size(void *context, const void *memory)
{
    (void)memory;
    return ((guest *)context)->size;
}

static bool fake_code(const void *trap, uint8_t *code)
{
    (void)trap;
    *code = 9;
    return true;
}

static void fake_delete(void *trap)
{
    (void)trap;
}

static const tw_engine ENGINE = {fake_call, fake_set_fuel, fake_get_fuel, fake_data,
                                 fake_size, fake_code,     fake_delete};

static uint64_t mixed(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t place = 0; place < size; place++) {
        hash = (hash ^ at[place]) * UINT64_C(1099511628211);
    }
    return hash;
}

static uint64_t mixed_turn(uint64_t hash, const tw_turn *turn)
{
    const uint64_t numbers[] = {turn->agent, turn->fuel, turn->count, turn->fault, turn->first, turn->second};
    hash = mixed(hash, numbers, sizeof numbers);
    const uint8_t *at = turn->effects;
    for (uint32_t place = 0; place < turn->count; place++) {
        tw_effect effect;
        memcpy(&effect, at, sizeof effect);
        size_t size = sizeof effect + (((size_t)effect.size[0] + effect.size[1] + effect.size[2] + 7) & ~(size_t)7);
        hash = mixed(hash, at, size);
        at += size;
    }
    return hash;
}

/* Runs one wave of turns for guests in turn; returns the hash of all their results. */
static uint64_t wave(tw_workers *crew, uint64_t number, uint64_t hash)
{
    static const uint8_t BODY[] = "sender topic and the body of a message";
    tw_wave_begin(crew, AGENTS, (uint64_t)AGENTS * LETTERS_MAX, number, number);
    tw_letter *letters = tw_wave_letters(crew);
    uint64_t used = 0;
    for (uint32_t place = 0; place < AGENTS; place++) {
        tw_turn *turn = tw_wave_turn(crew, place);
        turn->agent = (place * 31 + (uint32_t)number) % AGENTS;
        turn->letters = (place + (uint32_t)number) % (LETTERS_MAX + 1);
        turn->letter = used;
        turn->seed = place;
        atomic_store_explicit(&turn->done, 0, memory_order_relaxed);
        for (uint32_t letter = 0; letter < turn->letters; letter++) {
            letters[used++] =
                (tw_letter){{BODY, BODY + 7, BODY + 13}, {6, 5, (uint32_t)(place % 20)}, letter & 1, number};
        }
        if (place % 5 == 4) {
            tw_wave_publish(crew, place + 1);
        }
    }
    tw_wave_publish(crew, AGENTS);
    if (tw_wave_is_alone(crew)) {
        tw_wave_run_alone(crew);
    }
    uint32_t stuck;
    for (uint32_t place = 0; place < AGENTS; place++) {
        while (tw_wave_wait(crew, place, &stuck) == TW_AGAIN) {
        }
        hash = mixed_turn(hash, tw_wave_turn(crew, place));
    }
    tw_wave_end(crew, false, &stuck);
    return hash;
}

static uint64_t play(uint32_t workers, uint64_t seed, uint64_t spin_ns, bool alone)
{
    const tw_plan plan = {ENGINE, workers, spin_ns, UINT64_MAX / 2, 1, alone ? UINT64_MAX : 0};
    tw_workers *crew = tw_workers_start(&plan);
    if (crew == NULL) {
        abort();
    }
    guest guests[AGENTS];
    for (uint32_t place = 0; place < AGENTS; place++) {
        guest *one = &guests[place];
        *one = (guest){.size = place % 3 ? MEMORY : GROWN, .random = seed * 1000 + place + 1};
        one->memory = calloc(1, one->size);
        one->lies = place % 4 == 1;
        tw_agent *agent = tw_workers_agent(crew, place);
        *agent = (tw_agent){one, one, &FUNCTIONS[STEP], place % 2 ? &FUNCTIONS[POST] : NULL, &FUNCTIONS[REALLOC],
                            place % 5 ? NULL : &FUNCTIONS[ARENA], one->memory, MEMORY / 2, 1000, 8, 100};
    }
    uint64_t hash = 1;
    for (uint64_t number = 0; number < WAVES; number++) {
        hash = wave(crew, number, hash);
    }
    /* A wave that is given up in the middle, and one that nobody was ever needed for. */
    uint32_t stuck;
    tw_wave_begin(crew, AGENTS, 0, 0, 0);
    tw_wave_end(crew, true, &stuck);
    tw_workers_stop(crew);
    for (uint32_t place = 0; place < AGENTS; place++) {
        free(guests[place].memory);
    }
    return hash;
}

int main(int count, char **arguments)
{
    int rounds = count > 1 ? atoi(arguments[1]) : 10;
    for (int round = 0; round < rounds; round++) {
        uint64_t seed = (uint64_t)round + 1;
        uint64_t expected = play(1, seed, 0, true);
        static const uint32_t WORKERS[] = {1, 2, 3, 7};
        for (size_t place = 0; place < sizeof WORKERS / sizeof *WORKERS; place++) {
            if (play(WORKERS[place], seed, place % 2 ? 20000 : 0, false) != expected) {
                fprintf(stderr, "round %d: %u workers came to another result\n", round, WORKERS[place]);
                return 1;
            }
        }
    }
    printf("%d rounds, the same with every number of workers\n", rounds);
    return 0;
}
