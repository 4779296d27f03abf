/* One local connection and its tunnel: bytes both ways, flow control, ends and failures.
 *
 *   local socket ──(early, until the tunnel is up)──▶ tunnel ──▶ service
 *   local socket ◀──(to_local, what the socket refuses)── tunnel ◀── service
 */
#include "client/forward.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/pgstart.h"
#include "common/buffer.h"
#include "common/flow.h"
#include "common/log.h"
#include "common/memory.h"

#define HIGH_WATER (64u * 1024u)
#define LOW_WATER (16u * 1024u)
#define EARLY_MAX (64u * 1024u)
#define EARLY_READ 4096u
/* A read of the tunnel or the rest of an upgrade's answer, and an ErrorResponse. */
#define TO_LOCAL_MAX (HIGH_WATER + TUNNEL_READ_SIZE + 64u * 1024u)
/* Full reads in a row before others get their turn. */
#define READS_A_TURN 4
/* For the client to send the rest of its StartupMessage, so that it can be told of a failure. */
#define START_WAIT 30000
/* For the other side to take the rest and to end. */
#define LINGER 5000
/* Refused connections at once that are still to be told so. */
#define REFUSED_MAX 32
#define REFUSALS_TOLD_EVERY 60000

struct forwards {
    struct tunnel_shared *shared;
    const struct tunnel_type *type;
    struct forward *first;
    unsigned long long count;
    uint64_t bytes_up; /* of those that are gone */
    uint64_t bytes_down;
    unsigned refused; /* of those that are there */
    int64_t refusal_told_at;
    void (*on_empty)(void *owner);
    void *owner;
};

struct forward {
    struct forwards *forwards;
    struct forward *previous;
    struct forward *next;
    struct log_context log;
    struct loop_watch local;
    struct tunnel *tunnel;
    struct pgstart start;
    struct buffer early;
    struct buffer to_local;
    struct flow to_local_flow;
    struct loop_timer timer;
    struct loop_task destroy;
    struct error *failure; /* of the tunnel; NULL: none */
    const char *reason;    /* why it ends, for the log */
    uint64_t bytes_up;
    uint64_t bytes_down;
    int64_t opened_at;
    bool refused; /* it never had a tunnel */
    bool decided; /* what the local side speaks is known */
    bool tunnel_up;
    bool tunnel_full; /* wait for on_room() */
    bool tunnel_over;
    bool local_ended;  /* it will send no more */
    bool local_broken; /* it takes no more */
    bool local_shut;   /* we send it no more */
    bool closing;      /* to be destroyed at the end of this turn */
};

static struct loop *loop_of(const struct forward *forward)
{
    return forward->forwards->shared->loop;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

/* Everything may still be in use further up the stack, so freeing waits for the end of the turn. */
static void forward_close(struct forward *forward, const char *reason)
{
    if (forward->closing)
        return;
    forward->closing = true;
    if (forward->reason == NULL)
        forward->reason = reason;
    loop_watch_set(loop_of(forward), &forward->local, 0);
    loop_defer(loop_of(forward), &forward->destroy);
}

static void forward_destroy(struct forward *forward)
{
    struct forwards *forwards = forward->forwards;
    struct loop *loop = loop_of(forward);
    double seconds = (double)(loop_now(loop) - forward->opened_at) / 1000.0;

    log_info(&forward->log, "closed: %s; %llu bytes up, %llu down, %.1f s", forward->reason,
             (unsigned long long)forward->bytes_up, (unsigned long long)forward->bytes_down,
             seconds);
    forwards->bytes_up += forward->bytes_up;
    forwards->bytes_down += forward->bytes_down;
    if (forward->previous != NULL)
        forward->previous->next = forward->next;
    else
        forwards->first = forward->next;
    if (forward->next != NULL)
        forward->next->previous = forward->previous;
    forwards->refused -= forward->refused;
    loop_timer_stop(loop, &forward->timer);
    loop_task_cancel(loop, &forward->destroy);
    loop_watch_close(loop, &forward->local);
    tunnel_free(forward->tunnel);
    buffer_clear(&forward->early);
    buffer_clear(&forward->to_local);
    free(forward->failure);
    free(forward);
    if (forwards->first == NULL && forwards->on_empty != NULL)
        forwards->on_empty(forwards->owner);
}

static void on_destroy(struct loop_task *task)
{
    forward_destroy(task->owner);
}

static void on_timer(struct loop_timer *timer)
{
    struct forward *forward = timer->owner;

    forward_close(forward, forward->failure != NULL
                               ? "the tunnel failed before the start-up was complete"
                               : "the local side did not end");
}

/* The client sees a reset instead of an end that looks orderly. */
static void forward_reset(struct forward *forward, const char *reason)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};

    setsockopt(forward->local.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    forward->reason = reason;
    forward_close(forward, reason);
}

/* ---- towards the local side --------------------------------------------------------------------
 */

static void local_wait(struct forward *forward)
{
    bool has_room = forward->decided && forward->tunnel_up ? !forward->tunnel_full
                                                           : buffer_room(&forward->early) > 0;
    bool reading = !forward->local_ended && (has_room || forward->tunnel_over);
    bool writing = buffer_len(&forward->to_local) > 0 && !forward->local_broken;

    if (forward->closing)
        return;
    if (!loop_watch_set(loop_of(forward), &forward->local,
                        (reading ? LOOP_READ : 0u) | (writing ? LOOP_WRITE : 0u)))
        forward_close(forward, "the system refuses to watch its socket");
}

/* All is said. The rest of what the client sends is read and dropped: closing with unread bytes
 * would reset the connection, and the client might never see our last message. */
static void local_shut(struct forward *forward)
{
    if (forward->local_shut)
        return;
    forward->local_shut = true;
    if (forward->local_ended || forward->local_broken) {
        forward_close(forward, "ended");
        return;
    }
    shutdown(forward->local.fd, SHUT_WR);
    loop_timer_set(loop_of(forward), &forward->timer, LINGER);
}

/* A client that is gone may have sent something before; that still goes to the service. */
static void local_break(struct forward *forward)
{
    forward->local_broken = true;
    buffer_clear(&forward->to_local);
    if (forward->reason == NULL)
        forward->reason = "the local side is gone";
    if (forward->tunnel_over) {
        forward_close(forward, NULL);
        return;
    }
    tunnel_receive(forward->tunnel, true); /* to be thrown away */
    loop_timer_set(loop_of(forward), &forward->timer, 2 * LINGER);
}

static void obey_flow(struct forward *forward)
{
    switch (flow_next(&forward->to_local_flow, buffer_len(&forward->to_local))) {
    case FLOW_NONE:
        break;
    case FLOW_PAUSE_SOURCE:
        tunnel_receive(forward->tunnel, false);
        break;
    case FLOW_RESUME_SOURCE:
        if (!forward->tunnel_over)
            tunnel_receive(forward->tunnel, true);
        /* One call gives one action; the end of an ended source may be due, too. */
        if (flow_next(&forward->to_local_flow, buffer_len(&forward->to_local)) == FLOW_CLOSE_SINK)
            local_shut(forward);
        break;
    case FLOW_CLOSE_SINK:
        local_shut(forward);
        break;
    }
}

static bool is_blocked(int error_number)
{
    return error_number == EAGAIN || error_number == EWOULDBLOCK || error_number == EINTR;
}

static void local_flush(struct forward *forward)
{
    struct bytes queued = buffer_peek(&forward->to_local);
    ssize_t sent;

    if (queued.len == 0 || forward->local_broken)
        return;
    sent = write(forward->local.fd, queued.data, queued.len);
    if (sent < 0 && !is_blocked(errno)) {
        local_break(forward);
        return;
    }
    if (sent > 0)
        buffer_consume(&forward->to_local, (size_t)sent);
    obey_flow(forward);
}

/* Writes directly what the socket takes and queues the rest. */
static void local_send(struct forward *forward, const struct iovec *slices, int count)
{
    size_t sent = 0;

    if (buffer_len(&forward->to_local) == 0) {
        ssize_t result = count == 1
                             ? write(forward->local.fd, slices[0].iov_base, slices[0].iov_len)
                             : writev(forward->local.fd, slices, count);

        if (result < 0 && !is_blocked(errno)) {
            local_break(forward);
            return;
        }
        sent = result < 0 ? 0 : (size_t)result;
    }
    for (int i = 0; i < count; i++) {
        size_t skip = sent < slices[i].iov_len ? sent : slices[i].iov_len;

        sent -= skip;
        if (skip < slices[i].iov_len &&
            !buffer_append(&forward->to_local, bytes_of((uint8_t *)slices[i].iov_base + skip,
                                                        slices[i].iov_len - skip))) {
            forward_reset(forward, "the service sent more than was asked of it");
            return;
        }
    }
    if (buffer_len(&forward->to_local) > 0) {
        obey_flow(forward);
        local_wait(forward);
    }
}

static void local_send_byte(struct forward *forward, uint8_t byte)
{
    struct iovec slice = {.iov_base = &byte, .iov_len = 1};

    local_send(forward, &slice, 1);
}

/* ---- failures ----------------------------------------------------------------------------------
 */

static void end_orderly(struct forward *forward)
{
    flow_end(&forward->to_local_flow);
    obey_flow(forward);
    local_wait(forward);
}

/* Tells the client as soon as the protocol allows it. Called again when more of its start-up has
 * come. */
static void report_failure(struct forward *forward)
{
    if (forward->local_ended || forward->local_broken) {
        end_orderly(forward);
        return;
    }
    switch (pgstart_place(&forward->start)) {
    case PGSTART_EARLY:
        if (forward->timer.position == 0)
            loop_timer_set(loop_of(forward), &forward->timer, START_WAIT);
        break;
    case PGSTART_BOUNDARY:
        loop_timer_stop(loop_of(forward), &forward->timer);
        pgstart_write_error(&forward->to_local, forward->failure);
        flow_end(&forward->to_local_flow);
        local_flush(forward);
        local_wait(forward);
        break;
    case PGSTART_AFTER_ERROR:
        end_orderly(forward);
        break;
    case PGSTART_UNTRACKED:
        if (forward->start.kind == PGSTART_CANCEL)
            end_orderly(forward);
        else
            forward_reset(forward, "the tunnel failed");
        break;
    case PGSTART_INSIDE:
        forward_reset(forward, "the tunnel failed in the middle of a message");
        break;
    }
}

/* ---- from the local side -----------------------------------------------------------------------
 */

/* In raw mode the messages on their way up mean nothing, and are not looked at. */
static void note_sent(struct forward *forward, struct bytes bytes)
{
    if (forward->tunnel->type->asks_doubt)
        pgstart_sent_bytes(&forward->start, bytes);
    else if (forward->start.startup_left > 0)
        pgstart_sent(&forward->start, bytes.len);
    forward->bytes_up += bytes.len;
}

/* What was read before the tunnel came up, and then the end if it has come. */
static void send_early(struct forward *forward)
{
    struct bytes bytes;

    while ((bytes = buffer_peek(&forward->early)).len > 0 && !forward->tunnel_full &&
           !forward->tunnel_over) {
        size_t room;
        uint8_t *into = tunnel_reserve(forward->tunnel, &room);
        size_t count = bytes.len < room ? bytes.len : room;

        if (count == 0) {
            forward->tunnel_full = true;
            return;
        }
        memcpy(into, bytes.data, count);
        note_sent(forward, bytes_first(bytes, count));
        buffer_consume(&forward->early, count);
        forward->tunnel_full = !tunnel_commit(forward->tunnel, count);
    }
    if (forward->local_ended && buffer_len(&forward->early) == 0 && !forward->tunnel_over)
        tunnel_finish(forward->tunnel);
}

static void local_end(struct forward *forward)
{
    forward->local_ended = true;
    if (forward->reason == NULL)
        forward->reason = "the local side ended";
    if (forward->tunnel_over) {
        /* What is queued may still be read by one that ended only its own direction. */
        if (buffer_len(&forward->to_local) == 0)
            forward_close(forward, NULL);
        return;
    }
    if (!forward->tunnel_up && buffer_len(&forward->early) == 0) {
        forward_close(forward, NULL);
        return;
    }
    /* Half of a request is no reason to wait for a tunnel. */
    if (!forward->decided) {
        forward->decided = true;
        forward->start.kind = PGSTART_OTHER;
    }
    if (forward->tunnel_up)
        send_early(forward);
}

/* A CancelRequest for a session that goes through a tunnel of ours takes the same way. Nobody
 * expects an answer (Postgres documentation, "Canceling Requests in Progress"). */
static bool cancel_directly(struct forward *forward)
{
    struct tunnel_cancel cancel;

    if (!pgstart_read_cancel(buffer_peek(&forward->early), &cancel))
        return false;
    for (struct forward *other = forward->forwards->first; other != NULL; other = other->next) {
        if (!pgstart_fits_cancel(&other->start, &cancel) || other->tunnel_over ||
            !tunnel_cancel(other->tunnel, &cancel))
            continue;
        log_debug(&forward->log, "is a CancelRequest for tunnel %llu", other->log.id);
        forward_close(forward, "its CancelRequest was handed on");
        return true;
    }
    return false;
}

/* Answers what can be answered here, and forwards the rest once both sides are ready. */
static void advance(struct forward *forward)
{
    while (!forward->decided && buffer_len(&forward->early) > 0 && !forward->closing) {
        enum pgstart_answer answer = pgstart_begin(&forward->start, buffer_peek(&forward->early));

        if (answer == PGSTART_MORE)
            break;
        if (answer == PGSTART_DECLINE) {
            buffer_consume(&forward->early, PGSTART_REQUEST_LEN);
            local_send_byte(forward, 'N');
        } else {
            forward->decided = true;
        }
    }
    if (!forward->decided || forward->closing)
        return;
    if (forward->start.kind == PGSTART_CANCEL && !forward->refused && cancel_directly(forward))
        return;
    if (forward->failure != NULL) {
        pgstart_sent(&forward->start, buffer_len(&forward->early));
        buffer_clear(&forward->early);
        report_failure(forward);
    } else if (forward->tunnel_up) {
        send_early(forward);
    }
}

/* One read(); true when another may bring more. */
static bool read_into(struct forward *forward, uint8_t *into, size_t room, size_t *count)
{
    ssize_t got = read(forward->local.fd, into, room);

    *count = 0;
    if (got > 0) {
        *count = (size_t)got;
        return *count == room;
    }
    if (got < 0 && is_blocked(errno))
        return false;
    if (got < 0)
        local_break(forward);
    local_end(forward);
    return false;
}

static void read_early(struct forward *forward)
{
    size_t room;
    size_t count;
    uint8_t *into = buffer_reserve(&forward->early, EARLY_READ, &room);

    if (room == 0)
        return;
    read_into(forward, into, room, &count);
    buffer_commit(&forward->early, count);
    if (count > 0)
        advance(forward);
}

static void read_and_drop(struct forward *forward)
{
    uint8_t dropped[4096];
    size_t count;

    for (int i = 0; i < READS_A_TURN && read_into(forward, dropped, sizeof dropped, &count); i++)
        continue;
}

/* The way of nearly all bytes: from the socket into the tunnel's own memory, and off. */
static void read_and_send(struct forward *forward)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        size_t room;
        size_t count;
        uint8_t *into = tunnel_reserve(forward->tunnel, &room);
        bool more;

        if (room == 0) {
            forward->tunnel_full = true;
            return;
        }
        more = read_into(forward, into, room, &count);
        if (count == 0)
            return;
        note_sent(forward, bytes_of(into, count));
        forward->tunnel_full = !tunnel_commit(forward->tunnel, count);
        if (!more || forward->tunnel_full || forward->tunnel_over)
            return;
    }
}

static void on_local_ready(struct loop_watch *watch, unsigned events)
{
    struct forward *forward = watch->owner;

    if ((events & LOOP_WRITE) != 0)
        local_flush(forward);
    if ((events & LOOP_READ) != 0 && !forward->closing && !forward->local_ended) {
        if (forward->local_shut || forward->to_local_flow.ended)
            read_and_drop(forward);
        else if (forward->tunnel_up && forward->decided && buffer_len(&forward->early) == 0 &&
                 !forward->tunnel_over)
            read_and_send(forward);
        else
            read_early(forward);
    }
    local_wait(forward);
}

/* ---- from the tunnel ---------------------------------------------------------------------------
 */

static void on_up(void *owner)
{
    struct forward *forward = owner;

    forward->tunnel_up = true;
    log_debug(&forward->log, "tunnel is up after %lld ms",
              (long long)(loop_now(loop_of(forward)) - forward->opened_at));
    advance(forward);
    local_wait(forward);
}

static void on_data(void *owner, const struct iovec *slices, int count)
{
    struct forward *forward = owner;

    if (forward->closing || forward->local_broken)
        return;
    for (int i = 0; i < count; i++) {
        forward->bytes_down += slices[i].iov_len;
        if (forward->start.kind == PGSTART_SESSION)
            pgstart_received(&forward->start, bytes_of(slices[i].iov_base, slices[i].iov_len));
    }
    local_send(forward, slices, count);
}

static void on_room(void *owner)
{
    struct forward *forward = owner;

    forward->tunnel_full = false;
    if (buffer_len(&forward->early) > 0)
        send_early(forward);
    local_wait(forward);
}

static void note_failure(struct forward *forward, const char *reason, const struct error *error)
{
    forward->failure = mem_new(sizeof *forward->failure);
    *forward->failure = *error;
    forward->reason = reason;
}

static void log_failure(const struct forward *forward)
{
    const struct error *error = forward->failure;

    if (error->hint[0] != '\0')
        log_warn(&forward->log, "%s. %s", error->message, error->hint);
    else
        log_warn(&forward->log, "%s", error->message);
}

static void on_end(void *owner, const struct error *error)
{
    struct forward *forward = owner;

    forward->tunnel_over = true;
    if (forward->closing)
        return;
    if (error == NULL) {
        if (forward->reason == NULL)
            forward->reason = "the service ended";
        end_orderly(forward);
        return;
    }
    note_failure(forward, "the tunnel failed", error);
    log_failure(forward);
    if (forward->decided)
        advance(forward);
    else
        report_failure(forward);
    local_wait(forward);
}

static void on_replaced(void *owner, struct tunnel *replacement);

static enum doubt doubt(void *owner)
{
    struct forward *forward = owner;

    return pgstart_doubt(&forward->start);
}

static bool is_established(void *owner)
{
    const struct forward *forward = owner;

    return pgstart_is_over(&forward->start);
}

static uint64_t ready_at(void *owner)
{
    const struct forward *forward = owner;

    return forward->start.ready_at;
}

static const struct tunnel_events events = {
    .on_up = on_up,
    .on_data = on_data,
    .on_room = on_room,
    .on_end = on_end,
    .on_replaced = on_replaced,
    .doubt = doubt,
    .ready_at = ready_at,
    .is_established = is_established,
};

static void on_replaced(void *owner, struct tunnel *replacement)
{
    struct forward *forward = owner;

    forward->tunnel = replacement;
    tunnel_own(replacement, &events, forward, &forward->log);
}

/* ---- all of them -------------------------------------------------------------------------------
 */

struct forwards *forwards_new(struct tunnel_shared *shared, const struct tunnel_type *type)
{
    struct forwards *forwards = mem_new(sizeof *forwards);

    forwards->shared = shared;
    forwards->type = type;
    return forwards;
}

static struct forward *forward_new(struct forwards *forwards, int fd)
{
    struct forward *forward = mem_new(sizeof *forward);

    forward->forwards = forwards;
    forward->next = forwards->first;
    if (forward->next != NULL)
        forward->next->previous = forward;
    forwards->first = forward;
    forward->log = (struct log_context){.role = "tunnel", .id = ++forwards->count};
    forward->opened_at = loop_now(forwards->shared->loop);
    forward->local = (struct loop_watch){.fd = fd, .on_ready = on_local_ready, .owner = forward};
    forward->timer = (struct loop_timer){.on_time = on_timer, .owner = forward};
    forward->destroy = (struct loop_task){.run = on_destroy, .owner = forward};
    pgstart_init(&forward->start);
    buffer_init(&forward->early, EARLY_MAX);
    buffer_init(&forward->to_local, TO_LOCAL_MAX);
    flow_init(&forward->to_local_flow, LOW_WATER, HIGH_WATER);
    return forward;
}

void forwards_add(struct forwards *forwards, int fd)
{
    struct forward *forward = forward_new(forwards, fd);

    log_info(&forward->log, "opened");
    forward->tunnel = tunnel_open(forwards->type, forwards->shared);
    tunnel_own(forward->tunnel, &events, forward, &forward->log);
    local_wait(forward);
}

/* Strangers shall not fill the log. */
static void log_refusal(struct forward *forward)
{
    struct forwards *forwards = forward->forwards;
    int64_t now = loop_now(forwards->shared->loop);

    if (forwards->refusal_told_at != 0 && now - forwards->refusal_told_at < REFUSALS_TOLD_EVERY)
        return;
    forwards->refusal_told_at = now;
    log_failure(forward);
}

void forwards_refuse(struct forwards *forwards, int fd, const struct error *reason)
{
    struct forward *forward;

    if (forwards->refused >= REFUSED_MAX) {
        close(fd);
        return;
    }
    forward = forward_new(forwards, fd);
    forward->refused = true;
    forwards->refused++;
    forward->tunnel_over = true;
    note_failure(forward, "refused", reason);
    log_refusal(forward);
    report_failure(forward);
    local_wait(forward);
}

bool forwards_are_empty(const struct forwards *forwards)
{
    return forwards->first == NULL;
}

void forwards_when_empty(struct forwards *forwards, void (*on_empty)(void *owner), void *owner)
{
    forwards->on_empty = on_empty;
    forwards->owner = owner;
}

/* What can be said without waiting. */
static void say_goodbye(struct forward *forward, const struct error *reason)
{
    enum pgstart_place place = pgstart_place(&forward->start);

    if (forward->local_shut || forward->local_broken || forward->closing)
        return;
    if (place == PGSTART_BOUNDARY && forward->failure == NULL && !forward->tunnel_over)
        pgstart_write_error(&forward->to_local, reason);
    local_flush(forward);
}

static void sum_up(const struct forwards *forwards)
{
    if (forwards->count > 0)
        log_info(NULL, "connections: %llu, bytes up: %llu, bytes down: %llu, re-attached: %llu",
                 forwards->count, (unsigned long long)forwards->bytes_up,
                 (unsigned long long)forwards->bytes_down, forwards->shared->reattached);
}

void forwards_free(struct forwards *forwards, const struct error *reason)
{
    if (forwards == NULL)
        return;
    forwards->on_empty = NULL;
    forwards->shared->stopping = true;
    for (struct forward *forward = forwards->first, *next; forward != NULL; forward = next) {
        next = forward->next;
        say_goodbye(forward, reason);
        forward->reason = "electric-tunnel is being stopped";
        forward_destroy(forward);
    }
    sum_up(forwards);
    free(forwards);
}
