/* One session of the tunnel: between its endpoint, which talks to the client's over whatever
 * attachment there is, and its owner, to whom it is a stream like any other.
 *
 * Nothing may happen to the owner inside an operation that it calls: what an operation makes
 * necessary is done a moment later, from the timer. */
#include <stdlib.h>
#include <string.h>

#include "common/frame.h"
#include "common/log.h"
#include "common/memory.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/tunnel_state.h"

enum {
    STARTUP_RETAIN_MS = 10000, /* for a client that has not logged in */
    FAREWELL_MS = 10000,       /* for a client to take RESET */
};
/* Far above the high watermark: only an owner that ignores it gets here. */
#define PENDING_MAX ((size_t)64 * 1024 * 1024)
/* With its header a whole read at the other end. */
#define PIECE_MAX (LOOP_SCRATCH - FRAME_HEADER_MAX)

static struct tunnel_session *session_of(struct stream *stream)
{
    return (struct tunnel_session *)stream;
}

static int64_t deadline(const struct tunnel_session *session, int64_t now)
{
    int64_t at = endpoint_deadline(session->endpoint, now);

    if (session->over_since != 0)
        return session->over_since + FAREWELL_MS;
    return session->orphan && at > session->orphan_until ? session->orphan_until : at;
}

/* Each frame puts most deadlines off, so a timer that is set fires too early rather than being set
 * again and again. */
static void plan(struct tunnel_session *session, int64_t now)
{
    int64_t at = deadline(session, now);

    if (session->due || at >= session->timer_at)
        return;
    session->timer_at = at;
    loop_timer_set(session->tunnel->server->loop, &session->timer,
                   at > now ? (unsigned long)(at - now) : 0);
}

/* In the next turn of the loop, whatever else is planned until then. */
static void soon(struct tunnel_session *session)
{
    session->due = true;
    session->timer_at = INT64_MIN;
    loop_timer_set(session->tunnel->server->loop, &session->timer, 0);
}

/* To the client */

/* Whether `data`, just read, have become part of the ring as they are. Memory that is held for few
 * bytes costs more than a copy. */
static bool adopt(struct tunnel_session *session, struct bytes data)
{
    struct block *block = loop_scratch_block(session->tunnel->server->loop, data);

    return block != NULL && data.len >= block->size / 4 &&
           endpoint_source_adopt(session->endpoint, block, data);
}

/* Takes what the ring has room for, and returns the rest. */
static struct bytes put(struct tunnel_session *session, struct bytes data)
{
    size_t room;

    if (adopt(session, data))
        return bytes_skip(data, data.len);
    while (data.len > 0) {
        uint8_t *place = endpoint_source_reserve(session->endpoint, tunnel_now(), data.len, &room);
        if (place == NULL)
            break;
        memcpy(place, data.data, room);
        endpoint_source_commit(session->endpoint, room);
        data = bytes_skip(data, room);
    }
    return data;
}

/* An owner that does not speak Postgres's language leaves a reason. It goes as RESET, which must
 * not overtake what came before. */
static void end_source(struct tunnel_session *session)
{
    const struct tunnel_reset reset = {
        .reason = session->why == STREAM_END_GOING_AWAY ? TUNNEL_END_SHUTDOWN : TUNNEL_END_ABORTED,
        .outcome = session->established ? TUNNEL_OUTCOME_UNKNOWN : TUNNEL_OUTCOME_NONE,
        .text = bytes_of_string(session->why_text),
    };

    if (session->why == STREAM_END_NORMAL)
        endpoint_source_end(session->endpoint);
    else if (endpoint_counts(session->endpoint).ring == 0)
        endpoint_reset(session->endpoint, &reset);
    else
        return;
    session->ended = true;
}

static void flush(struct tunnel_session *session)
{
    struct bytes queued;

    while ((queued = buffer_peek(&session->pending)).len > 0) {
        struct bytes rest = put(session, queued);

        buffer_consume(&session->pending, queued.len - rest.len);
        if (rest.len > 0)
            return;
    }
    if (session->finishing && !session->ended)
        end_source(session);
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

/* A ring that has no place for a whole read counts as a full queue: what did not fit would have to
 * be copied twice. */
static size_t session_queued(const struct stream *stream)
{
    const struct tunnel_session *session = (const struct tunnel_session *)stream;
    size_t pending = buffer_len(&session->pending);

    return pending == 0 && !endpoint_source_has_room(session->endpoint, LOOP_SCRATCH)
               ? STREAM_QUEUE_HIGH
               : pending;
}

static void tell_drained(struct tunnel_session *session)
{
    if (!session->full || session_queued(&session->stream) > STREAM_QUEUE_LOW)
        return;
    session->full = false;
    if (!session->orphan)
        session->stream.events->on_drained(session->stream.owner);
}

/* The end */

static void count_resent(struct tunnel_session *session)
{
    uint64_t resent = endpoint_counts(session->endpoint).bytes_resent;

    if (resent > session->resent)
        metrics_count(METRICS_TUNNEL_RESENT_BYTES, resent - session->resent);
    session->resent = resent;
}

void tunnel_session_free(struct tunnel_session *session)
{
    loop_timer_stop(&session->timer);
    if (session->attachment != NULL)
        session->attachment->session = NULL;
    tunnel_canceller_free(session->canceller);
    LIST_REMOVE(session, link);
    endpoint_free(session->endpoint);
    buffer_clear(&session->pending);
    free(session->why_text);
    free(session);
}

bool tunnel_session_is_leaving(const struct tunnel_session *session)
{
    return session->attachment != NULL && session->over_since == 0 &&
           (buffer_len(&session->pending) > 0 || endpoint_counts(session->endpoint).ring > 0);
}

/* Whether nobody will ever want the answer to what runs, which Postgres would not notice before it
 * has one: the client has not come back in time, or its program was stopped in the middle. */
static bool is_given_up(const struct tunnel_reset *end, bool stopped)
{
    return end->reason == TUNNEL_END_EXPIRED || end->reason == TUNNEL_END_LIMIT || stopped;
}

static void finish_session(struct tunnel_session *session, const struct tunnel_reset *end)
{
    struct tunnel *tunnel = session->tunnel;
    const struct stream_events *events = session->stream.events;
    /* Our own shutdown comes from the owner. */
    bool stopped = end->reason == TUNNEL_END_SHUTDOWN && !session->finishing;
    bool given_up = is_given_up(end, stopped);
    const char *reason = stopped ? "the client was stopped" : tunnel_end_text(end->reason);

    if (given_up && !stopped)
        metrics_count(METRICS_TUNNEL_EXPIRIES, 1);
    registry_bury(tunnel->registry, session->entry, end,
                  tunnel_now() + (int64_t)tunnel->settings.retain_s * 1000);
    tunnel_plan_sweep(tunnel);
    if (session->attachment != NULL)
        attachment_leave(session->attachment);
    session->attachment = NULL;
    if (!session->orphan && given_up && events->on_given_up != NULL) {
        session->given_up = session->finishing = true;
        loop_timer_stop(&session->timer);
        events->on_given_up(session->stream.owner, reason); /* which closes it */
        return;
    }
    if (!session->orphan)
        events->on_closed(session->stream.owner, reason);
    tunnel_session_free(session);
}

/* The endpoint is over; its client should still read why, if it is there. */
static bool says_farewell(struct tunnel_session *session, int64_t now)
{
    if (session->over_since == 0)
        session->over_since = now;
    return session->attachment != NULL && now < session->over_since + FAREWELL_MS &&
           endpoint_has_output(session->endpoint, now, session->attachment->number);
}

/* Does whatever can be done now; may free the session. Not from inside an operation. */
static void pump(struct tunnel_session *session)
{
    struct server *server = session->tunnel->server;
    bool orphan = session->orphan;
    const struct tunnel_reset *end;
    int64_t now = tunnel_now();

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
    count_resent(session);
    end = endpoint_end(session->endpoint);
    if (end == NULL || says_farewell(session, now))
        plan(session, now);
    else
        finish_session(session, end);
    if (orphan)
        server_check_drained(server);
}

void tunnel_session_end(struct tunnel_session *session, enum tunnel_end reason)
{
    const struct tunnel_reset reset = {.reason = (uint16_t)reason,
                                       .outcome = TUNNEL_OUTCOME_UNKNOWN};

    endpoint_reset(session->endpoint, &reset);
    soon(session);
}

/* Attachments */

/* It stands among the detached; the one that has stood there for too long makes way, at once, lest
 * it be chosen again. */
static void wait_for_client(struct tunnel_session *session)
{
    struct registry_entry *victim =
        registry_detached(session->tunnel->registry, session->entry, session->established);

    if (victim == NULL)
        return;
    tunnel_session_end(registry_session(victim), TUNNEL_END_LIMIT);
    pump(registry_session(victim));
}

static void detach(struct tunnel_session *session)
{
    session->attachment->session = NULL;
    session->attachment = NULL;
    wait_for_client(session);
}

static void attach(struct tunnel_session *session, struct attachment *attachment, uint32_t number)
{
    attachment->session = session;
    attachment->number = number;
    session->attachment = attachment;
    if (attachment->ops->attached != NULL)
        attachment->ops->attached(attachment);
    metrics_attachment(attachment->ops->carrier);
}

enum tunnel_refusal tunnel_session_resume(struct tunnel_session *session,
                                          struct attachment *attachment,
                                          const struct tunnel_resume *resume)
{
    struct attachment *old = session->attachment;
    uint32_t number;
    enum tunnel_refusal refusal;

    if (memcmp(session->certificate, attachment->visitor.certificate,
               sizeof(session->certificate)) != 0)
        return TUNNEL_REFUSAL_DENIED;
    refusal = endpoint_resume(session->endpoint, tunnel_now(), resume, &number);
    if (refusal != TUNNEL_REFUSAL_NONE)
        return refusal;
    log_debug(NULL, "%s: session resumed, attempt %u", attachment->visitor.address.text,
              resume->attempt);
    if (old != NULL)
        attachment_leave(old);
    attach(session, attachment, number);
    registry_attached(session->tunnel->registry, session->entry);
    metrics_count(METRICS_TUNNEL_RESUMES, 1);
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

void tunnel_session_move(struct tunnel_session *session, uint16_t within_s)
{
    endpoint_move(session->endpoint, within_s);
    pump(session);
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
        tunnel_cancel(&session->canceller, session->tunnel->server, &frame->cancel);
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

    session->due = false;
    session->timer_at = INT64_MAX;
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

    if (session->finishing)
        return;
    if (session->depth == 0 && buffer_len(&session->pending) == 0)
        data = put(session, data);
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
    if (session_queued(stream) >= STREAM_QUEUE_HIGH)
        session->full = true;
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

    if (session->finishing)
        return;
    session->finishing = true;
    session->why = end;
    session->why_text = mem_copy_string(reason);
    soon(session);
}

/* What was sent before the end still goes out, if the client comes back for it. Of a client that
 * has not logged in not much is kept, lest many of them keep others out: if it is there, it has
 * been sent all, and RESET comes behind that. */
static void session_close(struct stream *stream)
{
    struct tunnel_session *session = session_of(stream);
    int64_t retain_ms = (int64_t)session->tunnel->settings.retain_s * 1000;
    bool keep;

    if (session->given_up) {
        tunnel_session_free(session);
        return;
    }
    keep = session->established || session->attachment == NULL || buffer_len(&session->pending) > 0;

    if (!session->established && retain_ms > STARTUP_RETAIN_MS)
        retain_ms = STARTUP_RETAIN_MS;
    session->orphan = true;
    session->orphan_until = tunnel_now() + retain_ms;
    if (!session->finishing || !keep)
        tunnel_session_end(session, TUNNEL_END_ABORTED);
    soon(session);
}

static void session_committing(struct stream *stream, const struct tunnel_txn *txn)
{
    struct tunnel_session *session = session_of(stream);
    struct tunnel_txn told = *txn;

    told.offset = endpoint_source_offset(session->endpoint) + buffer_len(&session->pending);
    endpoint_txn(session->endpoint, &told);
    if (session->depth == 0)
        transmit(session);
}

static uint64_t session_undelivered(const struct stream *stream)
{
    const struct tunnel_session *session = (const struct tunnel_session *)stream;

    return endpoint_counts(session->endpoint).undelivered + buffer_len(&session->pending);
}

static void session_outcome_known(struct stream *stream, enum tunnel_outcome outcome, uint64_t xid)
{
    struct tunnel_session *session = session_of(stream);

    registry_tell(session->tunnel->registry, endpoint_id(session->endpoint), outcome, xid);
}

static void session_established(struct stream *stream)
{
    struct tunnel_session *session = session_of(stream);

    session->established = true;
    endpoint_established(session->endpoint);
    if (session->attachment == NULL)
        wait_for_client(session); /* among the others now */
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
        .committing = session_committing,
        .undelivered = session_undelivered,
        .outcome = session_outcome_known,
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
    memcpy(session->certificate, attachment->visitor.certificate, sizeof(session->certificate));
    session->timer.on_expired = on_timer;
    session->timer_at = INT64_MAX;
    session->endpoint = endpoint_new_server(&tunnel->settings, open);
    buffer_init(&session->pending, PENDING_MAX);
    LIST_INSERT_HEAD(&tunnel->sessions, session, link);
    attach(session, attachment, endpoint_attach(session->endpoint, tunnel_now()));
    session->depth++;
    server_take_client(tunnel->server, &attachment->visitor.address, &session->stream);
    session->depth--;
    pump(session);
    return TUNNEL_REFUSAL_NONE;
}
