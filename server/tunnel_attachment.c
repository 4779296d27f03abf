/* What carries a session's frames for a while, of whatever kind: its first frame says whose it is.
 */
#include <stdlib.h>

#include "common/log.h"
#include "server/server.h"
#include "server/tunnel_state.h"

enum { RETRY_AFTER_S = 1 };

void attachment_init(struct attachment *attachment, const struct attachment_ops *ops,
                     struct tunnel *tunnel, enum tunnel_framing framing,
                     const struct visitor *visitor)
{
    attachment->ops = ops;
    attachment->tunnel = tunnel;
    attachment->accepted_at = tunnel_now();
    attachment->visitor = *visitor;
    tunnel_decoder_init(&attachment->decoder, framing, tunnel->settings.max_frame);
    attachment->waiting = true;
    tunnel->waiting++;
    LIST_INSERT_HEAD(&tunnel->attachments, attachment, link);
}

void attachment_clear(struct attachment *attachment)
{
    attachment_stop_waiting(attachment);
    loop_timer_stop(&attachment->patience);
    tunnel_decoder_clear(&attachment->decoder);
    LIST_REMOVE(attachment, link);
}

void attachment_stop_waiting(struct attachment *attachment)
{
    if (attachment->waiting)
        attachment->tunnel->waiting--;
    if (attachment->question.waiting)
        tunnel_peers_forget(attachment->tunnel->peers, &attachment->question);
    attachment->waiting = false;
    loop_timer_stop(&attachment->patience);
}

void attachment_finish(struct attachment *attachment, enum stream_end end, const char *reason)
{
    attachment_stop_waiting(attachment);
    attachment->over = true;
    attachment->ops->finish(attachment, end, reason);
}

void attachment_go_away(struct attachment *attachment)
{
    if (attachment->waiting)
        attachment_finish(attachment, STREAM_END_GOING_AWAY, "the server is shutting down");
}

void attachment_leave(struct attachment *attachment)
{
    attachment->session = NULL;
    attachment_finish(attachment, STREAM_END_NORMAL, "");
}

bool attachment_has_room(const struct attachment *attachment)
{
    return !attachment->over && attachment->ops->has_room(attachment);
}

void attachment_send(struct attachment *attachment, const struct endpoint_output *output)
{
    attachment->ops->send(attachment, bytes_of(output->head, output->head_len), output->payload);
}

/* The first frame */

/* Sends a frame of no session, then ends it. */
static void answer(struct attachment *attachment, const struct tunnel_frame *frame)
{
    uint8_t bytes[TUNNEL_CONTROL_MAX];

    attachment->ops->send(attachment, bytes_of(bytes, tunnel_frame_encode(frame, bytes)),
                          bytes_of(NULL, 0));
    attachment_finish(attachment, STREAM_END_NORMAL, tunnel_frame_name(frame->type));
}

static void refuse(struct attachment *attachment, enum tunnel_refusal reason)
{
    const struct tunnel_frame frame = {
        .type = TUNNEL_REFUSED,
        .refused = {.reason = (uint16_t)reason,
                    .retry_after_s = RETRY_AFTER_S,
                    .text = bytes_of_string(tunnel_refusal_text(reason))},
    };

    log_debug(NULL, "%s: tunnel refused: %s", attachment->visitor.address.text,
              tunnel_refusal_text(reason));
    answer(attachment, &frame);
}

bool tunnel_is_full(const struct tunnel *tunnel)
{
    return tunnel->server->relay != NULL && !server_has_room(tunnel->server);
}

static void open_session(struct attachment *attachment, const struct tunnel_open *open)
{
    struct tunnel *tunnel = attachment->tunnel;
    bool exists = registry_find(tunnel->registry, &open->id) != NULL;
    enum tunnel_refusal refusal = tunnel_is_full(tunnel) && !exists
                                      ? TUNNEL_REFUSAL_FULL
                                      : tunnel_session_open(attachment, open);

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
        answer(attachment, &lost);
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
    struct registry_answer found =
        registry_resume(tunnel->registry, resume, tunnel->settings.instance);
    struct tunnel_frame reset = {.type = TUNNEL_RESET};
    enum tunnel_refusal refusal;

    switch (found.verdict) {
    case REGISTRY_LIVE:
        refusal = tunnel_session_resume(registry_session(found.entry), attachment, resume);
        if (refusal != TUNNEL_REFUSAL_NONE)
            refuse(attachment, refusal);
        break;
    case REGISTRY_GONE:
        reset.reset = found.reset;
        answer(attachment, &reset);
        break;
    case REGISTRY_REFUSED:
        refuse(attachment, found.refusal);
        break;
    case REGISTRY_ELSEWHERE:
        ask_peers(attachment, resume->instance);
        break;
    }
}

static void on_first_frame(struct attachment *attachment, const struct tunnel_frame *frame)
{
    attachment_stop_waiting(attachment);
    if (frame->type == TUNNEL_OPEN)
        open_session(attachment, &frame->open);
    else if (frame->type == TUNNEL_RESUME)
        resume_session(attachment, &frame->resume);
    else
        refuse(attachment, TUNNEL_REFUSAL_MALFORMED);
}

/* All frames */

void attachment_fault(struct attachment *attachment, const struct error *error)
{
    if (attachment->session != NULL)
        tunnel_session_malformed(attachment->session, error);
    else
        refuse(attachment, TUNNEL_REFUSAL_MALFORMED);
}

void attachment_decode(struct attachment *attachment, struct bytes piece, bool last)
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
            attachment_fault(attachment, &error);
        if (status != STATUS_OK)
            break;
    }
}
