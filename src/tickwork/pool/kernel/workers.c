#include "crew.h"

#include <stdlib.h>
#include <string.h>

/* ---- workers */

static bool await_published(tw_workers *crew, uint32_t count)
{
    for (uint32_t spins = 0; atomic_load_explicit(&crew->ready, memory_order_acquire) < count; spins++) {
        if (atomic_load_explicit(&crew->aborted, memory_order_relaxed)) {
            return false;
        }
        spins < TW_SPINS_BEFORE_YIELD ? tw_relax() : tw_yield();
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

void tw_run_wave(tw_worker *self)
{
    tw_workers *crew = self->crew;
    uint64_t begun = tw_clock_ns();
    tw_outbox *outbox = &self->outbox[crew->outbox];
    tw_outbox_reset(outbox);
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
            tw_take_turn(&crew->plan.engine, &crew->agents[turn->agent], &crew->moment, turn, outbox,
                         &self->scratch);
            if (crew->plain) {
                tw_record_turn(&crew->routes, turn, outbox);
            }
            atomic_store_explicit(&turn->done, 1, memory_order_release);
        }
        atomic_store_explicit(&self->at, TW_NOBODY, memory_order_relaxed);
        count_done(crew, end - first);
    }
    atomic_store_explicit(&self->at, TW_NOBODY, memory_order_relaxed);
    self->busy_ns = tw_clock_ns() - begun;
}

/* Returns the first state that is not TW_IDLE. */
static uint32_t await_call(tw_worker *self)
{
    uint64_t begun = tw_clock_ns();
    uint64_t spin_ns = self->crew->plan.spin_ns;
    for (;;) {
        uint32_t state = atomic_load_explicit(&self->state.value, memory_order_acquire);
        if (state != TW_IDLE) {
            return state;
        }
        if (tw_clock_ns() - begun < spin_ns) {
            tw_relax();
        } else {
            tw_wait(&self->state, TW_IDLE, TW_FOREVER);
        }
    }
}

static void worker_main(void *argument)
{
    tw_worker *self = argument;
    while (await_call(self) != TW_QUIT) {
        uint32_t called = TW_CALLED;
        /* Fails if the wave ended before this worker came. */
        if (atomic_compare_exchange_strong(&self->state.value, &called, TW_BUSY)) {
            tw_run_wave(self);
            atomic_store_explicit(&self->state.value, TW_IDLE, memory_order_release);
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
    size = (size + TW_LINE - 1) / TW_LINE * TW_LINE;
    void *made = aligned_alloc(TW_LINE, size);
    if (made != NULL) {
        memset(made, 0, size);
    }
    return made;
}

static void free_all(tw_workers *crew)
{
    for (uint32_t place = 0; place <= crew->plan.workers; place++) {
        tw_outbox_free(&crew->worker[place].outbox[0]);
        tw_outbox_free(&crew->worker[place].outbox[1]);
        free(crew->worker[place].scratch.bytes);
        tw_word_free(&crew->worker[place].state);
    }
    tw_word_free(&crew->event);
    aligned_free(crew->worker);
    free(crew->turns);
    free(crew->letters);
    free(crew->agents);
    free(crew->held);
    tw_routes_free(&crew->routes);
    aligned_free(crew);
}

tw_workers *tw_workers_start(const tw_plan *plan)
{
    tw_workers *crew = lines_of(sizeof *crew);
    tw_worker *worker = lines_of(((size_t)plan->workers + 1) * sizeof *worker);
    if (crew == NULL || worker == NULL) {
        aligned_free(crew);
        aligned_free(worker);
        return NULL;
    }
    crew->plan = *plan;
    crew->worker = worker;
    bool fine = tw_word_init(&crew->event);
    for (uint32_t place = 0; place <= plan->workers; place++) {
        fine = tw_word_init(&worker[place].state) && fine;
        atomic_init(&worker[place].at, TW_NOBODY);
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
        atomic_store(&crew->worker[place].state.value, TW_QUIT);
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

bool tw_reserve(void **array, size_t *max, size_t count, size_t size)
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

void tw_workers_note_fuel(tw_workers *crew, uint64_t fuel)
{
    crew->fuel_max = fuel > crew->fuel_max ? fuel : crew->fuel_max;
}

tw_agent *tw_workers_agent(tw_workers *crew, uint32_t index)
{
    void *agents = crew->agents;
    bool fine = tw_reserve(&agents, &crew->agents_max, (size_t)index + 1, sizeof *crew->agents);
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
