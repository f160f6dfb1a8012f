/* Effects of tickwork_agent as records. */
#include "turn.h"

enum kind { NOTHING, TEXT, BYTES, NUMBER, OPTIONAL_NUMBER, OPTIONAL_TEXT, LEVEL, REAL };

typedef struct field {
    const char *name;
    uint8_t kind;
    uint8_t offset;
} field;

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

static struct {
    PyTypeObject *type[EFFECTS];
    PyObject *name[EFFECTS][FIELDS_MAX];
} known;

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
int put_effect(effect *to, PyObject *from)
{
    PyTypeObject *type = Py_TYPE(from);
    uint8_t tag = 0;
    while (type != known.type[tag]) {
        if (++tag == EFFECTS) {
            return 0;
        }
    }
    *to = (effect){.byte = {tag}};
    for (int place = 0; place < FIELDS_MAX && FIELDS[tag][place].kind != NOTHING; place++) {
        PyObject *value = PyObject_GetAttr(from, known.name[tag][place]);
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

int effects_begin(PyObject *classes)
{
    for (int tag = 0; tag < EFFECTS; tag++) {
        known.type[tag] = (PyTypeObject *)PyTuple_GetItem(classes, tag);
        if (known.type[tag] == NULL) {
            return 0;
        }
        for (int place = 0; place < FIELDS_MAX && FIELDS[tag][place].kind != NOTHING; place++) {
            known.name[tag][place] = PyUnicode_InternFromString(FIELDS[tag][place].name);
        }
    }
    return 1;
}
