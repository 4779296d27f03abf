/* What an adapter tells an endpoint of its attachments. */
#include <assert.h>

#include "common/tunnel/endpoint.h"
#include "common/tunnel/endpoint_state.h"
#include "common/tunnel/tunnel_auth.h"

uint32_t endpoint_attach(struct endpoint *endpoint, int64_t now)
{
    assert(endpoint->role == ENDPOINT_CLIENT || endpoint->state == ENDPOINT_NEW);
    endpoint_input(endpoint, now, INPUT_ATTACH, NULL);
    return endpoint->attachment;
}

static enum tunnel_refusal judge(const struct endpoint *endpoint,
                                 const struct tunnel_resume *resume)
{
    /* Whoever cannot prove to be the client learns nothing else. */
    if (!tunnel_id_equal(&resume->id, &endpoint->id) ||
        !tunnel_resume_is_genuine(&endpoint->key, resume))
        return TUNNEL_REFUSAL_DENIED;
    if (resume->instance != 0 && resume->instance != endpoint->terms.instance)
        return TUNNEL_REFUSAL_NOT_HERE;
    if (resume->attempt <= endpoint->attempt)
        return TUNNEL_REFUSAL_STALE;
    return TUNNEL_REFUSAL_NONE;
}

enum tunnel_refusal endpoint_resume(struct endpoint *endpoint, int64_t now,
                                    const struct tunnel_resume *resume, uint32_t *attachment)
{
    const struct tunnel_frame frame = {.type = TUNNEL_RESUME, .resume = *resume};
    enum tunnel_refusal refusal = judge(endpoint, resume);

    assert(endpoint->role == ENDPOINT_SERVER);
    if (refusal != TUNNEL_REFUSAL_NONE)
        return refusal;
    endpoint_input(endpoint, now, INPUT_ATTACH, &frame);
    *attachment = endpoint->attachment;
    return TUNNEL_REFUSAL_NONE;
}

static bool is_current(const struct endpoint *endpoint, uint32_t attachment)
{
    return attachment != 0 && attachment == endpoint->attachment;
}

void endpoint_detach(struct endpoint *endpoint, int64_t now, uint32_t attachment)
{
    if (!is_current(endpoint, attachment))
        return;
    if (endpoint->state == ENDPOINT_OVER)
        endpoint->attachment = 0;
    endpoint_input(endpoint, now, INPUT_DETACH, NULL);
}

void endpoint_heard(struct endpoint *endpoint, int64_t now, uint32_t attachment)
{
    if (!is_current(endpoint, attachment))
        return;
    endpoint->heard_at = now;
    endpoint->dead_told = false;
    if (endpoint->state == ENDPOINT_ATTACHED)
        endpoint->lost_at = INT64_MAX;
}

static enum endpoint_input input_of(const struct tunnel_frame *frame)
{
    switch (frame->type) {
    case TUNNEL_OPEN:
        return INPUT_OPEN;
    case TUNNEL_OPENED:
        return INPUT_OPENED;
    case TUNNEL_RESUME:
        return INPUT_RESUME;
    case TUNNEL_RESUMED:
        return INPUT_RESUMED;
    case TUNNEL_MOVE:
        return INPUT_MOVE;
    case TUNNEL_CANCEL:
        return INPUT_CANCEL;
    case TUNNEL_REFUSED:
        return frame->refused.reason == TUNNEL_REFUSAL_EXISTS ? INPUT_EXISTS : INPUT_REFUSED;
    case TUNNEL_DATA:
        return INPUT_DATA;
    case TUNNEL_ACK:
        return INPUT_ACK;
    case TUNNEL_FIN:
        return INPUT_FIN;
    case TUNNEL_RESET:
        return INPUT_RESET;
    case TUNNEL_KEEPALIVE:
        return INPUT_KEEPALIVE;
    case TUNNEL_TXN:
        return INPUT_TXN;
    case TUNNEL_IGNORED:
        break;
    }
    return INPUT_COUNT;
}

enum endpoint_event endpoint_frame(struct endpoint *endpoint, int64_t now, uint32_t attachment,
                                   const struct tunnel_frame *frame)
{
    enum endpoint_input input = input_of(frame);

    if (!is_current(endpoint, attachment))
        return ENDPOINT_NOTHING;
    assert(endpoint->in.fresh.len == 0);
    endpoint_heard(endpoint, now, attachment);
    if (input == INPUT_COUNT)
        return ENDPOINT_NOTHING;

    enum endpoint_event event = endpoint_input(endpoint, now, input, frame);
    endpoint_finish_if_done(endpoint, now);
    if (event == ENDPOINT_DATA && endpoint->in.fresh.len == 0)
        return ENDPOINT_NOTHING;
    return event;
}

void endpoint_malformed(struct endpoint *endpoint, int64_t now, uint32_t attachment,
                        const struct error *error)
{
    if (is_current(endpoint, attachment) && endpoint->state != ENDPOINT_OVER)
        endpoint_violate(endpoint, now, error->message);
}

void endpoint_reset(struct endpoint *endpoint, const struct tunnel_reset *reset)
{
    const struct tunnel_frame frame = {.type = TUNNEL_RESET, .reset = *reset};

    endpoint_input(endpoint, endpoint->sent_at, INPUT_ABORT, &frame);
}

void endpoint_reopen(struct endpoint *endpoint, const struct tunnel_id *id,
                     const struct tunnel_key *key)
{
    assert(endpoint->role == ENDPOINT_CLIENT && endpoint->terms.instance == 0);
    endpoint->id = *id;
    endpoint->key = *key;
    endpoint->attempt = 0;
    endpoint_input(endpoint, endpoint->sent_at, INPUT_REOPEN, NULL);
}
