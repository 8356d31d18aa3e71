#define _GNU_SOURCE
#include "lcp_thread_pool.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* So long a thread stays awake for the next operation, and the caller for the last part. */
#define SPIN_NANOSECONDS 50000

/* The gate in front of an operation: threads enter while it is open, and only so many. */
#define GATE_OPEN (1u << 31)
#define GATE_CALLER_SLEEPS (1u << 30)
#define GATE_LIMIT_SHIFT 8
#define GATE_COUNT 0xffu

/* Parts that a thread takes first; the others take what is left of them. On a cache line of its own. */
struct range {
    _Alignas(64) atomic_size_t next;
    size_t end;
};

struct helper {
    struct lcp_pool *pool;
    size_t index;
    pthread_t thread;
    atomic_int identifier;
    /* The core that it must not run on: the caller's, which would let it wait there beside an idle one. */
    int avoided;
};

struct lcp_pool {
    size_t threads;
    cpu_set_t cores;
    atomic_int callers;
    atomic_flag is_taken;
    atomic_int stops;
    /* Counts operations; threads without work sleep on it. */
    _Alignas(64) atomic_uint generation;
    atomic_int sleepers;
    _Alignas(64) atomic_uint gate;
    /* The operation, while the gate is open or somebody is behind it. */
    void (*function)(void *, size_t, size_t);
    void *context;
    atomic_int rests;
    struct range ranges[LCP_POOL_MAXIMUM_THREADS];
    struct helper helpers[LCP_POOL_MAXIMUM_THREADS];
};

static void sleep_while(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void wake(atomic_uint *word, int count) {
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Waits for a word to change, awake: for so long, and no longer. Returns what it is then. */
static unsigned spin_while(atomic_uint *word, unsigned value, int (*is_waited_for)(unsigned current, unsigned value)) {
    unsigned current = atomic_load_explicit(word, memory_order_acquire);
    int64_t end = 0;
    for (unsigned turn = 0; !is_waited_for(current, value); turn++) {
        if (turn % 32 == 31) {
            if (end == 0) end = now() + SPIN_NANOSECONDS;
            if (now() > end) break;
        }
        relax();
        current = atomic_load_explicit(word, memory_order_acquire);
    }
    return current;
}

static int is_other(unsigned current, unsigned value) { return current != value; }
static int is_deserted(unsigned current, unsigned value) { return (current & GATE_COUNT) == value; }

/* MARK: The work */

/* Computes parts until none is left: those of this thread, then those of the next ones. */
static void work(struct lcp_pool *pool, size_t thread) {
    for (size_t step = 0; step < pool->threads; step++) {
        struct range *range = &pool->ranges[(thread + step) % pool->threads];
        for (;;) {
            if (atomic_load_explicit(&range->next, memory_order_relaxed) >= range->end) break;
            size_t part = atomic_fetch_add_explicit(&range->next, 1, memory_order_relaxed);
            if (part >= range->end) break;
            pool->function(pool->context, part, thread);
        }
    }
}

static int enter(struct lcp_pool *pool) {
    unsigned gate = atomic_load_explicit(&pool->gate, memory_order_relaxed);
    do {
        if (!(gate & GATE_OPEN) || (gate & GATE_COUNT) >= (gate >> GATE_LIMIT_SHIFT & GATE_COUNT)) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&pool->gate, &gate, gate + 1, memory_order_acquire, memory_order_relaxed));
    return 1;
}

static void leave(struct lcp_pool *pool) {
    unsigned before = atomic_fetch_sub_explicit(&pool->gate, 1, memory_order_release);
    if ((before & GATE_CALLER_SLEEPS) && (before & GATE_COUNT) == 1) wake(&pool->gate, 1);
}

static void *help(void *argument) {
    struct helper *helper = argument;
    struct lcp_pool *pool = helper->pool;
    atomic_store(&helper->identifier, (int)syscall(SYS_gettid));
    unsigned seen = 0;
    for (;;) {
        unsigned generation = atomic_load(&pool->generation);
        if (generation == seen && !atomic_load_explicit(&pool->rests, memory_order_relaxed)) {
            generation = spin_while(&pool->generation, seen, is_other);
        }
        while (generation == seen) {
            atomic_fetch_add(&pool->sleepers, 1);
            sleep_while(&pool->generation, seen);
            atomic_fetch_sub(&pool->sleepers, 1);
            generation = atomic_load(&pool->generation);
        }
        seen = generation;
        if (atomic_load(&pool->stops)) return NULL;
        if (!enter(pool)) continue;
        work(pool, helper->index);
        leave(pool);
    }
}

/* MARK: The caller */

/* A sleeping thread that the system would wake on the caller's core waits there until the caller is done. */
static void keep_off(struct lcp_pool *pool, int core) {
    if (core < 0 || !CPU_ISSET(core, &pool->cores) || CPU_COUNT(&pool->cores) < 2) return;
    for (size_t index = 1; index < pool->threads; index++) {
        struct helper *helper = &pool->helpers[index];
        int identifier = atomic_load_explicit(&helper->identifier, memory_order_relaxed);
        if (helper->avoided == core || identifier == 0) continue;
        cpu_set_t others = pool->cores;
        CPU_CLR(core, &others);
        /* Where it may not be set, the thread runs where the system likes. */
        sched_setaffinity(identifier, sizeof others, &others);
        helper->avoided = core;
    }
}

void lcp_pool_begin(struct lcp_pool *pool) { atomic_fetch_add(&pool->callers, 1); }

void lcp_pool_end(struct lcp_pool *pool) { atomic_fetch_sub(&pool->callers, 1); }

void lcp_pool_run(struct lcp_pool *pool, size_t parts, int rests, void (*function)(void *, size_t, size_t), void *context) {
    int callers = atomic_load_explicit(&pool->callers, memory_order_relaxed);
    size_t limit = pool->threads > (size_t)callers ? pool->threads - (size_t)callers : 0;
    if (limit > parts - 1) limit = parts - 1;
    if (parts < 2 || limit == 0 || atomic_flag_test_and_set_explicit(&pool->is_taken, memory_order_acquire)) {
        for (size_t part = 0; part < parts; part++) function(context, part, 0);
        return;
    }
    pool->function = function;
    pool->context = context;
    for (size_t thread = 0; thread < pool->threads; thread++) {
        atomic_store_explicit(&pool->ranges[thread].next, thread * parts / pool->threads, memory_order_relaxed);
        pool->ranges[thread].end = (thread + 1) * parts / pool->threads;
    }
    atomic_store_explicit(&pool->rests, rests, memory_order_relaxed);
    atomic_store_explicit(&pool->gate, GATE_OPEN | (unsigned)limit << GATE_LIMIT_SHIFT, memory_order_release);
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        keep_off(pool, sched_getcpu());
        wake(&pool->generation, (int)limit);
    }
    work(pool, 0);
    /* Who has entered computes its last part; nobody else comes in. */
    atomic_fetch_and_explicit(&pool->gate, ~GATE_OPEN, memory_order_acquire);
    unsigned gate = spin_while(&pool->gate, 0, is_deserted);
    if ((gate & GATE_COUNT) != 0) {
        gate = atomic_fetch_or(&pool->gate, GATE_CALLER_SLEEPS) | GATE_CALLER_SLEEPS;
        while ((gate & GATE_COUNT) != 0) {
            sleep_while(&pool->gate, gate);
            gate = atomic_load_explicit(&pool->gate, memory_order_acquire);
        }
    }
    atomic_flag_clear_explicit(&pool->is_taken, memory_order_release);
}

/* MARK: Its life */

struct lcp_pool *lcp_pool_create(size_t threads) {
    size_t size = (sizeof(struct lcp_pool) + 63) / 64 * 64;
    struct lcp_pool *pool = aligned_alloc(64, size);
    if (pool == NULL) return NULL;
    *pool = (struct lcp_pool){.threads = 1, .is_taken = ATOMIC_FLAG_INIT, .rests = 1};
    if (sched_getaffinity(0, sizeof pool->cores, &pool->cores) != 0) CPU_ZERO(&pool->cores);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = 0;
    for (size_t index = 1; index < threads && failure == 0; index++) {
        struct helper *helper = &pool->helpers[index];
        *helper = (struct helper){.pool = pool, .index = index, .avoided = -1};
        failure = pthread_create(&helper->thread, NULL, help, helper);
        if (failure == 0) {
            pthread_setname_np(helper->thread, "compute");
            pool->threads++;
        }
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure == 0) return pool;
    lcp_pool_destroy(pool);
    return NULL;
}

void lcp_pool_destroy(struct lcp_pool *pool) {
    atomic_store(&pool->stops, 1);
    atomic_fetch_add(&pool->generation, 1);
    wake(&pool->generation, INT_MAX);
    for (size_t index = 1; index < pool->threads; index++) pthread_join(pool->helpers[index].thread, NULL);
    free(pool);
}
