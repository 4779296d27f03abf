/* One WebSocket, over a transport. */
#include "client/websocket.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/tunnel.h"
#include "common/memory.h"
#include "common/printable.h"

/* What a full queue's owner may add before it stops. */
#define OUT_MAX (64u * 1024u + TUNNEL_READ_SIZE)
#define CONTROL_ROOM 4096u /* above that, for pongs and Close */
/* Full reads in a row before others get their turn. */
#define READS_A_TURN 4

static struct loop *loop_of(const struct websocket *websocket)
{
    return websocket->shared->loop;
}

/* ---- life --------------------------------------------------------------------------------------
 */

void websocket_stop(struct websocket *websocket)
{
    websocket->ended = true;
    loop_task_cancel(loop_of(websocket), &websocket->read_again);
    if (websocket->open)
        loop_watch_set(loop_of(websocket), &websocket->transport.watch, 0);
}

static void end(struct websocket *websocket, uint16_t code, const char *reason)
{
    if (websocket->ended)
        return;
    websocket_stop(websocket);
    websocket->carrier.events->on_end(websocket->carrier.owner, code, reason);
}

static void end_lost(struct websocket *websocket, const char *reason)
{
    end(websocket, 0, reason);
}

static void wait_for_more(struct websocket *websocket)
{
    bool writing = buffer_len(&websocket->out) > 0 && !websocket->broken;

    if (websocket->ended)
        return;
    if (!transport_wait(&websocket->transport, loop_of(websocket), websocket->receiving, writing))
        end_lost(websocket, "the system refuses to watch its socket");
}

void websocket_free(struct websocket *websocket)
{
    if (websocket == NULL)
        return;
    if (websocket->connecting != NULL)
        connect_cancel(websocket->connecting); /* closes the transport, too */
    websocket->connecting = NULL;
    websocket_stop(websocket);
    transport_close(&websocket->transport, loop_of(websocket));
    buffer_clear(&websocket->out);
    carrier_bury(websocket->shared, &websocket->carrier);
}

void websocket_hand_over(struct websocket *websocket, const struct carrier_events *events,
                         void *owner)
{
    websocket->carrier.events = events;
    websocket->carrier.owner = owner;
}

/* ---- sending -----------------------------------------------------------------------------------
 */

/* Writes what the system takes; queues the rest. A broken socket is not reported from here: what
 * the service sent before it broke is still to be read, and reading will find out. */
static void send_bytes(struct websocket *websocket, struct bytes bytes)
{
    struct error error;
    size_t count = 0;

    if (websocket->broken || websocket->ended)
        return;
    if (buffer_len(&websocket->out) == 0) {
        enum status status = transport_write(&websocket->transport, bytes, &count, &error);

        if (status == STATUS_OK)
            return;
        if (status == STATUS_SYSTEM) {
            websocket->broken = true;
            wait_for_more(websocket);
            return;
        }
    }
    if (!buffer_append(&websocket->out, bytes_skip(bytes, count))) {
        /* Only pongs can do this, to a service that pings without reading. */
        end_lost(websocket, "it sends pings without reading the answers");
        return;
    }
    wait_for_more(websocket);
}

/* The frame's header goes in front of its masked bytes. */
static void send_masked(struct websocket *websocket, uint8_t *masked, size_t count,
                        const uint8_t mask[4])
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t header_len = frame_encode_header(header, FRAME_BINARY, count, mask);

    memcpy(masked - header_len, header, header_len);
    websocket->sent_unheard = true;
    send_bytes(websocket, bytes_of(masked - header_len, header_len + count));
}

void websocket_send_shared(struct websocket *websocket, size_t count)
{
    uint8_t *payload = websocket->shared->payload;
    uint8_t mask[4];

    frame_keys_next(websocket->shared->keys, mask);
    frame_mask(payload, payload, count, mask, 0);
    send_masked(websocket, payload, count, mask);
}

void websocket_send(struct websocket *websocket, struct bytes head, struct bytes payload)
{
    uint8_t *into = websocket->shared->payload;
    uint8_t *begin = into - head.len;
    uint8_t mask[4];

    assert(head.len <= WEBSOCKET_HEAD_MAX);
    frame_keys_next(websocket->shared->keys, mask);
    frame_mask(begin, head.data, head.len, mask, 0);
    if (payload.len > 0)
        frame_mask(into, payload.data, payload.len, mask, head.len);
    send_masked(websocket, begin, head.len + payload.len, mask);
}

static void send_control(struct websocket *websocket, enum frame_opcode opcode,
                         struct bytes payload)
{
    uint8_t frame[FRAME_HEADER_MAX + FRAME_CONTROL_MAX];
    uint8_t mask[4];
    size_t header;

    if (websocket->close_sent)
        return;
    frame_keys_next(websocket->shared->keys, mask);
    header = frame_encode_header(frame, opcode, payload.len, mask);
    frame_mask(frame + header, payload.data, payload.len, mask, 0);
    send_bytes(websocket, bytes_of(frame, header + payload.len));
}

void websocket_ping(struct websocket *websocket)
{
    send_control(websocket, FRAME_PING, bytes_of(NULL, 0));
}

void websocket_close(struct websocket *websocket, uint16_t code, const char *reason)
{
    uint8_t payload[FRAME_CONTROL_MAX];
    size_t len = frame_encode_close(payload, code, reason);

    send_control(websocket, FRAME_CLOSE, bytes_of(payload, len));
    websocket->close_sent = true;
}

/* The socket takes bytes again. */
static void flush(struct websocket *websocket)
{
    struct error error;
    size_t count = 0;

    if (buffer_len(&websocket->out) == 0 || websocket->broken)
        return;
    if (transport_write(&websocket->transport, buffer_peek(&websocket->out), &count, &error) ==
        STATUS_SYSTEM) {
        websocket->broken = true;
        buffer_clear(&websocket->out);
    } else {
        buffer_consume(&websocket->out, count);
    }
    if (!websocket->ended)
        websocket->carrier.events->on_room(websocket->carrier.owner);
}

/* ---- receiving ---------------------------------------------------------------------------------
 */

static void on_close_frame(struct websocket *websocket, const struct frame_event *event)
{
    char reason[FRAME_CONTROL_MAX + 1];

    if (!websocket->close_sent)
        websocket_close(
            websocket, event->code == FRAME_CLOSE_NO_STATUS ? FRAME_CLOSE_NORMAL : event->code, "");
    snprintf(reason, sizeof reason, "%.*s", (int)event->payload.len,
             (const char *)event->payload.data);
    printable_make(reason); /* it ends up on terminals */
    end(websocket, event->code, reason);
}

/* Bytes after this belong to nobody: only a Close was awaited. */
static void on_frame(struct websocket *websocket, const struct frame_event *event)
{
    switch (event->type) {
    case FRAME_EVENT_DATA:
        if (event->message == FRAME_BINARY) {
            websocket->carrier.events->on_data(websocket->carrier.owner, event->payload,
                                               event->final);
            break;
        }
        websocket->carrier.events->on_heard(websocket->carrier.owner);
        websocket_close(websocket, FRAME_CLOSE_UNSUPPORTED, "text messages carry nothing here");
        end_lost(websocket, "it sent a text message, which no tunnel does");
        break;
    case FRAME_EVENT_PING:
        send_control(websocket, FRAME_PONG, event->payload);
        break;
    case FRAME_EVENT_PONG:
        break;
    case FRAME_EVENT_CLOSE:
        websocket->carrier.events->on_heard(websocket->carrier.owner);
        on_close_frame(websocket, event);
        break;
    }
}

static void on_violation(struct websocket *websocket, const struct frame_event *event,
                         const struct error *reason)
{
    websocket->carrier.events->on_heard(websocket->carrier.owner);
    websocket_close(websocket, event->code, reason->message);
    end_lost(websocket, reason->message);
}

/* `bytes` are in writable memory. */
static void decode(struct websocket *websocket, struct bytes bytes)
{
    struct frame_event event;
    struct error error;

    websocket->heard_at = loop_now(loop_of(websocket));
    websocket->sent_unheard = false;
    while (!websocket->ended) {
        enum status status = frame_decode(&websocket->decoder, &bytes, &event, &error);

        if (status == STATUS_MORE)
            break;
        if (status == STATUS_OK)
            on_frame(websocket, &event);
        else
            on_violation(websocket, &event, &error);
    }
    if (!websocket->ended)
        websocket->carrier.events->on_heard(websocket->carrier.owner);
}

static void read_socket(struct websocket *websocket)
{
    for (int i = 0; i < READS_A_TURN; i++) {
        struct error error;
        bool drained;
        size_t count;
        enum status status;

        if (websocket->ended || !websocket->receiving)
            return;
        status = transport_read(&websocket->transport, websocket->shared->receive, TUNNEL_READ_SIZE,
                                &count, &drained, &error);
        if (status == STATUS_OK)
            decode(websocket, bytes_of(websocket->shared->receive, count));
        else if (status != STATUS_MORE)
            end_lost(websocket,
                     status == STATUS_CLOSED ? "it ended without a Close frame" : error.message);
        if (status != STATUS_OK || drained)
            return;
    }
    if (!websocket->ended && transport_has_pending(&websocket->transport))
        loop_defer(loop_of(websocket), &websocket->read_again);
}

static void on_ready(struct loop_watch *watch, unsigned events)
{
    struct websocket *websocket = watch->owner;
    /* TLS may need the one to do the other. */
    bool both = websocket->transport.ssl != NULL;

    if (both || (events & LOOP_WRITE) != 0)
        flush(websocket);
    if (both || (events & (LOOP_READ | LOOP_ERROR)) != 0)
        read_socket(websocket);
    wait_for_more(websocket);
}

static void on_read_again(struct loop_task *task)
{
    struct websocket *websocket = task->owner;

    read_socket(websocket);
    wait_for_more(websocket);
}

void websocket_receive(struct websocket *websocket, bool on)
{
    if (websocket->receiving == on)
        return;
    websocket->receiving = on;
    if (!websocket->open || websocket->ended)
        return;
    if (on) {
        /* Not hearing was our own doing. */
        websocket->heard_at = loop_now(loop_of(websocket));
        if (transport_has_pending(&websocket->transport))
            loop_defer(loop_of(websocket), &websocket->read_again);
    }
    wait_for_more(websocket);
}

/* ---- as a carrier ------------------------------------------------------------------------------
 */

static size_t room_of(const struct carrier *carrier)
{
    return buffer_len(&((const struct websocket *)carrier)->out) == 0 ? TUNNEL_PAYLOAD_MAX : 0;
}

static bool is_broken(const struct carrier *carrier)
{
    return ((const struct websocket *)carrier)->broken;
}

static void send_frame(struct carrier *carrier, struct bytes head, struct bytes payload)
{
    websocket_send(websocket_of(carrier), head, payload);
}

static void stop_carrier(struct carrier *carrier)
{
    websocket_stop(websocket_of(carrier));
}

static void free_carrier(struct carrier *carrier)
{
    websocket_free(websocket_of(carrier));
}

static void close_carrier(struct carrier *carrier)
{
    struct websocket *websocket = websocket_of(carrier);

    if (websocket->open && !websocket->ended && !websocket->broken &&
        buffer_len(&websocket->out) == 0)
        websocket_close(websocket, FRAME_CLOSE_NORMAL, "");
    websocket_free(websocket);
}

static const struct carrier_ops carrier_ops = {
    .framing = TUNNEL_MESSAGES,
    .room = room_of,
    .is_broken = is_broken,
    .send = send_frame,
    .stop = stop_carrier,
    .close = close_carrier,
    .free = free_carrier,
};

/* ---- opening -----------------------------------------------------------------------------------
 */

static void on_connected(void *owner, const struct connect_result *result)
{
    struct websocket *websocket = owner;

    websocket->connecting = NULL;
    if (result->status == STATUS_OK) {
        websocket->open = true;
        websocket->heard_at = loop_now(loop_of(websocket));
        websocket->transport.watch.on_ready = on_ready;
        websocket->transport.watch.owner = websocket;
    } else {
        websocket_stop(websocket);
    }
    websocket->carrier.events->on_open(websocket->carrier.owner, result);
    if (result->rest.len > 0 && !websocket->ended)
        decode(websocket, result->rest);
    if (!websocket->ended && transport_has_pending(&websocket->transport))
        loop_defer(loop_of(websocket), &websocket->read_again);
    wait_for_more(websocket);
}

struct websocket *websocket_open(struct tunnel_shared *shared,
                                 const struct connect_request *request,
                                 const struct carrier_events *events, void *owner)
{
    struct websocket *websocket = mem_new(sizeof *websocket);

    websocket->carrier = (struct carrier){.ops = &carrier_ops, .events = events, .owner = owner};
    websocket->shared = shared;
    websocket->receiving = true;
    websocket->read_again = (struct loop_task){.run = on_read_again, .owner = websocket};
    transport_init(&websocket->transport);
    frame_decoder_init(&websocket->decoder, FRAME_CLIENT);
    buffer_init(&websocket->out, OUT_MAX + CONTROL_ROOM);
    websocket->connecting =
        connect_open(shared->connector, request, &websocket->transport, on_connected, websocket);
    return websocket;
}
