/* The orchestrator's side of a wave. */
#include "crew.h"

#define CHUNK_MAX 16
#define CHUNKS_PER_WORKER 8
/* A turn this long is handed out alone: its neighbours shall not wait for it. */
#define LONG_TURN_NS 10000
#define UNKNOWN_TURN_NS 1000
#define NAP_NS UINT64_C(50000000)
/* A turn may take the orchestrator's thread, which nobody watches, if this much fuel bounds it: some seconds. */
#define WATCHED_FUEL UINT64_C(10000000000)
/* To call a thread that still spins costs this many times less than to wake it. */
#define AWAKE_GAIN 4

/* How many threads the wave is worth, 0 for the orchestrator's alone, and how much each takes at a time: by
 * what the last wave took. Neither can show in a result. */
static uint32_t share(tw_workers *crew)
{
    uint64_t busy_ns = 0;
    for (uint32_t place = 0; place <= crew->plan.workers; place++) {
        busy_ns += crew->worker[place].busy_ns;
        crew->worker[place].busy_ns = 0;
    }
    uint64_t turn_ns = crew->last_total ? busy_ns / crew->last_total : UNKNOWN_TURN_NS;
    uint64_t work_ns = turn_ns * crew->total;
    crew->last_total = crew->total;
    crew->chunk = 1;
    bool awake = tw_clock_ns() - crew->ended_ns < crew->plan.spin_ns;
    uint64_t gain = awake && crew->called_last > 0 ? AWAKE_GAIN : 1;
    if (work_ns * gain < crew->plan.alone_ns) {
        return 0;
    }
    uint64_t wanted = work_ns * gain / crew->plan.share_ns + 1;
    uint32_t called = wanted < crew->plan.workers ? (uint32_t)wanted : crew->plan.workers;
    uint32_t chunk = crew->total / (called * CHUNKS_PER_WORKER);
    if (chunk > 1 && turn_ns <= LONG_TURN_NS) {
        crew->chunk = chunk < CHUNK_MAX ? chunk : CHUNK_MAX;
    }
    return called;
}

bool tw_wave_begin(tw_workers *crew, uint32_t turns, uint64_t letters, uint64_t tick, uint64_t now_ns,
                   bool plain)
{
    void *memory = crew->turns;
    bool fine = tw_reserve(&memory, &crew->turns_max, turns, sizeof *crew->turns);
    crew->turns = memory;
    memory = crew->letters;
    fine = fine && tw_reserve(&memory, &crew->letters_max, letters, sizeof *crew->letters);
    crew->letters = memory;
    if (!fine) {
        return false;
    }
    crew->total = turns;
    crew->plain = plain;
    crew->outbox ^= 1;
    crew->holds = false;
    crew->moment = (tw_moment){tick, now_ns, crew->letters};
    uint32_t called = share(crew);
    crew->takes_part = called == 0 || (plain && crew->fuel_max <= WATCHED_FUEL);
    if (called > 0 && crew->takes_part) {
        called--; /* the orchestrator has nothing else to do than to be one of them */
    }
    atomic_store_explicit(&crew->next, 0, memory_order_relaxed);
    atomic_store_explicit(&crew->left, turns, memory_order_relaxed);
    atomic_store_explicit(&crew->ready, 0, memory_order_relaxed);
    atomic_store_explicit(&crew->aborted, 0, memory_order_relaxed);
    crew->called = called;
    for (uint32_t place = 0; place < called; place++) {
        crew->worker[place].watched = TW_NOBODY;
        atomic_store_explicit(&crew->worker[place].state.value, TW_CALLED, memory_order_release);
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

bool tw_wave_takes_part(const tw_workers *crew)
{
    return crew->takes_part;
}

void tw_wave_take_part(tw_workers *crew)
{
    tw_run_wave(&crew->worker[crew->plan.workers]);
}

/* Looks whether a worker has been at one turn for too long; returns that turn or TW_NOBODY. */
static uint32_t watch(tw_workers *crew)
{
    uint64_t now = tw_clock_ns();
    for (uint32_t place = 0; place < crew->called; place++) {
        tw_worker *worker = &crew->worker[place];
        uint32_t at = atomic_load_explicit(&worker->at, memory_order_relaxed);
        if (at != worker->watched || at == TW_NOBODY) {
            worker->watched = at;
            worker->since_ns = now;
        } else if (now - worker->since_ns > crew->plan.stuck_ns) {
            return at;
        }
    }
    return TW_NOBODY;
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
    if (*place == TW_NOBODY) {
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
        uint32_t called = TW_CALLED;
        if (atomic_compare_exchange_strong(&state->value, &called, TW_IDLE)) {
            continue; /* it never came */
        }
        for (uint32_t spins = 0; atomic_load_explicit(&state->value, memory_order_acquire) != TW_IDLE; spins++) {
            if (spins < TW_SPINS_BEFORE_YIELD) {
                tw_relax();
                continue;
            }
            tw_yield();
            *place = watch(crew);
            if (*place != TW_NOBODY) {
                crew->stuck = true;
                return TW_STUCK;
            }
        }
    }
    crew->called_last = crew->called;
    crew->ended_ns = crew->called > 0 ? tw_clock_ns() : 0;
    return TW_DONE;
}

enum tw_waited tw_wave_finish(tw_workers *crew, uint32_t *place)
{
    for (uint32_t turn = 0; turn < crew->total; turn++) {
        if (!tw_turn_done(&crew->turns[turn])) {
            enum tw_waited waited = tw_wave_wait(crew, turn, place);
            if (waited != TW_DONE) {
                return waited;
            }
        }
    }
    return tw_wave_end(crew, false, place);
}

/* ---- plain ticks */

int64_t tw_wave_held(const tw_workers *crew, const tw_turn **turns)
{
    *turns = crew->held;
    return crew->holds ? (int64_t)crew->held_count : -1;
}

bool tw_wave_begin_held(tw_workers *crew, uint64_t tick, uint64_t now_ns)
{
    tw_turn *turns = crew->turns;
    size_t turns_max = crew->turns_max;
    crew->turns = crew->held;
    crew->turns_max = crew->held_max;
    crew->held = turns;
    crew->held_max = turns_max;
    return tw_wave_begin(crew, crew->held_count, 0, tick, now_ns, true);
}

int tw_wave_settle(tw_workers *crew, tw_judge judge, void *context)
{
    return tw_is_plain(&crew->routes, crew->turns, crew->total, judge, context);
}

uint64_t tw_wave_deliver(tw_workers *crew)
{
    uint32_t turns;
    uint64_t letters;
    tw_count_out(&crew->routes, &turns, &letters);
    void *memory = crew->held;
    bool fine = tw_reserve(&memory, &crew->held_max, turns, sizeof *crew->held);
    crew->held = memory;
    memory = crew->letters;
    fine = fine && tw_reserve(&memory, &crew->letters_max, letters, sizeof *crew->letters);
    crew->letters = memory;
    if (!fine) {
        tw_routes_empty(&crew->routes);
        return letters;
    }
    tw_lay_out(&crew->routes, crew->turns, crew->total, crew->held, crew->letters);
    crew->held_count = turns;
    crew->holds = true;
    return letters;
}

tw_routes *tw_workers_routes(tw_workers *crew)
{
    crew->holds = false;
    return &crew->routes;
}
