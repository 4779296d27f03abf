/* What a session asks of its connection: bytes, flow control, Postgres, cancels, workers. */
#include <stdlib.h>

#include "common/memory.h"
#include "server/channel.h"
#include "server/connection_state.h"
#include "server/ledger.h"
#include "server/proxy/statement.h"
#include "server/proxy/upstream.h"
#include "server/tls.h"
#include "server/worker.h"

/* A statement job and whose it is. */
struct examination {
    struct worker_job job;
    struct connection *connection;
    struct statement_job *statement;
};

static void host_send_client(void *host, struct bytes data)
{
    struct connection *connection = host;

    if (connection->client == NULL)
        return;
    connection->bytes_down += data.len;
    metrics_bytes(false, data.len);
    stream_send(connection->client, data);
    if (stream_queued(connection->client) >= STREAM_QUEUE_HIGH && connection->channel != NULL)
        stream_pause(connection->channel, true);
}

static void host_send_upstream(void *host, struct bytes data)
{
    struct connection *connection = host;

    if (connection->channel == NULL)
        return;
    stream_send(connection->channel, data);
    if (stream_queued(connection->channel) >= STREAM_QUEUE_HIGH) {
        connection->upstream_is_full = true;
        connection_update_client_pause(connection);
    }
}

static bool host_upstream_is_full(void *host)
{
    const struct connection *connection = host;

    return connection->upstream_is_full;
}

static void host_finish_upstream(void *host)
{
    struct connection *connection = host;

    if (connection->channel != NULL)
        stream_finish(connection->channel);
}

static void host_pause_client(void *host, bool paused)
{
    struct connection *connection = host;

    connection->session_pauses_client = paused;
    connection_update_client_pause(connection);
}

static void connect_failed(struct connection *connection, const struct error *error)
{
    log_warn(&connection->log, "%s", error->message);
    metrics_upstream_failed();
    connection_enter(connection);
    session_upstream_failed(connection->session, error);
    connection_leave(connection);
}

static void on_connected(void *owner, const struct error *error)
{
    struct connection *connection = owner;
    struct upstream *upstream = connection->upstream;
    struct error no_watch;

    if (error == NULL) {
        connection->channel =
            channel_new(connection->server->loop, upstream_socket(upstream), upstream_ssl(upstream),
                        CHANNEL_BORROWS_SOCKET, &connection_upstream_events, connection);
        if (connection->channel == NULL) {
            (void)error_set(&no_watch, STATUS_SYSTEM, "53000", "the server is out of resources");
            error = &no_watch;
        }
    }
    if (error != NULL) {
        connect_failed(connection, error);
        return;
    }
    metrics_upstream_connected(loop_now_ms() - connection->connecting_since);
    metrics_session_enter(&connection->metrics, METRICS_OPEN);
    connection_enter(connection);
    session_upstream_ready(connection->session, upstream_session(upstream));
    connection_leave(connection);
}

static void host_connect(void *host, const struct session_target *target)
{
    struct connection *connection = host;
    struct server *server = connection->server;
    struct worker_pool *workers =
        target->mode == SESSION_INTROSPECTION ? server->introspectors : server->workers;
    struct error error;

    log_debug(&connection->log, "%s connects to Postgres (%s)", target->user,
              session_mode_name(target->mode));
    connection->connecting_since = loop_now_ms();
    metrics_session_mode(&connection->metrics, target->mode);
    metrics_session_enter(&connection->metrics, METRICS_CONNECTING);
    connection->refused = connection_refusal(connection, &error);
    if (connection->refused)
        return; /* the answer must not be given within this call */
    connection->upstream =
        upstream_open(workers, server->settings, control_cancel_key(server->control),
                      control_proxied_token(server->control), target, on_connected, connection);
}

void connection_on_cancelled(struct control_waiter *waiter)
{
    struct connection *connection = lws_container_of(waiter, struct connection, cancelled);

    connection->cancelling = false;
    connection_settle(connection);
}

static void host_cancel(void *host, uint32_t pid, struct bytes key)
{
    struct connection *connection = host;

    connection->cancelled.on_answer = connection_on_cancelled;
    connection->cancelling =
        control_cancel(connection->server->control, pid, key, &connection->cancelled);
    if (!connection->cancelling)
        connection_note(connection, "cancel request dropped");
}

static void run_examination(struct worker_job *job)
{
    statement_job_run(((struct examination *)job)->statement);
}

static void examination_done(struct worker_job *job)
{
    struct examination *examination = (struct examination *)job;
    struct connection *connection = examination->connection;

    connection->examination = NULL;
    connection_enter(connection);
    session_job_done(connection->session, examination->statement);
    free(examination);
    connection_leave(connection);
}

static void host_defer(void *host, struct statement_job *statement)
{
    struct connection *connection = host;
    struct examination *examination = mem_new(sizeof(*examination));

    examination->job = (struct worker_job){.run = run_examination, .done = examination_done};
    examination->connection = connection;
    examination->statement = statement;
    connection->examination = examination;
    worker_pool_submit(connection->server->examiners, &examination->job);
}

static void host_set_timer(void *host, unsigned long ms)
{
    struct connection *connection = host;

    if (ms > 0)
        loop_timer_set(connection->server->loop, &connection->timer, ms);
    else
        loop_timer_stop(&connection->timer);
}

static void host_migrated(void *host)
{
    const struct connection *connection = host;

    ledger_poke(connection->server->ledger);
}

static void host_refused(void *host, const char *sqlstate)
{
    (void)host;
    metrics_refusal(sqlstate);
}

static void host_statement(void *host, enum session_statement kind)
{
    (void)host;
    metrics_statement(kind);
}

static void host_start_tls(void *host)
{
    struct connection *connection = host;
    struct server *server = connection->server;
    SSL *ssl = connection->client != NULL
                   ? tls_accept(server->postgres_tls, channel_socket(connection->client), false)
                   : NULL;

    if (ssl != NULL) {
        channel_start_tls(connection->client, ssl);
        return;
    }
    connection_note(connection, "out of resources");
    connection->closing = true;
}

static size_t host_channel_binding(void *host, uint8_t *out)
{
    const struct connection *connection = host;
    const SSL *ssl =
        connection->over_tcp && connection->client != NULL ? channel_ssl(connection->client) : NULL;

    return ssl != NULL ? tls_binding(ssl, out) : 0;
}

static unsigned long host_authenticated(void *host, bool success)
{
    struct connection *connection = host;

    if (!success) {
        log_warn(&connection->log, "wrong password");
        return guesses_note(&connection->server->guesses, &connection->address, loop_now_ms());
    }
    connection_admit(connection);
    if (connection->client != NULL)
        stream_established(connection->client);
    return 0;
}

static void host_close(void *host, const char *reason)
{
    struct connection *connection = host;

    connection_note(connection, reason);
    connection->closing = true;
}

const struct session_host connection_host = {
    .send_client = host_send_client,
    .send_upstream = host_send_upstream,
    .upstream_is_full = host_upstream_is_full,
    .finish_upstream = host_finish_upstream,
    .pause_client = host_pause_client,
    .connect = host_connect,
    .cancel = host_cancel,
    .defer = host_defer,
    .set_timer = host_set_timer,
    .committing = connection_on_committing,
    .ask_outcome = connection_ask_outcome,
    .migrated = host_migrated,
    .refused = host_refused,
    .statement = host_statement,
    .start_tls = host_start_tls,
    .channel_binding = host_channel_binding,
    .authenticated = host_authenticated,
    .close = host_close,
};
