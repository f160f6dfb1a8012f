/* A wave for the turns of a plan: gathered, run, and its outcomes made. */
#include "binding.h"

PyObject *tw_stuck_error;

/* How many turns are handed over at a time while the rest is still being gathered. */
#define PUBLISH_EVERY 16
/* Looks at a turn before the lock is given up, which costs as much as a turn. */
#define LOOKS 200

bool tw_is_free(tw_kernel *self)
{
    if (self->workers == NULL || self->running || tw_workers_stuck(self->workers)) {
        PyErr_SetString(PyExc_RuntimeError, self->running ? "a wave is running" : "the workers have ended");
        return false;
    }
    return true;
}

/* Returns true once the turn is done, false with an exception: a signal's, or that a worker is stuck. */
bool tw_await(tw_kernel *self, tw_turn *turn, uint32_t place)
{
    for (int look = 0; look < LOOKS; look++) {
        if (tw_turn_done(turn)) {
            return true;
        }
        tw_relax();
    }
    for (;;) {
        enum tw_waited waited;
        uint32_t stuck = 0;
        Py_BEGIN_ALLOW_THREADS
        waited = tw_wave_wait(self->workers, place, &stuck);
        Py_END_ALLOW_THREADS
        if (waited == TW_DONE) {
            return true;
        }
        if (waited == TW_STUCK) {
            PyObject *agent = PyLong_FromUnsignedLong(tw_wave_turn(self->workers, stuck)->agent);
            PyErr_SetObject(tw_stuck_error, agent);
            Py_XDECREF(agent);
            return false;
        }
        if (PyErr_CheckSignals() != 0) {
            return false;
        }
    }
}

void tw_publish_all(tw_kernel *self, uint32_t count)
{
    tw_wave_publish(self->workers, count);
    if (tw_wave_takes_part(self->workers)) {
        Py_BEGIN_ALLOW_THREADS
        tw_wave_take_part(self->workers);
        Py_END_ALLOW_THREADS
    }
}

bool tw_gather_all(tw_kernel *self, PyObject *turns, const uint32_t *ours, uint32_t count)
{
    uint64_t letter = 0;
    for (uint32_t place = 0; place < count; place++) {
        tw_turn *turn = tw_wave_turn(self->workers, place);
        turn->place = ours == NULL ? place : ours[place];
        if (!tw_gather(self, PyTuple_GET_ITEM(turns, turn->place), turn, tw_wave_letters(self->workers),
                       &letter)) {
            return false;
        }
        if ((place + 1) % PUBLISH_EVERY == 0) {
            tw_wave_publish(self->workers, place + 1);
        }
    }
    tw_publish_all(self, count);
    return true;
}

/* Runs the turns that are not the kernel's, while the workers are at the others. */
static bool run_others(PyObject *turns, const uint32_t *ours, uint32_t count, PyObject *other,
                       PyObject *outcomes)
{
    uint32_t next = 0;
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(turns); place++) {
        if (next < count && ours[next] == place) {
            next++;
            continue;
        }
        PyObject *made = PyObject_CallOneArg(other, PyTuple_GET_ITEM(turns, place));
        if (made == NULL) {
            return false;
        }
        PyList_SET_ITEM(outcomes, place, made);
    }
    return true;
}

PyObject *tw_outcome_of(tw_kernel *self, const tw_turn *turn, PyObject *failed)
{
    return turn->fault == TW_FINE
               ? tw_outcome(self, turn)
               : PyObject_CallFunction(failed, "IIKK", turn->agent, turn->fault,
                                       (unsigned long long)turn->first, (unsigned long long)turn->second);
}

static bool collect(tw_kernel *self, uint32_t count, PyObject *failed, PyObject *outcomes)
{
    for (uint32_t place = 0; place < count; place++) {
        tw_turn *turn = tw_wave_turn(self->workers, place);
        if (!tw_await(self, turn, place)) {
            return false;
        }
        PyObject *made = tw_outcome_of(self, turn, failed);
        if (made == NULL) {
            return false;
        }
        PyList_SET_ITEM(outcomes, turn->place, made);
    }
    return true;
}

void tw_end_wave(tw_kernel *self, bool fine, PyObject *turns)
{
    if (!tw_workers_stuck(self->workers)) {
        uint32_t stuck;
        Py_BEGIN_ALLOW_THREADS
        tw_wave_end(self->workers, !fine, &stuck);
        Py_END_ALLOW_THREADS
    }
    if (tw_workers_stuck(self->workers)) {
        Py_INCREF(turns); /* never freed: who knows what the worker still reads of it */
    }
}

static bool run_wave(tw_kernel *self, PyObject *turns, const uint32_t *ours, uint32_t count, PyObject *other,
                     PyObject *failed, PyObject *outcomes)
{
    bool fine = tw_gather_all(self, turns, ours, count) && run_others(turns, ours, count, other, outcomes) &&
                collect(self, count, failed, outcomes);
    tw_end_wave(self, fine, turns);
    return fine;
}

PyObject *tw_kernel_run(tw_kernel *self, PyObject *args)
{
    PyObject *turns, *other, *failed;
    unsigned long long tick, now_ns;
    if (!PyArg_ParseTuple(args, "O!KKOO", &PyTuple_Type, &turns, &tick, &now_ns, &other, &failed) ||
        !tw_is_free(self)) {
        return NULL;
    }
    Py_ssize_t total = PyTuple_GET_SIZE(turns);
    PyObject *outcomes = PyList_New(total);
    uint32_t *ours = PyMem_Malloc(((size_t)total + 1) * sizeof *ours);
    bool fine = outcomes != NULL && ours != NULL && total < UINT32_MAX;
    uint32_t count = 0;
    uint64_t letters = 0;
    for (Py_ssize_t place = 0; fine && place < total; place++) {
        int is_ours = tw_is_ours(self, PyTuple_GET_ITEM(turns, place), &letters);
        fine = is_ours >= 0;
        if (is_ours > 0) {
            ours[count++] = (uint32_t)place;
        }
    }
    if (fine && count == 0) {
        fine = run_others(turns, ours, 0, other, outcomes);
    } else if (fine) {
        fine = tw_wave_begin(self->workers, count, letters, tick, now_ns, false);
        if (fine) {
            self->running = true;
            fine = run_wave(self, turns, ours, count, other, failed, outcomes);
            self->running = false;
        }
    }
    PyMem_Free(ours);
    if (!fine) {
        Py_XDECREF(outcomes);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    return outcomes;
}
