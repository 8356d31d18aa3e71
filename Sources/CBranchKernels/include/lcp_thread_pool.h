/* Threads that compute parts of an operation together.

   The caller never waits for a thread that has not begun: it computes by itself what nobody has taken. A thread that the system
   is slow to wake, or that another process keeps from its core, costs its help, and no time. Between two operations of a run
   the threads stay awake for some microseconds; after the last they sleep. */
#ifndef LCP_THREAD_POOL_H
#define LCP_THREAD_POOL_H

#include <stddef.h>

#define LCP_POOL_MAXIMUM_THREADS 64

struct lcp_pool;

/* `threads` is 1 to LCP_POOL_MAXIMUM_THREADS, the caller's among them. NULL where the system has no more threads or memory. All
   signals are blocked on them. */
struct lcp_pool *lcp_pool_create(size_t threads);
/* Nobody may be in the pool. */
void lcp_pool_destroy(struct lcp_pool *pool);

/* Around a run of operations: runs at the same time share the threads among them. */
void lcp_pool_begin(struct lcp_pool *pool);
void lcp_pool_end(struct lcp_pool *pool);

/* Calls `function` once for every part, and returns when all calls have returned. `thread` is below the number of threads, and
   no two calls at the same time have the same. `rests` lets the threads sleep afterwards. Only between begin and end; where
   another run has the threads, all is computed by the caller. */
void lcp_pool_run(struct lcp_pool *pool, size_t parts, int rests, void (*function)(void *context, size_t part, size_t thread),
                  void *context);

#endif
