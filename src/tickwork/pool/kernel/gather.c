/* Python's turns made into the kernel's, which point at the strings instead of copying them. */
#include "binding.h"

#include <structmember.h>

bool tw_slots_of(tw_slots *slots, PyObject *type, const char *const fields[4])
{
    if (!PyType_Check(type)) {
        PyErr_SetString(PyExc_TypeError, "a struct class is wanted");
        return false;
    }
    for (int field = 0; field < 4; field++) {
        PyObject *found = PyObject_GetAttrString(type, fields[field]);
        if (found == NULL) {
            return false;
        }
        PyMemberDef *member =
            Py_IS_TYPE(found, &PyMemberDescr_Type) ? ((PyMemberDescrObject *)found)->d_member : NULL;
        bool fine = member != NULL && member->type == T_OBJECT_EX;
        slots->offset[field] = fine ? member->offset : 0;
        Py_DECREF(found);
        if (!fine) {
            PyErr_Format(PyExc_TypeError, "%s is not a plain slot", fields[field]);
            return false;
        }
    }
    slots->type = (PyTypeObject *)Py_NewRef(type);
    return true;
}

PyObject *tw_slot(PyObject *object, const tw_slots *slots, int field)
{
    if (!Py_IS_TYPE(object, slots->type)) {
        PyErr_Format(PyExc_TypeError, "a %s is wanted", slots->type->tp_name);
        return NULL;
    }
    PyObject *value = *(PyObject **)((char *)object + slots->offset[field]);
    if (value == NULL) {
        PyErr_SetString(PyExc_AttributeError, "a field is not set");
    }
    return value;
}

enum { AGENT, SETUP, SEED, INBOX };
enum { SENDER, TOPIC, BODY, REPLY_TO };

/* An inbox is a list or a tuple; -1 with an exception otherwise. */
static Py_ssize_t inbox_size(PyObject *inbox)
{
    if (!PyList_Check(inbox) && !PyTuple_Check(inbox)) {
        PyErr_SetString(PyExc_TypeError, "an inbox is a list or a tuple");
        return -1;
    }
    return PySequence_Fast_GET_SIZE(inbox);
}

int tw_is_ours(tw_kernel *self, PyObject *turn, uint64_t *letters)
{
    PyObject *agent = tw_slot(turn, &self->turn, AGENT);
    PyObject *setup = agent == NULL ? NULL : tw_slot(turn, &self->turn, SETUP);
    PyObject *inbox = setup == NULL ? NULL : tw_slot(turn, &self->turn, INBOX);
    if (inbox == NULL) {
        return -1;
    }
    uint64_t index = PyLong_AsUnsignedLongLong(agent);
    if (index == UINT64_MAX && PyErr_Occurred()) {
        return -1;
    }
    if (setup != Py_False || tw_workers_find(self->workers, index) == NULL) {
        return 0;
    }
    Py_ssize_t size = inbox_size(inbox);
    if (size < 0) {
        return -1;
    }
    *letters += (uint64_t)size;
    return 1;
}

static bool set_piece(tw_letter *letter, int piece, const char *bytes, Py_ssize_t size)
{
    if (bytes == NULL) {
        return false;
    }
    if ((uint64_t)size > UINT32_MAX) {
        PyErr_SetString(PyExc_OverflowError, "a part of a message is larger than a guest's memory");
        return false;
    }
    letter->piece[piece] = (const uint8_t *)bytes;
    letter->size[piece] = (uint32_t)size;
    return true;
}

static bool set_text(tw_letter *letter, int piece, PyObject *text)
{
    Py_ssize_t size = 0;
    const char *bytes = text == NULL ? NULL : PyUnicode_AsUTF8AndSize(text, &size);
    return set_piece(letter, piece, bytes, size);
}

static bool gather_letter(tw_kernel *self, PyObject *message, tw_letter *letter)
{
    if (!set_text(letter, SENDER, tw_slot(message, &self->message, SENDER)) ||
        !set_text(letter, TOPIC, tw_slot(message, &self->message, TOPIC))) {
        return false;
    }
    PyObject *body = tw_slot(message, &self->message, BODY);
    PyObject *reply_to = body == NULL ? NULL : tw_slot(message, &self->message, REPLY_TO);
    if (reply_to == NULL) {
        return false;
    }
    if (!PyBytes_Check(body)) {
        PyErr_SetString(PyExc_TypeError, "a message's body is bytes");
        return false;
    }
    letter->has_reply_to = reply_to != Py_None;
    letter->reply_to = 0;
    if (reply_to != Py_None) {
        letter->reply_to = PyLong_AsUnsignedLongLong(reply_to);
        if (letter->reply_to == UINT64_MAX && PyErr_Occurred()) {
            return false;
        }
    }
    return set_piece(letter, BODY, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body));
}

bool tw_gather(tw_kernel *self, PyObject *from, tw_turn *turn, tw_letter *letters, uint64_t *letter)
{
    PyObject *inbox = tw_slot(from, &self->turn, INBOX);
    PyObject *seed = tw_slot(from, &self->turn, SEED);
    if (inbox == NULL || seed == NULL) {
        return false;
    }
    turn->agent = (uint32_t)PyLong_AsUnsignedLongLong(tw_slot(from, &self->turn, AGENT));
    turn->seed = PyLong_AsUnsignedLongLongMask(seed);
    turn->letters = (uint32_t)PySequence_Fast_GET_SIZE(inbox);
    turn->letter = *letter;
    atomic_store_explicit(&turn->done, 0, memory_order_relaxed);
    for (uint32_t place = 0; place < turn->letters; place++) {
        if (!gather_letter(self, PySequence_Fast_GET_ITEM(inbox, place), &letters[(*letter)++])) {
            return false;
        }
    }
    return !PyErr_Occurred();
}
