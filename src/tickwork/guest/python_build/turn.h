/* What the parts of a turn share: the records of wit/tickwork-agent.wit as they lie in memory. */
#ifndef TICKWORK_TURN_H
#define TICKWORK_TURN_H

#include "cpython.h"

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

/* variant effect: a discriminant, and the fields of the case at the offsets that `FIELDS` has. */
#define EFFECT_BYTES 48

typedef union effect {
    uint8_t byte[EFFECT_BYTES];
    uint32_t word[EFFECT_BYTES / 4];
    uint64_t number[EFFECT_BYTES / 8];
    double real[EFFECT_BYTES / 8];
} effect;

#define EFFECTS 10

/* inbox.c: what reaches the agent. Both return NULL with an exception. */
PyObject *inbox_of(const message *first, size_t count);
PyObject *now_of(uint64_t tick, uint64_t now_ns, uint64_t seed, uint64_t fuel);
/* Takes the classes into use, which must live as long as the guest. */
void inbox_begin(PyObject *tuple, PyObject *message, PyObject *now);

/* effects.c: what it asks for. Returns 0 if the object is no effect, or one that does not hold what it should:
 * perhaps with an exception. Strings and bytes stay where they are, in what the effect refers to. */
int put_effect(effect *to, PyObject *from);
/* Takes the classes into use: a tuple by the order of the cases. Returns 0 with an exception. */
int effects_begin(PyObject *classes);

#endif
