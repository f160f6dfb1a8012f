/* A Python agent's turns without componentize-py's bindings, which take longer than most turns do.
 *
 * Two exports of this library stand beside the component's own: `tickwork_inbox` gives the host a block to
 * lay out a whole inbox in, and `tickwork_step` is `step` of wit/tickwork-agent.wit as a core function: same
 * parameters, and records laid out by the Canonical ABI both ways (docs/reference/abi.md). Messages become
 * `tickwork_agent.Message`; effects are handed over where their strings and bytes lie, which stay in place
 * until the next turn. Exceptions become the turn's error. */
#include "turn.h"

#include "heap.h"

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))
#define INBOX_STEP 4096u

/* result<list<effect>, string> */
typedef struct result {
    uint8_t is_error;
    const void *first;
    size_t count;
} result;

_Static_assert(sizeof(result) == 12, "result");

static struct {
    PyObject *step;  /* (now, inbox) -> effects, whatever the inbox holds */
    PyObject *turn;  /* the same for inboxes that are not the runtime's */
    PyObject *flush; /* () -> None: prints what is left of a line */
    PyObject *kept;  /* what the last result points into */
    char *inbox;
    size_t inbox_size;
    effect *effects;
    size_t effects_max;
    int printed;
    int attached; /* whether this thread, the only one, has the interpreter's lock: then for good */
    result result;
} agent;

/* Hands the effects over, which must be a list; returns 0 if they cannot be. */
static int lower(PyObject *effects)
{
    Py_ssize_t size = PyList_Size(effects);
    if (size < 0) {
        return 0;
    }
    size_t count = (size_t)size;
    if (count > agent.effects_max) {
        effect *more = realloc(agent.effects, 2 * count * sizeof *more);
        if (more == NULL) {
            return 0;
        }
        agent.effects = more;
        agent.effects_max = 2 * count;
    }
    for (size_t place = 0; place < count; place++) {
        PyObject *from = PyList_GetItem(effects, (Py_ssize_t)place);
        if (from == NULL || !put_effect(&agent.effects[place], from)) {
            return 0;
        }
    }
    agent.result = (result){0, agent.effects, count};
    return 1;
}

static void keep(PyObject *object)
{
    PyObject *before = agent.kept;
    agent.kept = object;
    if (before != NULL) {
        Py_DecRef(before);
    }
}

static void fail(void)
{
    static const char UNKNOWN[] = "the agent asked for something that is no effect";
    PyObject *raised = PyErr_GetRaisedException();
    PyObject *text = raised == NULL ? NULL : PyObject_Str(raised);
    Py_ssize_t size = sizeof UNKNOWN - 1;
    const char *bytes = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &size);
    if (bytes == NULL) {
        bytes = UNKNOWN;
        size = sizeof UNKNOWN - 1;
    }
    PyErr_Clear();
    keep(text);
    if (raised != NULL) {
        Py_DecRef(raised);
    }
    agent.result = (result){1, bytes, (size_t)size};
}

/* Only the runtime may ask other things of an agent than to take its turn. */
static PyObject *call_agent(PyObject *now, PyObject *inbox, const message *first, size_t count)
{
    static const char RUNTIME[] = "tickwork";
    int asked = count == 1 && first->sender_size == sizeof RUNTIME - 1 &&
                __builtin_memcmp(first->sender, RUNTIME, sizeof RUNTIME - 1) == 0;
    PyObject *arguments[3] = {NULL, now, inbox}; /* the first place is for the callee to use */
    return PyObject_Vectorcall(asked ? agent.step : agent.turn, &arguments[1],
                               2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
}

/* Prints what an unfinished line holds. */
static void flush(void)
{
    PyObject *nothing = PyObject_Vectorcall(agent.flush, NULL, 0, NULL);
    if (nothing == NULL) {
        PyErr_Clear();
    } else {
        Py_DecRef(nothing);
    }
    agent.printed = 0;
}

EXPORT("tickwork_inbox") void *tickwork_inbox(size_t size)
{
    if (size > agent.inbox_size) {
        size_t wanted = (size + INBOX_STEP - 1) / INBOX_STEP * INBOX_STEP;
        char *more = wanted < size ? NULL : realloc(agent.inbox, wanted);
        if (more == NULL) {
            __builtin_trap();
        }
        agent.inbox = more;
        agent.inbox_size = wanted;
    }
    return agent.inbox;
}

EXPORT("tickwork_step")
const result *tickwork_step(uint64_t tick, uint64_t now_ns, uint64_t seed, uint64_t fuel,
                            const message *first, size_t count)
{
    if (!agent.attached) {
        PyGILState_Ensure();
        agent.attached = 1;
    }
    keep(NULL);
    PyObject *now = now_of(tick, now_ns, seed, fuel);
    PyObject *inbox = now == NULL ? NULL : inbox_of(first, count);
    PyObject *effects = inbox == NULL ? NULL : call_agent(now, inbox, first, count);
    if (effects != NULL && lower(effects)) {
        keep(effects);
    } else {
        fail();
        if (effects != NULL) {
            Py_DecRef(effects);
        }
    }
    if (inbox != NULL) {
        Py_DecRef(inbox);
    }
    if (now != NULL) {
        Py_DecRef(now);
    }
    if (agent.printed) {
        flush();
    }
    return &agent.result;
}

/* ---- the module `tickwork_turn`, for app.py */

static PyObject *begin(PyObject *self, PyObject *arguments)
{
    (void)self;
    PyObject *tuple, *message_class, *now_class, *effects;
    if (!PyArg_ParseTuple(arguments, "OOOOOOO", &agent.step, &agent.turn, &agent.flush, &tuple, &message_class,
                          &now_class, &effects)) {
        return NULL;
    }
    Py_IncRef(arguments); /* and with it all that it holds, for good */
    inbox_begin(tuple, message_class, now_class);
    if (!effects_begin(effects)) {
        return NULL;
    }
    heap_begin();
    Py_IncRef(Py_None);
    return Py_None;
}

static PyObject *printed(PyObject *self, PyObject *arguments)
{
    (void)self;
    (void)arguments;
    agent.printed = 1;
    Py_IncRef(Py_None);
    return Py_None;
}

static PyMethodDef methods[] = {
    {"begin", begin, METH_VARARGS, "Take (step, turn, flush, tuple, Message, Now, EFFECTS) and the heap into use."},
    {"printed", printed, METH_NOARGS, "Have what is left of a line printed at the turn's end."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef definition = {
    .base = {.references = 1},
    .name = "tickwork_turn",
    .doc = "Turns as the host asks for them.",
    .size = -1,
    .methods = methods,
};

__attribute__((visibility("default"))) PyObject *PyInit_tickwork_turn(void)
{
    return PyModule_Create2(&definition, PYTHON_ABI_VERSION);
}
