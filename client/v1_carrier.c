/* Which kind of carrier an attachment gets: a WebSocket, unless those are blocked. */
#include <stdlib.h>

#include "client/http_carrier.h"
#include "client/v1_state.h"
#include "common/memory.h"

static struct choice *choice_of(const struct v1 *v1)
{
    return &v1->tunnel.shared->choice;
}

static int64_t now_of(const struct v1 *v1)
{
    return loop_elapsed(v1->tunnel.shared->loop);
}

static void open_http(struct v1 *v1, struct attachment *attachment,
                      const struct carrier_events *events)
{
    const struct http_carrier_settings settings = {
        .session = v1->route,
        .cookies = &v1->cookies,
        .probe = attachment->refusal != NULL,
    };

    attachment->is_http = true;
    attachment->carrier = http_carrier_open(v1->tunnel.shared, &settings, events, attachment);
}

/* What is to be told if HTTP requests do not get through either. */
static void keep_refusal(struct attachment *attachment, const struct connect_result *result)
{
    attachment->refusal = mem_new(sizeof *attachment->refusal);
    *attachment->refusal = *result;
    attachment->refusal_error = *result->error;
    attachment->refusal->error = &attachment->refusal_error;
    attachment->refusal->blocked = false;
}

static void suspect(struct attachment *attachment, const char *service)
{
    struct error error;

    error_set(&error, STATUS_UNAVAILABLE, "08001",
              "%s agreed to the upgrade, but nothing comes through it", service);
    error_hint(&error, "Something in between may block WebSockets; try --transport http.");
    keep_refusal(attachment,
                 &(struct connect_result){.status = STATUS_UNAVAILABLE, .error = &error});
}

void v1_open_carrier(struct v1 *v1, struct attachment *attachment,
                     const struct carrier_events *events)
{
    struct tunnel_shared *shared = v1->tunnel.shared;
    struct connect_request request = {
        .offer = true,
        .may_retract = !v1->up_told && shared->may_be_raw,
        .session = v1->route,
        .cookies = &v1->cookies,
    };

    if (v1->suspicious)
        suspect(attachment, connector_display(shared->connector));
    if (v1->suspicious || choice_is_http(choice_of(v1), now_of(v1)))
        open_http(v1, attachment, events);
    else
        attachment->carrier = &websocket_open(shared, &request, events, attachment)->carrier;
    v1->suspicious = false;
}

bool v1_try_http(struct v1 *v1, struct attachment *attachment, const struct connect_result *result,
                 const struct carrier_events *events)
{
    enum choice_mishap mishap = result->blocked ? CHOICE_REFUSED : CHOICE_CUT;

    if (attachment->is_http || (!result->blocked && !result->cut) ||
        !choice_on_mishap(choice_of(v1), mishap))
        return false;
    log_debug(&v1->tunnel.log, "trying HTTP requests: %s", result->error->message);
    keep_refusal(attachment, result);
    carrier_free(attachment->carrier);
    open_http(v1, attachment, events);
    return true;
}

const struct connect_result *v1_note_open(struct v1 *v1, struct attachment *attachment,
                                          const struct connect_result *result)
{
    if (!attachment->is_http)
        return result;
    if (result->status != STATUS_OK) {
        choice_on_http_failed(choice_of(v1));
        if (attachment->refusal == NULL)
            return result;
        /* A network that breaks connections has said nothing of either kind. */
        attachment->refusal->cut |= result->cut;
        return attachment->refusal;
    }
    if (attachment->refusal != NULL && choice_on_blocked(choice_of(v1), now_of(v1)))
        log_info(NULL, "WebSockets do not get through to %s; using HTTP requests instead",
                 connector_display(v1->tunnel.shared->connector));
    return result;
}

int64_t v1_mute_at(const struct v1 *v1)
{
    const struct attachment *current = v1->current;

    if (current == NULL || current->is_http || choice_of(v1)->transport != CLIENT_TRANSPORT_AUTO ||
        endpoint_state(v1->endpoint) == ENDPOINT_ATTACHED || endpoint_end(v1->endpoint) != NULL)
        return V1_NEVER;
    return current->joined_at + CHOICE_MUTE_MS;
}

void v1_note_mute(struct v1 *v1)
{
    v1->suspicious = choice_on_mishap(choice_of(v1), CHOICE_MUTE);
}
