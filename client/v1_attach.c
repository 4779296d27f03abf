/* Attachments of a session: made when one is needed, replaced when it is lost, silent or told to
 * move, and given up when that makes no sense any more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/backoff.h"
#include "client/prewarm.h"
#include "client/v1_state.h"
#include "common/memory.h"

/* How long a new session waits for a service that has no room, but says when to come again. */
#define OPEN_PATIENCE 30000
/* Longest time between two attempts. */
#define STARTING_APART 500 /* of a session that logs in, which is kept for a few seconds only */
#define ATTEMPTS_APART 5000
/* How often a new session tries to reach a service on connections that break at once. */
#define OPEN_ATTEMPTS 5

static int64_t now_of(const struct v1 *v1)
{
    return loop_elapsed(v1->tunnel.shared->loop);
}

static const char *service_of(const struct v1 *v1)
{
    return connector_display(v1->tunnel.shared->connector);
}

/* ---- the next attempt --------------------------------------------------------------------------
 */

/* The service keeps a session for longer once it is past authentication. */
static int64_t hopeless_at(struct v1 *v1)
{
    const struct tunnel_events *asked = v1->tunnel.events;

    if (v1->orphan || (asked->is_established != NULL && asked->is_established(v1->tunnel.owner)))
        endpoint_established(v1->endpoint);
    return endpoint_hopeless_at(v1->endpoint);
}

static void schedule(struct v1 *v1, int64_t delay)
{
    int64_t now = now_of(v1);
    int64_t last = hopeless_at(v1);
    int64_t at = now + delay;

    /* The last attempt comes when it is due, not up to a delay later. */
    if (now < last && at > last)
        at = last;
    if (at < v1->began_at + BACKOFF_MIN)
        at = v1->began_at + BACKOFF_MIN;
    v1->retry_at = at;
}

static void schedule_after_failure(struct v1 *v1, int64_t at_least)
{
    uint32_t random = tunnel_random(v1->tunnel.shared);
    bool is_kept_briefly =
        v1->up_told && !v1->orphan && !v1->tunnel.events->is_established(v1->tunnel.owner);
    int64_t most = is_kept_briefly ? STARTING_APART : ATTEMPTS_APART;
    int64_t delay = backoff_delay(++v1->failures, most, random);

    schedule(v1, delay > at_least ? delay : at_least);
}

static bool is_detached(const struct v1 *v1)
{
    return v1->current == NULL;
}

static bool is_new(const struct v1 *v1)
{
    return endpoint_state(v1->endpoint) == ENDPOINT_NEW;
}

/* Whoever waits for a session that had begun wants to know what for, and for how long. */
static void tell_detached(struct v1 *v1, const char *reason)
{
    v1->lost_told = true;
    if (is_new(v1))
        log_info(&v1->tunnel.log, "is detached: %s; trying again", reason);
    else
        log_warn(&v1->tunnel.log, "is detached: %s; trying again for %d s", reason,
                 (int)((hopeless_at(v1) - now_of(v1)) / 1000));
}

/* An attempt that began at `began_at` has failed. */
static void retry(struct v1 *v1, int64_t began_at, const char *reason, int64_t at_least)
{
    /* A session that was never opened is not kept by anybody. */
    bool too_late =
        is_new(v1) ? began_at >= v1->opened_at + OPEN_PATIENCE : began_at >= hopeless_at(v1);
    char text[200];

    if (too_late) {
        snprintf(text, sizeof text, "it could not be continued in time: %s", reason);
        v1_give_up(v1, text);
        return;
    }
    if (is_detached(v1) && !v1->lost_told && !v1->orphan)
        tell_detached(v1, reason);
    log_debug(&v1->tunnel.log, "attempt %u to attach failed: %s", v1->failures + 1, reason);
    schedule_after_failure(v1, at_least);
}

/* ---- one attachment ----------------------------------------------------------------------------
 */

static struct attachment *attachment_new(struct v1 *v1)
{
    struct attachment *attachment = mem_new(sizeof *attachment);

    v1->began_at = now_of(v1);
    attachment->v1 = v1;
    attachment->began_at = v1->began_at;
    return attachment;
}

static void attachment_free(struct attachment *attachment)
{
    if (attachment == NULL)
        return;
    carrier_free(attachment->carrier);
    free(attachment->refusal);
    tunnel_decoder_clear(&attachment->decoder);
    free(attachment);
}

static void close_in_order(struct attachment *attachment)
{
    if (attachment != NULL && attachment->carrier != NULL) {
        carrier_close(attachment->carrier);
        attachment->carrier = NULL;
    }
    attachment_free(attachment);
}

void v1_drop_attachments(struct v1 *v1)
{
    struct attachment *current = v1->current;

    v1->current = NULL;
    close_in_order(current);
    attachment_free(v1->coming);
    v1->coming = NULL;
    attachment_free(v1->left);
    v1->left = NULL;
    v1->retry_at = V1_NEVER;
}

static void note_loss(struct v1 *v1, const char *reason)
{
    if (v1->lost_at != V1_NEVER)
        return;
    v1->lost_at = now_of(v1);
    v1->lost_told = false;
    snprintf(v1->loss, sizeof v1->loss, "%.*s", (int)sizeof v1->loss - 1, reason);
}

static bool is_up(const struct v1 *v1)
{
    return endpoint_state(v1->endpoint) == ENDPOINT_ATTACHED;
}

static void lose_current(struct v1 *v1, const char *reason)
{
    struct attachment *attachment = v1->current;
    bool was_up = is_up(v1);
    int64_t began_at = attachment->began_at;

    v1_hand_on(v1);
    v1->current = NULL;
    endpoint_detach(v1->endpoint, now_of(v1), attachment->number);
    attachment_free(attachment);
    attachment_free(v1->left);
    v1->left = NULL;
    note_loss(v1, reason);
    if (endpoint_end(v1->endpoint) != NULL || v1->coming != NULL)
        return;
    if (was_up)
        schedule(v1, 0);
    else
        retry(v1, began_at, reason, 0);
}

/* Nothing was said on it. */
static void lose_prewarmed(struct v1 *v1)
{
    attachment_free(v1->coming);
    v1->coming = NULL;
    v1_attach(v1);
}

static void on_end(void *owner, uint16_t code, const char *reason)
{
    struct attachment *attachment = owner;
    struct v1 *v1 = attachment->v1;
    char text[160];

    if (attachment == v1->left) {
        v1->left = NULL;
        attachment_free(attachment);
        return;
    }
    if (attachment == v1->coming) {
        lose_prewarmed(v1);
        return;
    }
    if (code == 0)
        snprintf(text, sizeof text, "%s", reason);
    else
        snprintf(text, sizeof text, "the service closed it (%u)%s%s", (unsigned)code,
                 reason[0] != '\0' ? ": " : "", reason);
    lose_current(v1, text);
    v1_work(v1);
}

/* ---- frames ------------------------------------------------------------------------------------
 */

static void on_up(struct v1 *v1)
{
    uint64_t count = endpoint_counts(v1->endpoint).attachments;
    int64_t now = now_of(v1);

    attachment_free(v1->left);
    v1->left = NULL;
    v1->failures = 0;
    v1->tunnel.shared->reattached += count > 1;
    if (!v1->current->is_http)
        choice_on_websocket(&v1->tunnel.shared->choice);
    if (count == 1)
        log_debug(&v1->tunnel.log, "session %s is open", v1->route);
    else if (v1->lost_at == V1_NEVER)
        log_info(&v1->tunnel.log, "re-attached without a gap");
    else
        log_info(&v1->tunnel.log, "re-attached after %.3f s: %s",
                 (double)(now - v1->lost_at) / 1000.0, v1->loss);
    v1->lost_at = V1_NEVER;
}

/* Under another id, which a balancer may send to another server. */
static void begin_anew(struct v1 *v1)
{
    struct tunnel_id id;
    struct tunnel_key key;

    v1_make_id(&id, &key);
    endpoint_reopen(v1->endpoint, &id, &key);
    tunnel_id_route(&id, v1->route);
    cookies_clear(&v1->cookies);
    log_debug(&v1->tunnel.log, "opening anew as %s", v1->route);
}

/* The server takes no new session. One that is full says when there may be room; one that shuts
 * down has a neighbour, or a successor soon. */
static void wait_to_open(struct v1 *v1, const struct tunnel_refused *refused, const char *text)
{
    int64_t wait = (int64_t)refused->retry_after_s * 1000;
    bool full = refused->reason == TUNNEL_REFUSAL_FULL;
    struct error error;

    if (wait > 0 && now_of(v1) + wait <= v1->opened_at + OPEN_PATIENCE) {
        begin_anew(v1);
        schedule_after_failure(v1, full ? wait : 0);
        return;
    }
    error_set(&error, STATUS_UNAVAILABLE, full ? "53300" : "57P03", "%s takes no new sessions: %s",
              service_of(v1), text);
    error_hint(&error, "Try again later.");
    v1_refuse(v1, &error);
}

/* The service never got OPEN. What followed it is in the ring, and is sent again; so it must do no
 * harm twice, should the service be mistaken. */
static void reopen(struct v1 *v1)
{
    if (endpoint_terms(v1->endpoint)->instance != 0 ||
        (!v1->orphan && v1->tunnel.events->doubt(v1->tunnel.owner) != DOUBT_STARTING)) {
        v1_give_up(v1, "the service does not know it");
        return;
    }
    begin_anew(v1);
    schedule_after_failure(v1, 0);
}

static void on_refused(struct v1 *v1, const struct tunnel_refused *refused)
{
    int64_t began_at = v1->current->began_at;
    int64_t wait = (int64_t)refused->retry_after_s * 1000;
    char text[200];

    snprintf(text, sizeof text, "%s%s%.*s", tunnel_refusal_text(refused->reason),
             refused->text.len > 0 ? ": " : "",
             (int)(refused->text.len < 120 ? refused->text.len : 120),
             (const char *)refused->text.data);
    v1_hand_on(v1);
    attachment_free(v1->current);
    v1->current = NULL;
    note_loss(v1, text);
    loop_defer(v1->tunnel.shared->loop, &v1->work);
    switch (refused->reason) {
    case TUNNEL_REFUSAL_UNKNOWN:
        reopen(v1);
        return;
    case TUNNEL_REFUSAL_EXISTS:
        schedule(v1, 0);
        return;
    case TUNNEL_REFUSAL_DENIED:
    case TUNNEL_REFUSAL_MALFORMED:
        v1_give_up(v1, text);
        return;
    case TUNNEL_REFUSAL_DRAINING:
    case TUNNEL_REFUSAL_FULL:
        if (is_new(v1)) {
            wait_to_open(v1, refused, text);
            return;
        }
        break;
    default: /* NOT_HERE, STALE, and what later versions may say */
        break;
    }
    retry(v1, began_at, text, wait);
}

static void on_event(struct v1 *v1, enum endpoint_event event, const struct tunnel_frame *frame)
{
    switch (event) {
    case ENDPOINT_UP:
        on_up(v1);
        break;
    case ENDPOINT_DATA:
        v1_take_fresh(v1);
        break;
    case ENDPOINT_MOVE:
        log_debug(&v1->tunnel.log, "is to move within %u s", (unsigned)frame->move_within_s);
        schedule(v1, 0);
        break;
    case ENDPOINT_REFUSED:
        on_refused(v1, &frame->refused);
        break;
    case ENDPOINT_TXN:
        v1->txn = frame->txn;
        log_debug(&v1->tunnel.log, "COMMIT of transaction %llu is under way",
                  (unsigned long long)frame->txn.xid);
        break;
    case ENDPOINT_CANCEL:
    case ENDPOINT_DEAD:
    case ENDPOINT_NOTHING:
        break;
    }
}

static void on_data(void *owner, struct bytes piece, bool last)
{
    struct attachment *attachment = owner;
    struct v1 *v1 = attachment->v1;
    struct tunnel_frame frame;
    struct error error;
    enum status status = STATUS_OK;

    /* It may go within the loop. */
    while (attachment == v1->current && status == STATUS_OK) {
        status = tunnel_decode(&attachment->decoder, &piece, last, &frame, &error);
        if (status == STATUS_OK)
            on_event(v1, endpoint_frame(v1->endpoint, now_of(v1), attachment->number, &frame),
                     &frame);
    }
    if (status == STATUS_INVALID)
        endpoint_malformed(v1->endpoint, now_of(v1), attachment->number, &error);
    /* What has begun is sent again, in a body of its own. */
    if (last && attachment == v1->current && attachment->carrier->ops->framing == TUNNEL_LENGTHS)
        tunnel_decoder_clear(&attachment->decoder);
}

static void on_heard(void *owner)
{
    struct attachment *attachment = owner;
    struct v1 *v1 = attachment->v1;

    endpoint_heard(v1->endpoint, now_of(v1), attachment->number);
    v1_hand_on(v1);
    v1_work(v1);
}

static void on_room(void *owner)
{
    struct attachment *attachment = owner;

    v1_work(attachment->v1);
}

void v1_send(struct v1 *v1)
{
    struct attachment *attachment;
    struct endpoint_output output;
    size_t room;

    while ((attachment = v1->current) != NULL && !carrier_is_broken(attachment->carrier) &&
           (room = carrier_room(attachment->carrier)) > 0 &&
           endpoint_take(v1->endpoint, now_of(v1), attachment->number, room, &output))
        carrier_send(attachment->carrier, bytes_of(output.head, output.head_len), output.payload);
    /* What it may still have for us, the next one brings again. */
    if (attachment != NULL && carrier_is_broken(attachment->carrier))
        lose_current(v1, "it takes no more bytes");
}

/* ---- a new one ---------------------------------------------------------------------------------
 */

/* The older one is left: nothing more is read from it. It is closed when this one is up, so that
 * what we have sent on it may still arrive. */
static void join(struct v1 *v1, struct attachment *attachment)
{
    attachment_free(v1->left);
    v1->left = v1->current;
    if (v1->left != NULL)
        carrier_stop(v1->left->carrier);
    v1->coming = NULL;
    v1->current = attachment;
    attachment->joined_at = now_of(v1);
    attachment->number = endpoint_attach(v1->endpoint, now_of(v1));
    carrier_begin(attachment->carrier, v1->endpoint);
    tunnel_decoder_init(&attachment->decoder, attachment->carrier->ops->framing,
                        v1->tunnel.shared->endpoint->max_frame);
    if (!v1->up_told) {
        v1->up_told = true;
        v1->tunnel.events->on_up(v1->tunnel.owner);
    }
    v1_work(v1);
}

static void on_failed(struct v1 *v1, const struct connect_result *result, int64_t began_at)
{
    if (!v1->up_told && result->cut && v1->failures + 1 < OPEN_ATTEMPTS)
        schedule_after_failure(v1, 0);
    else if (!v1->up_told)
        v1_refuse(v1, result->error);
    else if (result->http_status == 401)
        v1_give_up(v1, result->error->message);
    else
        retry(v1, began_at, result->error->message, 0);
}

static void on_not_agreed(struct v1 *v1, int64_t began_at)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "08004", "%s does not speak %s", service_of(v1),
              CONNECT_SUBPROTOCOL);
    error_hint(&error, "Use --protocol auto or raw, or update the service.");
    if (!v1->up_told)
        v1_refuse(v1, &error);
    else
        retry(v1, began_at, error.message, 0);
}

static const struct carrier_events events;

static void on_open(void *owner, const struct connect_result *result)
{
    struct attachment *attachment = owner;
    struct v1 *v1 = attachment->v1;
    int64_t began_at = attachment->began_at;
    struct connect_result told;
    struct error error;

    if (result->status != STATUS_OK && v1_try_http(v1, attachment, result, &events))
        return;
    told = *v1_note_open(v1, attachment, result);
    if (told.error != NULL)
        error = *told.error; /* it may go with the attachment */
    told.error = &error;
    result = &told;
    if (result->status == STATUS_OK && !result->agreed && !v1->up_told &&
        v1->tunnel.shared->may_be_raw) {
        v1_become_raw(v1, attachment, result);
        return;
    }
    if (result->status == STATUS_OK && result->agreed && endpoint_end(v1->endpoint) == NULL) {
        join(v1, attachment);
        return;
    }
    v1->coming = NULL;
    attachment_free(attachment);
    if (result->status != STATUS_OK)
        on_failed(v1, result, began_at);
    else if (!result->agreed)
        on_not_agreed(v1, began_at);
    v1_work(v1);
}

/* HTTP requests are denied, and nobody has refused a WebSocket just before: what is remembered of
 * the network may be outdated, and connections that were cut may have been cut for other reasons.
 */
static bool may_have_websockets(const struct v1 *v1, const struct attachment *attachment)
{
    return v1->tunnel.shared->choice.transport == CLIENT_TRANSPORT_AUTO && attachment->is_http &&
           (attachment->refusal == NULL || attachment->refusal->cut);
}

/* It took our requests for a while, or none. */
static void on_denied(void *owner, const struct connect_result *result)
{
    struct attachment *attachment = owner;
    struct v1 *v1 = attachment->v1;
    bool was_opened = endpoint_terms(v1->endpoint)->instance != 0;
    int64_t began_at = attachment->began_at;

    if (attachment != v1->current)
        return;
    choice_on_http_failed(&v1->tunnel.shared->choice);
    v1_hand_on(v1);
    v1->current = NULL;
    endpoint_detach(v1->endpoint, now_of(v1), attachment->number);
    note_loss(v1, result->error->message);
    if (!was_opened && !may_have_websockets(v1, attachment))
        v1_refuse(v1, result->error);
    else if (was_opened && result->http_status == 401)
        v1_give_up(v1, result->error->message);
    else
        retry(v1, began_at, result->error->message, 0);
    attachment_free(attachment);
    v1_work(v1);
}

static const struct carrier_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_heard = on_heard,
    .on_room = on_room,
    .on_end = on_end,
    .on_refused = on_denied,
};

void v1_attach(struct v1 *v1)
{
    v1->retry_at = V1_NEVER;
    if (v1->coming != NULL)
        return;
    v1->coming = attachment_new(v1);
    v1_open_carrier(v1, v1->coming, &events);
}

bool v1_take_prewarmed(struct v1 *v1, struct tunnel_id *id, struct tunnel_key *key)
{
    struct attachment *attachment = attachment_new(v1);
    struct prewarmed prewarmed;

    if (!prewarm_take(v1->tunnel.shared->prewarm, &prewarmed, &events, attachment)) {
        free(attachment);
        return false;
    }
    attachment->carrier = prewarmed.carrier;
    attachment->is_open = true;
    v1->coming = attachment;
    v1->cookies = prewarmed.cookies;
    *id = prewarmed.id;
    *key = prewarmed.key;
    return true;
}

/* The attachment is silent. One that was up stays in use until another one is. */
static void on_dead(struct v1 *v1)
{
    log_debug(&v1->tunnel.log, "its attachment is silent");
    if (is_up(v1)) {
        note_loss(v1, "the service fell silent");
        schedule(v1, 0);
    } else if (v1->current != NULL) {
        lose_current(v1, "the service did not answer in time");
    }
}

void v1_check_time(struct v1 *v1)
{
    int64_t now = now_of(v1);

    if (endpoint_timer(v1->endpoint, now) == ENDPOINT_DEAD)
        on_dead(v1);
    if (v1_mute_at(v1) <= now) {
        v1_note_mute(v1);
        lose_current(v1, "nothing comes through its WebSocket");
    }
    if (endpoint_end(v1->endpoint) != NULL)
        return;
    if (v1->coming != NULL && v1->coming->is_open)
        join(v1, v1->coming);
    if (v1->retry_at <= now)
        v1_attach(v1);
}
