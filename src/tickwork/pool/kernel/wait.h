/* Threads, and waiting for a word to change: Linux's futex, Windows' WaitOnAddress, elsewhere a condition
 * variable. Only the futex path is exercised on every test run; `make sanitize` runs the last one too. */
#ifndef TICKWORK_WAIT_H
#define TICKWORK_WAIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__linux__) && !defined(TW_WAIT_CONDVAR)
#define TW_WAIT_FUTEX
#elif defined(_WIN32)
#define TW_WAIT_ADDRESS
#elif !defined(TW_WAIT_CONDVAR)
#define TW_WAIT_CONDVAR
#endif

#ifdef _WIN32
typedef void *tw_thread;
#else
#include <pthread.h>
typedef pthread_t tw_thread;
#endif

typedef struct tw_word {
    _Atomic uint32_t value;
#ifdef TW_WAIT_CONDVAR
    pthread_mutex_t lock;
    pthread_cond_t changed;
#endif
} tw_word;

#define TW_FOREVER UINT64_MAX

/* Returns false if the host has no means left. */
bool tw_word_init(tw_word *word);
void tw_word_free(tw_word *word);

/* Sleeps while the value is `seen`, at most `timeout_ns`. May return early. */
void tw_wait(tw_word *word, uint32_t seen, uint64_t timeout_ns);
/* Call after the value was changed. */
void tw_wake(tw_word *word);

/* Starts a thread on which no signal handler of the process runs, with a stack for the deepest guest. */
bool tw_thread_start(tw_thread *thread, void (*run)(void *), void *argument);
void tw_thread_join(tw_thread thread);

/* Of the host's steady clock. Never part of a result: it only decides how long to spin and how to share. */
uint64_t tw_clock_ns(void);
/* One step of a spin. */
void tw_relax(void);
/* Lets another thread have the processor. */
void tw_yield(void);

#endif
