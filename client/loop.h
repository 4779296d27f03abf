/* The event loop: descriptors, timers, signals and work put off to the end of a turn.
 *
 * One thread, level-triggered. Everything is embedded in the object it serves, so nothing is
 * allocated per event. The only part of the client that may use what POSIX does not have. */
#ifndef CLIENT_LOOP_H
#define CLIENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

/* Bits of interest and of what happened. An error or hang-up is reported as whatever of READ and
 * WRITE was asked for (the next call on the socket tells), with ERROR added. */
enum { LOOP_READ = 1, LOOP_WRITE = 2, LOOP_ERROR = 4 };

struct loop_watch {
    int fd;
    unsigned interest; /* what the kernel was told last; 0: it does not know the descriptor */
    void (*on_ready)(struct loop_watch *watch, unsigned events);
    void *owner;
};

/* Milliseconds on the loop's clock; see loop_now(). */
struct loop_timer {
    int64_t at;
    size_t position; /* in the heap, from 1; 0: not running */
    void (*on_time)(struct loop_timer *timer);
    void *owner;
};

/* Runs once, after the events of this turn; lets an object that is in use be freed safely. */
struct loop_task {
    struct loop_task *next;
    bool queued;
    void (*run)(struct loop_task *task);
    void *owner;
};

typedef void loop_signal(void *owner, int signal_number);
/* `from_terminal`: somebody pressed a key, or the terminal changed; then all processes in its
 * foreground got the signal. */
typedef void loop_each_signal(void *owner, int signal_number, bool from_terminal);

/* Aborts when the system has no resources for it. */
struct loop *loop_new(void);
/* NULL-safe. Watches, timers and tasks are their owners'. */
void loop_free(struct loop *loop);

/* Returns after loop_stop(), also after one before it. It may be run again. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
/* Monotonic milliseconds, read once a turn. */
int64_t loop_now(const struct loop *loop);
/* The same on a clock that goes on while the machine is suspended. Timers do not: one that was
 * running fires that much later. */
int64_t loop_elapsed(const struct loop *loop);

/* SIGINT (unless it is ignored) and SIGTERM call `on_signal` once; a second one has its default
 * effect, so it ends the program at once. SIGPIPE is ignored. Call before any thread starts. */
void loop_on_signals(struct loop *loop, loop_signal *on_signal, void *owner);

/* In place of it, for a program that runs another one: every arrival of one of `numbers` (ends with
 * 0) calls `on_signal`, but for those that were ignored when this program began. */
void loop_on_each_signal(struct loop *loop, const int *numbers, loop_each_signal *on_signal,
                         void *owner);
/* In a child, before it runs another program: signals as this program found them. */
void loop_restore_signals(const struct loop *loop);

/* Changes what is waited for; costs a system call only if it differs. 0 stops watching, and no
 * event of this turn is delivered any more. False when the system refuses. */
bool loop_watch_set(struct loop *loop, struct loop_watch *watch, unsigned interest);
/* Stops watching and closes; `watch->fd` becomes -1. Nothing happens when it already is. */
void loop_watch_close(struct loop *loop, struct loop_watch *watch);

/* Starts or moves the timer. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t milliseconds);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer);

/* Nothing happens when it is queued already. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* Takes a queued task back. */
void loop_task_cancel(struct loop *loop, struct loop_task *task);

/* Sockets that are non-blocking and close on exec, in as few calls as the system allows; -1 with
 * errno. */
int loop_socket(int domain, int type, int protocol);
int loop_accept(int listener);
/* A copy of the descriptor that closes on exec; -1 with errno. */
int loop_duplicate(int fd);

/* Whether the peer's system leaves what was sent, or probes of its closed window, unanswered:
 * what tells a dead path from a program that is slow to read. True where this cannot be known. */
bool loop_socket_unanswered(int fd);

#endif
