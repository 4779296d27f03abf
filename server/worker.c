/* Threads for what blocks: one queue in, one list out, an eventfd to say so. */
#include "server/worker.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/memory.h"

struct queue {
    struct worker_job *first;
    struct worker_job **end;
};

struct worker_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct queue waiting;
    struct queue finished;
    bool stopping;
    int event_fd;
    unsigned threads;
    pthread_t thread[];
};

static void queue_init(struct queue *queue)
{
    queue->first = NULL;
    queue->end = &queue->first;
}

static void queue_put(struct queue *queue, struct worker_job *job)
{
    job->next = NULL;
    *queue->end = job;
    queue->end = &job->next;
}

static struct worker_job *queue_take(struct queue *queue)
{
    struct worker_job *job = queue->first;

    if (job != NULL) {
        queue->first = job->next;
        if (queue->first == NULL)
            queue->end = &queue->first;
    }
    return job;
}

static void finish_job(struct worker_pool *pool, struct worker_job *job)
{
    static const uint64_t one = 1;

    (void)pthread_mutex_lock(&pool->lock);
    queue_put(&pool->finished, job);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)!write(pool->event_fd, &one, sizeof(one));
}

static void *work(void *argument)
{
    struct worker_pool *pool = argument;

    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        struct worker_job *job;

        while (!pool->stopping && pool->waiting.first == NULL)
            (void)pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->stopping)
            break;
        job = queue_take(&pool->waiting);
        (void)pthread_mutex_unlock(&pool->lock);
        job->run(job);
        finish_job(pool, job);
        (void)pthread_mutex_lock(&pool->lock);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

static bool start_threads(struct worker_pool *pool, unsigned threads, unsigned long stack_size)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    /* Signals belong to the loop thread. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_attr_setstacksize(&attributes, stack_size) == 0)
        while (pool->threads < threads &&
               pthread_create(&pool->thread[pool->threads], &attributes, work, pool) == 0)
            pool->threads++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return pool->threads == threads;
}

struct worker_pool *worker_pool_new(unsigned threads, unsigned long stack_size)
{
    struct worker_pool *pool = mem_new(sizeof(*pool) + threads * sizeof(pool->thread[0]));

    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->work, NULL);
    queue_init(&pool->waiting);
    queue_init(&pool->finished);
    pool->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (pool->event_fd >= 0 && start_threads(pool, threads, stack_size))
        return pool;
    worker_pool_free(pool);
    return NULL;
}

int worker_pool_fd(const struct worker_pool *pool)
{
    return pool->event_fd;
}

static void give_back(struct worker_job *job)
{
    while (job != NULL) {
        struct worker_job *next = job->next;

        job->done(job);
        job = next;
    }
}

void worker_pool_collect(struct worker_pool *pool)
{
    struct worker_job *finished;
    uint64_t count;

    (void)!read(pool->event_fd, &count, sizeof(count));
    (void)pthread_mutex_lock(&pool->lock);
    finished = pool->finished.first;
    queue_init(&pool->finished);
    (void)pthread_mutex_unlock(&pool->lock);
    give_back(finished);
}

void worker_pool_submit(struct worker_pool *pool, struct worker_job *job)
{
    (void)pthread_mutex_lock(&pool->lock);
    queue_put(&pool->waiting, job);
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_cond_signal(&pool->work);
}

void worker_pool_free(struct worker_pool *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    (void)pthread_mutex_unlock(&pool->lock);
    (void)pthread_cond_broadcast(&pool->work);
    for (unsigned i = 0; i < pool->threads; i++)
        (void)pthread_join(pool->thread[i], NULL);
    /* A done() may submit once more (closing what was being opened): until nothing is left. */
    while (pool->finished.first != NULL || pool->waiting.first != NULL) {
        struct worker_job *finished = pool->finished.first, *waiting = pool->waiting.first;

        queue_init(&pool->finished);
        queue_init(&pool->waiting);
        give_back(finished);
        give_back(waiting);
    }
    if (pool->event_fd >= 0)
        close(pool->event_fd);
    (void)pthread_cond_destroy(&pool->work);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}
