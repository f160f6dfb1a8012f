/* Written by tickwork/pool/arena.py, which holds the table; do not edit. */
#ifndef TICKWORK_ARENA_H
#define TICKWORK_ARENA_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define TW_ARENA_VERSION 2
#define TW_PIECES_MAX 3

/* An agent that the kernel can run: the engine's handles, its memory, its limits. */
typedef struct tw_agent {
    void *context;        /* the store's context; null where the kernel holds no agent */
    const void *memory;   /* handle of the memory through which it is called */
    const void *step;     /* handle of the export `step` */
    const void *post;     /* handle of `cabi_post_step`, or null */
    const void *realloc;  /* handle of `cabi_realloc` */
    const void *arena;    /* handle of `tickwork_inbox`, or null */
    uint8_t *base;        /* the memory's first byte; it never moves */
    uint64_t size;        /* bytes of memory when last asked; memories only grow */
    uint64_t fuel;        /* limit: fuel per turn */
    uint64_t effects_max; /* limit: effects per turn */
    uint64_t bytes_max;   /* limit: bytes per turn */
} tw_agent;

_Static_assert(offsetof(tw_agent, context) == 0, "context");
_Static_assert(offsetof(tw_agent, memory) == 8, "memory");
_Static_assert(offsetof(tw_agent, step) == 16, "step");
_Static_assert(offsetof(tw_agent, post) == 24, "post");
_Static_assert(offsetof(tw_agent, realloc) == 32, "realloc");
_Static_assert(offsetof(tw_agent, arena) == 40, "arena");
_Static_assert(offsetof(tw_agent, base) == 48, "base");
_Static_assert(offsetof(tw_agent, size) == 56, "size");
_Static_assert(offsetof(tw_agent, fuel) == 64, "fuel");
_Static_assert(offsetof(tw_agent, effects_max) == 72, "effects_max");
_Static_assert(offsetof(tw_agent, bytes_max) == 80, "bytes_max");
_Static_assert(sizeof(tw_agent) == 88, "tw_agent");

/* One message of an inbox. The pointers lead into Python's strings, which the plan keeps alive, or into the ids and the outbox arenas of the wave before. */
typedef struct tw_letter {
    const uint8_t *piece[3]; /* sender, topic, body */
    uint32_t size[3];        /* their sizes in bytes */
    uint32_t has_reply_to;   /* 0 or 1 */
    uint64_t reply_to;       /* the number of the request that is answered */
} tw_letter;

_Static_assert(offsetof(tw_letter, piece) == 0, "piece");
_Static_assert(offsetof(tw_letter, size) == 24, "size");
_Static_assert(offsetof(tw_letter, has_reply_to) == 36, "has_reply_to");
_Static_assert(offsetof(tw_letter, reply_to) == 40, "reply_to");
_Static_assert(sizeof(tw_letter) == 48, "tw_letter");

/* One turn: what goes in, and what came of it. */
typedef struct tw_turn {
    uint32_t agent;         /* the agent's index */
    uint32_t letters;       /* messages in the inbox */
    uint64_t letter;        /* index of the first one in the inbox arena */
    uint64_t seed;          /* the turn's entropy */
    uint64_t fuel;          /* fuel used, if nothing went wrong */
    const uint8_t *effects; /* the effects, in the worker's outbox arena */
    uint32_t count;         /* how many effects there are */
    uint32_t fault;         /* 0, or which fault ended the turn (`tw_fault`) */
    uint64_t first;         /* the fault's first number */
    uint64_t second;        /* the fault's second number */
    _Atomic uint32_t done;  /* 1 once everything above is written */
    uint32_t place;         /* the turn's place in the plan */
    const uint8_t *record;  /* the turn's bytes in the tick's entry, in the outbox arena */
    uint32_t record_size;   /* their number */
    uint32_t plain;         /* 1 if the turn did nothing but what `plain.h` allows */
} tw_turn;

_Static_assert(offsetof(tw_turn, agent) == 0, "agent");
_Static_assert(offsetof(tw_turn, letters) == 4, "letters");
_Static_assert(offsetof(tw_turn, letter) == 8, "letter");
_Static_assert(offsetof(tw_turn, seed) == 16, "seed");
_Static_assert(offsetof(tw_turn, fuel) == 24, "fuel");
_Static_assert(offsetof(tw_turn, effects) == 32, "effects");
_Static_assert(offsetof(tw_turn, count) == 40, "count");
_Static_assert(offsetof(tw_turn, fault) == 44, "fault");
_Static_assert(offsetof(tw_turn, first) == 48, "first");
_Static_assert(offsetof(tw_turn, second) == 56, "second");
_Static_assert(offsetof(tw_turn, done) == 64, "done");
_Static_assert(offsetof(tw_turn, place) == 68, "place");
_Static_assert(offsetof(tw_turn, record) == 72, "record");
_Static_assert(offsetof(tw_turn, record_size) == 80, "record_size");
_Static_assert(offsetof(tw_turn, plain) == 84, "plain");
_Static_assert(sizeof(tw_turn) == 88, "tw_turn");

/* One effect in an outbox arena. Its pieces follow at once, then up to seven bytes of padding. */
typedef struct tw_effect {
    uint32_t tag;       /* the case of the WIT variant `effect` */
    uint32_t option;    /* case of the option in `send` and `stop`; the level of a `log` */
    uint32_t size[3];   /* sizes of the pieces, in the order of the fields */
    uint32_t pieces;    /* how many pieces there are */
    uint64_t number[2]; /* the effect's numbers: after-ticks, request, bits of a float */
    uint32_t aim;       /* in a plain turn: the agent, output or topic that it names */
    uint32_t permitted; /* 1 if that is known to be granted without a limit */
} tw_effect;

_Static_assert(offsetof(tw_effect, tag) == 0, "tag");
_Static_assert(offsetof(tw_effect, option) == 4, "option");
_Static_assert(offsetof(tw_effect, size) == 8, "size");
_Static_assert(offsetof(tw_effect, pieces) == 20, "pieces");
_Static_assert(offsetof(tw_effect, number) == 24, "number");
_Static_assert(offsetof(tw_effect, aim) == 40, "aim");
_Static_assert(offsetof(tw_effect, permitted) == 44, "permitted");
_Static_assert(sizeof(tw_effect) == 48, "tw_effect");

/* What the kernel knows of a receiver, with its mailbox in the making, or of an output or a topic. */
typedef struct tw_box {
    const uint8_t *id;   /* its name */
    uint32_t id_size;    /* its size in bytes */
    uint32_t live;       /* 1 if messages can reach it */
    uint64_t room;       /* limit: messages that may wait */
    uint64_t room_bytes; /* limit: bytes of their bodies */
    uint64_t count;      /* messages so far; 0 between ticks. Of a topic: its subscribers */
    uint64_t bytes;      /* bytes of their bodies so far; 0 between ticks */
    uint64_t next;       /* index of its next letter. Of a topic: of its first subscriber */
} tw_box;

_Static_assert(offsetof(tw_box, id) == 0, "id");
_Static_assert(offsetof(tw_box, id_size) == 8, "id_size");
_Static_assert(offsetof(tw_box, live) == 12, "live");
_Static_assert(offsetof(tw_box, room) == 16, "room");
_Static_assert(offsetof(tw_box, room_bytes) == 24, "room_bytes");
_Static_assert(offsetof(tw_box, count) == 32, "count");
_Static_assert(offsetof(tw_box, bytes) == 40, "bytes");
_Static_assert(offsetof(tw_box, next) == 48, "next");
_Static_assert(sizeof(tw_box) == 56, "tw_box");

#endif
