/* The Python binding: tickwork.pool._kernel. Used by tickwork.pool.threads, which checks what it passes. */
#include "binding.h"

#include <string.h>

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

static PyObject *kernel_admit(tw_kernel *self, PyObject *args)
{
    unsigned int index;
    unsigned long long handle[6], limit[3];
    if (!PyArg_ParseTuple(args, "IKKKKKKKKK", &index, &handle[0], &handle[1], &handle[2], &handle[3],
                          &handle[4], &handle[5], &limit[0], &limit[1], &limit[2]) ||
        !tw_is_free(self)) {
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
    tw_workers_note_fuel(self->workers, limit[0]);
    agent->effects_max = limit[1];
    agent->bytes_max = limit[2];
    agent->base = engine->memory_data(agent->context, agent->memory);
    agent->size = engine->memory_size(agent->context, agent->memory);
    Py_RETURN_NONE;
}

static PyObject *kernel_dismiss(tw_kernel *self, PyObject *index)
{
    unsigned long long agent = PyLong_AsUnsignedLongLong(index);
    if ((agent == UINT64_MAX && PyErr_Occurred()) || !tw_is_free(self)) {
        return NULL;
    }
    tw_agent *found = tw_workers_find(self->workers, agent);
    if (found != NULL) {
        found->context = NULL;
    }
    Py_RETURN_NONE;
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

static PyObject *kernel_printed(tw_kernel *self, PyObject *nothing)
{
    (void)nothing;
    self->printed = true;
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
    {"run", (PyCFunction)tw_kernel_run, METH_VARARGS, "Run a plan's turns; return their outcomes in its order."},
    {"know", (PyCFunction)tw_kernel_know, METH_VARARGS, "Learn of all agents, outputs and topics."},
    {"held", (PyCFunction)tw_kernel_held, METH_NOARGS, "Whose turns the last plain tick left, or None."},
    {"run_plain", (PyCFunction)tw_kernel_run_plain, METH_VARARGS,
     "Run a tick's turns, and settle them if the tick is plain."},
    {"printed", (PyCFunction)kernel_printed, METH_NOARGS, "Learn that an agent printed in this wave."},
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
    tw_stuck_error = PyErr_NewException("tickwork.pool._kernel.StuckError", PyExc_RuntimeError, NULL);
    if (tw_stuck_error == NULL || PyModule_AddObjectRef(module, "StuckError", tw_stuck_error) != 0 ||
        PyModule_AddObjectRef(module, "Kernel", (PyObject *)&kernel_type) != 0 ||
        PyModule_AddIntConstant(module, "ARENA_VERSION", TW_ARENA_VERSION) != 0 ||
        PyModule_AddIntConstant(module, "RAW_BYTES", TW_RAW_BYTES) != 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
