/* One WebSocket as a stream: frames written in place, flow control, Close codes, dead peers. */
#include "server/websocket.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "server/loop.h"

/* Far above the high watermark: only an owner that ignores it gets here, and loses the stream. */
#define QUEUE_MAX ((size_t)64 * 1024 * 1024)

enum {
    TICK_S = 5,
    PING_AFTER_S = 20, /* of silence */
    DEAD_AFTER_S = 45,
    /* A peer that takes nothing cannot answer a ping that waits behind data; it lives as long as
     * its kernel answers window probes, which are at most two minutes apart. */
    DEAD_BLOCKED_S = 300,
    CLOSE_TIMEOUT_S = 5,
};

struct websocket {
    struct stream stream;
    struct loop *loop;
    struct websocket_watchdog *watchdog;
    struct websocket *next, *previous; /* the watchdog's list */
    struct lws *wsi;
    struct buffer queue;
    const char *reason; /* of the end, a literal */
    char *end_reason;   /* what our Close says */
    enum stream_end end;
    size_t in_library;      /* upper bound of what libwebsockets holds for the kernel */
    unsigned char silent_s; /* since the last byte from the peer */
    bool heard;             /* since the last tick */
    bool ping_wanted;
    bool closed; /* by the owner */
    bool paused;
    bool finishing;
    bool close_sent;
    bool above_high;
    bool failed;
};

struct websocket_watchdog {
    struct loop *loop;
    struct loop_timer timer;
    struct websocket *first;
};

static struct websocket *websocket_of(struct stream *stream)
{
    return (struct websocket *)stream;
}

/* The watchdog */

static bool is_blocked(const struct websocket *websocket)
{
    return websocket->in_library > 0 || buffer_len(&websocket->queue) > 0;
}

static unsigned seconds_since_ack(struct lws *wsi)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    if (getsockopt(lws_get_socket_fd(wsi), IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return info.tcpi_last_ack_recv / 1000;
}

static void hang_up(struct websocket *websocket, const char *reason)
{
    websocket->reason = reason;
    websocket->failed = true;
    lws_set_timeout(websocket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void tick(struct websocket *websocket)
{
    /* While we do not read, its silence says nothing. */
    if (websocket->heard || websocket->paused) {
        websocket->heard = false;
        websocket->silent_s = 0;
        return;
    }
    if (websocket->silent_s < UINT8_MAX - TICK_S)
        websocket->silent_s = (unsigned char)(websocket->silent_s + TICK_S);
    if (websocket->silent_s >= DEAD_AFTER_S &&
        (!is_blocked(websocket) || seconds_since_ack(websocket->wsi) >= DEAD_BLOCKED_S)) {
        hang_up(websocket, "peer is silent");
    } else if (websocket->silent_s >= PING_AFTER_S && websocket->silent_s < PING_AFTER_S + TICK_S) {
        websocket->ping_wanted = true;
        lws_callback_on_writable(websocket->wsi);
    }
}

static void on_tick(struct loop_timer *timer)
{
    struct websocket_watchdog *watchdog = lws_container_of(timer, struct websocket_watchdog, timer);

    for (struct websocket *websocket = watchdog->first; websocket != NULL;
         websocket = websocket->next)
        if (!websocket->failed)
            tick(websocket);
    loop_timer_set(watchdog->loop, timer, TICK_S * 1000);
}

struct websocket_watchdog *websocket_watchdog_new(struct loop *loop)
{
    struct websocket_watchdog *watchdog = mem_new(sizeof(*watchdog));

    watchdog->loop = loop;
    watchdog->timer.on_expired = on_tick;
    loop_timer_set(loop, &watchdog->timer, TICK_S * 1000);
    return watchdog;
}

void websocket_watchdog_stop(struct websocket_watchdog *watchdog)
{
    if (watchdog != NULL)
        loop_timer_stop(&watchdog->timer);
}

void websocket_watchdog_free(struct websocket_watchdog *watchdog)
{
    assert(watchdog == NULL || watchdog->first == NULL);
    free(watchdog);
}

static void link_in(struct websocket *websocket)
{
    websocket->next = websocket->watchdog->first;
    if (websocket->next != NULL)
        websocket->next->previous = websocket;
    websocket->watchdog->first = websocket;
}

static void link_out(struct websocket *websocket)
{
    if (websocket->next != NULL)
        websocket->next->previous = websocket->previous;
    if (websocket->previous != NULL)
        websocket->previous->next = websocket->next;
    else
        websocket->watchdog->first = websocket->next;
}

/* Writing */

/* One frame, now. `data` lies in one of the loop's buffers, whose bytes in front are kept. */
static void write_in_place(struct websocket *websocket, uint8_t *data, size_t len)
{
    uint8_t saved[LOOP_HEADROOM];

    memcpy(saved, data - LOOP_HEADROOM, LOOP_HEADROOM);
    if (lws_write(websocket->wsi, data, len, LWS_WRITE_BINARY) < 0)
        hang_up(websocket, "connection reset");
    else if (lws_partial_buffered(websocket->wsi))
        websocket->in_library = len;
    memcpy(data - LOOP_HEADROOM, saved, LOOP_HEADROOM);
}

static void write_frame(struct websocket *websocket, struct bytes data)
{
    uint8_t *framing = loop_framing(websocket->loop);

    if (loop_scratch_holds(websocket->loop, data.data)) {
        write_in_place(websocket, (uint8_t *)(uintptr_t)data.data, data.len);
        return;
    }
    memcpy(framing, data.data, data.len);
    write_in_place(websocket, framing, data.len);
}

/* While libwebsockets holds a part of a frame, more would only be copied behind it. */
static bool may_write(const struct websocket *websocket)
{
    return websocket->in_library == 0 && !websocket->failed && !websocket->close_sent &&
           !lws_partial_buffered(websocket->wsi);
}

static void send_queued(struct websocket *websocket)
{
    struct bytes chunk = bytes_first(buffer_peek(&websocket->queue), LOOP_SCRATCH);

    write_frame(websocket, chunk);
    buffer_consume(&websocket->queue, chunk.len);
}

static void websocket_send(struct stream *stream, struct bytes data)
{
    struct websocket *websocket = websocket_of(stream);

    if (websocket->finishing || websocket->failed || data.len == 0)
        return;
    while (data.len > 0 && buffer_len(&websocket->queue) == 0 && may_write(websocket)) {
        struct bytes frame = bytes_first(data, LOOP_SCRATCH);

        write_frame(websocket, frame);
        data = bytes_skip(data, frame.len);
    }
    if (data.len > 0 && !websocket->failed) {
        if (!buffer_append(&websocket->queue, data))
            hang_up(websocket, "peer reads too slowly");
        lws_callback_on_writable(websocket->wsi);
    }
    if (websocket->in_library + buffer_len(&websocket->queue) >= STREAM_QUEUE_HIGH)
        websocket->above_high = true;
}

static size_t websocket_queued(const struct stream *stream)
{
    const struct websocket *websocket = (const struct websocket *)stream;

    return websocket->in_library + buffer_len(&websocket->queue);
}

static const enum lws_close_status close_codes[] = {
    [STREAM_END_NORMAL] = LWS_CLOSE_STATUS_NORMAL,
    [STREAM_END_GOING_AWAY] = LWS_CLOSE_STATUS_GOINGAWAY,
    [STREAM_END_FAILED] = LWS_CLOSE_STATUS_UNEXPECTED_CONDITION,
};

/* Close with `code`; what the callback must return for it to go out. */
static int send_close(struct websocket *websocket, enum lws_close_status code, const char *text)
{
    websocket->close_sent = true;
    lws_rx_flow_control(websocket->wsi, 1);
    lws_close_reason(websocket->wsi, code, (unsigned char *)(uintptr_t)text, strlen(text));
    return -1;
}

int websocket_writable(struct websocket *websocket)
{
    if (websocket->close_sent || websocket->failed)
        return 0;
    if (lws_partial_buffered(websocket->wsi)) {
        lws_callback_on_writable(websocket->wsi);
        return 0;
    }
    websocket->in_library = 0;
    if (websocket->ping_wanted) {
        uint8_t ping[LWS_PRE];

        websocket->ping_wanted = false;
        if (lws_write(websocket->wsi, ping + LWS_PRE, 0, LWS_WRITE_PING) < 0)
            return -1;
    }
    if (buffer_len(&websocket->queue) > 0)
        send_queued(websocket);
    if (buffer_len(&websocket->queue) > 0)
        lws_callback_on_writable(websocket->wsi);
    else if (websocket->finishing && websocket->in_library == 0)
        return send_close(websocket, close_codes[websocket->end], websocket->end_reason);

    if (websocket->above_high && websocket_queued(&websocket->stream) <= STREAM_QUEUE_LOW) {
        websocket->above_high = false;
        if (!websocket->closed) {
            websocket->stream.events->on_drained(websocket->stream.owner);
        }
    }
    return websocket->failed ? -1 : 0;
}

/* Reading */

int websocket_receive(struct websocket *websocket, uint8_t *data, size_t len)
{
    if (!lws_frame_is_binary(websocket->wsi)) {
        websocket->reason = "peer sent a text message";
        return send_close(websocket, LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE,
                          "only binary messages carry Postgres bytes");
    }
    websocket->heard = true;
    if (len == 0 || websocket->closed || websocket->failed)
        return 0;
    websocket->stream.events->on_data(websocket->stream.owner, bytes_of(data, len));
    return 0;
}

int websocket_peer_close(struct websocket *websocket, const uint8_t *payload, size_t len)
{
    unsigned code = len >= 2 ? (unsigned)payload[0] << 8 | payload[1] : 1005;

    if (websocket->reason == NULL)
        websocket->reason = code == 1000 || code == 1001 || code == 1005
                                ? "peer closed"
                                : "peer closed with an error code";
    if (!websocket->closed)
        websocket->stream.events->on_end(websocket->stream.owner);
    return 0;
}

void websocket_alive(struct websocket *websocket)
{
    websocket->heard = true;
}

static void websocket_pause(struct stream *stream, bool paused)
{
    struct websocket *websocket = websocket_of(stream);

    if (websocket->paused == paused)
        return;
    websocket->paused = paused;
    if (!websocket->close_sent)
        lws_rx_flow_control(websocket->wsi, !paused);
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
    lws_callback_on_writable(websocket->wsi);
}

static void websocket_close(struct stream *stream)
{
    struct websocket *websocket = websocket_of(stream);

    assert(!websocket->closed);
    websocket->closed = true;
    if (!websocket->finishing && !websocket->close_sent)
        hang_up(websocket, "closed");
    else
        lws_set_timeout(websocket->wsi, PENDING_TIMEOUT_USER_REASON_BASE, CLOSE_TIMEOUT_S);
}

void websocket_gone(struct websocket *websocket)
{
    link_out(websocket);
    if (!websocket->closed)
        websocket->stream.events->on_closed(websocket->stream.owner, websocket->reason != NULL
                                                                         ? websocket->reason
                                                                         : "connection lost");
    buffer_clear(&websocket->queue);
    free(websocket->end_reason);
    free(websocket);
}

static const struct stream_ops websocket_ops = {
    .send = websocket_send,
    .queued = websocket_queued,
    .pause = websocket_pause,
    .finish = websocket_finish,
    .close = websocket_close,
};

struct websocket *websocket_new(struct loop *loop, struct websocket_watchdog *watchdog,
                                struct lws *wsi)
{
    struct websocket *websocket = mem_new(sizeof(*websocket));

    websocket->stream.ops = &websocket_ops;
    websocket->loop = loop;
    websocket->watchdog = watchdog;
    websocket->wsi = wsi;
    buffer_init(&websocket->queue, QUEUE_MAX);
    link_in(websocket);
    return websocket;
}

void websocket_own(struct websocket *websocket, const struct stream_events *events, void *owner)
{
    websocket->stream.events = events;
    websocket->stream.owner = owner;
}

struct stream *websocket_stream(struct websocket *websocket)
{
    return &websocket->stream;
}
