#include "workers.h"

#include <stdlib.h>
#include <string.h>

#define LINE 64 /* of the cache: what different threads write lies on different lines */
#define CHUNK_MAX 16
#define CHUNKS_PER_WORKER 8
/* A turn this long is handed out alone: its neighbours shall not wait for it. */
#define LONG_TURN_NS 10000
#define NAP_NS UINT64_C(50000000)
#define SPINS_BEFORE_YIELD 2000
#define NOBODY UINT32_MAX

enum { IDLE, CALLED, BUSY, QUIT };

typedef struct tw_worker {
    _Alignas(LINE) tw_word state;
    /* The turn it is at, for the watchdog; and whether it has moved on since that last looked. */
    _Alignas(LINE) _Atomic uint32_t at;
    uint64_t busy_ns;
    tw_outbox outbox;
    tw_scratch scratch;
    _Alignas(LINE) tw_workers *crew;
    tw_thread thread;
    uint32_t watched;
    uint64_t since_ns;
} tw_worker;

struct tw_workers {
    /* Written by workers. */
    _Alignas(LINE) _Atomic uint32_t next; /* the first turn that nobody has claimed */
    _Alignas(LINE) _Atomic uint32_t left; /* turns that are not done */
    /* Written by the orchestrator in a wave. */
    _Alignas(LINE) _Atomic uint32_t ready; /* turns that are published */
    _Atomic uint32_t aborted;
    _Atomic uint32_t asleep; /* whether it waits on `event` */
    tw_word event;
    /* Written between waves only. */
    _Alignas(LINE) tw_plan plan;
    tw_worker *worker;
    uint32_t started;
    uint32_t called;
    uint32_t total;
    uint32_t chunk;
    uint32_t last_total;
    bool stuck;
    tw_moment moment;
    tw_turn *turns;
    size_t turns_max;
    tw_letter *letters;
    size_t letters_max;
    tw_agent *agents;
    size_t agents_max;
};

/* ---- workers */

static bool await_published(tw_workers *crew, uint32_t count)
{
    for (uint32_t spins = 0; atomic_load_explicit(&crew->ready, memory_order_acquire) < count; spins++) {
        if (atomic_load_explicit(&crew->aborted, memory_order_relaxed)) {
            return false;
        }
        spins < SPINS_BEFORE_YIELD ? tw_relax() : tw_yield();
    }
    return true;
}

/* Counts turns as done, and wakes the orchestrator with the last one. The orchestrator says that it is
 * asleep before it looks at `left` for the last time, and both are in one total order: one sees the other. */
static void count_done(tw_workers *crew, uint32_t count)
{
    if (atomic_fetch_sub(&crew->left, count) == count && atomic_load(&crew->asleep)) {
        atomic_fetch_add(&crew->event.value, 1);
        tw_wake(&crew->event);
    }
}

static void run_wave(tw_worker *self)
{
    tw_workers *crew = self->crew;
    uint64_t begun = tw_clock_ns();
    tw_outbox_reset(&self->outbox);
    for (;;) {
        uint32_t first = atomic_fetch_add_explicit(&crew->next, crew->chunk, memory_order_relaxed);
        if (first >= crew->total) {
            break;
        }
        uint32_t end = crew->total - first < crew->chunk ? crew->total : first + crew->chunk;
        if (!await_published(crew, end)) {
            break;
        }
        for (uint32_t place = first; place < end; place++) {
            if (atomic_load_explicit(&crew->aborted, memory_order_relaxed)) {
                break;
            }
            tw_turn *turn = &crew->turns[place];
            atomic_store_explicit(&self->at, place, memory_order_relaxed);
            tw_take_turn(&crew->plan.engine, &crew->agents[turn->agent], &crew->moment, turn, &self->outbox,
                         &self->scratch);
            atomic_store_explicit(&turn->done, 1, memory_order_release);
        }
        atomic_store_explicit(&self->at, NOBODY, memory_order_relaxed);
        count_done(crew, end - first);
    }
    atomic_store_explicit(&self->at, NOBODY, memory_order_relaxed);
    self->busy_ns = tw_clock_ns() - begun;
}

/* Returns the first state that is not IDLE. */
static uint32_t await_call(tw_worker *self)
{
    uint64_t begun = tw_clock_ns();
    uint64_t spin_ns = self->crew->plan.spin_ns;
    for (;;) {
        uint32_t state = atomic_load_explicit(&self->state.value, memory_order_acquire);
        if (state != IDLE) {
            return state;
        }
        if (tw_clock_ns() - begun < spin_ns) {
            tw_relax();
        } else {
            tw_wait(&self->state, IDLE, TW_FOREVER);
        }
    }
}

static void worker_main(void *argument)
{
    tw_worker *self = argument;
    while (await_call(self) != QUIT) {
        uint32_t called = CALLED;
        /* Fails if the wave ended before this worker came. */
        if (atomic_compare_exchange_strong(&self->state.value, &called, BUSY)) {
            run_wave(self);
            atomic_store_explicit(&self->state.value, IDLE, memory_order_release);
        }
    }
}

/* ---- the orchestrator, between waves */

#ifdef _WIN32
#include <malloc.h>
#define aligned_alloc(align, size) _aligned_malloc(size, align)
#define aligned_free _aligned_free
#else
#define aligned_free free
#endif

/* Zeroes that begin a cache line of their own; for `aligned_free`. */
static void *lines_of(size_t size)
{
    size = (size + LINE - 1) / LINE * LINE;
    void *made = aligned_alloc(LINE, size);
    if (made != NULL) {
        memset(made, 0, size);
    }
    return made;
}

static void free_all(tw_workers *crew)
{
    for (uint32_t place = 0; place < crew->plan.workers; place++) {
        tw_outbox_free(&crew->worker[place].outbox);
        free(crew->worker[place].scratch.bytes);
        tw_word_free(&crew->worker[place].state);
    }
    tw_word_free(&crew->event);
    aligned_free(crew->worker);
    free(crew->turns);
    free(crew->letters);
    free(crew->agents);
    aligned_free(crew);
}

tw_workers *tw_workers_start(const tw_plan *plan)
{
    tw_workers *crew = lines_of(sizeof *crew);
    tw_worker *worker = lines_of(plan->workers * sizeof *worker);
    if (crew == NULL || worker == NULL) {
        aligned_free(crew);
        aligned_free(worker);
        return NULL;
    }
    crew->plan = *plan;
    crew->worker = worker;
    bool fine = tw_word_init(&crew->event);
    for (uint32_t place = 0; place < plan->workers; place++) {
        fine = tw_word_init(&worker[place].state) && fine;
        atomic_init(&worker[place].at, NOBODY);
        worker[place].crew = crew;
    }
    while (fine && crew->started < plan->workers) {
        tw_worker *next = &worker[crew->started];
        fine = tw_thread_start(&next->thread, worker_main, next);
        crew->started += fine;
    }
    if (!fine) {
        tw_workers_stop(crew);
        return NULL;
    }
    return crew;
}

void tw_workers_stop(tw_workers *crew)
{
    if (crew->stuck) {
        return;
    }
    for (uint32_t place = 0; place < crew->started; place++) {
        atomic_store(&crew->worker[place].state.value, QUIT);
        tw_wake(&crew->worker[place].state);
    }
    for (uint32_t place = 0; place < crew->started; place++) {
        tw_thread_join(crew->worker[place].thread);
    }
    free_all(crew);
}

bool tw_workers_stuck(const tw_workers *crew)
{
    return crew->stuck;
}

const tw_engine *tw_workers_engine(const tw_workers *crew)
{
    return &crew->plan.engine;
}

/* Grows an array of zeroes to at least `count` elements; returns whether it could. */
static bool reserve(void **array, size_t *max, size_t count, size_t size)
{
    if (count <= *max) {
        return true;
    }
    size_t wanted = count + count / 2 + 16;
    void *more = realloc(*array, wanted * size);
    if (more == NULL) {
        return false;
    }
    memset((char *)more + *max * size, 0, (wanted - *max) * size);
    *array = more;
    *max = wanted;
    return true;
}

tw_agent *tw_workers_agent(tw_workers *crew, uint32_t index)
{
    void *agents = crew->agents;
    bool fine = reserve(&agents, &crew->agents_max, (size_t)index + 1, sizeof *crew->agents);
    crew->agents = agents;
    return fine ? &crew->agents[index] : NULL;
}

tw_agent *tw_workers_find(tw_workers *crew, uint64_t index)
{
    if (index >= crew->agents_max || crew->agents[index].context == NULL) {
        return NULL;
    }
    return &crew->agents[index];
}

/* ---- a wave */

/* How many workers to wake, and how much each takes at a time: by what the last wave took. Neither can
 * show in a result. */
static uint32_t share(tw_workers *crew)
{
    uint64_t busy_ns = 0;
    for (uint32_t place = 0; place < crew->called; place++) {
        busy_ns += crew->worker[place].busy_ns;
        crew->worker[place].busy_ns = 0;
    }
    uint64_t turn_ns = busy_ns / (crew->last_total ? crew->last_total : 1);
    uint64_t wanted = turn_ns * crew->total / crew->plan.share_ns + 1;
    uint32_t called = crew->plan.workers;
    if (wanted < called) {
        called = (uint32_t)wanted;
    }
    uint32_t chunk = crew->total / (called * CHUNKS_PER_WORKER);
    chunk = chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
    crew->chunk = chunk == 0 || turn_ns > LONG_TURN_NS ? 1 : chunk;
    crew->last_total = crew->total;
    return called;
}

bool tw_wave_begin(tw_workers *crew, uint32_t turns, uint64_t letters, uint64_t tick, uint64_t now_ns)
{
    void *memory = crew->turns;
    bool fine = reserve(&memory, &crew->turns_max, turns, sizeof *crew->turns);
    crew->turns = memory;
    memory = crew->letters;
    fine = fine && reserve(&memory, &crew->letters_max, letters, sizeof *crew->letters);
    crew->letters = memory;
    if (!fine) {
        return false;
    }
    crew->total = turns;
    crew->moment = (tw_moment){tick, now_ns, crew->letters};
    uint32_t called = share(crew);
    atomic_store_explicit(&crew->next, 0, memory_order_relaxed);
    atomic_store_explicit(&crew->left, turns, memory_order_relaxed);
    atomic_store_explicit(&crew->ready, 0, memory_order_relaxed);
    atomic_store_explicit(&crew->aborted, 0, memory_order_relaxed);
    crew->called = called;
    for (uint32_t place = 0; place < called; place++) {
        crew->worker[place].watched = NOBODY;
        atomic_store_explicit(&crew->worker[place].state.value, CALLED, memory_order_release);
        tw_wake(&crew->worker[place].state);
    }
    return true;
}

tw_turn *tw_wave_turn(tw_workers *crew, uint32_t place)
{
    return &crew->turns[place];
}

tw_letter *tw_wave_letters(tw_workers *crew)
{
    return crew->letters;
}

void tw_wave_publish(tw_workers *crew, uint32_t count)
{
    atomic_store_explicit(&crew->ready, count, memory_order_release);
}

/* Looks whether a worker has been at one turn for too long; returns that turn or NOBODY. */
static uint32_t watch(tw_workers *crew)
{
    uint64_t now = tw_clock_ns();
    for (uint32_t place = 0; place < crew->called; place++) {
        tw_worker *worker = &crew->worker[place];
        uint32_t at = atomic_load_explicit(&worker->at, memory_order_relaxed);
        if (at != worker->watched || at == NOBODY) {
            worker->watched = at;
            worker->since_ns = now;
        } else if (now - worker->since_ns > crew->plan.stuck_ns) {
            return at;
        }
    }
    return NOBODY;
}

enum tw_waited tw_wave_wait(tw_workers *crew, uint32_t turn, uint32_t *place)
{
    uint64_t begun = tw_clock_ns();
    do {
        if (tw_turn_done(&crew->turns[turn])) {
            return TW_DONE;
        }
        tw_relax();
    } while (tw_clock_ns() - begun < crew->plan.spin_ns);
    /* Then until the whole wave is over: to wake for each turn would cost more than it gains. */
    uint32_t seen = atomic_load(&crew->event.value);
    atomic_store(&crew->asleep, 1);
    if (atomic_load(&crew->left) != 0) {
        tw_wait(&crew->event, seen, NAP_NS < crew->plan.stuck_ns ? NAP_NS : crew->plan.stuck_ns);
    }
    atomic_store(&crew->asleep, 0);
    if (tw_turn_done(&crew->turns[turn])) {
        return TW_DONE;
    }
    *place = watch(crew);
    if (*place == NOBODY) {
        return TW_AGAIN;
    }
    crew->stuck = true;
    atomic_store_explicit(&crew->aborted, 1, memory_order_relaxed);
    return TW_STUCK;
}

enum tw_waited tw_wave_end(tw_workers *crew, bool abort, uint32_t *place)
{
    if (abort) {
        atomic_store_explicit(&crew->aborted, 1, memory_order_relaxed);
    }
    for (uint32_t index = 0; index < crew->called; index++) {
        tw_word *state = &crew->worker[index].state;
        uint32_t called = CALLED;
        if (atomic_compare_exchange_strong(&state->value, &called, IDLE)) {
            continue; /* it never came */
        }
        for (uint32_t spins = 0; atomic_load_explicit(&state->value, memory_order_acquire) != IDLE; spins++) {
            if (spins < SPINS_BEFORE_YIELD) {
                tw_relax();
                continue;
            }
            tw_yield();
            *place = watch(crew);
            if (*place != NOBODY) {
                crew->stuck = true;
                return TW_STUCK;
            }
        }
    }
    return TW_DONE;
}
