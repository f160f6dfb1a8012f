/* The kernel's effects made into Python's. */
#include "binding.h"

#include <math.h>
#include <string.h>

#define TEXT_MAX 40
#define FIELDS_MAX 4

/* A string; of short ones the same object again where it is still known, which saves making and hashing it. */
static PyObject *text_of(tw_kernel *self, const uint8_t *bytes, uint32_t size)
{
    if (size > TEXT_MAX) {
        return PyUnicode_DecodeUTF8((const char *)bytes, size, NULL);
    }
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (uint32_t place = 0; place < size; place++) {
        hash = (hash ^ bytes[place]) * 16777619U;
    }
    PyObject **known = &self->texts[(hash ^ hash >> 16) % TW_TEXTS];
    if (*known != NULL) {
        Py_ssize_t length;
        const char *there = PyUnicode_AsUTF8AndSize(*known, &length);
        if (there != NULL && (uint32_t)length == size && memcmp(there, bytes, size) == 0) {
            return Py_NewRef(*known);
        }
    }
    PyObject *text = PyUnicode_DecodeUTF8((const char *)bytes, size, NULL);
    if (text != NULL) {
        Py_XSETREF(*known, Py_NewRef(text));
    }
    return text;
}

/* Lifting a float canonicalises NaN, so that its bits cannot carry what the engine closed. */
static PyObject *float_of(tw_kernel *self, uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return isnan(value) ? Py_NewRef(self->nan) : PyFloat_FromDouble(value);
}

/* Puts the fields that are not pieces at their place among `fields`; returns how many there are in all. */
static Py_ssize_t more_fields(tw_kernel *self, const tw_effect *effect, PyObject **fields)
{
    Py_ssize_t count = effect->pieces;
    switch (effect->tag) {
    case TW_SEND:
        if (effect->option) {
            fields[count++] = PyLong_FromUnsignedLongLong(effect->number[0]);
        }
        break;
    case TW_INFER:
    case TW_CALL:
        fields[count++] = PyLong_FromUnsignedLongLong(effect->number[0]);
        break;
    case TW_TIMER:
        fields[count++] = PyLong_FromUnsignedLongLong(effect->number[0]);
        fields[count++] = PyLong_FromUnsignedLongLong(effect->number[1]);
        break;
    case TW_LOG:
        fields[count++] = fields[0];
        fields[0] = PyLong_FromUnsignedLong(effect->option);
        break;
    case TW_METRIC:
        fields[count++] = float_of(self, effect->number[0]);
        break;
    case TW_STOP:
        if (!effect->option) {
            fields[count++] = fields[0];
            fields[0] = Py_NewRef(Py_None);
        }
        break;
    default:
        break;
    }
    return count;
}

static uint32_t texts_of(const tw_effect *effect)
{
    switch (effect->tag) {
    case TW_SEND:
    case TW_SPAWN:
        return 2;
    case TW_STOP:
        return effect->pieces;
    default:
        return 1;
    }
}

PyObject *tw_effect_of(tw_kernel *self, const tw_effect *effect)
{
    const uint8_t *bytes = (const uint8_t *)(effect + 1);
    PyObject *fields[1 + FIELDS_MAX + 1] = {NULL};
    PyObject **own = &fields[1]; /* the place before them is for the callee to use */
    uint32_t texts = texts_of(effect);
    for (uint32_t piece = 0; piece < effect->pieces; piece++) {
        uint32_t size = effect->size[piece];
        own[piece] =
            piece < texts ? text_of(self, bytes, size) : PyBytes_FromStringAndSize((const char *)bytes, size);
        bytes += size;
    }
    Py_ssize_t count = more_fields(self, effect, own);
    bool fine = true;
    for (Py_ssize_t place = 0; place < count; place++) {
        fine = fine && own[place] != NULL;
    }
    PyObject *made = NULL;
    if (fine) {
        size_t flags = (size_t)count | PY_VECTORCALL_ARGUMENTS_OFFSET;
        made = PyObject_Vectorcall(self->effects[effect->tag], own, flags, NULL);
    }
    for (Py_ssize_t place = 0; place < count; place++) {
        Py_XDECREF(own[place]);
    }
    return made;
}

PyObject *tw_effects_tuple(tw_kernel *self, const uint8_t *at, uint32_t count)
{
    PyObject *effects = PyTuple_New(count);
    for (uint32_t place = 0; effects != NULL && place < count; place++) {
        const tw_effect *effect = (const tw_effect *)at;
        PyObject *made = tw_effect_of(self, effect);
        if (made == NULL) {
            Py_CLEAR(effects);
            break;
        }
        PyTuple_SET_ITEM(effects, place, made);
        at = tw_effect_after(at);
    }
    return effects;
}

PyObject *tw_outcome(tw_kernel *self, const tw_turn *turn)
{
    PyObject *effects =
        turn->count == 0 ? Py_NewRef(self->no_effects) : tw_effects_tuple(self, turn->effects, turn->count);
    PyObject *fuel = PyLong_FromUnsignedLongLong(turn->fuel);
    PyObject *made = NULL;
    if (effects != NULL && fuel != NULL) {
        PyObject *fields[] = {NULL, self->ok, effects, fuel};
        made = PyObject_Vectorcall(self->outcome, &fields[1], 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    Py_XDECREF(effects);
    Py_XDECREF(fuel);
    return made;
}
