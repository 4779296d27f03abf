/* One WebSocket of the tunnel: its first message says whose it is. */
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/tunnel/tunnel_auth.h"
#include "server/connection.h"
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
    RETRY_AFTER_S = 1,
};

static void free_attachment(struct attachment *attachment)
{
    loop_timer_stop(&attachment->patience);
    tunnel_decoder_clear(&attachment->decoder);
    LIST_REMOVE(attachment, link);
    free(attachment);
}

static void stop_waiting(struct attachment *attachment)
{
    if (attachment->waiting)
        attachment->tunnel->waiting--;
    if (attachment->question.waiting)
        tunnel_peers_forget(attachment->tunnel->peers, &attachment->question);
    attachment->waiting = false;
    loop_timer_stop(&attachment->patience);
}

void attachment_stop(struct attachment *attachment)
{
    stop_waiting(attachment);
    attachment->over = true;
}

static void close_because(struct attachment *attachment, enum stream_end end, const char *reason)
{
    attachment->over = true;
    stream_finish_because(websocket_stream(attachment->websocket), end, reason);
    loop_timer_set(attachment->tunnel->server->loop, &attachment->patience, LINGER_MS);
}

/* Without waiting for the peer; no event follows. */
static void drop(struct attachment *attachment)
{
    stop_waiting(attachment);
    stream_close(websocket_stream(attachment->websocket));
    free_attachment(attachment);
}

void attachment_go_away(struct attachment *attachment)
{
    if (!attachment->waiting)
        return;
    stop_waiting(attachment);
    close_because(attachment, STREAM_END_GOING_AWAY, "the server is shutting down");
}

void attachment_plan_move(struct attachment *attachment)
{
    const struct server *server = attachment->tunnel->server;
    unsigned long max_age_ms = server->settings->tunnel_max_age_ms;
    unsigned long ahead_ms = max_age_ms / 4 < MOVE_AHEAD_MS ? max_age_ms / 4 : MOVE_AHEAD_MS;
    unsigned long age_ms = (unsigned long)(tunnel_now() - attachment->accepted_at);

    if (max_age_ms == 0)
        return;
    attachment->move_within_s = (uint16_t)((ahead_ms + 999) / 1000);
    loop_timer_set(server->loop, &attachment->patience,
                   age_ms < max_age_ms - ahead_ms ? max_age_ms - ahead_ms - age_ms : 0);
}

void attachment_leave(struct attachment *attachment)
{
    attachment->session = NULL;
    close_because(attachment, STREAM_END_NORMAL, "");
}

bool attachment_has_room(const struct attachment *attachment)
{
    return !attachment->over && stream_queued(websocket_stream(attachment->websocket)) == 0;
}

void attachment_send(struct attachment *attachment, const struct endpoint_output *output)
{
    websocket_send_message(attachment->websocket, bytes_of(output->head, output->head_len),
                           output->payload);
}

void attachment_answer(struct attachment *attachment, const struct tunnel_frame *frame)
{
    uint8_t bytes[TUNNEL_CONTROL_MAX];

    websocket_send_message(attachment->websocket,
                           bytes_of(bytes, tunnel_frame_encode(frame, bytes)), bytes_of(NULL, 0));
    close_because(attachment, STREAM_END_NORMAL, tunnel_frame_name(frame->type));
}

static void refuse(struct attachment *attachment, enum tunnel_refusal reason)
{
    const struct tunnel_frame frame = {
        .type = TUNNEL_REFUSED,
        .refused = {.reason = (uint16_t)reason,
                    .retry_after_s = RETRY_AFTER_S,
                    .text = bytes_of_string(tunnel_refusal_text(reason))},
    };

    log_debug(NULL, "%s: tunnel refused: %s", attachment->peer, tunnel_refusal_text(reason));
    attachment_answer(attachment, &frame);
}

/* In proxy mode Postgres's words say so to those who have logged in. */
static bool is_full(const struct tunnel *tunnel)
{
    return tunnel->server->relay != NULL && !server_has_room(tunnel->server);
}

static void open_session(struct attachment *attachment, const struct tunnel_open *open)
{
    struct tunnel *tunnel = attachment->tunnel;
    bool exists = registry_find(tunnel->registry, &open->id) != NULL;
    enum tunnel_refusal refusal =
        is_full(tunnel) && !exists ? TUNNEL_REFUSAL_FULL : tunnel_session_open(attachment, open);

    if (refusal != TUNNEL_REFUSAL_NONE)
        refuse(attachment, refusal);
}

static void on_peer_answer(struct peer_question *question, bool lives)
{
    static const struct tunnel_frame lost = {
        .type = TUNNEL_RESET,
        .reset = {.reason = TUNNEL_END_LOST, .outcome = TUNNEL_OUTCOME_UNKNOWN},
    };
    struct attachment *attachment = lws_container_of(question, struct attachment, question);

    if (lives)
        refuse(attachment, TUNNEL_REFUSAL_NOT_HERE);
    else
        attachment_answer(attachment, &lost);
}

/* The session of another server. */
static void ask_peers(struct attachment *attachment, uint64_t instance)
{
    if (attachment->tunnel->peers == NULL) {
        refuse(attachment, TUNNEL_REFUSAL_NOT_HERE);
        return;
    }
    attachment->question =
        (struct peer_question){.instance = instance, .on_answer = on_peer_answer};
    tunnel_peers_ask(attachment->tunnel->peers, &attachment->question);
}

static void resume_session(struct attachment *attachment, const struct tunnel_resume *resume)
{
    struct tunnel *tunnel = attachment->tunnel;
    struct registry_answer answer =
        registry_resume(tunnel->registry, resume, tunnel->settings.instance);
    struct tunnel_frame reset = {.type = TUNNEL_RESET};
    enum tunnel_refusal refusal;

    switch (answer.verdict) {
    case REGISTRY_LIVE:
        refusal = tunnel_session_resume(registry_session(answer.entry), attachment, resume);
        if (refusal != TUNNEL_REFUSAL_NONE)
            refuse(attachment, refusal);
        break;
    case REGISTRY_GONE:
        reset.reset = answer.reset;
        attachment_answer(attachment, &reset);
        break;
    case REGISTRY_REFUSED:
        refuse(attachment, answer.refusal);
        break;
    case REGISTRY_ELSEWHERE:
        ask_peers(attachment, resume->instance);
        break;
    }
}

static void on_first_frame(struct attachment *attachment, const struct tunnel_frame *frame)
{
    stop_waiting(attachment);
    if (frame->type == TUNNEL_OPEN)
        open_session(attachment, &frame->open);
    else if (frame->type == TUNNEL_RESUME)
        resume_session(attachment, &frame->resume);
    else
        refuse(attachment, TUNNEL_REFUSAL_MALFORMED);
}

static void decode(struct attachment *attachment, struct bytes piece, bool last)
{
    struct tunnel_frame frame;
    struct error error;
    enum status status;

    while (!attachment->over && (status = tunnel_decode(&attachment->decoder, &piece, last, &frame,
                                                        &error)) != STATUS_MORE) {
        if (status == STATUS_OK && attachment->waiting)
            on_first_frame(attachment, &frame);
        else if (attachment->waiting || attachment->session == NULL)
            refuse(attachment, TUNNEL_REFUSAL_MALFORMED); /* nothing may follow a RESUME */
        else if (status == STATUS_OK)
            tunnel_session_frame(attachment->session, &frame);
        else
            tunnel_session_malformed(attachment->session, &error);
        if (status != STATUS_OK)
            break;
    }
}

/* The client does without the protocol: from here on the WebSocket carries bytes, this piece first.
 * What the upgrade would have been refused for is said now. */
static void become_raw(struct attachment *attachment)
{
    struct server *server = attachment->tunnel->server;

    stop_waiting(attachment);
    if (server->relay != NULL && server->draining) {
        close_because(attachment, STREAM_END_GOING_AWAY, "the server is shutting down");
    } else if (is_full(attachment->tunnel)) {
        close_because(attachment, STREAM_END_FAILED, "too many connections (MAX_SESSIONS)");
    } else {
        websocket_carry_bytes(attachment->websocket);
        server_take_client(server, attachment->peer, websocket_stream(attachment->websocket));
        free_attachment(attachment);
    }
}

static void on_piece(void *owner, struct bytes piece, bool last)
{
    struct attachment *attachment = owner;

    if (attachment->over)
        return;
    if (attachment->waiting && piece.len > 0 && piece.data[0] == 0 &&
        !tunnel_decoder_is_inside(&attachment->decoder)) {
        become_raw(attachment);
        return;
    }
    if (attachment->session != NULL)
        tunnel_session_heard(attachment->session);
    decode(attachment, piece, last);
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

    log_debug(NULL, "%s: attachment closed: %s", attachment->peer, reason);
    attachment_stop(attachment);
    if (attachment->session != NULL)
        tunnel_session_detached(attachment->session);
    free_attachment(attachment);
}

static void on_impatience(struct loop_timer *timer)
{
    struct attachment *attachment = lws_container_of(timer, struct attachment, patience);

    if (attachment->over) {
        drop(attachment);
    } else if (attachment->session != NULL) {
        tunnel_session_move(attachment->session, attachment->move_within_s);
    } else {
        stop_waiting(attachment);
        close_because(attachment, STREAM_END_NORMAL, "nothing came");
    }
}

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
        drop(oldest);
}

void tunnel_accept(struct tunnel *tunnel, struct websocket *websocket, const char *peer)
{
    static const struct stream_events events = {
        .on_end = on_end,
        .on_drained = on_drained,
        .on_closed = on_closed,
    };
    struct attachment *attachment = mem_new(sizeof(*attachment));

    make_room(tunnel);
    attachment->tunnel = tunnel;
    attachment->accepted_at = tunnel_now();
    attachment->websocket = websocket;
    (void)snprintf(attachment->peer, sizeof(attachment->peer), "%s", peer);
    tunnel_decoder_init(&attachment->decoder, TUNNEL_MESSAGES, tunnel->settings.max_frame);
    attachment->patience.on_expired = on_impatience;
    loop_timer_set(tunnel->server->loop, &attachment->patience,
                   tunnel->waiting < PREWARMED_MAX ? PREWARMED_MS : SILENT_MS);
    attachment->waiting = true;
    tunnel->waiting++;
    LIST_INSERT_HEAD(&tunnel->attachments, attachment, link);
    websocket_carry_messages(websocket, on_piece);
    websocket_own(websocket, &events, attachment);
}
