/* One session of the tunnel: between its endpoint, which talks to the client's over whatever
 * WebSocket there is, and its owner, to whom it is a stream like any other.
 *
 * Nothing may happen to the owner inside an operation that it calls: what an operation makes
 * necessary is done a moment later, from the timer. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/proxy/control.h"
#include "server/server.h"
#include "server/tunnel_state.h"

enum { SOON_MS = 1 };
/* Far above the high watermark: only an owner that ignores it gets here. */
#define PENDING_MAX ((size_t)64 * 1024 * 1024)
#define PIECE_MAX ((size_t)256 * 1024)

static struct tunnel_session *session_of(struct stream *stream)
{
    return (struct tunnel_session *)stream;
}

static void plan(struct tunnel_session *session, int64_t now)
{
    int64_t at = endpoint_deadline(session->endpoint, now);

    if (session->orphan && at > session->orphan_until)
        at = session->orphan_until;
    if (at == INT64_MAX)
        loop_timer_stop(&session->timer);
    else
        loop_timer_set(session->tunnel->server->loop, &session->timer,
                       at > now ? (unsigned long)(at - now) : SOON_MS);
}

static void soon(struct tunnel_session *session)
{
    loop_timer_set(session->tunnel->server->loop, &session->timer, SOON_MS);
}

/* To the client */

/* What the ring has room for moves there. */
static void flush(struct tunnel_session *session)
{
    struct bytes rest;
    size_t room;

    while ((rest = buffer_peek(&session->pending)).len > 0) {
        uint8_t *place = endpoint_source_reserve(session->endpoint, tunnel_now(), rest.len, &room);
        if (place == NULL)
            return;
        room = room < rest.len ? room : rest.len;
        memcpy(place, rest.data, room);
        endpoint_source_commit(session->endpoint, room);
        buffer_consume(&session->pending, room);
    }
    if (session->finishing && !session->ended) {
        session->ended = true;
        endpoint_source_end(session->endpoint);
    }
}

static void transmit(struct tunnel_session *session)
{
    struct attachment *attachment = session->attachment;
    struct endpoint_output output;

    while (attachment != NULL && attachment_has_room(attachment) &&
           endpoint_take(session->endpoint, tunnel_now(), attachment->number, PIECE_MAX, &output))
        attachment_send(attachment, &output);
}

/* To the owner */

static void give(struct tunnel_session *session, struct bytes bytes)
{
    if (!session->orphan)
        session->stream.events->on_data(session->stream.owner, bytes);
}

static bool takes(const struct tunnel_session *session)
{
    return !session->paused || session->orphan;
}

static void deliver(struct tunnel_session *session)
{
    struct bytes queued;

    while (takes(session) && (queued = endpoint_queued(session->endpoint)).len > 0) {
        queued = bytes_first(queued, PIECE_MAX);
        give(session, queued);
        endpoint_consume(session->endpoint, tunnel_now(), queued.len);
    }
    if (!session->told_end && endpoint_sink_ended(session->endpoint)) {
        session->told_end = true;
        if (!session->orphan)
            session->stream.events->on_end(session->stream.owner);
    }
}

/* What has just come, without a detour through the queue. */
static void offer(struct tunnel_session *session)
{
    struct bytes fresh = endpoint_fresh(session->endpoint);

    if (!takes(session) || endpoint_queued(session->endpoint).len > 0) {
        endpoint_accept(session->endpoint, tunnel_now(), 0);
        return;
    }
    give(session, fresh);
    endpoint_accept(session->endpoint, tunnel_now(), fresh.len);
}

static void tell_drained(struct tunnel_session *session)
{
    if (!session->full || buffer_len(&session->pending) > STREAM_QUEUE_LOW)
        return;
    session->full = false;
    if (!session->orphan)
        session->stream.events->on_drained(session->stream.owner);
}

/* The end */

void tunnel_session_free(struct tunnel_session *session)
{
    loop_timer_stop(&session->timer);
    if (session->attachment != NULL)
        session->attachment->session = NULL;
    LIST_REMOVE(session, link);
    endpoint_free(session->endpoint);
    buffer_clear(&session->pending);
    free(session);
}

static void finish_session(struct tunnel_session *session, const struct tunnel_reset *end)
{
    struct tunnel *tunnel = session->tunnel;
    const struct stream_events *events = session->stream.events;
    const char *reason = tunnel_end_text(end->reason);
    bool given_up = end->reason == TUNNEL_END_EXPIRED || end->reason == TUNNEL_END_LIMIT;

    registry_bury(tunnel->registry, session->entry, end,
                  tunnel_now() + (int64_t)tunnel->settings.retain_s * 1000);
    tunnel_plan_sweep(tunnel);
    if (session->attachment != NULL)
        attachment_leave(session->attachment);
    session->attachment = NULL;
    if (!session->orphan && given_up && events->on_given_up != NULL)
        events->on_given_up(session->stream.owner, reason);
    else if (!session->orphan)
        events->on_closed(session->stream.owner, reason);
    tunnel_session_free(session);
}

/* Does whatever can be done now; may free the session. Not from inside an operation. */
static void pump(struct tunnel_session *session)
{
    const struct tunnel_reset *end;

    if (session->depth > 0)
        return; /* further up somebody does it */
    session->depth++;
    deliver(session);
    flush(session);
    transmit(session);
    flush(session);
    tell_drained(session);
    transmit(session);
    session->depth--;
    end = endpoint_end(session->endpoint);
    if (end == NULL ||
        (session->attachment != NULL &&
         endpoint_has_output(session->endpoint, tunnel_now(), session->attachment->number)))
        plan(session, tunnel_now());
    else
        finish_session(session, end);
}

void tunnel_session_end(struct tunnel_session *session, enum tunnel_end reason)
{
    const struct tunnel_reset reset = {.reason = (uint16_t)reason,
                                       .outcome = TUNNEL_OUTCOME_UNKNOWN};

    endpoint_reset(session->endpoint, &reset);
    soon(session);
}

/* Attachments */

static void detach(struct tunnel_session *session)
{
    struct registry_entry *victim;

    session->attachment = NULL;
    victim = registry_detached(session->tunnel->registry, session->entry, session->established);
    if (victim != NULL)
        tunnel_session_end(registry_session(victim), TUNNEL_END_LIMIT);
}

static void attach(struct tunnel_session *session, struct attachment *attachment, uint32_t number)
{
    attachment->session = session;
    attachment->number = number;
    session->attachment = attachment;
}

enum tunnel_refusal tunnel_session_resume(struct tunnel_session *session,
                                          struct attachment *attachment,
                                          const struct tunnel_resume *resume)
{
    struct attachment *old = session->attachment;
    uint32_t number;
    enum tunnel_refusal refusal = endpoint_resume(session->endpoint, tunnel_now(), resume, &number);

    if (refusal != TUNNEL_REFUSAL_NONE)
        return refusal;
    log_debug(NULL, "%s: session resumed, attempt %u", attachment->peer, resume->attempt);
    if (old != NULL)
        attachment_leave(old);
    attach(session, attachment, number);
    registry_attached(session->tunnel->registry, session->entry);
    pump(session);
    return TUNNEL_REFUSAL_NONE;
}

void tunnel_session_detached(struct tunnel_session *session)
{
    endpoint_detach(session->endpoint, tunnel_now(), session->attachment->number);
    detach(session);
    pump(session);
}

void tunnel_session_drained(struct tunnel_session *session)
{
    pump(session);
}

/* Frames */

struct cancel_waiter {
    struct control_waiter waiter; /* first */
};

static void on_cancelled(struct control_waiter *waiter)
{
    free(waiter);
}

static void cancel(struct tunnel_session *session, const struct tunnel_cancel *wanted)
{
    struct control *control = session->tunnel->server->control;
    struct cancel_waiter *waiter;

    if (control == NULL)
        return;
    waiter = mem_new(sizeof(*waiter));
    waiter->waiter.on_answer = on_cancelled;
    if (!control_cancel(control, wanted->pid, wanted->key, &waiter->waiter))
        free(waiter);
}

void tunnel_session_heard(struct tunnel_session *session)
{
    endpoint_heard(session->endpoint, tunnel_now(), session->attachment->number);
}

void tunnel_session_frame(struct tunnel_session *session, const struct tunnel_frame *frame)
{
    session->depth++;
    switch (endpoint_frame(session->endpoint, tunnel_now(), session->attachment->number, frame)) {
    case ENDPOINT_DATA:
        offer(session);
        break;
    case ENDPOINT_CANCEL:
        cancel(session, &frame->cancel);
        break;
    case ENDPOINT_NOTHING:
    case ENDPOINT_UP:
    case ENDPOINT_MOVE:
    case ENDPOINT_TXN:
    case ENDPOINT_REFUSED:
    case ENDPOINT_DEAD:
        break;
    }
    session->depth--;
    pump(session);
}

void tunnel_session_malformed(struct tunnel_session *session, const struct error *error)
{
    endpoint_malformed(session->endpoint, tunnel_now(), session->attachment->number, error);
    pump(session);
}

static void on_timer(struct loop_timer *timer)
{
    struct tunnel_session *session = lws_container_of(timer, struct tunnel_session, timer);
    int64_t now = tunnel_now();

    if (session->orphan && now >= session->orphan_until)
        tunnel_session_end(session, TUNNEL_END_ABORTED);
    if (endpoint_timer(session->endpoint, now) == ENDPOINT_DEAD && session->attachment != NULL) {
        attachment_leave(session->attachment);
        detach(session);
    }
    pump(session);
}

/* The owner's operations */

static void session_send(struct stream *stream, struct bytes data)
{
    struct tunnel_session *session = session_of(stream);

    if (session->finishing || data.len == 0)
        return;
    if (!buffer_append(&session->pending, data)) {
        tunnel_session_end(session, TUNNEL_END_INTERNAL);
        return;
    }
    if (session->depth == 0) {
        flush(session);
        transmit(session);
        flush(session);
        plan(session, tunnel_now());
    }
    if (buffer_len(&session->pending) >= STREAM_QUEUE_HIGH)
        session->full = true;
}

static size_t session_queued(const struct stream *stream)
{
    return buffer_len(&((const struct tunnel_session *)stream)->pending);
}

static void session_pause(struct stream *stream, bool paused)
{
    struct tunnel_session *session = session_of(stream);

    if (session->paused && !paused && session->depth == 0)
        soon(session);
    session->paused = paused;
}

static void session_finish(struct stream *stream, enum stream_end end, const char *reason)
{
    struct tunnel_session *session = session_of(stream);

    (void)end, (void)reason; /* the client has read it in Postgres's words */
    session->finishing = true;
    soon(session);
}

/* What was sent before the end still goes out, if the client comes back for it. */
static void session_close(struct stream *stream)
{
    struct tunnel_session *session = session_of(stream);

    session->orphan = true;
    session->orphan_until = tunnel_now() + (int64_t)session->tunnel->settings.retain_s * 1000;
    if (!session->finishing)
        tunnel_session_end(session, TUNNEL_END_ABORTED);
    soon(session);
}

static void session_established(struct stream *stream)
{
    struct tunnel_session *session = session_of(stream);

    session->established = true;
    endpoint_established(session->endpoint);
}

/* The beginning */

enum tunnel_refusal tunnel_session_open(struct attachment *attachment,
                                        const struct tunnel_open *open)
{
    static const struct stream_ops ops = {
        .send = session_send,
        .queued = session_queued,
        .pause = session_pause,
        .finish = session_finish,
        .close = session_close,
        .established = session_established,
    };
    struct tunnel *tunnel = attachment->tunnel;
    struct tunnel_session *session = mem_new(sizeof(*session));
    enum tunnel_refusal refusal = registry_open(tunnel->registry, open, session, &session->entry);

    if (refusal != TUNNEL_REFUSAL_NONE) {
        free(session);
        return refusal;
    }
    session->stream.ops = &ops;
    session->tunnel = tunnel;
    session->timer.on_expired = on_timer;
    session->endpoint = endpoint_new_server(&tunnel->settings, open);
    buffer_init(&session->pending, PENDING_MAX);
    LIST_INSERT_HEAD(&tunnel->sessions, session, link);
    attach(session, attachment, endpoint_attach(session->endpoint, tunnel_now()));
    session->depth++;
    server_take_client(tunnel->server, attachment->peer, &session->stream);
    session->depth--;
    pump(session);
    return TUNNEL_REFUSAL_NONE;
}
