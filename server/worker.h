/* Threads for what blocks or burns: libpq connecting, cancelling and finishing, looking at big SQL
 * texts. Results come back to the loop thread through an eventfd. */
#ifndef SERVER_WORKER_H
#define SERVER_WORKER_H

struct worker_pool;

/* A piece of work; embed it first in a struct of your own. */
struct worker_job {
    void (*run)(struct worker_job *job);  /* on a worker */
    void (*done)(struct worker_job *job); /* on the loop thread, always, unless the pool is freed */
    struct worker_job *next;              /* the pool's */
};

/* `threads` workers with stacks of `stack_size` bytes (address space, committed on use). NULL when
 * the system refuses. */
struct worker_pool *worker_pool_new(unsigned threads, unsigned long stack_size);
/* Readable when jobs are done; the loop then calls worker_pool_collect(). */
int worker_pool_fd(const struct worker_pool *pool);
void worker_pool_collect(struct worker_pool *pool);
/* Takes `job` until its done(); never fails: the number of jobs is bounded by what submits them. */
void worker_pool_submit(struct worker_pool *pool, struct worker_job *job);
/* Lets running jobs end, drops waiting ones after calling their done(), joins all threads. */
void worker_pool_free(struct worker_pool *pool);

#endif
