/* Whole ticks: run, and settled here if they are plain. */
#include "binding.h"

static bool read_name(PyObject *name, tw_receiver *receiver, enum tw_aim aim)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(name, &size);
    receiver->id = (const uint8_t *)bytes;
    receiver->id_size = (uint32_t)size;
    receiver->aim = aim;
    return bytes != NULL;
}

/* Reads (id, live, every_tick, room, room_bytes). */
static bool read_agent(PyObject *agent, tw_receiver *receiver)
{
    PyObject *id;
    int live, every_tick;
    unsigned long long room, room_bytes;
    if (!PyArg_ParseTuple(agent, "UppKK", &id, &live, &every_tick, &room, &room_bytes)) {
        return false;
    }
    receiver->live = (uint32_t)live;
    receiver->every_tick = (uint32_t)every_tick;
    receiver->room = room;
    receiver->room_bytes = room_bytes;
    return read_name(id, receiver, TW_AGENTS);
}

/* Reads (topic, subscribers), the indexes as four bytes each. */
static bool read_topic(PyObject *topic, tw_receiver *receiver, Py_ssize_t agents)
{
    PyObject *name, *subscribers;
    if (!PyArg_ParseTuple(topic, "US", &name, &subscribers)) {
        return false;
    }
    receiver->subscribers = (const uint32_t *)(const void *)PyBytes_AS_STRING(subscribers);
    receiver->subscribers_count = (uint32_t)((size_t)PyBytes_GET_SIZE(subscribers) / sizeof(uint32_t));
    for (uint32_t place = 0; place < receiver->subscribers_count; place++) {
        if (receiver->subscribers[place] >= agents) {
            PyErr_SetString(PyExc_ValueError, "a subscriber is no agent");
            return false;
        }
    }
    return read_name(name, receiver, TW_TOPICS);
}

static bool read_aims(tw_receiver *aims, PyObject *agents, PyObject *outputs, PyObject *topics)
{
    bool fine = true;
    for (Py_ssize_t place = 0; fine && place < PyTuple_GET_SIZE(agents); place++) {
        fine = read_agent(PyTuple_GET_ITEM(agents, place), aims++);
    }
    for (Py_ssize_t place = 0; fine && place < PyTuple_GET_SIZE(outputs); place++) {
        fine = read_name(PyTuple_GET_ITEM(outputs, place), aims++, TW_OUTPUTS);
    }
    for (Py_ssize_t place = 0; fine && place < PyTuple_GET_SIZE(topics); place++) {
        fine = read_topic(PyTuple_GET_ITEM(topics, place), aims++, PyTuple_GET_SIZE(agents));
    }
    return fine;
}

PyObject *tw_kernel_know(tw_kernel *self, PyObject *args)
{
    PyObject *agents, *outputs, *topics;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyTuple_Type, &agents, &PyTuple_Type, &outputs, &PyTuple_Type,
                          &topics) ||
        !tw_is_free(self)) {
        return NULL;
    }
    Py_ssize_t count = PyTuple_GET_SIZE(agents) + PyTuple_GET_SIZE(outputs) + PyTuple_GET_SIZE(topics);
    tw_receiver *aims = PyMem_Calloc((size_t)count + 1, sizeof *aims);
    bool fine = aims != NULL && count < TW_NO_AGENT && read_aims(aims, agents, outputs, topics) &&
                tw_routes_set(tw_workers_routes(self->workers), aims, (uint32_t)count);
    PyMem_Free(aims);
    if (!fine) {
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyObject *tw_kernel_held(tw_kernel *self, PyObject *nothing)
{
    (void)nothing;
    const tw_turn *turns;
    int64_t count = self->workers == NULL ? -1 : tw_wave_held(self->workers, &turns);
    if (count < 0) {
        Py_RETURN_NONE;
    }
    PyObject *agents = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(count * 4));
    if (agents != NULL) {
        uint32_t *to = (uint32_t *)(void *)PyBytes_AS_STRING(agents);
        for (int64_t place = 0; place < count; place++) {
            to[place] = turns[place].agent;
        }
    }
    return agents;
}

/* Begins the wave of a plan's turns: 1, or 0 if the kernel does not run all of them; -1 with an exception. */
static int begin_planned(tw_kernel *self, PyObject *turns, uint64_t tick, uint64_t now_ns, uint32_t *count)
{
    Py_ssize_t total = PyTuple_GET_SIZE(turns);
    uint64_t letters = 0;
    for (Py_ssize_t place = 0; place < total; place++) {
        int is_ours = tw_is_ours(self, PyTuple_GET_ITEM(turns, place), &letters);
        if (is_ours <= 0) {
            return is_ours;
        }
    }
    *count = (uint32_t)total;
    if (!tw_wave_begin(self->workers, *count, letters, tick, now_ns, true)) {
        PyErr_NoMemory();
        return -1;
    }
    return 1;
}

/* The same for the turns that are held, with their seeds: one for each turn, or one for each agent. */
static int begin_held(tw_kernel *self, PyObject *seeds, uint64_t tick, uint64_t now_ns, uint32_t *count)
{
    const tw_turn *held;
    int64_t total = tw_wave_held(self->workers, &held);
    const uint64_t *seed = (const uint64_t *)(const void *)PyBytes_AS_STRING(seeds);
    size_t seeds_count = (size_t)PyBytes_GET_SIZE(seeds) / sizeof *seed;
    if (total < 0) {
        PyErr_SetString(PyExc_RuntimeError, "no turns are held");
        return -1;
    }
    for (int64_t place = 0; place < total; place++) {
        if (tw_workers_find(self->workers, held[place].agent) == NULL) {
            return 0;
        }
        if (seeds_count != (size_t)total && seeds_count <= held[place].agent) {
            PyErr_SetString(PyExc_ValueError, "a seed is missing");
            return -1;
        }
    }
    *count = (uint32_t)total;
    if (!tw_wave_begin_held(self->workers, tick, now_ns)) {
        PyErr_NoMemory();
        return -1;
    }
    for (uint32_t place = 0; place < *count; place++) {
        tw_turn *turn = tw_wave_turn(self->workers, place);
        memcpy(&turn->seed, &seed[seeds_count == *count ? place : turn->agent], sizeof turn->seed);
    }
    return 1;
}

static bool await_all(tw_kernel *self, uint32_t count)
{
    for (uint32_t place = 0; place < count; place++) {
        if (!tw_await(self, tw_wave_turn(self->workers, place), place)) {
            return false;
        }
    }
    return true;
}

/* Runs a wave whose turns are complete, in one go without the lock, which somebody else may be waiting for. */
static bool run_complete(tw_kernel *self, uint32_t count)
{
    uint32_t stuck = 0;
    enum tw_waited waited;
    Py_BEGIN_ALLOW_THREADS
    tw_wave_publish(self->workers, count);
    if (tw_wave_takes_part(self->workers)) {
        tw_wave_take_part(self->workers);
    }
    waited = tw_wave_finish(self->workers, &stuck);
    Py_END_ALLOW_THREADS
    if (waited == TW_DONE) {
        return true;
    }
    bool fine = await_all(self, count); /* a signal's handler may be due, or a worker is stuck */
    tw_end_wave(self, fine, Py_None);
    return fine;
}

static bool run_gathered(tw_kernel *self, PyObject *turns, uint32_t count)
{
    bool fine = tw_gather_all(self, turns, NULL, count) && await_all(self, count);
    tw_end_wave(self, fine, turns);
    return fine;
}

static int judge(void *context, uint32_t sender, uint32_t aim)
{
    PyObject *said = PyObject_CallFunction(context, "II", sender, aim);
    int fine = said == NULL ? -1 : PyObject_IsTrue(said);
    Py_XDECREF(said);
    return fine;
}

static PyObject *outcomes_of(tw_kernel *self, uint32_t count, PyObject *failed)
{
    PyObject *outcomes = PyList_New(count);
    for (uint32_t place = 0; outcomes != NULL && place < count; place++) {
        PyObject *made = tw_outcome_of(self, tw_wave_turn(self->workers, place), failed);
        if (made == NULL) {
            Py_CLEAR(outcomes);
            break;
        }
        PyList_SET_ITEM(outcomes, place, made);
    }
    return outcomes;
}

/* The outputs of a plain tick: (agent, place of the effect, effect). */
static PyObject *asides_of(tw_kernel *self, uint32_t count)
{
    PyObject *asides = PyList_New(0);
    if (tw_workers_routes(self->workers)->asides == 0) {
        return asides;
    }
    for (uint32_t place = 0; asides != NULL && place < count; place++) {
        const tw_turn *turn = tw_wave_turn(self->workers, place);
        const uint8_t *at = turn->effects;
        for (uint32_t number = 0; asides != NULL && number < turn->count; number++, at = tw_effect_after(at)) {
            if (((const tw_effect *)at)->tag != TW_OUTPUT) {
                continue;
            }
            PyObject *effect = tw_effect_of(self, (const tw_effect *)at);
            PyObject *aside = effect == NULL ? NULL : Py_BuildValue("IIN", turn->agent, number, effect);
            if (aside == NULL || PyList_Append(asides, aside) != 0) {
                Py_CLEAR(asides);
            }
            Py_XDECREF(aside);
        }
    }
    return asides;
}

/* (entry, fuel, letters read, letters sent, outputs) */
static PyObject *record_of(tw_kernel *self, uint32_t count, uint64_t tick)
{
    tw_turn *turns = tw_wave_turn(self->workers, 0);
    PyObject *entry = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)tw_entry_size(turns, count, tick));
    PyObject *fuel = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)tw_fuel_size(turns, count));
    PyObject *asides = asides_of(self, count);
    if (entry == NULL || fuel == NULL || asides == NULL) {
        tw_routes_empty(tw_workers_routes(self->workers));
        Py_XDECREF(entry);
        Py_XDECREF(fuel);
        Py_XDECREF(asides);
        return NULL;
    }
    tw_entry_write(turns, count, tick, (uint8_t *)PyBytes_AS_STRING(entry));
    tw_fuel_write(turns, count, (uint8_t *)PyBytes_AS_STRING(fuel));
    unsigned long long read = 0;
    for (uint32_t place = 0; place < count; place++) {
        read += turns[place].letters;
    }
    unsigned long long sent = tw_wave_deliver(self->workers);
    return Py_BuildValue("NNKKN", entry, fuel, read, sent, asides);
}

PyObject *tw_kernel_run_plain(tw_kernel *self, PyObject *args)
{
    PyObject *turns, *seeds, *judging, *failed;
    unsigned long long tick, now_ns;
    if (!PyArg_ParseTuple(args, "OKKOOO", &turns, &tick, &now_ns, &seeds, &judging, &failed) ||
        !tw_is_free(self)) {
        return NULL;
    }
    if (turns == Py_None ? !PyBytes_Check(seeds) : !PyTuple_Check(turns)) {
        PyErr_SetString(PyExc_TypeError, "the turns of a plan, or the seeds of those held, are wanted");
        return NULL;
    }
    uint32_t count = 0;
    int begun = turns == Py_None ? begin_held(self, seeds, tick, now_ns, &count)
                                 : begin_planned(self, turns, tick, now_ns, &count);
    if (begun <= 0) {
        return begun < 0 ? NULL : Py_NewRef(Py_None);
    }
    self->printed = false;
    self->running = true;
    bool fine = turns == Py_None ? run_complete(self, count) : run_gathered(self, turns, count);
    self->running = false;
    if (!fine) {
        return NULL;
    }
    int plain = self->printed ? 0 : tw_wave_settle(self->workers, judge, judging);
    if (plain < 0) {
        return NULL;
    }
    return plain ? record_of(self, count, tick) : outcomes_of(self, count, failed);
}
