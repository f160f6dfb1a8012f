#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "wait.h"

#include <stdlib.h>

/* The engine lets a guest have 2 MiB of it (guest/engine.py), and more is the engine's own. */
#define STACK_BYTES ((size_t)8 << 20)
#define SECOND_NS UINT64_C(1000000000)

void tw_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
    __asm__ volatile("yield");
#endif
}

typedef struct start {
    void (*run)(void *);
    void *argument;
} start;

static start *start_of(void (*run)(void *), void *argument)
{
    start *begun = malloc(sizeof *begun);
    if (begun != NULL) {
        *begun = (start){run, argument};
    }
    return begun;
}

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

static DWORD WINAPI enter(void *given)
{
    start begun = *(start *)given;
    free(given);
    begun.run(begun.argument);
    return 0;
}

bool tw_thread_start(tw_thread *thread, void (*run)(void *), void *argument)
{
    start *begun = start_of(run, argument);
    *thread = begun == NULL ? NULL
                            : CreateThread(NULL, STACK_BYTES, enter, begun, STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    if (*thread == NULL) {
        free(begun);
    }
    return *thread != NULL;
}

void tw_thread_join(tw_thread thread)
{
    WaitForSingleObject(thread, INFINITE);
    CloseHandle(thread);
}

uint64_t tw_clock_ns(void)
{
    LARGE_INTEGER count, rate;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&rate);
    return (uint64_t)((double)count.QuadPart / (double)rate.QuadPart * (double)SECOND_NS);
}

void tw_yield(void)
{
    SwitchToThread();
}
#else
#include <sched.h>
#include <signal.h>
#include <time.h>

static void *enter(void *given)
{
    start begun = *(start *)given;
    free(given);
    begun.run(begun.argument);
    return NULL;
}

bool tw_thread_start(tw_thread *thread, void (*run)(void *), void *argument)
{
    start *begun = start_of(run, argument);
    if (begun == NULL) {
        return false;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    /* All but those by which the engine learns of a guest's trap: handlers are for the thread of the run. */
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int traps[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    for (size_t place = 0; place < sizeof traps / sizeof *traps; place++) {
        sigdelset(&blocked, traps[place]);
    }
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = pthread_create(thread, &attributes, enter, begun);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed) {
        free(begun);
    }
    return !failed;
}

void tw_thread_join(tw_thread thread)
{
    pthread_join(thread, NULL);
}

uint64_t tw_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

void tw_yield(void)
{
    sched_yield();
}
#endif

#if defined(TW_WAIT_FUTEX)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

bool tw_word_init(tw_word *word)
{
    atomic_init(&word->value, 0);
    return true;
}

void tw_word_free(tw_word *word)
{
    (void)word;
}

void tw_wait(tw_word *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec limit = {(time_t)(timeout_ns / SECOND_NS), (long)(timeout_ns % SECOND_NS)};
    syscall(SYS_futex, &word->value, FUTEX_WAIT_PRIVATE, seen, timeout_ns == TW_FOREVER ? NULL : &limit, NULL,
            0);
}

void tw_wake(tw_word *word)
{
    syscall(SYS_futex, &word->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}
#elif defined(TW_WAIT_ADDRESS)
#pragma comment(lib, "synchronization.lib")

bool tw_word_init(tw_word *word)
{
    atomic_init(&word->value, 0);
    return true;
}

void tw_word_free(tw_word *word)
{
    (void)word;
}

void tw_wait(tw_word *word, uint32_t seen, uint64_t timeout_ns)
{
    DWORD limit = timeout_ns == TW_FOREVER ? INFINITE : (DWORD)(timeout_ns / 1000000 + 1);
    WaitOnAddress((volatile void *)&word->value, &seen, sizeof seen, limit);
}

void tw_wake(tw_word *word)
{
    WakeByAddressAll((void *)&word->value);
}
#else
bool tw_word_init(tw_word *word)
{
    atomic_init(&word->value, 0);
    return pthread_mutex_init(&word->lock, NULL) == 0 && pthread_cond_init(&word->changed, NULL) == 0;
}

void tw_word_free(tw_word *word)
{
    pthread_cond_destroy(&word->changed);
    pthread_mutex_destroy(&word->lock);
}

void tw_wait(tw_word *word, uint32_t seen, uint64_t timeout_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    if (timeout_ns != TW_FOREVER) {
        uint64_t ns = (uint64_t)until.tv_nsec + timeout_ns % SECOND_NS;
        until.tv_sec += (time_t)(timeout_ns / SECOND_NS + ns / SECOND_NS);
        until.tv_nsec = (long)(ns % SECOND_NS);
    }
    pthread_mutex_lock(&word->lock);
    /* Under the lock the value cannot change and its waker pass by between this look and the sleep. */
    if (atomic_load(&word->value) == seen) {
        if (timeout_ns == TW_FOREVER) {
            pthread_cond_wait(&word->changed, &word->lock);
        } else {
            pthread_cond_timedwait(&word->changed, &word->lock, &until);
        }
    }
    pthread_mutex_unlock(&word->lock);
}

void tw_wake(tw_word *word)
{
    pthread_mutex_lock(&word->lock);
    pthread_cond_broadcast(&word->changed);
    pthread_mutex_unlock(&word->lock);
}
#endif
