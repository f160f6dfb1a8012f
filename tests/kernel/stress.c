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
    bool plain; /* whether nearly all that it does is to send */
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

/* A send to one of the agents, whose ids are two digits; now and then to nobody. */
static void put_send(guest *self, uint32_t at)
{
    uint32_t text = 256 + at % 512;
    memset(self->memory + at, 0, 48);
    uint32_t known = next_random(&self->random) % 300 ? AGENTS : 100;
    uint32_t to = (uint32_t)(next_random(&self->random) % known);
    self->memory[text] = (uint8_t)('0' + to / 10);
    self->memory[text + 1] = (uint8_t)('0' + to % 10);
    put32(self, at + 8, text);
    put32(self, at + 12, 2);
    put32(self, at + 16, 1024);
    put32(self, at + 20, (uint32_t)(next_random(&self->random) % 40));
    put32(self, at + 24, 1024);
    put32(self, at + 28, (uint32_t)(next_random(&self->random) % 400));
    self->memory[at + 32] = (uint8_t)(next_random(&self->random) & 1);
}

static uint32_t answer(guest *self)
{
    uint32_t count = (uint32_t)(next_random(&self->random) % 9);
    uint32_t at = 3072;
    for (uint32_t place = 0; place < count; place++) {
        self->plain ? put_send(self, at + 48 * place) : put_effect(self, at + 48 * place);
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

static uint64_t plain_ticks;

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
static uint32_t gather(tw_workers *crew, uint64_t number, bool plain)
{
    static const uint8_t BODY[] = "sender topic and the body of a message";
    tw_wave_begin(crew, AGENTS, (uint64_t)AGENTS * LETTERS_MAX, number, number, plain);
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
    return AGENTS;
}

static int allow(void *context, uint32_t sender, uint32_t receiver)
{
    (void)context;
    return sender != 96 || receiver != 3;
}

/* Settles a plain wave; returns the hash of its entry, and of nothing if it is not plain. */
static uint64_t settled(tw_workers *crew, uint64_t number, uint32_t count, uint64_t hash)
{
    if (tw_wave_settle(crew, allow, NULL) != 1) {
        return hash;
    }
    plain_ticks++;
    const tw_turn *turns = tw_wave_turn(crew, 0);
    size_t size = tw_entry_size(turns, count, number);
    uint8_t *entry = malloc(size);
    tw_entry_write(turns, count, number, entry);
    hash = mixed(hash, entry, size);
    free(entry);
    size = tw_fuel_size(turns, count);
    entry = malloc(size);
    tw_fuel_write(turns, count, entry);
    hash = mixed(hash, entry, size);
    free(entry);
    return hash + tw_wave_deliver(crew);
}

/* Runs one wave, of held turns if there are any; returns the hash of all its results. */
static uint64_t wave(tw_workers *crew, uint64_t number, bool plain, uint64_t hash)
{
    const tw_turn *held;
    int64_t count = tw_wave_held(crew, &held);
    if (count >= 0) {
        tw_wave_begin_held(crew, number, number);
        for (uint32_t place = 0; place < count; place++) {
            tw_wave_turn(crew, place)->seed = place;
        }
    } else {
        count = gather(crew, number, plain);
    }
    tw_wave_publish(crew, (uint32_t)count);
    if (tw_wave_takes_part(crew)) {
        tw_wave_take_part(crew);
    }
    uint32_t stuck;
    for (uint32_t place = 0; place < count; place++) {
        while (tw_wave_wait(crew, place, &stuck) == TW_AGAIN) {
        }
        hash = mixed_turn(hash, tw_wave_turn(crew, place));
    }
    tw_wave_end(crew, false, &stuck);
    return plain ? settled(crew, number, (uint32_t)count, hash) : hash;
}

/* Tells the kernel of the agents, whose ids are their indexes in two digits. */
static void know(tw_workers *crew)
{
    tw_receiver receivers[AGENTS];
    uint8_t ids[AGENTS][2];
    for (uint32_t place = 0; place < AGENTS; place++) {
        ids[place][0] = (uint8_t)('0' + place / 10);
        ids[place][1] = (uint8_t)('0' + place % 10);
        receivers[place] = (tw_receiver){ids[place], 2, TW_AGENTS, 1, place % 3 == 0, 64, 20000, NULL, 0};
    }
    if (!tw_routes_set(tw_workers_routes(crew), receivers, AGENTS)) {
        abort();
    }
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
        one->plain = seed % 2 == 0;
        one->lies = !one->plain && place % 4 == 1;
        tw_agent *agent = tw_workers_agent(crew, place);
        *agent = (tw_agent){one, one, &FUNCTIONS[STEP], place % 2 ? &FUNCTIONS[POST] : NULL, &FUNCTIONS[REALLOC],
                            place % 5 ? NULL : &FUNCTIONS[ARENA], one->memory, MEMORY / 2, 1000, 8, seed % 2 ? 100 : 10000};
    }
    know(crew);
    uint64_t hash = 1;
    for (uint64_t number = 0; number < WAVES; number++) {
        hash = wave(crew, number, seed % 2 == 0, hash);
    }
    /* A wave that is given up in the middle, and one that nobody was ever needed for. */
    uint32_t stuck;
    tw_wave_begin(crew, AGENTS, 0, 0, 0, false);
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
    if (rounds > 1 && plain_ticks == 0) {
        fprintf(stderr, "no tick was plain\n");
        return 1;
    }
    printf("%d rounds, %llu plain ticks, the same with every number of workers\n", rounds, (unsigned long long)plain_ticks);
    return 0;
}
