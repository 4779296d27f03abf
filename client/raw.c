/* Raw mode: one WebSocket whose binary messages carry the bytes as they are. */
#include "client/raw.h"

#include <stdlib.h>

#include "client/gather.h"
#include "client/websocket.h"
#include "common/flow.h"
#include "common/memory.h"

#define PING_AFTER 20000 /* milliseconds without a byte from the service */
#define DEAD_AFTER 45000 /* likewise */
#define CLOSE_WAIT 5000  /* for the answer to our Close */
#define BROKEN_WAIT 5000 /* for the local side to go on taking what came before the break */
#define HIGH_WATER (64u * 1024u)
#define LOW_WATER (16u * 1024u)

struct raw {
    struct tunnel tunnel;
    struct websocket *websocket;
    struct flow flow;
    struct gather gather;
    struct loop_timer timer; /* ping, silence, and the wait after Close */
    bool finishing;          /* the local side gives no more */
    bool lost;               /* bytes of the local side: they cannot be sent any more */
    bool ended;              /* on_end was called; only tunnel_free() follows */
};

static struct loop *loop_of(const struct raw *raw)
{
    return raw->tunnel.shared->loop;
}

static void end(struct raw *raw, const struct error *error)
{
    if (raw->ended)
        return;
    raw->ended = true;
    loop_timer_stop(loop_of(raw), &raw->timer);
    websocket_stop(raw->websocket);
    raw->tunnel.events->on_end(raw->tunnel.owner, error);
}

static void end_lost(struct raw *raw, const char *reason)
{
    struct error error;

    error_set(&error, STATUS_CLOSED, "08006", "the connection to %s was lost: %s",
              connector_display(raw->tunnel.shared->connector), reason);
    error_hint(&error, "Connect again; what was not committed has been rolled back.");
    end(raw, &error);
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* Bytes of the local side cannot be delivered any more. What the service sent before is still worth
 * reading, and reading finds the end; but a local side that takes nothing until its own bytes are
 * taken would wait for ever, so there is a limit. */
static void lose(struct raw *raw)
{
    if (raw->lost || raw->ended)
        return;
    raw->lost = true;
    loop_timer_set(loop_of(raw), &raw->timer, BROKEN_WAIT);
}

static uint8_t *raw_reserve(struct tunnel *tunnel, size_t *len)
{
    *len = TUNNEL_PAYLOAD_MAX;
    return tunnel->shared->payload;
}

static bool raw_commit(struct tunnel *tunnel, size_t count)
{
    struct raw *raw = (struct raw *)tunnel;

    websocket_send_shared(raw->websocket, count);
    if (raw->websocket->broken) {
        lose(raw);
        return false;
    }
    return flow_next(&raw->flow, buffer_len(&raw->websocket->out)) != FLOW_PAUSE_SOURCE;
}

static void close_when_sent(struct raw *raw)
{
    struct websocket *websocket = raw->websocket;

    if (!raw->finishing || !websocket->open || websocket->close_sent || raw->ended)
        return;
    if (buffer_len(&websocket->out) > 0 && !websocket->broken)
        return;
    websocket_close(websocket, FRAME_CLOSE_NORMAL, "");
    loop_timer_set(loop_of(raw), &raw->timer, CLOSE_WAIT);
}

static void raw_finish(struct tunnel *tunnel)
{
    struct raw *raw = (struct raw *)tunnel;

    raw->finishing = true;
    close_when_sent(raw);
}

static void on_room(void *owner)
{
    struct raw *raw = owner;

    if (raw->websocket->broken) {
        lose(raw);
        return;
    }
    close_when_sent(raw);
    if (flow_next(&raw->flow, buffer_len(&raw->websocket->out)) == FLOW_RESUME_SOURCE)
        raw->tunnel.events->on_room(raw->tunnel.owner);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void on_heard(void *owner)
{
    struct raw *raw = owner;
    struct gather *gather = &raw->gather;

    if (gather->count > 0 && !raw->ended)
        raw->tunnel.events->on_data(raw->tunnel.owner, gather->slices, gather->count);
    gather->count = 0;
}

static void on_data(void *owner, struct bytes piece, bool last)
{
    struct raw *raw = owner;

    (void)last; /* boundaries of messages mean nothing here */
    if (gather_is_full(&raw->gather))
        on_heard(raw);
    gather_add(&raw->gather, piece);
}

static void raw_receive(struct tunnel *tunnel, bool on)
{
    struct raw *raw = (struct raw *)tunnel;

    websocket_receive(raw->websocket, on);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void on_end(void *owner, uint16_t code, const char *reason)
{
    struct raw *raw = owner;
    struct error error;

    if (code == 0 && !(raw->finishing && raw->websocket->close_sent)) {
        end_lost(raw, reason);
        return;
    }
    if (code == 0 || code == FRAME_CLOSE_NORMAL || code == FRAME_CLOSE_NO_STATUS ||
        raw->finishing) {
        end(raw, NULL);
        return;
    }
    error_set(&error, STATUS_CLOSED, "08006", "%s ended the connection (%u): %s",
              connector_display(raw->tunnel.shared->connector), (unsigned)code, reason);
    error_hint(&error, code == FRAME_CLOSE_GOING_AWAY
                           ? "The service is being stopped or replaced; connect again."
                           : "Look at the service's log.");
    end(raw, &error);
}

/* A service that waits for its database reads nothing, so our ping stays unread behind the data we
 * sent. Its system still acknowledges; only a dead path leaves what was sent unanswered. */
static bool is_dead(const struct raw *raw, int64_t silence)
{
    const struct websocket *websocket = raw->websocket;

    if (silence < DEAD_AFTER)
        return false;
    if (!websocket->sent_unheard && buffer_len(&websocket->out) == 0)
        return true;
    return loop_socket_unanswered(websocket->transport.watch.fd);
}

static void on_lost(struct raw *raw)
{
    int64_t unread = loop_now(loop_of(raw)) - raw->websocket->heard_at;

    /* What is left to read is finite, so this is, too. */
    if (unread < BROKEN_WAIT)
        loop_timer_set(loop_of(raw), &raw->timer, BROKEN_WAIT - unread);
    else
        end_lost(raw, "it broke before everything was sent");
}

static void on_timer(struct loop_timer *timer)
{
    struct raw *raw = timer->owner;
    struct loop *loop = loop_of(raw);
    struct websocket *websocket = raw->websocket;
    /* While we do not read, there is nothing to hear. */
    int64_t silence = websocket->receiving ? loop_now(loop) - websocket->heard_at : 0;

    if (raw->lost) {
        on_lost(raw);
        return;
    }
    if (websocket->close_sent) {
        if (silence >= CLOSE_WAIT)
            end(raw, NULL); /* all we have to say is said */
        else
            loop_timer_set(loop, timer, CLOSE_WAIT - silence);
        return;
    }
    if (is_dead(raw, silence)) {
        end_lost(raw, "nothing was heard for 45 s");
        return;
    }
    if (websocket->receiving && silence < PING_AFTER) {
        loop_timer_set(loop, timer, PING_AFTER - silence);
        return;
    }
    websocket_ping(websocket);
    if (!raw->ended)
        loop_timer_set(loop, timer,
                       silence > DEAD_AFTER - PING_AFTER && silence < DEAD_AFTER
                           ? DEAD_AFTER - silence
                           : PING_AFTER);
}

static void on_open(void *owner, const struct connect_result *result)
{
    struct raw *raw = owner;

    if (result->status != STATUS_OK) {
        end(raw, result->error);
        return;
    }
    loop_timer_set(loop_of(raw), &raw->timer, PING_AFTER);
    raw->tunnel.events->on_up(raw->tunnel.owner);
    close_when_sent(raw);
}

static const struct carrier_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_heard = on_heard,
    .on_room = on_room,
    .on_end = on_end,
};

static struct raw *raw_new(struct tunnel_shared *shared)
{
    struct raw *raw = mem_new(sizeof *raw);

    raw->tunnel.type = &tunnel_raw;
    raw->tunnel.shared = shared;
    raw->timer = (struct loop_timer){.on_time = on_timer, .owner = raw};
    flow_init(&raw->flow, LOW_WATER, HIGH_WATER);
    return raw;
}

static struct tunnel *raw_open(struct tunnel_shared *shared)
{
    static const struct connect_request plain = {.offer = false};
    struct raw *raw = raw_new(shared);

    raw->websocket = websocket_open(shared, &plain, &events, raw);
    return &raw->tunnel;
}

struct tunnel *raw_adopt(struct tunnel_shared *shared, struct websocket *websocket)
{
    struct raw *raw = raw_new(shared);

    raw->websocket = websocket;
    websocket_hand_over(websocket, &events, raw);
    return &raw->tunnel;
}

static void raw_free(struct tunnel *tunnel)
{
    struct raw *raw = (struct raw *)tunnel;
    struct websocket *websocket = raw->websocket;

    if (websocket->open && !raw->ended && buffer_len(&websocket->out) == 0) {
        raw->ended = true;
        websocket_close(websocket, FRAME_CLOSE_GOING_AWAY, "");
    }
    loop_timer_stop(loop_of(raw), &raw->timer);
    websocket_free(websocket);
    free(raw);
}

const struct tunnel_type tunnel_raw = {
    .name = "raw",
    .open = raw_open,
    .reserve = raw_reserve,
    .commit = raw_commit,
    .receive = raw_receive,
    .finish = raw_finish,
    .free = raw_free,
};
