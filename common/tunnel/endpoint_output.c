/* Which frame an endpoint sends next: control frames first, then its stream. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/endpoint_state.h"
#include "common/tunnel/tunnel_auth.h"

#define NO_FRAME ((enum tunnel_frame_type)0)

static enum tunnel_frame_type next_of_stream(const struct endpoint *endpoint)
{
    if (sender_peek(&endpoint->out, 1).len > 0)
        return TUNNEL_DATA;
    return NO_FRAME;
}

static enum tunnel_frame_type next_when_attached(const struct endpoint *endpoint, int64_t now)
{
    if (endpoint->cancel != NULL)
        return TUNNEL_CANCEL;
    if (endpoint->move_pending)
        return TUNNEL_MOVE;
    if (endpoint->txn_pending)
        return TUNNEL_TXN;
    if (endpoint_ack_at(endpoint) <= now)
        return TUNNEL_ACK;
    if (next_of_stream(endpoint) != NO_FRAME)
        return TUNNEL_DATA;
    if (sender_owes_fin(&endpoint->out))
        return TUNNEL_FIN;
    return endpoint_keepalive_at(endpoint) <= now ? TUNNEL_KEEPALIVE : NO_FRAME;
}

static enum tunnel_frame_type next_frame(const struct endpoint *endpoint, int64_t now,
                                         uint32_t attachment)
{
    if (attachment == 0 || attachment != endpoint->attachment)
        return NO_FRAME;
    if (endpoint->state == ENDPOINT_OVER)
        return endpoint->reset_pending ? TUNNEL_RESET : NO_FRAME;
    if (endpoint->handshake != NO_FRAME)
        return endpoint->handshake;
    switch (endpoint->state) {
    case ENDPOINT_OPENING: /* up to the least window, without waiting */
        return next_of_stream(endpoint);
    case ENDPOINT_ATTACHED:
        return next_when_attached(endpoint, now);
    case ENDPOINT_NEW:
    case ENDPOINT_DETACHED:
    case ENDPOINT_RESUMING:
    case ENDPOINT_OVER:
        break;
    }
    return NO_FRAME;
}

bool endpoint_has_output(const struct endpoint *endpoint, int64_t now, uint32_t attachment)
{
    return next_frame(endpoint, now, attachment) != NO_FRAME;
}

/* The fields of each type */

static struct tunnel_open open_fields(const struct endpoint *endpoint)
{
    return (struct tunnel_open){
        .id = endpoint->id,
        .key = endpoint->key,
        .window = endpoint->in.window,
        .max_frame = endpoint->settings->max_frame,
        .info = bytes_of(endpoint->info, endpoint->info_len),
    };
}

static struct tunnel_resume resume_fields(const struct endpoint *endpoint)
{
    struct tunnel_resume resume = {
        .id = endpoint->id,
        .instance = endpoint->terms.instance,
        .attempt = endpoint->attempt,
        .next = endpoint->in.next,
    };

    resume.seal = tunnel_seal_resume(&endpoint->key, &resume);
    return resume;
}

static struct tunnel_terms terms_fields(const struct endpoint *endpoint)
{
    struct tunnel_terms terms = endpoint->terms;

    /* As it is by now; the client takes the shorter of the two. */
    terms.ping_s = (uint16_t)((endpoint->ping_ms + 999) / 1000);
    return terms;
}

static struct tunnel_frame frame_of_type(const struct endpoint *endpoint,
                                         enum tunnel_frame_type type)
{
    struct tunnel_frame frame = {.type = type};

    switch (type) {
    case TUNNEL_OPEN:
        frame.open = open_fields(endpoint);
        break;
    case TUNNEL_OPENED:
        frame.opened = terms_fields(endpoint);
        break;
    case TUNNEL_RESUME:
        frame.resume = resume_fields(endpoint);
        break;
    case TUNNEL_RESUMED:
        frame.resumed = (struct tunnel_resumed){
            .attempt = endpoint->attempt,
            .next = endpoint->in.next,
            .terms = terms_fields(endpoint),
        };
        break;
    case TUNNEL_MOVE:
        frame.move_within_s = endpoint->move_within_s;
        break;
    case TUNNEL_CANCEL:
        frame.cancel = *endpoint->cancel;
        break;
    case TUNNEL_DATA:
        frame.data.offset = endpoint->out.sent;
        break;
    case TUNNEL_ACK:
        frame.ack = endpoint->in.consumed;
        break;
    case TUNNEL_FIN:
        frame.fin = endpoint->out.ring.end;
        break;
    case TUNNEL_RESET:
        frame.reset = endpoint->end;
        break;
    case TUNNEL_TXN:
        frame.txn = endpoint->txn;
        break;
    case TUNNEL_REFUSED:
    case TUNNEL_KEEPALIVE:
    case TUNNEL_IGNORED:
        break;
    }
    return frame;
}

/* What sending changes */

static void advance(struct endpoint *endpoint, int64_t now, size_t units)
{
    struct sender *out = &endpoint->out;

    if (!sender_is_waiting(out))
        endpoint->waiting_since = now;
    sender_advance(out, units);
    pace_sent(&endpoint->pace, now, out->sent);
}

static void count_resent(struct endpoint *endpoint, size_t len)
{
    const struct sender *out = &endpoint->out;
    uint64_t again = out->sent < out->sent_most ? out->sent_most - out->sent : 0;

    endpoint->bytes_resent += again < len ? again : len;
}

static void forget_cancel(struct endpoint *endpoint)
{
    mem_free_secret(endpoint->cancel, sizeof *endpoint->cancel + endpoint->cancel->key.len);
    endpoint->cancel = NULL;
}

static void note_sent(struct endpoint *endpoint, int64_t now, enum tunnel_frame_type type,
                      size_t payload_len)
{
    endpoint->sent_at = now;
    switch (type) {
    case TUNNEL_OPEN:
    case TUNNEL_OPENED:
    case TUNNEL_RESUME:
    case TUNNEL_RESUMED:
        endpoint->handshake = NO_FRAME;
        break;
    case TUNNEL_MOVE:
        endpoint->move_pending = false;
        break;
    case TUNNEL_CANCEL:
        forget_cancel(endpoint);
        break;
    case TUNNEL_DATA:
        count_resent(endpoint, payload_len);
        advance(endpoint, now, payload_len);
        break;
    case TUNNEL_ACK:
        endpoint->in.acknowledged = endpoint->in.consumed;
        endpoint->ack_pending = false;
        endpoint_finish_if_done(endpoint, now);
        break;
    case TUNNEL_FIN:
        advance(endpoint, now, 1);
        break;
    case TUNNEL_RESET:
        endpoint->reset_pending = false;
        break;
    case TUNNEL_TXN:
        endpoint->txn_pending = false;
        break;
    case TUNNEL_REFUSED:
    case TUNNEL_KEEPALIVE:
    case TUNNEL_IGNORED:
        break;
    }
}

bool endpoint_take(struct endpoint *endpoint, int64_t now, uint32_t attachment, size_t max,
                   struct endpoint_output *output)
{
    enum tunnel_frame_type type = next_frame(endpoint, now, attachment);

    if (type == NO_FRAME)
        return false;

    const struct tunnel_frame frame = frame_of_type(endpoint, type);
    output->head_len = tunnel_frame_encode(&frame, output->head);
    output->payload = bytes_of(NULL, 0);
    if (max > endpoint->peer_max_frame)
        max = endpoint->peer_max_frame;
    if (output->head_len + (type == TUNNEL_DATA ? 1 : 0) > max)
        return false;
    if (type == TUNNEL_DATA)
        output->payload = sender_peek(&endpoint->out, max - output->head_len);
    note_sent(endpoint, now, type, output->payload.len);
    return true;
}

void endpoint_rewind(struct endpoint *endpoint, uint32_t attachment)
{
    if (attachment == 0 || attachment != endpoint->attachment)
        return;
    if (endpoint->state == ENDPOINT_OVER) {
        endpoint->reset_pending = true;
        return;
    }
    sender_rewind(&endpoint->out);
    endpoint->ack_pending = endpoint->in.consumed > 0;
    endpoint->txn_pending = endpoint->txn.xid != 0;
    endpoint->move_pending = endpoint->move_wanted;
}

void endpoint_confirm(struct endpoint *endpoint, uint32_t attachment)
{
    if (attachment != 0 && attachment == endpoint->attachment)
        sender_confirm(&endpoint->out);
}
