/* electric-tunnel.v1: one local connection is one session, which outlives its WebSockets.
 *
 *   local socket ──▶ ring ──▶ masked into the send buffer ──▶ attachment
 *   local socket ◀── (queue, while the socket takes nothing) ◀── attachment
 *
 * This half is the local side's; v1_attach.c has the attachments. What happens between the two is
 * the endpoint's business (common/tunnel/endpoint.h). */
#include "client/v1.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/rand.h>

#include "client/raw.h"
#include "client/v1_state.h"
#include "common/memory.h"

/* For the other end to get the rest of a session whose local side is gone already. */
#define LINGER 30000
/* What a read may bring at first; more once reads are full. Each place in the ring costs memory. */
#define READ_MIN ((size_t)16 * 1024)
/* One frame. */
#define READ_MAX ((size_t)TUNNEL_PAYLOAD_MAX - TUNNEL_DATA_HEADER)

static const char info[] = "program=electric-tunnel\nversion=" ELECTRIC_VERSION "\n";

static struct v1 *v1_of(struct tunnel *tunnel)
{
    return (struct v1 *)tunnel;
}

static struct loop *loop_of(const struct v1 *v1)
{
    return v1->tunnel.shared->loop;
}

static int64_t now_of(const struct v1 *v1)
{
    return loop_elapsed(loop_of(v1));
}

void v1_make_id(struct tunnel_id *id, struct tunnel_key *key)
{
    if (RAND_bytes(id->bytes, sizeof id->bytes) != 1 ||
        RAND_bytes(key->bytes, sizeof key->bytes) != 1)
        abort(); /* a key that can be guessed would be worse */
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void log_counts(const struct v1 *v1)
{
    struct endpoint_counts counts = endpoint_counts(v1->endpoint);

    log_debug(&v1->tunnel.log,
              "session %s: %llu attachments, %llu bytes sent, %llu sent again, %llu received",
              v1->route, (unsigned long long)counts.attachments,
              (unsigned long long)counts.bytes_sent, (unsigned long long)counts.bytes_resent,
              (unsigned long long)counts.bytes_received);
}

static void v1_destroy(struct v1 *v1)
{
    if (v1->up_told)
        log_counts(v1);
    if (v1->previous != NULL)
        v1->previous->next = v1->next;
    else
        v1->tunnel.shared->sessions = v1->next;
    if (v1->next != NULL)
        v1->next->previous = v1->previous;
    v1_drop_attachments(v1);
    loop_timer_stop(loop_of(v1), &v1->timer);
    loop_task_cancel(loop_of(v1), &v1->work);
    loop_task_cancel(loop_of(v1), &v1->destroy);
    outcome_search_stop(v1->search);
    cookies_clear(&v1->cookies);
    endpoint_free(v1->endpoint);
    free(v1);
}

static void on_destroy(struct loop_task *task)
{
    v1_destroy(task->owner);
}

void v1_tell_end(struct v1 *v1, const struct error *error)
{
    if (v1->end_told || v1->orphan)
        return;
    v1->end_told = true;
    v1->tunnel.events->on_end(v1->tunnel.owner, error);
}

static void say_reset(struct v1 *v1, enum tunnel_end reason, const char *text)
{
    const struct tunnel_reset reset = {
        .reason = (uint16_t)reason,
        .outcome = TUNNEL_OUTCOME_UNKNOWN,
        .text = bytes_of_string(text),
    };

    endpoint_reset(v1->endpoint, &reset);
    v1_send(v1);
}

/* Nobody will hear of it any more. */
void v1_abort(struct v1 *v1, const char *text)
{
    say_reset(v1, TUNNEL_END_ABORTED, text);
}

void v1_refuse(struct v1 *v1, const struct error *error)
{
    v1_abort(v1, error->message);
    v1_drop_attachments(v1);
    v1_tell_end(v1, error);
    loop_defer(loop_of(v1), &v1->work);
}

enum doubt v1_doubt(const struct v1 *v1)
{
    return v1->orphan ? DOUBT_OUTCOME : v1->tunnel.events->doubt(v1->tunnel.owner);
}

/* ---- towards the local side --------------------------------------------------------------------
 */

static bool takes_bytes(const struct v1 *v1)
{
    return v1->receiving || v1->orphan || v1->end_told;
}

static void give(struct v1 *v1, const struct iovec *slices, int count)
{
    if (!v1->orphan && !v1->end_told)
        v1->tunnel.events->on_data(v1->tunnel.owner, slices, count);
}

void v1_hand_on(struct v1 *v1)
{
    int count = v1->gather.count;

    v1->gather.count = 0;
    if (count > 0)
        give(v1, v1->gather.slices, count);
}

/* Whoever takes bytes takes all of them, so they count as handed on before they are. */
void v1_take_fresh(struct v1 *v1)
{
    struct bytes fresh = endpoint_fresh(v1->endpoint);
    bool takes;

    if (gather_is_full(&v1->gather))
        v1_hand_on(v1);
    takes = takes_bytes(v1);
    if (takes)
        gather_add(&v1->gather, fresh);
    endpoint_accept(v1->endpoint, now_of(v1), takes ? fresh.len : 0);
}

/* No more at once than a read brings: the local side has to keep what its socket refuses. */
static void drain_queue(struct v1 *v1)
{
    struct bytes queued;

    while (takes_bytes(v1) && (queued = endpoint_queued(v1->endpoint)).len > 0) {
        struct bytes piece = bytes_first(queued, TUNNEL_READ_SIZE);
        struct iovec slice = {.iov_base = (void *)(uintptr_t)piece.data, .iov_len = piece.len};

        give(v1, &slice, 1);
        endpoint_consume(v1->endpoint, now_of(v1), piece.len);
    }
}

/* ---- from the local side -----------------------------------------------------------------------
 */

static uint8_t *v1_reserve(struct tunnel *tunnel, size_t *len)
{
    struct v1 *v1 = v1_of(tunnel);
    uint8_t *place = NULL;

    *len = 0;
    /* Little at once costs as much as much; there is more room once something is acknowledged. */
    if (endpoint_source_has_room(v1->endpoint, v1->want / 2))
        place = endpoint_source_reserve(v1->endpoint, now_of(v1), v1->want, len);
    v1->full = place == NULL;
    if (v1->full)
        loop_defer(loop_of(v1), &v1->work);
    return place;
}

static bool v1_commit(struct tunnel *tunnel, size_t count)
{
    struct v1 *v1 = v1_of(tunnel);

    endpoint_source_commit(v1->endpoint, count);
    if (count >= v1->want && v1->want < READ_MAX)
        v1->want = v1->want * 2 < READ_MAX ? v1->want * 2 : READ_MAX;
    else if (count < v1->want / 4 && v1->want > READ_MIN)
        v1->want /= 2;
    v1_work(v1);
    return !v1->full;
}

static bool has_room(struct v1 *v1)
{
    size_t len;

    if (!endpoint_source_has_room(v1->endpoint, v1->want))
        return false;
    if (endpoint_source_reserve(v1->endpoint, now_of(v1), READ_MIN, &len) == NULL)
        return false;
    endpoint_source_commit(v1->endpoint, 0);
    return true;
}

static void offer_room(struct v1 *v1)
{
    if (!v1->full || v1->orphan || v1->end_told || !has_room(v1))
        return;
    v1->full = false;
    v1->tunnel.events->on_room(v1->tunnel.owner);
}

static void v1_receive(struct tunnel *tunnel, bool on)
{
    struct v1 *v1 = v1_of(tunnel);

    v1->receiving = on;
    /* This may come from inside of on_data(). */
    if (on)
        loop_defer(loop_of(v1), &v1->work);
}

static void v1_finish(struct tunnel *tunnel)
{
    struct v1 *v1 = v1_of(tunnel);

    endpoint_source_end(v1->endpoint);
    v1->finished = true;
    v1_work(v1);
}

static void v1_cancel(struct tunnel *tunnel, const struct tunnel_cancel *cancel)
{
    struct v1 *v1 = v1_of(tunnel);

    endpoint_cancel(v1->endpoint, cancel);
    v1_work(v1);
}

/* ---- ends --------------------------------------------------------------------------------------
 */

/* A relay whose destination is down ends a session without a word, which is no answer to somebody
 * who has asked for one. */
static bool is_mute(const struct v1 *v1)
{
    return !v1->finished && endpoint_counts(v1->endpoint).bytes_received == 0 &&
           endpoint_counts(v1->endpoint).bytes_sent > 0 && v1_doubt(v1) == DOUBT_STARTING;
}

static void tell_mute(struct v1 *v1)
{
    struct error error;

    error_set(&error, STATUS_UNAVAILABLE, "08006", "%s ended the session without an answer",
              connector_display(v1->tunnel.shared->connector));
    error_hint(&error, "What it connects to may be down; look at its log.");
    v1_tell_end(v1, &error);
}

/* The service has nothing more to say, so it is of no use to listen to the local side. */
static void end_in_order(struct v1 *v1)
{
    bool mute = !v1->end_told && is_mute(v1);

    endpoint_source_end(v1->endpoint);
    v1->finished = true;
    if (mute)
        tell_mute(v1);
    else
        v1_tell_end(v1, NULL);
}

/* True when the session is over, and its end is told. */
static bool check_end(struct v1 *v1)
{
    const struct tunnel_reset *end = endpoint_end(v1->endpoint);

    if (end == NULL) {
        if (endpoint_sink_ended(v1->endpoint))
            end_in_order(v1);
        return false;
    }
    if (endpoint_queued(v1->endpoint).len > 0)
        return false; /* still can be handed on, before the end */
    if (end->reason == TUNNEL_END_FINISHED)
        v1_tell_end(v1, NULL);
    else if (!v1->end_told && !v1->orphan)
        v1_lose(v1, end);
    return true;
}

static void set_timer(struct v1 *v1)
{
    int64_t now = now_of(v1);
    int64_t at = endpoint_deadline(v1->endpoint, now);

    if (v1->retry_at < at)
        at = v1->retry_at;
    if (v1_mute_at(v1) < at)
        at = v1_mute_at(v1);
    if (v1->linger_until < at)
        at = v1->linger_until;
    if (at == v1->timer_at && v1->timer.position != 0)
        return;
    v1->timer_at = at;
    if (at == V1_NEVER)
        loop_timer_stop(loop_of(v1), &v1->timer);
    else
        loop_timer_set(loop_of(v1), &v1->timer, at > now ? at - now : 0);
}

/* Without an owner there is nobody to free it. */
static void check_orphan(struct v1 *v1, bool is_over)
{
    if (!v1->orphan)
        return;
    if (!is_over && now_of(v1) >= v1->linger_until) {
        v1_abort(v1, "the local side is gone");
        is_over = true;
    }
    if (is_over)
        loop_defer(loop_of(v1), &v1->destroy);
}

void v1_work(struct v1 *v1)
{
    bool is_over;

    if (v1->working)
        return;
    v1->working = true;
    /* Before the end is told, or the attachment left that has brought it. */
    v1_hand_on(v1);
    v1_check_time(v1);
    drain_queue(v1);
    v1_send(v1);
    offer_room(v1);
    is_over = check_end(v1);
    /* What the end has made necessary. */
    v1_send(v1);
    if (is_over)
        v1_drop_attachments(v1);
    set_timer(v1);
    check_orphan(v1, is_over);
    v1->working = false;
}

static void on_timer(struct loop_timer *timer)
{
    v1_work(timer->owner);
}

static void on_work(struct loop_task *task)
{
    v1_work(task->owner);
}

/* ---- making and freeing ------------------------------------------------------------------------
 */

static struct tunnel *v1_open(struct tunnel_shared *shared)
{
    struct v1 *v1 = mem_new(sizeof *v1);
    struct tunnel_id id;
    struct tunnel_key key;
    bool is_prewarmed;

    v1->tunnel.type = &tunnel_v1;
    v1->tunnel.shared = shared;
    is_prewarmed = v1_take_prewarmed(v1, &id, &key);
    if (!is_prewarmed)
        v1_make_id(&id, &key);
    tunnel_id_route(&id, v1->route);
    v1->next = shared->sessions;
    if (v1->next != NULL)
        v1->next->previous = v1;
    shared->sessions = v1;
    v1->endpoint = endpoint_new_client(shared->endpoint, &id, &key, bytes_of_string(info));
    v1->timer = (struct loop_timer){.on_time = on_timer, .owner = v1};
    v1->work = (struct loop_task){.run = on_work, .owner = v1};
    v1->destroy = (struct loop_task){.run = on_destroy, .owner = v1};
    v1->opened_at = now_of(v1);
    v1->retry_at = V1_NEVER;
    v1->lost_at = V1_NEVER;
    v1->linger_until = V1_NEVER;
    v1->timer_at = V1_NEVER;
    v1->want = READ_MIN;
    v1->receiving = true;
    if (is_prewarmed)
        loop_defer(shared->loop, &v1->work);
    else
        v1_attach(v1);
    return &v1->tunnel;
}

void v1_become_raw(struct v1 *v1, struct attachment *attachment,
                   const struct connect_result *result)
{
    struct tunnel_shared *shared = v1->tunnel.shared;
    struct websocket *websocket = websocket_of(attachment->carrier);
    struct tunnel *raw = raw_adopt(shared, websocket);

    if (!shared->raw_told)
        log_info(NULL, "this service cannot resume sessions");
    shared->raw_told = true;
    attachment->carrier = NULL;
    v1->tunnel.events->on_replaced(v1->tunnel.owner, raw);
    v1_destroy(v1);
    websocket->carrier.events->on_open(websocket->carrier.owner, result);
}

static void v1_free(struct tunnel *tunnel)
{
    struct v1 *v1 = v1_of(tunnel);
    bool is_over = endpoint_end(v1->endpoint) != NULL;

    v1->orphan = true;
    if (is_over || !v1->finished) {
        if (!is_over && v1->tunnel.shared->stopping)
            say_reset(v1, TUNNEL_END_SHUTDOWN, "electric-tunnel is being stopped");
        else if (!is_over)
            v1_abort(v1, "the local side is gone");
        v1_destroy(v1);
        return;
    }
    v1->linger_until = now_of(v1) + LINGER;
    v1_work(v1);
}

void v1_free_all(struct tunnel_shared *shared)
{
    for (struct v1 *v1 = shared->sessions, *next; v1 != NULL; v1 = next) {
        next = v1->next;
        v1_abort(v1, "electric-tunnel is being stopped");
        v1_destroy(v1);
    }
}

const struct tunnel_type tunnel_v1 = {
    .name = "v1",
    .asks_doubt = true,
    .open = v1_open,
    .reserve = v1_reserve,
    .commit = v1_commit,
    .receive = v1_receive,
    .finish = v1_finish,
    .cancel = v1_cancel,
    .free = v1_free,
};
