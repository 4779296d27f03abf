/* Raw mode: one WebSocket whose binary messages carry the bytes as they are.
 *
 * Bytes are masked where they were read and written from there; only what the system refuses is
 * copied into a queue. An idle tunnel holds no buffer at all. */
#include "client/tunnel.h"

#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/flow.h"
#include "common/frame.h"
#include "common/log.h"
#include "common/memory.h"

#define PING_AFTER 20000 /* milliseconds without a byte from the service */
#define DEAD_AFTER 45000 /* likewise */
#define CLOSE_WAIT 5000  /* for the answer to our Close */
#define BROKEN_WAIT 5000 /* for the local side to go on taking what came before the break */
#define HIGH_WATER (64u * 1024u)
#define LOW_WATER (16u * 1024u)
#define CONTROL_ROOM 4096u /* above the high watermark, for pongs and Close */
#define SLICES_MAX 64
/* Slices up to this size are moved together instead of being named one by one. */
#define JOIN_BELOW 2048
/* Full reads in a row before others get their turn. */
#define READS_A_TURN 4

struct raw {
    struct tunnel tunnel;
    struct tunnel_shared *shared;
    struct connecting *connecting; /* NULL once it is up or over */
    struct transport transport;
    struct frame_decoder decoder;
    struct buffer out;
    struct flow flow;
    struct loop_timer timer;     /* ping, silence, and the wait after Close */
    struct loop_task read_again; /* bytes that no readiness will announce */
    int64_t heard_at;
    bool up;
    bool receiving;
    bool finishing; /* the local side gives no more */
    bool close_sent;
    bool broken;       /* the socket takes no more */
    bool lost;         /* bytes of the local side among them */
    bool sent_unheard; /* data went out since the service was last heard of */
    bool ended;        /* on_end was called; only tunnel_free() follows */
};

static void end(struct raw *raw, const struct error *error)
{
    struct loop *loop = raw->shared->loop;

    if (raw->ended)
        return;
    raw->ended = true;
    loop_timer_stop(loop, &raw->timer);
    loop_task_cancel(loop, &raw->read_again);
    loop_watch_set(loop, &raw->transport.watch, 0);
    raw->tunnel.events->on_end(raw->tunnel.owner, error);
}

static void end_lost(struct raw *raw, const char *reason)
{
    struct error error;

    error_set(&error, STATUS_CLOSED, "08006", "the connection to %s was lost: %s",
              connector_display(raw->shared->connector), reason);
    error_hint(&error, "Connect again; what was not committed has been rolled back.");
    end(raw, &error);
}

static void wait_for_more(struct raw *raw)
{
    bool writing = buffer_len(&raw->out) > 0 && !raw->broken;

    if (raw->ended)
        return;
    if (!transport_wait(&raw->transport, raw->shared->loop, raw->receiving, writing))
        end_lost(raw, "the system refuses to watch its socket");
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* Writes what the system takes; queues the rest. A broken socket is not reported from here: what
 * the service sent before it broke is still to be read, and reading will find out. */
static void send_bytes(struct raw *raw, struct bytes bytes)
{
    struct error error;
    size_t count = 0;

    if (raw->broken || raw->ended)
        return;
    if (buffer_len(&raw->out) == 0) {
        enum status status = transport_write(&raw->transport, bytes, &count, &error);

        if (status == STATUS_OK)
            return;
        if (status == STATUS_SYSTEM) {
            raw->broken = true;
            wait_for_more(raw);
            return;
        }
    }
    if (!buffer_append(&raw->out, bytes_skip(bytes, count))) {
        /* Only pongs can do this, to a service that pings without reading. */
        end_lost(raw, "it sends pings without reading the answers");
        return;
    }
    wait_for_more(raw);
}

static void send_control(struct raw *raw, enum frame_opcode opcode, struct bytes payload)
{
    uint8_t frame[FRAME_HEADER_MAX + FRAME_CONTROL_MAX];
    uint8_t mask[4];
    size_t header;

    if (raw->close_sent)
        return;
    frame_keys_next(raw->shared->keys, mask);
    header = frame_encode_header(frame, opcode, payload.len, mask);
    frame_mask(frame + header, payload.data, payload.len, mask, 0);
    send_bytes(raw, bytes_of(frame, header + payload.len));
}

static void send_close(struct raw *raw, uint16_t code, const char *reason)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = frame_encode_close(payload, code, reason);

    send_control(raw, FRAME_CLOSE, bytes_of(payload, len));
    raw->close_sent = true;
}

/* Bytes of the local side cannot be delivered any more. What the service sent before is still worth
 * reading, and reading finds the end; but a local side that takes nothing until its own bytes are
 * taken would wait for ever, so there is a limit. */
static void lose(struct raw *raw)
{
    if (raw->lost || raw->ended)
        return;
    raw->lost = true;
    loop_timer_set(raw->shared->loop, &raw->timer, BROKEN_WAIT);
}

static uint8_t *raw_reserve(struct tunnel *tunnel, size_t *len)
{
    struct raw *raw = (struct raw *)tunnel;

    *len = TUNNEL_PAYLOAD_MAX;
    return raw->shared->payload;
}

static bool raw_commit(struct tunnel *tunnel, size_t count)
{
    struct raw *raw = (struct raw *)tunnel;
    uint8_t *payload = raw->shared->payload;
    uint8_t header[FRAME_HEADER_MAX];
    uint8_t mask[4];
    size_t header_len;

    frame_keys_next(raw->shared->keys, mask);
    header_len = frame_encode_header(header, FRAME_BINARY, count, mask);
    memcpy(payload - header_len, header, header_len);
    frame_mask(payload, payload, count, mask, 0);
    raw->sent_unheard = true;
    send_bytes(raw, bytes_of(payload - header_len, header_len + count));
    if (raw->broken) {
        lose(raw);
        return false;
    }
    return flow_next(&raw->flow, buffer_len(&raw->out)) != FLOW_PAUSE_SOURCE;
}

static void close_when_sent(struct raw *raw)
{
    if (!raw->finishing || !raw->up || raw->close_sent || raw->ended)
        return;
    if (buffer_len(&raw->out) > 0 && !raw->broken)
        return;
    send_close(raw, FRAME_CLOSE_NORMAL, "");
    loop_timer_set(raw->shared->loop, &raw->timer, CLOSE_WAIT);
    wait_for_more(raw);
}

static void raw_finish(struct tunnel *tunnel)
{
    struct raw *raw = (struct raw *)tunnel;

    raw->finishing = true;
    close_when_sent(raw);
}

/* The socket takes bytes again. */
static void flush(struct raw *raw)
{
    struct error error;
    size_t count = 0;

    if (buffer_len(&raw->out) == 0 || raw->broken)
        return;
    if (transport_write(&raw->transport, buffer_peek(&raw->out), &count, &error) == STATUS_SYSTEM) {
        raw->broken = true;
        buffer_clear(&raw->out);
        lose(raw);
        return;
    }
    buffer_consume(&raw->out, count);
    close_when_sent(raw);
    if (flow_next(&raw->flow, buffer_len(&raw->out)) == FLOW_RESUME_SOURCE)
        raw->tunnel.events->on_room(raw->tunnel.owner);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

/* Payload found in one read, on its way to the local side in as few pieces as possible. */
struct gathered {
    struct iovec slices[SLICES_MAX];
    int count;
};

static void hand_on(struct raw *raw, struct gathered *gathered)
{
    if (gathered->count > 0 && !raw->ended)
        raw->tunnel.events->on_data(raw->tunnel.owner, gathered->slices, gathered->count);
    gathered->count = 0;
}

static void gather(struct raw *raw, struct gathered *gathered, struct bytes payload)
{
    struct iovec *last;

    if (payload.len == 0)
        return;
    if (gathered->count > 0 && payload.len <= JOIN_BELOW) {
        /* Only a frame's header lies between, and the bytes are ours. */
        last = &gathered->slices[gathered->count - 1];
        memmove((uint8_t *)last->iov_base + last->iov_len, payload.data, payload.len);
        last->iov_len += payload.len;
        return;
    }
    if (gathered->count == SLICES_MAX)
        hand_on(raw, gathered);
    last = &gathered->slices[gathered->count++];
    last->iov_base = (void *)(uintptr_t)payload.data;
    last->iov_len = payload.len;
}

static void on_close_frame(struct raw *raw, const struct frame_event *event)
{
    struct error error;

    if (!raw->close_sent)
        send_close(raw, event->code == FRAME_CLOSE_NO_STATUS ? FRAME_CLOSE_NORMAL : event->code,
                   "");
    if (event->code == FRAME_CLOSE_NORMAL || event->code == FRAME_CLOSE_NO_STATUS ||
        raw->finishing) {
        end(raw, NULL);
        return;
    }
    error_set(&error, STATUS_CLOSED, "08006", "%s ended the connection (%u): %.*s",
              connector_display(raw->shared->connector), (unsigned)event->code,
              (int)event->payload.len, (const char *)event->payload.data);
    error_hint(&error, event->code == FRAME_CLOSE_GOING_AWAY
                           ? "The service is being stopped or replaced; connect again."
                           : "Look at the service's log.");
    end(raw, &error);
}

static void on_violation(struct raw *raw, const struct frame_event *event,
                         const struct error *reason)
{
    send_close(raw, event->code, reason->message);
    end_lost(raw, reason->message);
}

/* Bytes after this belong to nobody: only a Close was awaited. */
static void on_frame(struct raw *raw, struct gathered *gathered, const struct frame_event *event)
{
    switch (event->type) {
    case FRAME_EVENT_DATA:
        if (event->message == FRAME_BINARY) {
            gather(raw, gathered, event->payload);
            break;
        }
        hand_on(raw, gathered);
        send_close(raw, FRAME_CLOSE_UNSUPPORTED, "text messages carry nothing here");
        end_lost(raw, "it sent a text message, which no tunnel does");
        break;
    case FRAME_EVENT_PING:
        send_control(raw, FRAME_PONG, event->payload);
        break;
    case FRAME_EVENT_PONG:
        break;
    case FRAME_EVENT_CLOSE:
        hand_on(raw, gathered);
        on_close_frame(raw, event);
        break;
    }
}

/* `bytes` are in writable memory. */
static void decode(struct raw *raw, struct bytes bytes)
{
    struct gathered gathered;
    struct frame_event event;
    struct error error;

    gathered.count = 0;
    raw->heard_at = loop_now(raw->shared->loop);
    raw->sent_unheard = false;
    while (!raw->ended) {
        enum status status = frame_decode(&raw->decoder, &bytes, &event, &error);

        if (status == STATUS_MORE)
            break;
        if (status == STATUS_OK) {
            on_frame(raw, &gathered, &event);
            continue;
        }
        hand_on(raw, &gathered);
        on_violation(raw, &event, &error);
    }
    hand_on(raw, &gathered);
}

static void on_socket_end(struct raw *raw, enum status status, const struct error *error)
{
    if (raw->finishing && raw->close_sent)
        end(raw, NULL);
    else
        end_lost(raw, status == STATUS_CLOSED ? "it ended without a Close frame" : error->message);
}

static void read_socket(struct raw *raw)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        struct error error;
        bool drained;
        size_t count;
        enum status status;

        if (raw->ended || !raw->receiving)
            return;
        status = transport_read(&raw->transport, raw->shared->receive, TUNNEL_READ_SIZE, &count,
                                &drained, &error);
        if (status == STATUS_OK)
            decode(raw, bytes_of(raw->shared->receive, count));
        else if (status != STATUS_MORE)
            on_socket_end(raw, status, &error);
        if (status != STATUS_OK || drained)
            return;
    }
    if (transport_has_pending(&raw->transport))
        loop_defer(raw->shared->loop, &raw->read_again);
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct raw *raw = watch->owner;
    /* TLS may need the one to do the other. */
    bool both = raw->transport.ssl != NULL;

    if (both || (events & LOOP_WRITE) != 0)
        flush(raw);
    if (both || (events & (LOOP_READ | LOOP_ERROR)) != 0)
        read_socket(raw);
    wait_for_more(raw);
}

static void on_read_again(struct loop_task *task)
{
    struct raw *raw = task->owner;

    read_socket(raw);
    wait_for_more(raw);
}

static void raw_receive(struct tunnel *tunnel, bool on)
{
    struct raw *raw = (struct raw *)tunnel;

    if (raw->receiving == on)
        return;
    raw->receiving = on;
    if (!raw->up || raw->ended)
        return;
    if (on) {
        /* Not hearing was our own doing. */
        raw->heard_at = loop_now(raw->shared->loop);
        if (transport_has_pending(&raw->transport))
            loop_defer(raw->shared->loop, &raw->read_again);
    }
    wait_for_more(raw);
}

/* ---- life --------------------------------------------------------------------------------------
 */

/* A service that waits for its database reads nothing, so our ping stays unread behind the data we
 * sent. Its system still acknowledges; only a dead path leaves what was sent unanswered. */
static bool is_dead(const struct raw *raw, int64_t silence)
{
    if (silence < DEAD_AFTER)
        return false;
    if (!raw->sent_unheard && buffer_len(&raw->out) == 0)
        return true;
    return loop_socket_unanswered(raw->transport.watch.fd);
}

static void on_lost(struct raw *raw)
{
    struct loop *loop = raw->shared->loop;
    int64_t unread = loop_now(loop) - raw->heard_at;

    /* What is left to read is finite, so this is, too. */
    if (unread < BROKEN_WAIT)
        loop_timer_set(loop, &raw->timer, BROKEN_WAIT - unread);
    else
        end_lost(raw, "it broke before everything was sent");
}

static void on_timer(struct loop_timer *timer)
{
    struct raw *raw = timer->owner;
    struct loop *loop = raw->shared->loop;
    /* While we do not read, there is nothing to hear. */
    int64_t silence = raw->receiving ? loop_now(loop) - raw->heard_at : 0;

    if (raw->lost) {
        on_lost(raw);
        return;
    }
    if (raw->close_sent) {
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
    if (raw->receiving && silence < PING_AFTER) {
        loop_timer_set(loop, timer, PING_AFTER - silence);
        return;
    }
    send_control(raw, FRAME_PING, bytes_of(NULL, 0));
    if (!raw->ended)
        loop_timer_set(loop, timer,
                       silence > DEAD_AFTER - PING_AFTER && silence < DEAD_AFTER
                           ? DEAD_AFTER - silence
                           : PING_AFTER);
}

static void on_connected(void *owner, enum status status, struct bytes rest,
                         const struct error *error)
{
    struct raw *raw = owner;
    struct loop *loop = raw->shared->loop;

    raw->connecting = NULL;
    if (status != STATUS_OK) {
        end(raw, error);
        return;
    }
    raw->up = true;
    raw->heard_at = loop_now(loop);
    raw->transport.watch.on_ready = on_ready;
    raw->transport.watch.owner = raw;
    loop_timer_set(loop, &raw->timer, PING_AFTER);
    raw->tunnel.events->on_up(raw->tunnel.owner);
    if (rest.len > 0 && !raw->ended)
        decode(raw, rest);
    if (transport_has_pending(&raw->transport))
        loop_defer(loop, &raw->read_again);
    close_when_sent(raw);
    wait_for_more(raw);
}

static struct tunnel *raw_open(struct tunnel_shared *shared)
{
    struct raw *raw = mem_new(sizeof *raw);

    raw->tunnel.type = &tunnel_raw;
    raw->shared = shared;
    raw->receiving = true;
    raw->timer = (struct loop_timer){.on_time = on_timer, .owner = raw};
    raw->read_again = (struct loop_task){.run = on_read_again, .owner = raw};
    transport_init(&raw->transport);
    frame_decoder_init(&raw->decoder, FRAME_CLIENT);
    buffer_init(&raw->out, HIGH_WATER + TUNNEL_READ_SIZE + CONTROL_ROOM);
    flow_init(&raw->flow, LOW_WATER, HIGH_WATER);
    raw->connecting = connect_open(shared->connector, &raw->transport, on_connected, raw);
    return &raw->tunnel;
}

static void raw_free(struct tunnel *tunnel)
{
    struct raw *raw = (struct raw *)tunnel;
    struct loop *loop = raw->shared->loop;

    if (raw->connecting != NULL)
        connect_cancel(raw->connecting); /* closes the transport, too */
    else if (raw->up && !raw->ended && buffer_len(&raw->out) == 0)
        send_close(raw, FRAME_CLOSE_GOING_AWAY, "");
    raw->ended = true;
    loop_timer_stop(loop, &raw->timer);
    loop_task_cancel(loop, &raw->read_again);
    transport_close(&raw->transport, loop);
    buffer_clear(&raw->out);
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
