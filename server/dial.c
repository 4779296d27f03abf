/* Non-blocking connect over the addresses of one target. */
#include "server/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"
#include "server/loop.h"
#include "server/worker.h"

enum { CONNECT_TIMEOUT_MS = 10000 };

struct dial_target {
    char *host;
    char port[8];
    struct addrinfo *numeric; /* NULL when `host` is a name */
};

struct dial {
    struct worker_job lookup;
    struct loop_watch watch; /* fd -1 between attempts */
    struct loop_timer timer;
    struct loop *loop;
    const struct dial_target *target;
    struct addrinfo *found; /* of this dial's own lookup */
    const struct addrinfo *next;
    int lookup_error;
    int connect_error;
    bool looking_up;
    bool cancelled;
    dial_done *done;
    void *owner;
};

static int look_up(const char *host, const char *port, int flags, struct addrinfo **found)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};

    *found = NULL;
    return getaddrinfo(host, port, &hints, found);
}

struct dial_target *dial_target_new(const char *host, uint16_t port)
{
    struct dial_target *target = mem_new(sizeof(*target));

    target->host = mem_copy_string(host);
    (void)snprintf(target->port, sizeof(target->port), "%u", port);
    if (look_up(target->host, target->port, AI_NUMERICHOST, &target->numeric) != 0)
        target->numeric = NULL;
    return target;
}

void dial_target_free(struct dial_target *target)
{
    if (target == NULL)
        return;
    if (target->numeric != NULL)
        freeaddrinfo(target->numeric);
    free(target->host);
    free(target);
}

static void drop_attempt(struct dial *dial)
{
    if (dial->watch.fd < 0)
        return;
    loop_watch_remove(dial->loop, &dial->watch);
    close(dial->watch.fd);
    dial->watch.fd = -1;
}

static void free_dial(struct dial *dial)
{
    loop_timer_stop(&dial->timer);
    if (dial->found != NULL)
        freeaddrinfo(dial->found);
    free(dial);
}

static void finish_dial(struct dial *dial, int fd, const struct error *error)
{
    dial_done *done = dial->done;
    void *owner = dial->owner;

    free_dial(dial);
    done(owner, fd, error);
}

static void fail(struct dial *dial)
{
    const struct dial_target *target = dial->target;
    const char *why =
        dial->lookup_error != 0 ? gai_strerror(dial->lookup_error) : strerror(dial->connect_error);
    struct error error;

    (void)error_set(&error, STATUS_UNAVAILABLE, "08001", "could not connect to \"%s:%s\": %s",
                    target->host, target->port, why);
    finish_dial(dial, -1, &error);
}

/* Starts connecting to the next address; false when there is none. */
static bool try_next(struct dial *dial)
{
    for (; dial->next != NULL; dial->next = dial->next->ai_next) {
        const struct addrinfo *address = dial->next;
        int one = 1;
        int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0) {
            dial->connect_error = errno;
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
        dial->watch.fd = fd;
        /* A connection that is there at once is reported by epoll as any other. */
        if ((connect(fd, address->ai_addr, address->ai_addrlen) == 0 || errno == EINPROGRESS) &&
            loop_watch_add(dial->loop, &dial->watch, EPOLLOUT)) {
            dial->next = address->ai_next;
            loop_timer_set(dial->loop, &dial->timer, CONNECT_TIMEOUT_MS);
            return true;
        }
        dial->connect_error = errno;
        dial->watch.fd = -1;
        close(fd);
    }
    return false;
}

static void on_connected(struct loop_watch *watch, uint32_t events)
{
    struct dial *dial = lws_container_of(watch, struct dial, watch);
    int error = 0;
    socklen_t size = sizeof(error);
    int fd = watch->fd;

    (void)events;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) {
        dial->connect_error = error;
        drop_attempt(dial);
        if (!try_next(dial))
            fail(dial);
        return;
    }
    loop_watch_remove(dial->loop, watch);
    finish_dial(dial, fd, NULL);
}

/* Both for an attempt that hangs and for a start that could not even try. */
static void on_timer(struct loop_timer *timer)
{
    struct dial *dial = lws_container_of(timer, struct dial, timer);

    if (dial->watch.fd >= 0)
        dial->connect_error = ETIMEDOUT;
    drop_attempt(dial);
    if (!try_next(dial))
        fail(dial);
}

static void run_lookup(struct worker_job *job)
{
    struct dial *dial = lws_container_of(job, struct dial, lookup);

    dial->lookup_error = look_up(dial->target->host, dial->target->port, 0, &dial->found);
}

static void lookup_done(struct worker_job *job)
{
    struct dial *dial = lws_container_of(job, struct dial, lookup);

    dial->looking_up = false;
    if (dial->cancelled) {
        free_dial(dial);
        return;
    }
    dial->next = dial->found;
    if (!try_next(dial))
        fail(dial);
}

struct dial *dial_start(struct loop *loop, struct worker_pool *workers, struct dial_target *target,
                        dial_done *done, void *owner)
{
    struct dial *dial = mem_new(sizeof(*dial));

    dial->loop = loop;
    dial->target = target;
    dial->done = done;
    dial->owner = owner;
    dial->watch = (struct loop_watch){.on_ready = on_connected, .fd = -1};
    dial->timer.on_expired = on_timer;
    dial->lookup = (struct worker_job){.run = run_lookup, .done = lookup_done};
    dial->next = target->numeric;
    if (target->numeric == NULL) {
        dial->looking_up = true;
        worker_pool_submit(workers, &dial->lookup);
    } else if (!try_next(dial)) {
        loop_timer_set(loop, &dial->timer, 0); /* fails from the loop, as promised */
    }
    return dial;
}

void dial_cancel(struct dial *dial)
{
    drop_attempt(dial);
    loop_timer_stop(&dial->timer);
    dial->cancelled = true;
    if (!dial->looking_up)
        free_dial(dial);
}
