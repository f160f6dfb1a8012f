/* A Python agent's turns without componentize-py's bindings, which take longer than most turns do.
 *
 * Two exports of this library stand beside the component's own: `tickwork_inbox` gives the host a block to
 * lay out a whole inbox in, and `tickwork_step` is `step` of wit/tickwork-agent.wit as a core function: same
 * parameters, and records laid out by the Canonical ABI both ways (docs/reference/abi.md). Messages become
 * `tickwork_agent.Message`; effects are handed over where their strings and bytes lie.
 *
 * What the host is given stays in place until the next turn. Errors of the host cannot be: it checks nothing
 * less than these functions do, and what it is told is checked by it. Exceptions become the turn's error. */
#include "cpython.h"
#include "heap.h"

#define EXPORT(name) __attribute__((export_name(name), visibility("default")))

/* record message { sender: string, topic: string, body: list<u8>, reply-to: option<u64> } */
typedef struct message {
    const char *sender;
    size_t sender_size;
    const char *topic;
    size_t topic_size;
    const char *body;
    size_t body_size;
    uint8_t has_reply_to;
    uint64_t reply_to;
} message;

_Static_assert(sizeof(message) == 40 && offsetof(message, reply_to) == 32, "message");

/* result<list<effect>, string> */
typedef struct result {
    uint8_t is_error;
    const void *first;
    size_t count;
} result;

_Static_assert(sizeof(result) == 12, "result");

/* variant effect: a discriminant, and the fields of the case at the offsets that `FIELDS` has. */
#define EFFECT_BYTES 48

typedef union effect {
    uint8_t byte[EFFECT_BYTES];
    uint32_t word[EFFECT_BYTES / 4];
    uint64_t number[EFFECT_BYTES / 8];
    double real[EFFECT_BYTES / 8];
} effect;

enum kind { NOTHING, TEXT, BYTES, NUMBER, OPTIONAL_NUMBER, OPTIONAL_TEXT, LEVEL, REAL };

typedef struct field {
    const char *name;
    uint8_t kind;
    uint8_t offset;
} field;

#define EFFECTS 10
#define FIELDS_MAX 4

/* By the order of tickwork_agent.effects.EFFECTS, which is that of the cases. */
static const field FIELDS[EFFECTS][FIELDS_MAX] = {
    {{"to", TEXT, 8}, {"topic", TEXT, 16}, {"body", BYTES, 24}, {"reply_to", OPTIONAL_NUMBER, 32}},
    {{"topic", TEXT, 8}, {"body", BYTES, 16}},
    {{"model", TEXT, 8}, {"body", BYTES, 16}, {"request", NUMBER, 24}},
    {{"tool", TEXT, 8}, {"body", BYTES, 16}, {"request", NUMBER, 24}},
    {{"name", TEXT, 8}, {"body", BYTES, 16}},
    {{"topic", TEXT, 8}, {"body", BYTES, 16}, {"after_ticks", NUMBER, 24}, {"request", NUMBER, 32}},
    {{"level", LEVEL, 8}, {"text", TEXT, 12}},
    {{"name", TEXT, 8}, {"value", REAL, 16}},
    {{"id", TEXT, 8}, {"kind", TEXT, 16}, {"config", BYTES, 24}},
    {{"id", OPTIONAL_TEXT, 8}, {"reason", TEXT, 20}},
};

/* Short strings that came in lately, for most names come again and again: one string then does for all of
 * them, and its hash is known. */
#define TEXTS 256
#define TEXT_MAX 40

static struct {
    PyObject *step;    /* (now, inbox) -> effects */
    PyObject *flush;   /* () -> None: prints what is left of a line */
    PyObject *message; /* classes of the tickwork_agent package */
    PyObject *now;
    PyTypeObject *effect[EFFECTS];
    newfunc new_tuple;
    PyObject *name[EFFECTS][FIELDS_MAX];
    PyObject *text[TEXTS];
    PyObject *kept; /* what the last result points into */
    char *inbox;
    size_t inbox_size;
    effect *effects;
    size_t effects_max;
    int printed;
    int attached; /* whether this thread, the only one, has the interpreter's lock: then for good */
    result result;
} agent;

/* ---- inbox */

static PyObject *text_of(const char *bytes, size_t size)
{
    if (size > TEXT_MAX) {
        return PyUnicode_FromStringAndSize(bytes, (Py_ssize_t)size);
    }
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t place = 0; place < size; place++) {
        hash = (hash ^ (uint8_t)bytes[place]) * 16777619u;
    }
    PyObject **known = &agent.text[(hash ^ hash >> 16) % TEXTS];
    if (*known != NULL) {
        Py_ssize_t length = 0;
        const char *there = PyUnicode_AsUTF8AndSize(*known, &length);
        if (there != NULL && (size_t)length == size && __builtin_memcmp(there, bytes, size) == 0) {
            Py_IncRef(*known);
            return *known;
        }
    }
    PyObject *text = PyUnicode_FromStringAndSize(bytes, (Py_ssize_t)size);
    if (text != NULL) {
        PyObject *before = *known;
        Py_IncRef(text);
        *known = text;
        if (before != NULL) {
            Py_DecRef(before);
        }
    }
    return text;
}

/* An instance of a named tuple of four fields, which it takes over. Its own __new__ is written in Python. */
static PyObject *named_tuple(PyObject *type, PyObject *field[4])
{
    PyObject *fields = PyTuple_New(4);
    PyObject *arguments = PyTuple_New(1);
    int fine = fields != NULL && arguments != NULL;
    for (int place = 0; place < 4; place++) {
        if (field[place] == NULL) {
            fine = 0;
        } else if (fields == NULL) {
            Py_DecRef(field[place]);
        } else {
            PyTuple_SetItem(fields, place, field[place]);
        }
    }
    if (arguments != NULL && fields != NULL) {
        PyTuple_SetItem(arguments, 0, fields);
    }
    PyObject *made = fine ? agent.new_tuple((PyTypeObject *)type, arguments, NULL) : NULL;
    if (arguments != NULL) {
        Py_DecRef(arguments);
    }
    return made;
}

static PyObject *message_of(const message *from)
{
    PyObject *field[4] = {
        text_of(from->sender, from->sender_size),
        text_of(from->topic, from->topic_size),
        PyBytes_FromStringAndSize(from->body, (Py_ssize_t)from->body_size),
        Py_None,
    };
    if (from->has_reply_to) {
        field[3] = PyLong_FromUnsignedLongLong(from->reply_to);
    } else {
        Py_IncRef(Py_None);
    }
    return named_tuple(agent.message, field);
}

static PyObject *inbox_of(const message *first, size_t count)
{
    PyObject *inbox = PyList_New((Py_ssize_t)count);
    for (size_t place = 0; inbox != NULL && place < count; place++) {
        PyObject *made = message_of(&first[place]);
        if (made == NULL) {
            Py_DecRef(inbox);
            return NULL;
        }
        PyList_SetItem(inbox, (Py_ssize_t)place, made);
    }
    return inbox;
}

static PyObject *now_of(uint64_t tick, uint64_t now_ns, uint64_t seed, uint64_t fuel)
{
    PyObject *field[4] = {
        PyLong_FromUnsignedLongLong(tick),
        PyLong_FromUnsignedLongLong(now_ns),
        PyLong_FromUnsignedLongLong(seed),
        PyLong_FromUnsignedLongLong(fuel),
    };
    return named_tuple(agent.now, field);
}

/* ---- effects */

static int put_text(effect *to, size_t word, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);
    to->word[word] = (uint32_t)(uintptr_t)bytes;
    to->word[word + 1] = (uint32_t)size;
    return bytes != NULL;
}

static int put_bytes(effect *to, size_t word, PyObject *bytes)
{
    char *content = NULL;
    Py_ssize_t size = 0;
    int fine = PyBytes_AsStringAndSize(bytes, &content, &size) == 0;
    to->word[word] = (uint32_t)(uintptr_t)content;
    to->word[word + 1] = (uint32_t)size;
    return fine;
}

static int read_number(PyObject *value, uint64_t *to)
{
    *to = PyLong_AsUnsignedLongLong(value);
    return *to != UINT64_MAX || PyErr_Occurred() == NULL;
}

/* Puts one field in place; what it points to belongs to `value`. Returns 0 with an exception. */
static int put_field(effect *to, const field *from, PyObject *value)
{
    size_t at = from->offset;
    uint64_t number;
    switch (from->kind) {
    case TEXT:
        return put_text(to, at / 4, value);
    case BYTES:
        return put_bytes(to, at / 4, value);
    case NUMBER:
        return read_number(value, &to->number[at / 8]);
    case OPTIONAL_NUMBER:
        to->byte[at] = value != Py_None;
        return value == Py_None || read_number(value, &to->number[at / 8 + 1]);
    case OPTIONAL_TEXT:
        to->byte[at] = value != Py_None;
        return value == Py_None || put_text(to, at / 4 + 1, value);
    case LEVEL:
        if (!read_number(value, &number)) {
            return 0;
        }
        to->byte[at] = (uint8_t)number;
        return 1;
    default:
        to->real[at / 8] = PyFloat_AsDouble(value);
        return to->real[at / 8] != -1.0 || PyErr_Occurred() == NULL;
    }
}

/* Returns 0 if the object is no effect, or one that does not hold what it should. */
static int put_effect(effect *to, PyObject *from)
{
    PyTypeObject *type = Py_TYPE(from);
    uint8_t tag = 0;
    while (type != agent.effect[tag]) {
        if (++tag == EFFECTS) {
            return 0;
        }
    }
    *to = (effect){.byte = {tag}};
    for (int place = 0; place < FIELDS_MAX && FIELDS[tag][place].kind != NOTHING; place++) {
        PyObject *value = PyObject_GetAttr(from, agent.name[tag][place]);
        if (value == NULL) {
            return 0;
        }
        int fine = put_field(to, &FIELDS[tag][place], value);
        Py_DecRef(value); /* the effect still holds it */
        if (!fine) {
            return 0;
        }
    }
    return 1;
}

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

/* ---- turn */

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

static PyObject *call_step(PyObject *now, PyObject *inbox)
{
    PyObject *arguments[3] = {NULL, now, inbox}; /* the first place is for the callee to use */
    return PyObject_Vectorcall(agent.step, &arguments[1], 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
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
        size_t wanted = (size + 4095) / 4096 * 4096;
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
    PyObject *effects = inbox == NULL ? NULL : call_step(now, inbox);
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
    PyObject *tuple, *effects;
    if (!PyArg_ParseTuple(arguments, "OOOOOO", &agent.step, &agent.flush, &tuple, &agent.message, &agent.now,
                          &effects)) {
        return NULL;
    }
    Py_IncRef(arguments); /* and with it all that it holds, for good */
    agent.new_tuple = (newfunc)PyType_GetSlot((PyTypeObject *)tuple, Py_tp_new);
    for (int tag = 0; tag < EFFECTS; tag++) {
        agent.effect[tag] = (PyTypeObject *)PyTuple_GetItem(effects, tag);
        if (agent.effect[tag] == NULL) {
            return NULL;
        }
        for (int place = 0; place < FIELDS_MAX && FIELDS[tag][place].kind != NOTHING; place++) {
            agent.name[tag][place] = PyUnicode_InternFromString(FIELDS[tag][place].name);
        }
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
    {"begin", begin, METH_VARARGS, "Take (step, flush, tuple, Message, Now, EFFECTS) and the heap into use."},
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
