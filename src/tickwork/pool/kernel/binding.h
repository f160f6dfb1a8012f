/* What the files of the Python binding share. Only they know Python, and only they need its lock. */
#ifndef TICKWORK_BINDING_H
#define TICKWORK_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "workers.h"

#ifdef Py_GIL_DISABLED
#error "the binding counts on the interpreter's lock"
#endif

#define TW_EFFECTS 10
#define TW_TEXTS 1024

/* Where the fields of a msgspec struct lie in its instances: they are plain slots. */
typedef struct tw_slots {
    PyTypeObject *type;
    Py_ssize_t offset[4];
} tw_slots;

typedef struct tw_kernel {
    PyObject_HEAD
    tw_workers *workers; /* null once stopped */
    bool running;
    bool printed; /* whether an agent has, which the host's functions tell: such a tick is not plain */
    tw_slots turn;    /* agent, setup, seed, inbox */
    tw_slots message; /* sender, topic, body, reply_to */
    PyObject *outcome;
    PyObject *ok;
    PyObject *effects[TW_EFFECTS]; /* the classes, by tag */
    PyObject *no_effects;
    PyObject *nan;
    PyObject *texts[TW_TEXTS]; /* recent short strings: most names come again and again */
} tw_kernel;

/* Finds the slots of four fields; returns false with an exception if the type does not have them. */
bool tw_slots_of(tw_slots *slots, PyObject *type, const char *const fields[4]);
/* A borrowed reference, or null with an exception. */
PyObject *tw_slot(PyObject *object, const tw_slots *slots, int field);

/* Reads a turn's agent and whether the kernel runs it; adds up its letters. -1 with an exception. */
int tw_is_ours(tw_kernel *self, PyObject *turn, uint64_t *letters);
/* Fills in a turn and its letters from *letter on; returns false with an exception. */
bool tw_gather(tw_kernel *self, PyObject *from, tw_turn *turn, tw_letter *letters, uint64_t *letter);

/* The outcome of a turn that went well; null with an exception. */
PyObject *tw_outcome(tw_kernel *self, const tw_turn *turn);
/* One effect; null with an exception. */
PyObject *tw_effect_of(tw_kernel *self, const tw_effect *effect);
PyObject *tw_effects_tuple(tw_kernel *self, const uint8_t *at, uint32_t count);

/* Raised with the agent's index. */
extern PyObject *tw_stuck_error;

/* Whether a wave can begin; false with an exception. */
bool tw_is_free(tw_kernel *self);
/* Fills in the turns of a plan whose places are in `ours` (all of them if null), and hands them over; false with an exception. */
bool tw_gather_all(tw_kernel *self, PyObject *turns, const uint32_t *ours, uint32_t count);
/* Hands turns [0, count) over; takes turns here if they are left to this thread. */
void tw_publish_all(tw_kernel *self, uint32_t count);
/* Returns true once the turn is done, false with an exception: a signal's, or that a worker is stuck. */
bool tw_await(tw_kernel *self, tw_turn *turn, uint32_t place);
/* The outcome of any turn; `failed` makes that of a fault. */
PyObject *tw_outcome_of(tw_kernel *self, const tw_turn *turn, PyObject *failed);
/* Ends the wave; `turns` is what the letters lead into. */
void tw_end_wave(tw_kernel *self, bool fine, PyObject *turns);

PyObject *tw_kernel_run(tw_kernel *self, PyObject *args);
PyObject *tw_kernel_know(tw_kernel *self, PyObject *args);
PyObject *tw_kernel_held(tw_kernel *self, PyObject *nothing);
PyObject *tw_kernel_run_plain(tw_kernel *self, PyObject *args);

#endif
