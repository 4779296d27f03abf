/* Joins two streams, with flow control both ways. */
#include "server/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "server/channel.h"
#include "server/dial.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/server.h"

/* How long one end may take to accept what is queued, or only to close, once the other is gone. */
enum { LINGER_MS = 30000, CLOSE_MS = 5000, END_REASON_MAX = 120 };
/* Of a client that was heard before it could be paused: one read of its socket. */
#define EARLY_MAX (2 * LOOP_SCRATCH)

struct relay {
    struct server_client entry;
    struct server *server;
    struct log_context log;
    char peer[CLIENT_ADDRESS_MAX];
    struct stream *client;   /* NULL once gone */
    struct stream *upstream; /* NULL before connected and once gone */
    struct dial *dial;       /* while connecting */
    struct buffer early;     /* what came before that */
    struct loop_timer linger;
    uint64_t opened_at;
    uint64_t bytes_up, bytes_down;
    const char *reason;
    enum stream_end end;                 /* what the client is told … */
    char end_reason[END_REASON_MAX + 1]; /* … and why */
    bool client_ended;                   /* before upstream was there */
};

static void note(struct relay *relay, const char *reason)
{
    if (relay->reason == NULL)
        relay->reason = reason;
}

static void fail(struct relay *relay, enum stream_end end, const char *reason)
{
    relay->end = end;
    (void)snprintf(relay->end_reason, sizeof(relay->end_reason), "%.*s", END_REASON_MAX, reason);
}

static void free_relay(struct relay *relay)
{
    log_info(&relay->log, "closed: %s; %llu bytes up, %llu down, %.3f s",
             relay->reason != NULL ? relay->reason : "done", (unsigned long long)relay->bytes_up,
             (unsigned long long)relay->bytes_down,
             (double)(loop_now_ms() - relay->opened_at) / 1000);
    if (relay->dial != NULL)
        dial_cancel(relay->dial);
    loop_timer_stop(&relay->linger);
    server_client_remove(relay->server, &relay->entry);
    buffer_clear(&relay->early);
    free(relay);
}

/* Ends the other direction too, gracefully, or frees the relay when both ends are gone. */
static void on_end_lost(struct relay *relay)
{
    struct stream *left = relay->client != NULL ? relay->client : relay->upstream;

    if (left == NULL) {
        free_relay(relay);
        return;
    }
    stream_pause(left, false);
    stream_finish_because(left, relay->end, relay->end_reason);
    loop_timer_set(relay->server->loop, &relay->linger,
                   stream_queued(left) > 0 ? LINGER_MS : CLOSE_MS);
}

static void on_linger(struct loop_timer *timer)
{
    struct relay *relay = lws_container_of(timer, struct relay, linger);

    note(relay, "peer does not read");
    if (relay->upstream != NULL)
        stream_close(relay->upstream);
    if (relay->client != NULL)
        stream_close(relay->client);
    free_relay(relay);
}

/* The client's side */

static void on_client_data(void *owner, struct bytes data)
{
    struct relay *relay = owner;

    relay->bytes_up += data.len;
    if (relay->upstream == NULL) {
        (void)buffer_append(&relay->early, data);
        return;
    }
    stream_send(relay->upstream, data);
    if (stream_queued(relay->upstream) >= STREAM_QUEUE_HIGH && relay->client != NULL)
        stream_pause(relay->client, true);
}

static void on_client_end(void *owner)
{
    struct relay *relay = owner;

    note(relay, "client closed");
    relay->client_ended = true;
    if (relay->upstream != NULL)
        stream_finish(relay->upstream);
}

static void on_client_drained(void *owner)
{
    struct relay *relay = owner;

    if (relay->upstream != NULL)
        stream_pause(relay->upstream, false);
}

static void on_client_closed(void *owner, const char *reason)
{
    struct relay *relay = owner;

    note(relay, reason);
    relay->client = NULL;
    on_end_lost(relay);
}

static const struct stream_events client_events = {
    .on_data = on_client_data,
    .on_end = on_client_end,
    .on_drained = on_client_drained,
    .on_closed = on_client_closed,
};

/* Upstream's side */

static void on_upstream_data(void *owner, struct bytes data)
{
    struct relay *relay = owner;

    if (relay->client == NULL)
        return;
    relay->bytes_down += data.len;
    stream_send(relay->client, data);
    if (stream_queued(relay->client) >= STREAM_QUEUE_HIGH)
        stream_pause(relay->upstream, true);
}

static void on_upstream_end(void *owner)
{
    struct relay *relay = owner;

    note(relay, "upstream closed");
    if (relay->client != NULL)
        stream_finish(relay->client);
}

static void on_upstream_drained(void *owner)
{
    struct relay *relay = owner;

    if (relay->client != NULL)
        stream_pause(relay->client, false);
}

static void on_upstream_closed(void *owner, const char *reason)
{
    struct relay *relay = owner;

    fail(relay, STREAM_END_FAILED, reason);
    note(relay, "upstream lost");
    relay->upstream = NULL;
    on_end_lost(relay);
}

static const struct stream_events upstream_events = {
    .on_data = on_upstream_data,
    .on_end = on_upstream_end,
    .on_drained = on_upstream_drained,
    .on_closed = on_upstream_closed,
};

static void send_early(struct relay *relay)
{
    struct bytes early;

    while ((early = buffer_peek(&relay->early)).len > 0) {
        stream_send(relay->upstream, early);
        buffer_consume(&relay->early, early.len);
    }
}

static void on_dialled(void *owner, int fd, const struct error *error)
{
    struct relay *relay = owner;

    relay->dial = NULL;
    if (fd < 0) {
        log_warn(&relay->log, "%s", error->message);
        note(relay, "upstream unreachable");
        fail(relay, STREAM_END_FAILED, error->message);
        on_end_lost(relay);
        return;
    }
    relay->upstream =
        channel_new(relay->server->loop, fd, NULL, CHANNEL_OWNS_SOCKET, &upstream_events, relay);
    if (relay->upstream == NULL) {
        close(fd);
        note(relay, "out of resources");
        fail(relay, STREAM_END_FAILED, "the server is out of resources");
        on_end_lost(relay);
        return;
    }
    stream_established(relay->client);
    send_early(relay);
    if (relay->client_ended)
        stream_finish(relay->upstream);
    else if (stream_queued(relay->upstream) < STREAM_QUEUE_HIGH)
        stream_pause(relay->client, false);
}

/* Opening */

static void on_terminate(struct server_client *entry, const struct error *error)
{
    struct relay *relay = lws_container_of(entry, struct relay, entry);

    (void)error; /* what language upstream speaks is not known here */
    note(relay, "server shut down");
    fail(relay, STREAM_END_GOING_AWAY, "the server is shutting down");
    if (relay->upstream != NULL) {
        stream_close(relay->upstream);
        relay->upstream = NULL;
    }
    on_end_lost(relay);
}

const struct stream_events *relay_client_events(void)
{
    return &client_events;
}

struct relay *relay_new(struct server *server, const struct client_address *address)
{
    struct relay *relay = mem_new(sizeof(*relay));

    relay->server = server;
    relay->entry.terminate = on_terminate;
    relay->linger.on_expired = on_linger;
    relay->opened_at = loop_now_ms();
    buffer_init(&relay->early, EARLY_MAX);
    (void)snprintf(relay->peer, sizeof(relay->peer), "%s", address->text);
    relay->log =
        (struct log_context){.role = "relay", .id = ++server->last_id, .peer = relay->peer};
    server_client_add(server, &relay->entry);
    return relay;
}

void relay_start(struct relay *relay, struct stream *client)
{
    log_info(&relay->log, "opened");
    relay->client = client;
    stream_pause(relay->client, true);
    relay->dial = dial_start(relay->server->loop, relay->server->workers, relay->server->relay,
                             on_dialled, relay);
}
