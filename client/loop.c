/* Event loop over epoll, signalfd and a heap of timers. */
#include "client/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"

#define EVENTS_A_TURN 64

struct loop {
    int epoll;
    bool stopped;
    int64_t now;
    int64_t elapsed;
    struct epoll_event events[EVENTS_A_TURN];
    int event_count; /* of this turn */
    int event_next;  /* the first one not delivered yet */
    struct loop_timer **heap;
    size_t heap_len;
    size_t heap_allocated;
    struct loop_task *tasks;   /* for the end of this turn, in no particular order */
    struct loop_task *running; /* those of this turn that are still to be run */
    struct loop_watch signals;
    loop_signal *on_signal;
    loop_each_signal *on_each_signal;
    void *signal_owner;
    sigset_t found_mask; /* what the program began with */
    struct sigaction found_pipe;
};

static int64_t milliseconds_of(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t clock_milliseconds(void)
{
    return milliseconds_of(CLOCK_MONOTONIC);
}

static void read_clocks(struct loop *loop)
{
    loop->now = clock_milliseconds();
    loop->elapsed = milliseconds_of(CLOCK_BOOTTIME);
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_new(sizeof *loop);

    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll < 0) {
        log_error(NULL, "cannot create an epoll instance: errno %d", errno);
        abort();
    }
    loop->signals.fd = -1;
    read_clocks(loop);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    loop_watch_close(loop, &loop->signals);
    close(loop->epoll);
    free(loop->heap);
    free(loop);
}

int64_t loop_now(const struct loop *loop)
{
    return loop->now;
}

int64_t loop_elapsed(const struct loop *loop)
{
    return loop->elapsed;
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}

/* ---- timers: a binary heap, the earliest first ------------------------------------------------
 */

static void heap_put(struct loop *loop, size_t position, struct loop_timer *timer)
{
    loop->heap[position - 1] = timer;
    timer->position = position;
}

static void heap_rise(struct loop *loop, size_t position, struct loop_timer *timer)
{
    while (position > 1 && loop->heap[position / 2 - 1]->at > timer->at) {
        heap_put(loop, position, loop->heap[position / 2 - 1]);
        position /= 2;
    }
    heap_put(loop, position, timer);
}

static void heap_sink(struct loop *loop, size_t position, struct loop_timer *timer)
{
    size_t child;

    while ((child = position * 2) <= loop->heap_len) {
        if (child < loop->heap_len && loop->heap[child]->at < loop->heap[child - 1]->at)
            child++;
        if (loop->heap[child - 1]->at >= timer->at)
            break;
        heap_put(loop, position, loop->heap[child - 1]);
        position = child;
    }
    heap_put(loop, position, timer);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    size_t position = timer->position;
    struct loop_timer *last;

    if (position == 0)
        return;
    timer->position = 0;
    last = loop->heap[--loop->heap_len];
    if (last == timer)
        return;
    if (position > 1 && loop->heap[position / 2 - 1]->at > last->at)
        heap_rise(loop, position, last);
    else
        heap_sink(loop, position, last);
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t milliseconds)
{
    loop_timer_stop(loop, timer);
    if (loop->heap_len == loop->heap_allocated) {
        loop->heap_allocated = loop->heap_allocated == 0 ? 64 : loop->heap_allocated * 2;
        loop->heap = mem_resize(loop->heap, loop->heap_allocated * sizeof loop->heap[0]);
    }
    timer->at = loop->now + milliseconds;
    loop->heap_len++;
    heap_rise(loop, loop->heap_len, timer);
}

static void run_timers(struct loop *loop)
{
    while (loop->heap_len > 0 && loop->heap[0]->at <= loop->now && !loop->stopped) {
        struct loop_timer *timer = loop->heap[0];

        loop_timer_stop(loop, timer);
        timer->on_time(timer);
    }
}

/* ---- tasks ------------------------------------------------------------------------------------
 */

void loop_defer(struct loop *loop, struct loop_task *task)
{
    if (task->queued)
        return;
    task->queued = true;
    task->next = loop->tasks;
    loop->tasks = task;
}

static bool list_remove(struct loop_task **list, struct loop_task *task)
{
    for (; *list != NULL; list = &(*list)->next) {
        if (*list == task) {
            *list = task->next;
            return true;
        }
    }
    return false;
}

void loop_task_cancel(struct loop *loop, struct loop_task *task)
{
    if (!task->queued)
        return;
    task->queued = false;
    if (!list_remove(&loop->tasks, task))
        list_remove(&loop->running, task);
}

/* Tasks that tasks put off wait for the next turn, so none can keep the loop from its sockets. */
static void run_tasks(struct loop *loop)
{
    loop->running = loop->tasks;
    loop->tasks = NULL;
    while (loop->running != NULL) {
        struct loop_task *task = loop->running;

        loop->running = task->next;
        task->queued = false;
        task->run(task);
    }
}

/* ---- descriptors ------------------------------------------------------------------------------
 */

static void forget_events(struct loop *loop, const struct loop_watch *watch)
{
    for (int i = loop->event_next; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == watch)
            loop->events[i].data.ptr = NULL;
}

bool loop_watch_set(struct loop *loop, struct loop_watch *watch, unsigned interest)
{
    struct epoll_event event = {.data.ptr = watch};
    int operation = EPOLL_CTL_MOD;

    if (interest == watch->interest)
        return true;
    if (watch->interest == 0)
        operation = EPOLL_CTL_ADD;
    else if (interest == 0)
        operation = EPOLL_CTL_DEL;
    if ((interest & LOOP_READ) != 0)
        event.events |= EPOLLIN;
    if ((interest & LOOP_WRITE) != 0)
        event.events |= EPOLLOUT;
    if (epoll_ctl(loop->epoll, operation, watch->fd, &event) != 0 && operation != EPOLL_CTL_DEL)
        return false;
    watch->interest = interest;
    if (interest == 0)
        forget_events(loop, watch);
    return true;
}

void loop_watch_close(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd < 0)
        return;
    /* Closing would not stop it while a duplicate of the descriptor is open. */
    loop_watch_set(loop, watch, 0);
    close(watch->fd);
    watch->fd = -1;
}

static void deliver(struct loop_watch *watch, uint32_t happened)
{
    unsigned events = 0;

    if ((happened & EPOLLIN) != 0)
        events |= LOOP_READ;
    if ((happened & EPOLLOUT) != 0)
        events |= LOOP_WRITE;
    if ((happened & (EPOLLERR | EPOLLHUP)) != 0)
        events |= LOOP_READ | LOOP_WRITE | LOOP_ERROR;
    events &= watch->interest | LOOP_ERROR;
    if (events != 0)
        watch->on_ready(watch, events);
}

static int until_next_timer(const struct loop *loop)
{
    int64_t left;

    if (loop->tasks != NULL)
        return 0;
    if (loop->heap_len == 0)
        return -1;
    left = loop->heap[0]->at - clock_milliseconds();
    if (left < 0)
        return 0;
    return left > 3600000 ? 3600000 : (int)left;
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped) {
        int count = epoll_wait(loop->epoll, loop->events, EVENTS_A_TURN, until_next_timer(loop));

        /* It was stopped and continues: what has come meanwhile goes before timers. */
        if (count < 0)
            continue;
        read_clocks(loop);
        loop->event_count = count;
        loop->event_next = 0;
        while (loop->event_next < loop->event_count && !loop->stopped) {
            struct epoll_event *event = &loop->events[loop->event_next++];

            if (event->data.ptr != NULL)
                deliver(event->data.ptr, event->events);
        }
        run_timers(loop);
        run_tasks(loop);
    }
    loop->stopped = false;
}

/* ---- signals ----------------------------------------------------------------------------------
 */

static void on_signal_ready(struct loop_watch *watch, unsigned events)
{
    struct loop *loop = watch->owner;
    struct signalfd_siginfo info;
    sigset_t set;

    (void)events;
    if (read(watch->fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    loop_watch_close(loop, watch);
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    loop->on_signal(loop->signal_owner, (int)info.ssi_signo);
}

/* A shell without job control starts background jobs with SIGINT ignored, and nohup ignores SIGHUP;
 * leave it so. */
static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

static void watch_signals(struct loop *loop, const sigset_t *set,
                          void (*on_ready)(struct loop_watch *watch, unsigned events))
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    pthread_sigmask(SIG_BLOCK, set, &loop->found_mask);
    sigaction(SIGPIPE, &ignore, &loop->found_pipe);
    loop->signals = (struct loop_watch){
        .fd = signalfd(-1, set, SFD_NONBLOCK | SFD_CLOEXEC),
        .on_ready = on_ready,
        .owner = loop,
    };
    if (loop->signals.fd < 0 || !loop_watch_set(loop, &loop->signals, LOOP_READ)) {
        log_error(NULL, "cannot watch signals: errno %d", errno);
        abort();
    }
}

void loop_on_signals(struct loop *loop, loop_signal *on_signal, void *owner)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (!is_ignored(SIGINT))
        sigaddset(&set, SIGINT);
    loop->on_signal = on_signal;
    loop->signal_owner = owner;
    watch_signals(loop, &set, on_signal_ready);
}

static void on_each_signal_ready(struct loop_watch *watch, unsigned events)
{
    struct loop *loop = watch->owner;
    struct signalfd_siginfo info;

    (void)events;
    if (read(watch->fd, &info, sizeof info) == (ssize_t)sizeof info)
        loop->on_each_signal(loop->signal_owner, (int)info.ssi_signo, info.ssi_code == SI_KERNEL);
}

void loop_on_each_signal(struct loop *loop, const int *numbers, loop_each_signal *on_signal,
                         void *owner)
{
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigset_t set;

    /* Ignored, the ends of children would pass unnoticed, exit codes and all. */
    sigaction(SIGCHLD, &usual, NULL);
    sigemptyset(&set);
    for (; *numbers != 0; numbers++)
        if (!is_ignored(*numbers))
            sigaddset(&set, *numbers);
    loop->on_each_signal = on_signal;
    loop->signal_owner = owner;
    watch_signals(loop, &set, on_each_signal_ready);
}

void loop_restore_signals(const struct loop *loop)
{
    sigaction(SIGPIPE, &loop->found_pipe, NULL);
    pthread_sigmask(SIG_SETMASK, &loop->found_mask, NULL);
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

int loop_socket(int domain, int type, int protocol)
{
    return socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
}

int loop_accept(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int loop_duplicate(int fd)
{
    return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

bool loop_socket_unanswered(int fd)
{
    struct tcp_info info;
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return true;
    /* A receiver that reads nothing still acknowledges data and window probes; a few probes may
     * always be on their way. */
    return info.tcpi_unacked > 0 || info.tcpi_probes > 3;
}
