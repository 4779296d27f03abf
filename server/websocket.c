/* One WebSocket as a stream: frames, flow control, the closing handshake. */
#include "server/websocket.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/memory.h"
#include "server/loop.h"
#include "server/websocket_state.h"

/* Far above the high watermark: only an owner that ignores it gets here, and loses the stream. */
#define QUEUE_MAX ((size_t)64 * 1024 * 1024)
/* Pieces up to this size are moved together, so that many small frames make one event. */
#define PIECE_MOVED_MAX ((size_t)16 * 1024)

static struct websocket *websocket_of(struct stream *stream)
{
    return (struct websocket *)stream;
}

static void update_interest(struct websocket *websocket)
{
    bool reads = !websocket->paused || websocket->close_sent;
    bool queued = buffer_len(&websocket->queue) > 0;
    uint32_t events = 0;

    if (websocket->failed)
        return;
    if (reads || websocket->transport.write_wants_read)
        events |= EPOLLIN;
    if ((queued && !websocket->transport.write_wants_read) ||
        websocket->transport.read_wants_write || (reads && websocket->pending))
        events |= EPOLLOUT;
    loop_watch_change(websocket->loop, &websocket->watch, events);
}

void websocket_hang_up(struct websocket *websocket, const char *reason)
{
    if (websocket->reason == NULL)
        websocket->reason = reason;
    if (websocket->failed)
        return;
    websocket->failed = true;
    loop_watch_remove(websocket->loop, &websocket->watch);
    loop_timer_set(websocket->loop, &websocket->gone, 0);
}

/* Writing */

/* The kernel takes no more. A client that leaves in the middle of an answer may have said so
 * before: the last message of electric-tunnel.v1 ends a session that would be kept otherwise. */
static void on_write_failed(struct websocket *websocket)
{
    if (websocket->on_piece == NULL) {
        websocket_hang_up(websocket, "connection reset");
        return;
    }
    websocket->deaf = true;
    buffer_clear(&websocket->queue);
}

/* How many bytes of the two the kernel took. */
static size_t write_now(struct websocket *websocket, struct bytes header, struct bytes payload)
{
    size_t put;
    enum transfer outcome = transport_write(&websocket->transport, header, payload, &put);

    if (outcome == TRANSFER_ENDED || outcome == TRANSFER_FAILED)
        on_write_failed(websocket);
    return put;
}

/* A frame, its header in front of its payload in `header` already. */
static void write_parts(struct websocket *websocket, struct bytes header, struct bytes payload)
{
    size_t taken = 0;

    if (websocket->failed || websocket->deaf)
        return;
    if (buffer_len(&websocket->queue) == 0)
        taken = write_now(websocket, header, payload);
    if (taken < header.len + payload.len && !websocket->failed && !websocket->deaf) {
        struct bytes payload_left =
            taken > header.len ? bytes_skip(payload, taken - header.len) : payload;

        if (!buffer_append(&websocket->queue, bytes_skip(header, taken)) ||
            !buffer_append(&websocket->queue, payload_left))
            websocket_hang_up(websocket, "peer reads too slowly");
        /* Whoever sends messages waits for an empty queue, whatever fills it. */
        if (websocket->on_piece != NULL)
            websocket->above_high = true;
    }
}

void websocket_write_frame(struct websocket *websocket, enum frame_opcode opcode,
                           struct bytes payload)
{
    uint8_t header[FRAME_HEADER_MAX];
    size_t len = frame_encode_header(header, opcode, payload.len, NULL);

    write_parts(websocket, bytes_of(header, len), payload);
}

void websocket_send_message(struct websocket *websocket, struct bytes head, struct bytes payload)
{
    uint8_t bytes[FRAME_HEADER_MAX + WEBSOCKET_HEAD_MAX];
    size_t len;

    assert(head.len <= WEBSOCKET_HEAD_MAX);
    if (websocket->finishing || websocket->close_sent)
        return;
    len = frame_encode_header(bytes, FRAME_BINARY, head.len + payload.len, NULL);
    memcpy(bytes + len, head.data, head.len);
    write_parts(websocket, bytes_of(bytes, len + head.len), payload);
    update_interest(websocket);
}

static void websocket_send(struct stream *stream, struct bytes data)
{
    struct websocket *websocket = websocket_of(stream);

    if (websocket->finishing || websocket->close_sent || data.len == 0)
        return;
    websocket_write_frame(websocket, FRAME_BINARY, data);
    if (buffer_len(&websocket->queue) >= STREAM_QUEUE_HIGH)
        websocket->above_high = true;
    update_interest(websocket);
}

static size_t websocket_queued(const struct stream *stream)
{
    return buffer_len(&((const struct websocket *)stream)->queue);
}

static void send_close(struct websocket *websocket, uint16_t code, const char *reason)
{
    uint8_t payload[FRAME_CONTROL_MAX];

    if (websocket->close_sent)
        return;
    websocket_write_frame(websocket, FRAME_CLOSE,
                          bytes_of(payload, frame_encode_close(payload, code, reason)));
    websocket->close_sent = true;
    websocket->silent_s = 0; /* from here the watchdog counts the closing handshake */
}

static void finish_if_sent(struct websocket *websocket)
{
    static const uint16_t codes[] = {
        [STREAM_END_NORMAL] = FRAME_CLOSE_NORMAL,
        [STREAM_END_GOING_AWAY] = FRAME_CLOSE_GOING_AWAY,
        [STREAM_END_FAILED] = FRAME_CLOSE_INTERNAL,
    };

    if (websocket->finishing && buffer_len(&websocket->queue) == 0)
        send_close(websocket, codes[websocket->end], websocket->end_reason);
    if (websocket->close_received && websocket->close_sent && buffer_len(&websocket->queue) == 0)
        websocket_hang_up(websocket, "closed");
}

static void on_writable(struct websocket *websocket)
{
    size_t put = write_now(websocket, buffer_peek(&websocket->queue), bytes_of(NULL, 0));

    if (websocket->deaf)
        return;
    buffer_consume(&websocket->queue, put);
    if (buffer_len(&websocket->queue) > STREAM_QUEUE_LOW)
        return;
    if (websocket->pong_owed && !websocket->close_sent) {
        websocket->pong_owed = false;
        websocket_write_frame(websocket, FRAME_PONG,
                              bytes_of(websocket->pong, websocket->pong_len));
    }
    if (websocket->above_high) {
        websocket->above_high = false;
        if (!websocket->closed)
            websocket->stream.events->on_drained(websocket->stream.owner);
    }
}

/* Reading */

static void on_ping(struct websocket *websocket, struct bytes payload)
{
    if (websocket->close_sent)
        return;
    if (buffer_len(&websocket->queue) == 0) {
        websocket_write_frame(websocket, FRAME_PONG, payload);
        return;
    }
    /* While output is blocked only the latest is answered (RFC 6455 section 5.5.3), so that pings
     * cannot fill our memory. */
    memcpy(websocket->pong, payload.data, payload.len);
    websocket->pong_len = (uint8_t)payload.len;
    websocket->pong_owed = true;
}

static void on_peer_close(struct websocket *websocket, uint16_t code)
{
    bool normal = code == FRAME_CLOSE_NORMAL || code == FRAME_CLOSE_GOING_AWAY ||
                  code == FRAME_CLOSE_NO_STATUS;

    websocket->close_received = true;
    if (websocket->reason == NULL)
        websocket->reason = normal ? "peer closed" : "peer closed with an error code";
    /* Bytes that the owner sends now would come after the peer has stopped listening. */
    send_close(websocket, normal ? FRAME_CLOSE_NORMAL : code, "");
    if (!websocket->closed)
        websocket->stream.events->on_end(websocket->stream.owner);
}

/* A violation: the peer is told why, and what else it sends is thrown away. */
static void refuse(struct websocket *websocket, uint16_t code, const char *reason)
{
    if (websocket->reason == NULL)
        websocket->reason = "protocol violation";
    websocket->refused = true;
    send_close(websocket, code, reason);
}

static void deliver(struct websocket *websocket, struct bytes *run)
{
    if (run->len > 0 && !websocket->closed && !websocket->failed)
        websocket->stream.events->on_data(websocket->stream.owner, *run);
    *run = bytes_of(NULL, 0);
}

/* Adds a piece to the run of pieces that make one event; all of them lie in the scratch. */
static void collect(struct websocket *websocket, struct bytes *run, struct bytes piece)
{
    if (websocket->close_sent || piece.len == 0)
        return;
    if (run->len > 0 && piece.len <= PIECE_MOVED_MAX) {
        memmove((uint8_t *)(uintptr_t)run->data + run->len, piece.data, piece.len);
        run->len += piece.len;
        return;
    }
    deliver(websocket, run);
    *run = piece;
}

/* False when the messages' boundaries mean nothing, or not any more. */
static bool give_piece(struct websocket *websocket, const struct frame_event *event)
{
    if (websocket->on_piece == NULL)
        return false;
    if (!websocket->close_sent && !websocket->closed && !websocket->failed)
        websocket->on_piece(websocket->stream.owner, event->payload, event->final);
    return websocket->on_piece != NULL;
}

static void on_event(struct websocket *websocket, const struct frame_event *event,
                     struct bytes *run)
{
    switch (event->type) {
    case FRAME_EVENT_DATA:
        if (event->message != FRAME_BINARY)
            refuse(websocket, FRAME_CLOSE_UNSUPPORTED, "only binary messages carry Postgres bytes");
        else if (!give_piece(websocket, event))
            collect(websocket, run, event->payload);
        break;
    case FRAME_EVENT_PING:
        on_ping(websocket, event->payload);
        break;
    case FRAME_EVENT_PONG:
        break;
    case FRAME_EVENT_CLOSE:
        deliver(websocket, run);
        on_peer_close(websocket, event->code);
        break;
    }
}

static void decode(struct websocket *websocket, struct bytes in)
{
    struct bytes run = bytes_of(NULL, 0);
    struct frame_event event;
    struct error error;
    enum status status = STATUS_OK;

    while (!websocket->refused && !websocket->failed &&
           (status = frame_decode(&websocket->decoder, &in, &event, &error)) == STATUS_OK)
        on_event(websocket, &event, &run);
    deliver(websocket, &run);
    if (status == STATUS_INVALID)
        refuse(websocket, event.code, error.message);
}

static void on_readable(struct websocket *websocket)
{
    uint8_t *scratch = loop_scratch(websocket->loop);
    size_t got;

    switch (transport_read(&websocket->transport, scratch, LOOP_SCRATCH, &got)) {
    case TRANSFER_DONE:
        websocket->heard = true;
        /* Only a read that had no room for more leaves decrypted bytes behind. */
        websocket->pending = got == LOOP_SCRATCH && transport_has_pending(&websocket->transport);
        decode(websocket, bytes_of(scratch, got));
        break;
    case TRANSFER_BLOCKED:
        websocket->pending = false;
        break;
    case TRANSFER_ENDED:
        websocket_hang_up(websocket, "connection lost");
        break;
    case TRANSFER_FAILED:
        websocket_hang_up(websocket, transport_failure(&websocket->transport));
        break;
    }
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct websocket *websocket = lws_container_of(watch, struct websocket, watch);

    if (buffer_len(&websocket->queue) > 0)
        on_writable(websocket);
    if (!websocket->failed &&
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || websocket->transport.read_wants_write ||
         (websocket->pending && !websocket->paused)))
        on_readable(websocket);
    if (!websocket->failed)
        finish_if_sent(websocket);
    update_interest(websocket);
}

static void websocket_pause(struct stream *stream, bool paused)
{
    struct websocket *websocket = websocket_of(stream);

    websocket->paused = paused;
    update_interest(websocket);
}

/* The end */

static void websocket_finish(struct stream *stream, enum stream_end end, const char *reason)
{
    struct websocket *websocket = websocket_of(stream);

    if (websocket->finishing)
        return;
    websocket->finishing = true;
    websocket->end = end;
    websocket->end_reason = mem_copy_string(reason);
    finish_if_sent(websocket);
    update_interest(websocket);
}

static void websocket_close(struct stream *stream)
{
    struct websocket *websocket = websocket_of(stream);

    assert(!websocket->closed);
    websocket->closed = true;
    /* A closing handshake under way may end by itself; the watchdog sees to it. */
    if (!websocket->close_sent)
        websocket_hang_up(websocket, "closed");
}

void websocket_drop(struct websocket *websocket)
{
    void (*on_gone)(void *context) = websocket->on_gone;
    void *context = websocket->context;

    websocket_unlink(websocket);
    loop_timer_stop(&websocket->gone);
    loop_watch_remove(websocket->loop, &websocket->watch);
    if (!websocket->closed)
        websocket->stream.events->on_closed(websocket->stream.owner, websocket->reason != NULL
                                                                         ? websocket->reason
                                                                         : "connection lost");
    if (websocket->transport.error == 0)
        transport_finish(&websocket->transport);
    transport_close(&websocket->transport);
    buffer_clear(&websocket->queue);
    free(websocket->end_reason);
    free(websocket);
    on_gone(context);
}

static void on_gone_timer(struct loop_timer *timer)
{
    websocket_drop(lws_container_of(timer, struct websocket, gone));
}

/* The beginning */

static const struct stream_ops websocket_ops = {
    .send = websocket_send,
    .queued = websocket_queued,
    .pause = websocket_pause,
    .finish = websocket_finish,
    .close = websocket_close,
};

struct websocket *websocket_new(struct loop *loop, struct websocket_watchdog *watchdog,
                                const struct transport *transport, struct buffer *unsent,
                                bool waited, void (*on_gone)(void *context), void *context)
{
    struct websocket *websocket = mem_new(sizeof(*websocket));

    websocket->stream.ops = &websocket_ops;
    websocket->loop = loop;
    websocket->watch = (struct loop_watch){.on_ready = on_ready, .fd = transport->fd};
    websocket->transport = *transport;
    websocket->gone.on_expired = on_gone_timer;
    websocket->on_gone = on_gone;
    websocket->context = context;
    websocket->queue = *unsent;
    buffer_set_capacity(&websocket->queue, QUEUE_MAX);
    websocket->pending = transport_has_pending(transport);
    frame_decoder_init(&websocket->decoder, FRAME_SERVER);
    if (!loop_watch_add(loop, &websocket->watch, EPOLLIN)) {
        transport_close(&websocket->transport);
        buffer_clear(&websocket->queue);
        free(websocket);
        return NULL;
    }
    websocket_link(watchdog, websocket);
    /* A client must wait for the answer to its upgrade request (RFC 6455 section 4.1). */
    if (!waited)
        refuse(websocket, FRAME_CLOSE_PROTOCOL_ERROR, "data came before the upgrade's answer");
    update_interest(websocket);
    return websocket;
}

void websocket_own(struct websocket *websocket, const struct stream_events *events, void *owner)
{
    websocket->stream.events = events;
    websocket->stream.owner = owner;
}

void websocket_carry_messages(struct websocket *websocket, websocket_piece *on_piece)
{
    websocket->on_piece = on_piece;
}

void websocket_carry_bytes(struct websocket *websocket)
{
    websocket->on_piece = NULL;
}

void websocket_stop_pings(struct websocket *websocket)
{
    websocket->no_pings = true;
}

struct stream *websocket_stream(struct websocket *websocket)
{
    return &websocket->stream;
}
