/* A queue in front of a socket: chunks, flow control, the end of the connection. */
#include "server/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/memory.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/request.h"

enum {
    WRITE_MAX = 64 * 1024, /* at once */
    ROOM = 32 * 1024,
    STALL_MS = 60000, /* a client that takes nothing for so long has gone */
};
#define QUEUE_MAX ((size_t)64 * 1024 * 1024) /* one migration may be of any size */

struct exchange {
    struct loop *loop;
    struct lws *wsi;
    const char *path;
    exchange_sent *on_sent;
    const struct exchange_events *events;
    void *owner;
    struct buffer queue;
    struct loop_timer stall; /* once all is sent: the next turn of the loop */
    struct loop_watch watch;
    enum reply_framing framing;
    bool begun; /* an answer of unknown length */
    bool head_only;
    bool keep_alive;
    bool watches_client;
    bool room_wanted;
    bool pending; /* the client has not taken everything: `stall` runs */
    bool ended;   /* nothing will be added */
    bool sent;    /* all of it */
};

static void hang_up(struct exchange *exchange)
{
    loop_watch_remove(exchange->loop, &exchange->watch);
    lws_set_timeout(exchange->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
}

static void on_stall(struct loop_timer *timer)
{
    struct exchange *exchange = lws_container_of(timer, struct exchange, stall);

    if (exchange->sent)
        exchange->on_sent(exchange->wsi, exchange->keep_alive);
    else
        hang_up(exchange);
}

static void update_interest(struct exchange *exchange)
{
    bool wants = exchange->pending || exchange->room_wanted;

    loop_watch_change(exchange->loop, &exchange->watch,
                      (wants ? EPOLLOUT : 0U) | (exchange->watches_client ? EPOLLRDHUP : 0U));
}

void exchange_own(struct exchange *exchange, const struct exchange_events *events, void *owner)
{
    exchange->events = events;
    exchange->owner = owner;
}

void exchange_read_body(struct exchange *exchange)
{
    exchange->keep_alive = request_asks_to_keep(exchange->wsi);
}

static void want_to_write(struct exchange *exchange)
{
    if (!exchange->pending)
        loop_timer_set(exchange->loop, &exchange->stall, STALL_MS);
    exchange->pending = true;
    update_interest(exchange);
}

static void append(struct exchange *exchange, struct bytes bytes)
{
    if (!buffer_append(&exchange->queue, bytes))
        hang_up(exchange);
}

void exchange_reply_body(struct exchange *exchange, const struct reply *reply, struct bytes body)
{
    bool has_body = reply->status != 204 && reply->status != 304;

    metrics_request(exchange->path, reply->status);
    reply_append_head(&exchange->queue, reply, REPLY_LENGTH, body.len, exchange->keep_alive);
    if (has_body && !exchange->head_only)
        append(exchange, body);
    exchange_end(exchange);
}

void exchange_reply(struct exchange *exchange, const struct reply *reply)
{
    exchange_reply_body(exchange, reply, bytes_of_string(reply->body));
}

bool exchange_begin(struct exchange *exchange, const struct reply *head)
{
    if (exchange->framing == REPLY_UNTIL_CLOSE && !exchange->head_only)
        exchange->keep_alive = false;
    metrics_request(exchange->path, head->status);
    reply_append_head(&exchange->queue, head, exchange->framing, 0, exchange->keep_alive);
    exchange->begun = true;
    exchange->ended = exchange->head_only;
    want_to_write(exchange);
    return !exchange->ended;
}

void exchange_write_parts(struct exchange *exchange, struct bytes first, struct bytes second)
{
    bool chunked = exchange->framing == REPLY_CHUNKED;

    if (chunked)
        (void)buffer_append_format(&exchange->queue, "%zx\r\n", first.len + second.len);
    append(exchange, first);
    append(exchange, second);
    if (chunked)
        append(exchange, bytes_of_string("\r\n"));
    want_to_write(exchange);
}

void exchange_write(struct exchange *exchange, struct bytes piece)
{
    if (piece.len > 0) /* an empty chunk is the last one */
        exchange_write_parts(exchange, piece, bytes_of(NULL, 0));
}

void exchange_end(struct exchange *exchange)
{
    /* After a reply of known length nothing was begun, and no chunk is due. */
    if (exchange->begun && exchange->framing == REPLY_CHUNKED)
        append(exchange, bytes_of_string("0\r\n\r\n"));
    exchange->ended = true;
    want_to_write(exchange);
}

void exchange_abort(struct exchange *exchange)
{
    exchange->ended = true;
    hang_up(exchange);
}

bool exchange_marks_end(const struct exchange *exchange)
{
    return exchange->framing == REPLY_CHUNKED;
}

bool exchange_has_room(const struct exchange *exchange)
{
    return buffer_len(&exchange->queue) < ROOM;
}

void exchange_ask_room(struct exchange *exchange)
{
    exchange->room_wanted = true;
    update_interest(exchange);
}

bool exchange_is_empty(const struct exchange *exchange)
{
    return !exchange->pending;
}

void exchange_watch_client(struct exchange *exchange)
{
    const unsigned timeout_ms = STALL_MS;

    /* One that vanishes without a word is found when the heartbeats stay unacknowledged. */
    (void)setsockopt(exchange->watch.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
                     sizeof(timeout_ms));
    exchange->watches_client = true;
    update_interest(exchange);
}

/* Writing */

static bool write_some(struct exchange *exchange)
{
    struct bytes bytes = bytes_first(buffer_peek(&exchange->queue), WRITE_MAX);
    ssize_t n;

    if (bytes.len == 0)
        return true;
    do
        n = send(exchange->watch.fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK;
    buffer_consume(&exchange->queue, (size_t)n);
    loop_timer_set(exchange->loop, &exchange->stall, STALL_MS);
    return true;
}

static void finish(struct exchange *exchange)
{
    exchange->sent = true;
    loop_watch_remove(exchange->loop, &exchange->watch);
    loop_timer_set(exchange->loop, &exchange->stall, 0);
}

static void go_on(struct exchange *exchange)
{
    if (!write_some(exchange)) {
        hang_up(exchange);
        return;
    }
    if (buffer_len(&exchange->queue) == 0) {
        loop_timer_stop(&exchange->stall);
        exchange->pending = false;
    }
    if (exchange->ended && !exchange->pending) {
        finish(exchange);
        return;
    }
    exchange->room_wanted = false;
    if (!exchange->ended && exchange_has_room(exchange) && exchange->events != NULL &&
        exchange->events->on_room != NULL)
        exchange->events->on_room(exchange->owner);
    update_interest(exchange);
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct exchange *exchange = lws_container_of(watch, struct exchange, watch);

    if ((events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) != 0)
        hang_up(exchange);
    else
        go_on(exchange);
}

/* Life */

struct exchange *exchange_new(struct loop *loop, struct lws *wsi, const char *path,
                              exchange_sent *on_sent)
{
    struct exchange *exchange = mem_new(sizeof(*exchange));
    int method;

    exchange->loop = loop;
    exchange->wsi = wsi;
    exchange->path = path;
    exchange->on_sent = on_sent;
    exchange->stall.on_expired = on_stall;
    exchange->watch = (struct loop_watch){.on_ready = on_ready, .fd = lws_get_socket_fd(wsi)};
    buffer_init(&exchange->queue, QUEUE_MAX);
    (void)request_path(wsi, &method);
    exchange->head_only = method == LWSHUMETH_HEAD;
    exchange->keep_alive = request_keeps_alive(wsi);
    exchange->framing = request_is_http_1_1(wsi) ? REPLY_CHUNKED : REPLY_UNTIL_CLOSE;
    lws_rx_flow_control(wsi, 0);
    /* Set for the arrival of a body, which is not waited for. */
    lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
    if (!loop_watch_add(loop, &exchange->watch, 0))
        hang_up(exchange);
    return exchange;
}

void exchange_free(struct exchange *exchange)
{
    if (exchange == NULL)
        return;
    if (!exchange->ended && exchange->events != NULL)
        exchange->events->on_gone(exchange->owner);
    loop_timer_stop(&exchange->stall);
    loop_watch_remove(exchange->loop, &exchange->watch);
    buffer_clear(&exchange->queue);
    free(exchange);
}
