/* The loop thread: libwebsockets' poll loop with one epoll set of ours inside it, timers, and one
 * scratch that every socket is read into.
 *
 * libwebsockets owns the HTTP side. Every other descriptor (listeners, TCP clients, Postgres, the
 * workers' eventfd, signals) is a `struct loop_watch` in our epoll set, whose own descriptor
 * libwebsockets polls as one more file. */
#ifndef SERVER_LOOP_H
#define SERVER_LOOP_H

#include "common/block.h"
#include "common/status.h"

#include <libwebsockets.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;

/* One descriptor in the epoll set; embed it. */
struct loop_watch {
    /* `events` as in epoll_wait(2). */
    void (*on_ready)(struct loop_watch *watch, uint32_t events);
    int fd;
    uint32_t events; /* what is asked for now; read only */
    bool added;      /* the loop's */
};

/* A timer that fires once; embed it, zeroed. */
struct loop_timer {
    lws_sorted_usec_list_t sul;
    void (*on_expired)(struct loop_timer *timer);
};

/* What the HTTP side needs. `protocol` is the callback of every HTTP and WebSocket connection and
 * must outlive the loop, `user` comes back from loop_user(). */
struct loop_http {
    const struct lws_protocols *protocol;
    const char *subprotocol; /* what a WebSocket may agree on (RFC 6455 section 1.9) */
    void *user;
    unsigned header_timeout_s; /* for a whole request head */
    unsigned idle_timeout_s;   /* of a kept-alive connection */
};

/* A quarter of this costs a third more CPU in bulk. */
#define LOOP_SCRATCH ((size_t)256 * 1024)

struct loop *loop_new(const struct loop_http *http, struct error *error);
/* Closes what libwebsockets still holds; watches must be gone. NULL-safe. */
void loop_free(struct loop *loop);
/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

void *loop_user(struct lws *wsi);
struct lws_vhost *loop_vhost(const struct loop *loop);

/* False, with errno set, when the kernel refuses. `watch` has its fd and on_ready set. */
bool loop_watch_add(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Costs nothing when `events` is what is asked for already. */
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);
/* Before closing the descriptor. No event of this watch comes any more, not even one that the
 * kernel has already reported. Harmless for a watch that was never added. */
void loop_watch_remove(struct loop *loop, struct loop_watch *watch);

/* Replaces an earlier setting. A timer must be stopped before its memory goes. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, unsigned long ms);
void loop_timer_stop(struct loop_timer *timer);

/* LOOP_SCRATCH bytes to read a socket into, valid until the next read on the loop thread. */
uint8_t *loop_scratch(struct loop *loop);
/* The memory that `data` was just read into, for whoever wants to hold it instead of copying, and
 * then must not change it; NULL when `data` lie elsewhere. */
struct block *loop_scratch_block(struct loop *loop, struct bytes data);

/* Monotonic milliseconds. */
uint64_t loop_now_ms(void);

#endif
