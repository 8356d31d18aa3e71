// Threads that spin for a moment and then sleep: between two layers there are microseconds, between two epochs seconds.
#include "lcp_kernels.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct lcp_team {
    int32_t threads;
    void (*work)(void *, int32_t);
    void *context;
    _Atomic uint32_t round;
    _Atomic int32_t running;
    _Atomic uint32_t barrier_round;
    _Atomic int32_t barrier_waiting;
    _Atomic int32_t sleeping;
    bool ends;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pthread_t *handles;
};

typedef struct {
    lcp_team *team;
    int32_t number;
} member;

enum { SPINS = 4000 };

static void pause_briefly(int spin) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
    // A machine with other work needs the processor now and then.
    if (spin % 512 == 511) sched_yield();
}

static void *live(void *argument) {
    const member self = *(member *)argument;
    lcp_team *team = self.team;
    free(argument);
    uint32_t seen = 0;
    for (;;) {
        int spin = 0;
        while (atomic_load_explicit(&team->round, memory_order_acquire) == seen && spin < SPINS) pause_briefly(spin++);
        if (atomic_load_explicit(&team->round, memory_order_acquire) == seen) {
            pthread_mutex_lock(&team->mutex);
            atomic_fetch_add(&team->sleeping, 1);
            while (atomic_load(&team->round) == seen) pthread_cond_wait(&team->wake, &team->mutex);
            atomic_fetch_sub(&team->sleeping, 1);
            pthread_mutex_unlock(&team->mutex);
        }
        seen++;
        if (team->ends) return NULL;
        team->work(team->context, self.number);
        atomic_fetch_sub_explicit(&team->running, 1, memory_order_release);
    }
}

lcp_team *lcp_team_create(int32_t threads) {
    lcp_team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    team->threads = 1;
    team->handles = calloc((size_t)(threads > 1 ? threads : 1), sizeof *team->handles);
    for (int32_t number = 1; team->handles && number < threads; number++) {
        member *argument = malloc(sizeof *argument);
        if (!argument) break;
        *argument = (member){team, number};
        if (pthread_create(&team->handles[number], NULL, live, argument) != 0) {
            free(argument);
            break;
        }
        team->threads++;
    }
    if (team->threads == threads) return team;
    lcp_team_destroy(team);
    return NULL;
}

static void start(lcp_team *team) {
    // The round changes under the mutex, so that nobody falls asleep on the old one; who spins sees it all the same.
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->round, 1);
    if (atomic_load(&team->sleeping) > 0) pthread_cond_broadcast(&team->wake);
    pthread_mutex_unlock(&team->mutex);
}

void lcp_team_run(lcp_team *team, void (*work)(void *, int32_t), void *context) {
    team->work = work;
    team->context = context;
    atomic_store(&team->running, team->threads - 1);
    if (team->threads > 1) start(team);
    work(context, 0);
    for (int spin = 0; atomic_load_explicit(&team->running, memory_order_acquire) > 0; spin++) pause_briefly(spin);
}

void lcp_team_barrier(lcp_team *team) {
    if (team->threads == 1) return;
    const uint32_t round = atomic_load_explicit(&team->barrier_round, memory_order_acquire);
    if (atomic_fetch_add_explicit(&team->barrier_waiting, 1, memory_order_acq_rel) == team->threads - 1) {
        atomic_store_explicit(&team->barrier_waiting, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&team->barrier_round, 1, memory_order_release);
        return;
    }
    for (int spin = 0; atomic_load_explicit(&team->barrier_round, memory_order_acquire) == round; spin++) pause_briefly(spin);
}

void lcp_team_destroy(lcp_team *team) {
    if (!team) return;
    team->ends = true;
    if (team->threads > 1) start(team);
    for (int32_t number = 1; number < team->threads; number++) pthread_join(team->handles[number], NULL);
    pthread_mutex_destroy(&team->mutex);
    pthread_cond_destroy(&team->wake);
    free(team->handles);
    free(team);
}
