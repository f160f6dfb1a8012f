/* What workers.c and wave.c share: the state of the threads and of the wave they run. */
#ifndef TICKWORK_CREW_H
#define TICKWORK_CREW_H

#include "plain.h"
#include "workers.h"

#define TW_LINE 64 /* of the cache: what different threads write lies on different lines */
#define TW_NOBODY UINT32_MAX

/* A worker is called by the orchestrator, takes the call (BUSY), and is IDLE again after the wave. */
enum { TW_IDLE, TW_CALLED, TW_BUSY, TW_QUIT };
#define TW_SPINS_BEFORE_YIELD 2000

typedef struct tw_worker {
    _Alignas(TW_LINE) tw_word state;
    /* The turn it is at, for the watchdog; and whether it has moved on since that last looked. */
    _Alignas(TW_LINE) _Atomic uint32_t at;
    uint64_t busy_ns;
    /* What lies in one is read in the wave after, while the other is filled. */
    tw_outbox outbox[2];
    tw_scratch scratch;
    _Alignas(TW_LINE) tw_workers *crew;
    tw_thread thread;
    uint32_t watched;
    uint64_t since_ns;
} tw_worker;

struct tw_workers {
    /* Written by workers. */
    _Alignas(TW_LINE) _Atomic uint32_t next; /* the first turn that nobody has claimed */
    _Alignas(TW_LINE) _Atomic uint32_t left; /* turns that are not done */
    /* Written by the orchestrator in a wave. */
    _Alignas(TW_LINE) _Atomic uint32_t ready; /* turns that are published */
    _Atomic uint32_t aborted;
    _Atomic uint32_t asleep; /* whether it waits on `event` */
    tw_word event;
    /* Written between waves only. */
    _Alignas(TW_LINE) tw_plan plan;
    tw_worker *worker; /* one for each thread, then the orchestrator's */
    uint32_t started;
    uint32_t called;
    uint32_t total;
    uint32_t chunk;
    uint32_t last_total;
    uint32_t called_last; /* how many workers the last wave called, and when it ended */
    uint64_t ended_ns;
    bool stuck;
    bool takes_part; /* whether the orchestrator takes turns in this wave */
    uint64_t fuel_max; /* that any agent has had for a turn */
    bool plain; /* whether the workers are to record plain turns */
    uint32_t outbox; /* which of their outboxes this wave fills */
    tw_moment moment;
    tw_turn *turns;
    size_t turns_max;
    tw_letter *letters;
    size_t letters_max;
    tw_agent *agents;
    size_t agents_max;
    tw_routes routes;
    /* The next tick's turns after a plain one, whose letters lie in `letters`. */
    tw_turn *held;
    size_t held_max;
    uint32_t held_count;
    bool holds;
};

/* Takes turns until none is left. */
void tw_run_wave(tw_worker *self);
/* Grows an array of zeroes to at least `count` elements; returns whether it could. */
bool tw_reserve(void **array, size_t *max, size_t count, size_t size);

#endif
