/* Messages, and a turn's clock, as objects of tickwork_agent. */
#include "turn.h"

/* Short strings that came in lately, for most names come again and again: one string then does for all of
 * them, and its hash is known. */
#define TEXTS 256
#define TEXT_MAX 40

static struct {
    PyObject *message;
    PyObject *now;
    newfunc new_tuple;
    PyObject *text[TEXTS];
} known;

static PyObject *text_of(const char *bytes, size_t size)
{
    if (size > TEXT_MAX) {
        return PyUnicode_FromStringAndSize(bytes, (Py_ssize_t)size);
    }
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t at = 0; at < size; at++) {
        hash = (hash ^ (uint8_t)bytes[at]) * 16777619u;
    }
    PyObject **place = &known.text[(hash ^ hash >> 16) % TEXTS];
    if (*place != NULL) {
        Py_ssize_t length = 0;
        const char *there = PyUnicode_AsUTF8AndSize(*place, &length);
        if (there != NULL && (size_t)length == size && __builtin_memcmp(there, bytes, size) == 0) {
            Py_IncRef(*place);
            return *place;
        }
    }
    PyObject *text = PyUnicode_FromStringAndSize(bytes, (Py_ssize_t)size);
    if (text != NULL) {
        PyObject *before = *place;
        Py_IncRef(text);
        *place = text;
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
    PyObject *made = fine ? known.new_tuple((PyTypeObject *)type, arguments, NULL) : NULL;
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
    return named_tuple(known.message, field);
}

PyObject *inbox_of(const message *first, size_t count)
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

PyObject *now_of(uint64_t tick, uint64_t now_ns, uint64_t seed, uint64_t fuel)
{
    PyObject *field[4] = {
        PyLong_FromUnsignedLongLong(tick),
        PyLong_FromUnsignedLongLong(now_ns),
        PyLong_FromUnsignedLongLong(seed),
        PyLong_FromUnsignedLongLong(fuel),
    };
    return named_tuple(known.now, field);
}

void inbox_begin(PyObject *tuple, PyObject *message_class, PyObject *now_class)
{
    known.new_tuple = (newfunc)PyType_GetSlot((PyTypeObject *)tuple, Py_tp_new);
    known.message = message_class;
    known.now = now_class;
}
