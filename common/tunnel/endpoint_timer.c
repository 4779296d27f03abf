/* When things are due: acknowledgements, signs of life, and the end of patience. */
#include "common/tunnel/endpoint.h"
#include "common/tunnel/endpoint_state.h"

#define NEVER INT64_MAX

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t endpoint_ack_at(const struct endpoint *endpoint)
{
    if (endpoint->ack_pending || receiver_owes_ack_now(&endpoint->in))
        return INT64_MIN;
    return receiver_owes_ack(&endpoint->in) ? endpoint->owing_since + ENDPOINT_ACK_MS : NEVER;
}

int64_t endpoint_keepalive_at(const struct endpoint *endpoint)
{
    /* A sink that takes nothing keeps the acknowledgement back, and the other end must not take
     * that for a dead attachment. */
    bool owing = endpoint->in.next > endpoint->in.acknowledged;
    int64_t ping_ms =
        owing ? earlier(endpoint->ping_ms, ENDPOINT_OWING_PING_MS) : endpoint->ping_ms;

    return endpoint->sent_at + ping_ms;
}

static bool is_on_attachment(const struct endpoint *endpoint)
{
    return endpoint->state == ENDPOINT_OPENING || endpoint->state == ENDPOINT_ATTACHED ||
           endpoint->state == ENDPOINT_RESUMING;
}

int64_t endpoint_dead_at(const struct endpoint *endpoint)
{
    bool waiting = endpoint->state != ENDPOINT_ATTACHED || sender_is_waiting(&endpoint->out);
    int64_t silent = endpoint->heard_at + ENDPOINT_DEAD_MS;
    int64_t unanswered =
        later(endpoint->heard_at, endpoint->waiting_since) + ENDPOINT_UNANSWERED_MS;

    if (!is_on_attachment(endpoint) || endpoint->dead_told)
        return NEVER;
    return waiting ? earlier(silent, unanswered) : silent;
}

static int64_t retain_ms(const struct endpoint *endpoint)
{
    return endpoint->established ? (int64_t)endpoint->terms.retain_s * 1000
                                 : ENDPOINT_RETAIN_STARTUP_MS;
}

/* A server's detached session. */
static int64_t expires_at(const struct endpoint *endpoint)
{
    if (endpoint->role != ENDPOINT_SERVER || endpoint->state != ENDPOINT_DETACHED)
        return NEVER;
    return endpoint->lost_at + retain_ms(endpoint);
}

/* `at`, unless it has passed: what is due already waits for room on the attachment, not for time.
 */
static int64_t if_ahead(int64_t at, int64_t now)
{
    return at > now ? at : NEVER;
}

int64_t endpoint_deadline(const struct endpoint *endpoint, int64_t now)
{
    int64_t at = earlier(endpoint_dead_at(endpoint), expires_at(endpoint));

    if (endpoint->state == ENDPOINT_OVER)
        return NEVER;
    if (endpoint->state == ENDPOINT_ATTACHED) {
        at = earlier(at, if_ahead(endpoint_ack_at(endpoint), now));
        at = earlier(at, if_ahead(endpoint_keepalive_at(endpoint), now));
    }
    return earlier(at, if_ahead(endpoint->starved_until, now));
}

enum endpoint_event endpoint_timer(struct endpoint *endpoint, int64_t now)
{
    if (expires_at(endpoint) <= now)
        return endpoint_input(endpoint, now, INPUT_EXPIRE, NULL);
    if (endpoint_dead_at(endpoint) <= now)
        return endpoint_input(endpoint, now, INPUT_DEAD, NULL);
    return ENDPOINT_NOTHING;
}

int64_t endpoint_hopeless_at(const struct endpoint *endpoint)
{
    if (endpoint->role != ENDPOINT_CLIENT || endpoint->lost_at == NEVER)
        return NEVER;
    return endpoint->lost_at + retain_ms(endpoint);
}
