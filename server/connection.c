/* The life of a connection, and the events of its two streams. */
#include "server/connection.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "server/connection_state.h"
#include "server/proxy/upstream.h"

enum {
    CLIENT_LINGER_MS = 30000,  /* for a client to take what is queued … */
    CLIENT_CLOSE_MS = 1000,    /* … or, when nothing is, to close in its turn */
    UPSTREAM_LINGER_MS = 5000, /* for Postgres to take what its client sent before it went */
};

/* Every call into the session stands between these two: what it asks for is done after it. */
void connection_enter(struct connection *connection)
{
    connection->depth++;
}

void connection_leave(struct connection *connection)
{
    connection_note_endings(connection);
    if (--connection->depth == 0)
        connection_settle(connection);
}

void connection_note(struct connection *connection, const char *reason)
{
    if (connection->reason[0] == '\0')
        (void)snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
}

/* The end */

static void free_connection(struct connection *connection)
{
    log_info(&connection->log, "closed: %s; %llu bytes up, %llu down, %.3f s",
             connection->reason[0] != '\0' ? connection->reason : "done",
             (unsigned long long)connection->bytes_up, (unsigned long long)connection->bytes_down,
             (double)(loop_now_ms() - connection->opened_at) / 1000);
    connection_stand(connection, STANDING_OVER);
    metrics_session_enter(&connection->metrics, METRICS_NONE);
    loop_timer_stop(&connection->timer);
    loop_timer_stop(&connection->linger);
    outcome_search_stop(&connection->search);
    session_free(connection->session);
    server_client_remove(connection->server, &connection->entry);
    free(connection);
}

static void release_upstream(struct connection *connection)
{
    if (connection->channel != NULL)
        stream_close(connection->channel);
    connection->channel = NULL;
    if (connection->upstream != NULL)
        upstream_close(connection->upstream);
    connection->upstream = NULL;
}

static void free_if_done(struct connection *connection)
{
    if (connection->client == NULL && connection->upstream == NULL &&
        connection->examination == NULL && !connection->cancelling && connection->depth == 0)
        free_connection(connection);
}

/* What the client had sent is Postgres's; what Postgres answers is nobody's any more. */
static void let_upstream_finish(struct connection *connection)
{
    if (connection->channel == NULL || stream_queued(connection->channel) == 0) {
        release_upstream(connection);
        return;
    }
    stream_pause(connection->channel, false);
    stream_finish(connection->channel);
    loop_timer_set(connection->server->loop, &connection->linger, UPSTREAM_LINGER_MS);
}

static void stop_statement(struct connection *connection)
{
    const struct session_upstream *upstream = upstream_session(connection->upstream);

    connection->cancelled.on_answer = connection_on_cancelled;
    connection->cancelling = control_stop(connection->server->control, upstream->pid,
                                          upstream->secret, &connection->cancelled);
}

static void start_close(struct connection *connection)
{
    connection->close_started = true;
    if (connection->terminated && connection->channel != NULL &&
        !session_is_committing(connection->session))
        stop_statement(connection);
    loop_timer_stop(&connection->timer);
    if (connection->client == NULL) {
        let_upstream_finish(connection);
        return;
    }
    release_upstream(connection);
    stream_pause(connection->client, false);
    stream_finish(connection->client);
    loop_timer_set(connection->server->loop, &connection->linger,
                   stream_queued(connection->client) > 0 ? CLIENT_LINGER_MS : CLIENT_CLOSE_MS);
}

static void refuse_session(struct connection *connection)
{
    struct error error;

    if (!connection_refusal(connection, &error))
        (void)error_set(&error, STATUS_UNAVAILABLE, "57P03", "the server is starting up");
    connection_enter(connection);
    session_upstream_failed(connection->session, &error);
    connection_leave(connection);
}

void connection_settle(struct connection *connection)
{
    if (connection->refused) {
        connection->refused = false;
        refuse_session(connection);
        return;
    }
    connection_check_outcome(connection);
    if (connection->closing) {
        connection_stand(connection, STANDING_OVER);
        metrics_session_enter(&connection->metrics, METRICS_CLOSING);
    }
    /* libpq waits for the end of a cancel connection to know that the signal has been sent. */
    if (connection->closing && !connection->close_started && !connection->cancelling)
        start_close(connection);
    if (connection->closing)
        free_if_done(connection);
}

static void on_linger(struct loop_timer *timer)
{
    struct connection *connection = lws_container_of(timer, struct connection, linger);

    release_upstream(connection);
    if (connection->client != NULL)
        stream_close(connection->client);
    connection->client = NULL;
    free_if_done(connection);
}

/* Flow control */

void connection_update_client_pause(struct connection *connection)
{
    if (connection->client != NULL && !connection->closing)
        stream_pause(connection->client,
                     connection->session_pauses_client || connection->upstream_is_full);
}

/* The client's events */

static void on_client_data(void *owner, struct bytes data)
{
    struct connection *connection = owner;

    connection->bytes_up += data.len;
    metrics_bytes(true, data.len);
    if (connection->closing)
        return;
    connection_enter(connection);
    session_client_bytes(connection->session, data);
    connection_leave(connection);
}

static void on_client_end(void *owner)
{
    struct connection *connection = owner;

    if (connection->closing)
        return;
    connection_note(connection, "client disconnected");
    connection_enter(connection);
    session_client_end(connection->session);
    connection_leave(connection);
}

static void on_client_drained(void *owner)
{
    struct connection *connection = owner;

    if (connection->channel != NULL)
        stream_pause(connection->channel, false);
}

static void on_client_closed(void *owner, const char *reason)
{
    struct connection *connection = owner;

    connection_note(connection, reason);
    connection->client = NULL;
    if (!connection->closing) {
        connection->closing = true;
        connection_settle(connection);
        return;
    }
    /* It had been told to go. */
    release_upstream(connection);
    free_if_done(connection);
}

/* A client that takes no answer any more needs none: what it sent before it went is dropped, as
 * Postgres drops it. */
static void on_client_broken(void *owner)
{
    struct connection *connection = owner;

    stream_close(connection->client);
    on_client_closed(connection, "connection reset");
}

static void on_client_given_up(void *owner, const char *reason)
{
    struct connection *connection = owner;

    connection_give_up(connection, reason);
    if (connection->absent == NULL)
        on_client_closed(connection, reason);
}

static const struct stream_events client_events = {
    .on_data = on_client_data,
    .on_end = on_client_end,
    .on_drained = on_client_drained,
    .on_broken = on_client_broken,
    .on_closed = on_client_closed,
    .on_given_up = on_client_given_up,
};

/* Upstream's events */

static void on_upstream_data(void *owner, struct bytes data)
{
    struct connection *connection = owner;

    if (connection->closing)
        return;
    connection_enter(connection);
    session_upstream_bytes(connection->session, data);
    connection_leave(connection);
}

static void upstream_ended(struct connection *connection, const char *reason)
{
    if (connection->closing) {
        release_upstream(connection);
        free_if_done(connection);
        return;
    }
    connection_enter(connection);
    session_upstream_end(connection->session);
    if (!session_is_in_doubt(connection->session)) {
        connection->closing = true;
        connection_note(connection, reason);
    }
    connection_leave(connection);
}

static void on_upstream_end(void *owner)
{
    upstream_ended(owner, "Postgres closed the connection");
}

static void on_upstream_drained(void *owner)
{
    struct connection *connection = owner;

    connection->upstream_is_full = false;
    if (connection->closing)
        return;
    connection_update_client_pause(connection);
    connection_enter(connection);
    session_upstream_drained(connection->session);
    connection_leave(connection);
}

static void on_upstream_closed(void *owner, const char *reason)
{
    struct connection *connection = owner;

    connection->channel = NULL;
    upstream_ended(connection, reason);
}

const struct stream_events connection_upstream_events = {
    .on_data = on_upstream_data,
    .on_end = on_upstream_end,
    .on_drained = on_upstream_drained,
    .on_closed = on_upstream_closed,
};

static void on_timer(struct loop_timer *timer)
{
    struct connection *connection = lws_container_of(timer, struct connection, timer);

    connection_enter(connection);
    session_timer(connection->session);
    connection_leave(connection);
}

/* The beginning */

static void terminate(struct connection *connection, const struct error *error)
{
    if (connection->closing)
        return;
    connection->terminated = true;
    connection_enter(connection);
    session_terminate(connection->session, error);
    connection_leave(connection);
}

static void on_terminate(struct server_client *entry, const struct error *error)
{
    terminate(lws_container_of(entry, struct connection, entry), error);
}

const struct stream_events *connection_client_events(void)
{
    return &client_events;
}

struct connection *connection_new(struct server *server, const struct client_address *address,
                                  enum session_entrance entrance)
{
    struct connection *connection = mem_new(sizeof(*connection));

    connection->server = server;
    connection->entry.terminate = on_terminate;
    connection->timer.on_expired = on_timer;
    connection->linger.on_expired = on_linger;
    connection->opened_at = loop_now_ms();
    connection->address = *address;
    connection->log = (struct log_context){
        .role = "session", .id = ++server->last_id, .peer = connection->address.text};
    connection->session = session_new(&server->session, &connection_host, connection,
                                      connection->log.id, connection->address.text, entrance);
    connection_stand(connection, STANDING_UNREADY);
    metrics_session_begin(&connection->metrics, entrance);
    server_client_add(server, &connection->entry);
    return connection;
}
