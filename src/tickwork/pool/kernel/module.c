/* The Python binding: tickwork.pool._kernel. Used by tickwork.pool.threads, which checks what it passes. */
#include "binding.h"

#include <string.h>

static PyObject *stuck_error; /* raised with the agent's index */

/* How many turns are handed over at a time while the rest is still being gathered. */
#define PUBLISH_EVERY 16
/* Looks at a turn before the lock is given up, which costs as much as a turn. */
#define LOOKS 200

static void kernel_dealloc(tw_kernel *self)
{
    if (self->workers != NULL) {
        tw_workers *workers = self->workers;
        self->workers = NULL;
        Py_BEGIN_ALLOW_THREADS
        tw_workers_stop(workers);
        Py_END_ALLOW_THREADS
    }
    Py_XDECREF(self->turn.type);
    Py_XDECREF(self->message.type);
    Py_XDECREF(self->outcome);
    Py_XDECREF(self->ok);
    Py_XDECREF(self->no_effects);
    Py_XDECREF(self->nan);
    for (int tag = 0; tag < TW_EFFECTS; tag++) {
        Py_XDECREF(self->effects[tag]);
    }
    for (int place = 0; place < TW_TEXTS; place++) {
        Py_XDECREF(self->texts[place]);
    }
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static bool read_engine(PyObject *addresses, tw_engine *engine)
{
    void *found[TW_ENGINE_FUNCTIONS];
    if (!PyTuple_Check(addresses) || PyTuple_GET_SIZE(addresses) != TW_ENGINE_FUNCTIONS) {
        PyErr_SetString(PyExc_TypeError, "the engine is given by the addresses of its functions");
        return false;
    }
    for (Py_ssize_t place = 0; place < TW_ENGINE_FUNCTIONS; place++) {
        found[place] = PyLong_AsVoidPtr(PyTuple_GET_ITEM(addresses, place));
        if (found[place] == NULL) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_ValueError, "a function of the engine has no address");
            }
            return false;
        }
    }
    memcpy(engine, found, sizeof found);
    return true;
}

static PyObject *kernel_new(PyTypeObject *type, PyObject *args, PyObject *names)
{
    static const char *const turn_fields[] = {"agent", "setup", "seed", "inbox"};
    static const char *const message_fields[] = {"sender", "topic", "body", "reply_to"};
    static char *keywords[] = {"engine", "turn", "message", "outcome", "ok", "effects", "nan",
                               "workers", "spin_ns", "stuck_ns", "share_ns", "alone_ns", NULL};
    PyObject *engine, *turn, *message, *outcome, *ok, *effects, *nan;
    unsigned int workers;
    unsigned long long spin_ns, stuck_ns, share_ns, alone_ns;
    if (!PyArg_ParseTupleAndKeywords(args, names, "OOOOOO!OIKKKK", keywords, &engine, &turn, &message,
                                     &outcome, &ok, &PyTuple_Type, &effects, &nan, &workers, &spin_ns,
                                     &stuck_ns, &share_ns, &alone_ns)) {
        return NULL;
    }
    tw_plan plan = {.workers = workers, .spin_ns = spin_ns, .stuck_ns = stuck_ns, .share_ns = share_ns,
                    .alone_ns = alone_ns};
    if (!read_engine(engine, &plan.engine)) {
        return NULL;
    }
    if (workers < 1 || share_ns < 1 || PyTuple_GET_SIZE(effects) != TW_EFFECTS) {
        PyErr_SetString(PyExc_ValueError, "at least one worker, and a class for every effect, are wanted");
        return NULL;
    }
    tw_kernel *self = (tw_kernel *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->outcome = Py_NewRef(outcome);
    self->ok = Py_NewRef(ok);
    self->nan = Py_NewRef(nan);
    self->no_effects = PyTuple_New(0);
    for (int tag = 0; tag < TW_EFFECTS; tag++) {
        self->effects[tag] = Py_NewRef(PyTuple_GET_ITEM(effects, tag));
    }
    if (self->no_effects == NULL || !tw_slots_of(&self->turn, turn, turn_fields) ||
        !tw_slots_of(&self->message, message, message_fields)) {
        Py_DECREF(self);
        return NULL;
    }
    self->workers = tw_workers_start(&plan);
    if (self->workers == NULL) {
        Py_DECREF(self);
        PyErr_SetString(PyExc_OSError, "the system gives no more threads or memory");
        return NULL;
    }
    return (PyObject *)self;
}

static bool is_free(tw_kernel *self)
{
    if (self->workers == NULL || self->running || tw_workers_stuck(self->workers)) {
        PyErr_SetString(PyExc_RuntimeError, self->running ? "a wave is running" : "the workers have ended");
        return false;
    }
    return true;
}

static PyObject *kernel_admit(tw_kernel *self, PyObject *args)
{
    unsigned int index;
    unsigned long long handle[6], limit[3];
    if (!PyArg_ParseTuple(args, "IKKKKKKKKK", &index, &handle[0], &handle[1], &handle[2], &handle[3],
                          &handle[4], &handle[5], &limit[0], &limit[1], &limit[2]) ||
        !is_free(self)) {
        return NULL;
    }
    tw_agent *agent = tw_workers_agent(self->workers, index);
    if (agent == NULL) {
        return PyErr_NoMemory();
    }
    const tw_engine *engine = tw_workers_engine(self->workers);
    agent->context = (void *)(uintptr_t)handle[0];
    agent->memory = (const void *)(uintptr_t)handle[1];
    agent->step = (const void *)(uintptr_t)handle[2];
    agent->post = (const void *)(uintptr_t)handle[3];
    agent->realloc = (const void *)(uintptr_t)handle[4];
    agent->arena = (const void *)(uintptr_t)handle[5];
    agent->fuel = limit[0];
    agent->effects_max = limit[1];
    agent->bytes_max = limit[2];
    agent->base = engine->memory_data(agent->context, agent->memory);
    agent->size = engine->memory_size(agent->context, agent->memory);
    Py_RETURN_NONE;
}

static PyObject *kernel_dismiss(tw_kernel *self, PyObject *index)
{
    unsigned long long agent = PyLong_AsUnsignedLongLong(index);
    if ((agent == UINT64_MAX && PyErr_Occurred()) || !is_free(self)) {
        return NULL;
    }
    tw_agent *found = tw_workers_find(self->workers, agent);
    if (found != NULL) {
        found->context = NULL;
    }
    Py_RETURN_NONE;
}

/* Returns true once the turn is done, false with an exception: a signal's, or that a worker is stuck. */
static bool await(tw_kernel *self, tw_turn *turn, uint32_t place)
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
            PyErr_SetObject(stuck_error, agent);
            Py_XDECREF(agent);
            return false;
        }
        if (PyErr_CheckSignals() != 0) {
            return false;
        }
    }
}

static bool gather_all(tw_kernel *self, PyObject *turns, const uint32_t *ours, uint32_t count)
{
    uint64_t letter = 0;
    for (uint32_t place = 0; place < count; place++) {
        tw_turn *turn = tw_wave_turn(self->workers, place);
        turn->place = ours[place];
        if (!tw_gather(self, PyTuple_GET_ITEM(turns, ours[place]), turn, tw_wave_letters(self->workers),
                       &letter)) {
            return false;
        }
        if ((place + 1) % PUBLISH_EVERY == 0) {
            tw_wave_publish(self->workers, place + 1);
        }
    }
    tw_wave_publish(self->workers, count);
    if (tw_wave_is_alone(self->workers)) {
        Py_BEGIN_ALLOW_THREADS
        tw_wave_run_alone(self->workers);
        Py_END_ALLOW_THREADS
    }
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

static bool collect(tw_kernel *self, uint32_t count, PyObject *failed, PyObject *outcomes)
{
    for (uint32_t place = 0; place < count; place++) {
        tw_turn *turn = tw_wave_turn(self->workers, place);
        if (!await(self, turn, place)) {
            return false;
        }
        PyObject *made = turn->fault == TW_FINE
                             ? tw_outcome(self, turn)
                             : PyObject_CallFunction(failed, "IIKK", turn->agent, turn->fault,
                                                     (unsigned long long)turn->first,
                                                     (unsigned long long)turn->second);
        if (made == NULL) {
            return false;
        }
        PyList_SET_ITEM(outcomes, turn->place, made);
    }
    return true;
}

static bool run_wave(tw_kernel *self, PyObject *turns, const uint32_t *ours, uint32_t count, PyObject *other,
                     PyObject *failed, PyObject *outcomes)
{
    bool fine = gather_all(self, turns, ours, count) && run_others(turns, ours, count, other, outcomes) &&
                collect(self, count, failed, outcomes);
    if (!tw_workers_stuck(self->workers)) {
        uint32_t stuck;
        Py_BEGIN_ALLOW_THREADS
        tw_wave_end(self->workers, !fine, &stuck);
        Py_END_ALLOW_THREADS
    }
    if (tw_workers_stuck(self->workers)) {
        Py_INCREF(turns); /* never freed: who knows what the worker still reads of it */
    }
    return fine;
}

static PyObject *kernel_run(tw_kernel *self, PyObject *args)
{
    PyObject *turns, *other, *failed;
    unsigned long long tick, now_ns;
    if (!PyArg_ParseTuple(args, "O!KKOO", &PyTuple_Type, &turns, &tick, &now_ns, &other, &failed) ||
        !is_free(self)) {
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
        fine = tw_wave_begin(self->workers, count, letters, tick, now_ns);
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

static PyObject *kernel_stop(tw_kernel *self, PyObject *nothing)
{
    (void)nothing;
    if (self->running) {
        PyErr_SetString(PyExc_RuntimeError, "a wave is running");
        return NULL;
    }
    tw_workers *workers = self->workers;
    self->workers = NULL;
    if (workers != NULL) {
        Py_BEGIN_ALLOW_THREADS
        tw_workers_stop(workers);
        Py_END_ALLOW_THREADS
    }
    Py_RETURN_NONE;
}

static size_t given_size(void *context, const void *memory)
{
    (void)context;
    return *(const size_t *)memory;
}

/* For tests: lifts from any bytes. Returns the effects, or None if there is something wrong with them. */
static PyObject *kernel_lift(tw_kernel *self, PyObject *args)
{
    Py_buffer memory;
    unsigned int pointer;
    unsigned long long effects_max, bytes_max;
    if (!PyArg_ParseTuple(args, "y*IKK", &memory, &pointer, &effects_max, &bytes_max)) {
        return NULL;
    }
    size_t size = (size_t)memory.len;
    tw_engine engine = {.memory_size = given_size};
    tw_agent agent = {.memory = &size, .base = memory.buf, .effects_max = effects_max, .bytes_max = bytes_max};
    tw_turn turn = {.count = 0};
    tw_outbox outbox = {NULL, NULL};
    enum tw_fault fault = tw_lift(&engine, &agent, pointer, &turn, &outbox);
    PyObject *effects = NULL;
    if (fault == TW_NO_MEMORY) {
        PyErr_NoMemory();
    } else {
        effects = fault == TW_FINE ? tw_effects_tuple(self, turn.effects, turn.count) : Py_NewRef(Py_None);
    }
    tw_outbox_free(&outbox);
    PyBuffer_Release(&memory);
    return effects;
}

static PyMethodDef kernel_methods[] = {
    {"admit", (PyCFunction)kernel_admit, METH_VARARGS, "Take an agent over, by handles and limits."},
    {"dismiss", (PyCFunction)kernel_dismiss, METH_O, "Forget an agent."},
    {"run", (PyCFunction)kernel_run, METH_VARARGS, "Run a plan's turns; return their outcomes in its order."},
    {"stop", (PyCFunction)kernel_stop, METH_NOARGS, "End the threads."},
    {"lift", (PyCFunction)kernel_lift, METH_VARARGS, "Lift a step's result from any bytes, for tests."},
    {NULL, NULL, 0, NULL},
};

static PyTypeObject kernel_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "tickwork.pool._kernel.Kernel",
    .tp_basicsize = sizeof(tw_kernel),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "Worker threads that run agents' turns.",
    .tp_new = kernel_new,
    .tp_dealloc = (destructor)kernel_dealloc,
    .tp_methods = kernel_methods,
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_kernel", "Runs the turns of a wave; see docs/reference/shared-memory.md.", -1,
    NULL,                  NULL,      NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void)
{
    PyObject *module = PyType_Ready(&kernel_type) == 0 ? PyModule_Create(&definition) : NULL;
    if (module == NULL) {
        return NULL;
    }
    stuck_error = PyErr_NewException("tickwork.pool._kernel.StuckError", PyExc_RuntimeError, NULL);
    if (stuck_error == NULL || PyModule_AddObjectRef(module, "StuckError", stuck_error) != 0 ||
        PyModule_AddObjectRef(module, "Kernel", (PyObject *)&kernel_type) != 0 ||
        PyModule_AddIntConstant(module, "ARENA_VERSION", TW_ARENA_VERSION) != 0 ||
        PyModule_AddIntConstant(module, "RAW_BYTES", TW_RAW_BYTES) != 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
