/* Ticks that are settled without Python.
 *
 * A turn is plain if it went well and did nothing but send to agents, publish on topics and put out to outputs
 * that there are, log and measure. A tick is plain if all its turns are, all of that is granted without a
 * limit, every receiver is live and has room, and nothing else happened in it: then `core/settling.py` would
 * do no more than deliver. The kernel then writes the tick's entry itself, byte for byte as `core/entry.py`
 * does, and lays the letters out for the next tick. Of any other tick it has changed nothing, and Python
 * settles it. */
#ifndef TICKWORK_PLAIN_H
#define TICKWORK_PLAIN_H

#include "turn.h"

#define TW_NO_AGENT UINT32_MAX

/* What an effect can be aimed at. All aims are numbered: first the agents, by their index. */
enum tw_aim { TW_AGENTS, TW_OUTPUTS, TW_TOPICS, TW_AIMS };

/* A hash table of aims by name. */
typedef struct tw_names {
    uint32_t *slots;
    size_t mask;
} tw_names;

typedef struct tw_routes {
    tw_box *boxes; /* by aim; those of outputs and topics have only a name */
    uint32_t agents;
    uint8_t *ids; /* all names, one after the other */
    tw_names names[TW_AIMS];
    uint64_t *pairs; /* hash set of sender << 32 | aim, plus 1, whose grant was found */
    size_t pairs_mask;
    size_t pairs_count;
    uint64_t *due; /* a bit for each agent with letters for the next tick; all 0 between ticks */
    uint32_t *touched; /* the agents whose bits are set */
    uint32_t touched_count;
    uint32_t *every; /* agents that take a turn in every tick */
    uint32_t every_count;
    uint32_t *subscribers; /* of all topics; those of a topic are at its box's `next`, `count` of them */
    uint32_t asides; /* effects of a plain tick that are for Python to perform */
} tw_routes;

/* One aim as Python gives it. `id` and `subscribers` are copied. */
typedef struct tw_receiver {
    const uint8_t *id;
    uint32_t id_size;
    uint32_t aim; /* which kind */
    uint32_t live; /* of agents, as what follows */
    uint32_t every_tick;
    uint64_t room;
    uint64_t room_bytes;
    const uint32_t *subscribers; /* of topics: indexes of agents, ascending */
    uint32_t subscribers_count;
} tw_receiver;

/* Between waves: makes the tables anew, with nothing in the boxes. The agents come first. Returns false
 * without memory: then there are none. */
bool tw_routes_set(tw_routes *routes, const tw_receiver *receivers, uint32_t count);
void tw_routes_free(tw_routes *routes);
/* Between waves: remembers that the grant was found, as long as there is room for that. */
void tw_routes_permit(tw_routes *routes, uint32_t sender, uint32_t aim);

/* A worker's part: `record`, `record_size` and `plain` of a turn that was taken, and the aims of its
 * effects. Without memory the turn is not plain. */
void tw_record_turn(const tw_routes *routes, tw_turn *turn, tw_outbox *outbox);

/* Returns 1 if the sender may send, publish or put out there as often as it likes, 0 if not, -1 for an error. */
typedef int (*tw_judge)(void *context, uint32_t sender, uint32_t aim);

/* The orchestrator's part, after a wave: 1 if the tick is plain, 0 if not, -1 if the judge failed. If it is,
 * the boxes hold what each agent is sent, until `tw_lay_out`. */
int tw_is_plain(tw_routes *routes, const tw_turn *turns, uint32_t count, tw_judge judge, void *context);

/* Empties the boxes. */
void tw_routes_empty(tw_routes *routes);

/* The sizes of the tick's entry and fuel record, and their bytes. */
size_t tw_entry_size(const tw_turn *turns, uint32_t count, uint64_t tick);
void tw_entry_write(const tw_turn *turns, uint32_t count, uint64_t tick, uint8_t *to);
size_t tw_fuel_size(const tw_turn *turns, uint32_t count);
void tw_fuel_write(const tw_turn *turns, uint32_t count, uint8_t *to);

/* The turns and letters that `tw_lay_out` makes of a plain tick. */
void tw_count_out(const tw_routes *routes, uint32_t *turns, uint64_t *letters);
/* Fills in the next tick's turns, all but their seeds, and its letters. */
void tw_lay_out(tw_routes *routes, const tw_turn *turns, uint32_t count, tw_turn *next, tw_letter *letters);

#endif
