/* An attachment that is a WebSocket: one message is one frame. */
#include "server/websocket.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/server.h"
#include "server/tunnel_state.h"

enum {
    PREWARMED_MAX = 64, /* connections that clients have made ahead of need … */
    PREWARMED_MS = 10 * 60 * 1000,
    SILENT_MAX = 164, /* … and others that have said nothing yet; then the oldest makes way … */
    SILENT_MS = 10000,
    SILENT_GRACE_MS = 1000, /* … unless it is this young */
    LINGER_MS = 10000,      /* for the peer to take what is queued once an attachment is over */
    MOVE_AHEAD_MS = 30000,  /* of its greatest age a client is asked to attach anew */
};

struct websocket_attachment {
    struct attachment attachment; /* first */
    struct websocket *websocket;
    uint16_t move_within_s;
};

static struct websocket_attachment *carrier_of(struct attachment *attachment)
{
    return (struct websocket_attachment *)attachment;
}

static struct stream *stream_of(const struct attachment *attachment)
{
    return websocket_stream(((const struct websocket_attachment *)attachment)->websocket);
}

static void free_carrier(struct websocket_attachment *carrier)
{
    attachment_clear(&carrier->attachment);
    free(carrier);
}

/* What the session and the server ask of it */

static bool has_room(const struct attachment *attachment)
{
    return stream_queued(stream_of(attachment)) == 0;
}

static void send_frame(struct attachment *attachment, struct bytes head, struct bytes payload)
{
    websocket_send_message(carrier_of(attachment)->websocket, head, payload);
}

/* Has its session told to leave it before it reaches the age at which edges cut. */
static void plan_move(struct websocket_attachment *carrier)
{
    struct attachment *attachment = &carrier->attachment;
    const struct server *server = attachment->tunnel->server;
    unsigned long max_age_ms = server->settings->tunnel_max_age_ms;
    unsigned long ahead_ms = max_age_ms / 4 < MOVE_AHEAD_MS ? max_age_ms / 4 : MOVE_AHEAD_MS;
    unsigned long age_ms = (unsigned long)(tunnel_now() - attachment->accepted_at);

    if (max_age_ms == 0)
        return;
    carrier->move_within_s = (uint16_t)((ahead_ms + 999) / 1000);
    loop_timer_set(server->loop, &attachment->patience,
                   age_ms < max_age_ms - ahead_ms ? max_age_ms - ahead_ms - age_ms : 0);
}

static void on_attached(struct attachment *attachment)
{
    websocket_stop_pings(carrier_of(attachment)->websocket);
    plan_move(carrier_of(attachment));
}

static void finish(struct attachment *attachment, enum stream_end end, const char *reason)
{
    stream_finish_because(stream_of(attachment), end, reason);
    loop_timer_set(attachment->tunnel->server->loop, &attachment->patience, LINGER_MS);
}

static void stop(struct attachment *attachment)
{
    attachment_stop_waiting(attachment);
    attachment->over = true;
}

/* Without waiting for the peer; no event follows. */
static void drop(struct websocket_attachment *carrier)
{
    stream_close(stream_of(&carrier->attachment));
    free_carrier(carrier);
}

/* What comes from the WebSocket */

/* The client does without the protocol: from here on the WebSocket carries bytes, this piece first.
 * What the upgrade would have been refused for is said now. */
static void become_raw(struct websocket_attachment *carrier)
{
    struct attachment *attachment = &carrier->attachment;
    struct server *server = attachment->tunnel->server;

    if (server->relay != NULL && server->draining) {
        attachment_finish(attachment, STREAM_END_GOING_AWAY, "the server is shutting down");
    } else if (tunnel_is_full(attachment->tunnel)) {
        attachment_finish(attachment, STREAM_END_FAILED, "too many connections (MAX_SESSIONS)");
    } else {
        websocket_carry_bytes(carrier->websocket);
        server_take_client(server, &attachment->visitor.address, stream_of(attachment));
        free_carrier(carrier);
    }
}

static void on_piece(void *owner, struct bytes piece, bool last)
{
    struct attachment *attachment = owner;

    if (attachment->over)
        return;
    if (attachment->waiting && piece.len > 0 && piece.data[0] == 0 &&
        !tunnel_decoder_is_inside(&attachment->decoder)) {
        become_raw(owner);
        return;
    }
    if (attachment->session != NULL)
        tunnel_session_heard(attachment->session);
    attachment_decode(attachment, piece, last);
}

static void on_end(void *owner)
{
    struct attachment *attachment = owner;

    attachment->over = true;
}

static void on_drained(void *owner)
{
    struct attachment *attachment = owner;

    if (attachment->session != NULL)
        tunnel_session_drained(attachment->session);
}

static void on_closed(void *owner, const char *reason)
{
    struct attachment *attachment = owner;

    log_debug(NULL, "%s: attachment closed: %s", attachment->visitor.address.text, reason);
    stop(attachment);
    if (attachment->session != NULL)
        tunnel_session_detached(attachment->session);
    free_carrier(owner);
}

static void on_impatience(struct loop_timer *timer)
{
    struct websocket_attachment *carrier =
        lws_container_of(timer, struct websocket_attachment, attachment.patience);
    struct attachment *attachment = &carrier->attachment;

    if (attachment->over)
        drop(carrier);
    else if (attachment->session != NULL)
        tunnel_session_move(attachment->session, carrier->move_within_s);
    else
        attachment_finish(attachment, STREAM_END_NORMAL, "nothing came");
}

/* The beginning */

/* Those who connect and say nothing must not keep others out. */
static void make_room(struct tunnel *tunnel)
{
    struct attachment *attachment, *oldest = NULL;

    if (tunnel->waiting < SILENT_MAX)
        return;
    for (attachment = LIST_FIRST(&tunnel->attachments); attachment != NULL;
         attachment = LIST_NEXT(attachment, link))
        if (attachment->waiting)
            oldest = attachment; /* the newest stand first */
    if (oldest != NULL && tunnel_now() - oldest->accepted_at >= SILENT_GRACE_MS)
        drop(carrier_of(oldest));
}

void tunnel_accept(struct tunnel *tunnel, struct websocket *websocket,
                   const struct visitor *visitor)
{
    static const struct attachment_ops ops = {
        .carrier = METRICS_CARRIER_WEBSOCKET,
        .has_room = has_room,
        .send = send_frame,
        .attached = on_attached,
        .finish = finish,
        .stop = stop,
    };
    static const struct stream_events events = {
        .on_end = on_end,
        .on_drained = on_drained,
        .on_closed = on_closed,
    };
    struct websocket_attachment *carrier = mem_new(sizeof(*carrier));

    make_room(tunnel);
    carrier->websocket = websocket;
    carrier->attachment.patience.on_expired = on_impatience;
    loop_timer_set(tunnel->server->loop, &carrier->attachment.patience,
                   tunnel->waiting < PREWARMED_MAX && !tunnel->server->draining ? PREWARMED_MS
                                                                                : SILENT_MS);
    attachment_init(&carrier->attachment, &ops, tunnel, TUNNEL_MESSAGES, visitor);
    websocket_carry_messages(websocket, on_piece);
    websocket_own(websocket, &events, carrier);
}
