/* The worker threads and the wave that they share. docs/reference/shared-memory.md explains the protocol.
 *
 * One thread at a time, the orchestrator, calls these functions. It may publish turns while workers are
 * already at the first ones, and read a turn as soon as it is done. */
#ifndef TICKWORK_WORKERS_H
#define TICKWORK_WORKERS_H

#include "plain.h"
#include "wait.h"

typedef struct tw_workers tw_workers;

typedef struct tw_plan {
    tw_engine engine;
    uint32_t workers;   /* threads, at least 1 */
    uint64_t spin_ns;   /* how long an idle worker, or the orchestrator, spins before it sleeps */
    uint64_t stuck_ns;  /* how long a turn may take before its worker counts as stuck */
    uint64_t share_ns;  /* work of a wave that is worth waking one more worker */
    uint64_t alone_ns;  /* work of a wave that is not worth waking any */
} tw_plan;

/* Returns null if the host has no more memory or threads. */
tw_workers *tw_workers_start(const tw_plan *plan);
/* Ends the threads. After a worker was found stuck, everything that it may touch is leaked instead. */
void tw_workers_stop(tw_workers *workers);
/* Whether a worker was found stuck: then nothing of the wave's agents may ever be freed. */
bool tw_workers_stuck(const tw_workers *workers);

const tw_engine *tw_workers_engine(const tw_workers *workers);

/* Between waves: notes the fuel that a turn may take. */
void tw_workers_note_fuel(tw_workers *workers, uint64_t fuel);
/* Between waves: the entry of an agent, made if need be; null if the host has no more memory. */
tw_agent *tw_workers_agent(tw_workers *workers, uint32_t index);
/* The entry of an agent that the kernel holds, or null. */
tw_agent *tw_workers_find(tw_workers *workers, uint64_t index);

/* Begins a wave with room for so many turns and letters, and calls workers; returns false without memory. */
/* With `plain` the workers also record the plain ones; the routes must be set. */
bool tw_wave_begin(tw_workers *workers, uint32_t turns, uint64_t letters, uint64_t tick, uint64_t now_ns,
                   bool plain);
/* Begins a plain wave with the turns that are held; the caller then gives them their seeds. */
bool tw_wave_begin_held(tw_workers *workers, uint64_t tick, uint64_t now_ns);
/* How many turns are held, and which agents take them; -1 if none are, because the last wave was not plain. */
int64_t tw_wave_held(const tw_workers *workers, const tw_turn **turns);
tw_turn *tw_wave_turn(tw_workers *workers, uint32_t place);
tw_letter *tw_wave_letters(tw_workers *workers);
/* Hands turns [0, count) over to the workers: they are complete. */
void tw_wave_publish(tw_workers *workers, uint32_t count);

/* Whether the turn is done: if so, its result is the caller's to read. */
static inline bool tw_turn_done(tw_turn *turn)
{
    return atomic_load_explicit(&turn->done, memory_order_acquire) != 0;
}

/* Whether turns are left to this thread, because the wave is small or plain: then `tw_wave_take_part` is due. */
bool tw_wave_takes_part(const tw_workers *workers);
/* Takes turns on this thread until none is left; all must be published. */
void tw_wave_take_part(tw_workers *workers);

enum tw_waited { TW_DONE, TW_AGAIN, TW_STUCK };
/* Waits for a turn. TW_AGAIN now and then, so that the caller can look after signals; TW_STUCK with the
 * stuck worker's turn in *place. */
enum tw_waited tw_wave_wait(tw_workers *workers, uint32_t turn, uint32_t *place);
/* Ends the wave: no worker is in it afterwards. With `abort` turns that nobody has begun are left. */
enum tw_waited tw_wave_end(tw_workers *workers, bool abort, uint32_t *place);

/* Waits for all turns, and ends the wave if they are done; else it goes on. Returns as `tw_wave_wait`. */
enum tw_waited tw_wave_finish(tw_workers *workers, uint32_t *place);
/* After a wave of plain turns: 1 if the tick is plain, 0 if not, -1 if the judge failed. */
int tw_wave_settle(tw_workers *workers, tw_judge judge, void *context);
/* After a plain tick: lays the letters out for the next one, whose turns are then held. Returns the number of
 * letters. Without memory no turns are held, and the next tick is Python's to plan. */
uint64_t tw_wave_deliver(tw_workers *workers);

tw_routes *tw_workers_routes(tw_workers *workers);

#endif
