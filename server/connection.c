/* Joins a client stream, a session and an upstream connection; hosts the session. */
#include "server/connection.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/channel.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/proxy/control.h"
#include "server/proxy/statement.h"
#include "server/proxy/upstream.h"
#include "server/server.h"
#include "server/stream.h"
#include "server/worker.h"

enum {
    CLIENT_LINGER_MS = 30000,  /* for a client to take what is queued … */
    CLIENT_CLOSE_MS = 1000,    /* … or, when nothing is, to close in its turn */
    UPSTREAM_LINGER_MS = 5000, /* for Postgres to take what its client sent before it went */
    UNREADY_MAX = 100,         /* clients that have not logged in */
    UNREADY_GRACE_MS = 1000,   /* this young none is dropped for that limit */
};

struct connection {
    struct server_client entry;
    struct server *server;
    struct log_context log;
    char peer[PEER_NAME_MAX];
    char reason[128];
    uint64_t opened_at;
    uint64_t bytes_up, bytes_down;
    struct session *session;
    struct stream *client;     /* NULL once gone */
    struct upstream *upstream; /* from connecting on, NULL once given back */
    struct stream *channel;    /* the upstream socket, while it is ours */
    struct loop_timer timer;   /* the session's */
    struct loop_timer linger;
    struct control_waiter cancelled;
    struct examination *examination; /* a statement job on a worker */
    unsigned depth;                  /* of calls into the session */
    bool unready;                    /* counted as not logged in */
    bool session_pauses_client;
    bool upstream_is_full;
    bool cancelling; /* a CancelRequest is worked off, or our own statement stopped */
    bool terminated; /* by us: what it runs must not go on in Postgres */
    bool closing;    /* the session is over */
    bool close_started;
};

/* A statement job and whose it is. */
struct examination {
    struct worker_job job;
    struct connection *connection;
    struct statement_job *statement;
};

static void settle(struct connection *connection);
static void on_cancelled(struct control_waiter *waiter);

/* Every call into the session stands between these two: what it asks for is done after it. */
static void enter(struct connection *connection)
{
    connection->depth++;
}

static void leave(struct connection *connection)
{
    if (--connection->depth == 0)
        settle(connection);
}

static void note(struct connection *connection, const char *reason)
{
    if (connection->reason[0] == '\0')
        (void)snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
}

/* The end */

static void count_ready(struct connection *connection)
{
    if (connection->unready)
        connection->server->unready_count--;
    connection->unready = false;
}

static void free_connection(struct connection *connection)
{
    log_info(&connection->log, "closed: %s; %llu bytes up, %llu down, %.3f s",
             connection->reason[0] != '\0' ? connection->reason : "done",
             (unsigned long long)connection->bytes_up, (unsigned long long)connection->bytes_down,
             (double)(loop_now_ms() - connection->opened_at) / 1000);
    count_ready(connection);
    loop_timer_stop(&connection->timer);
    loop_timer_stop(&connection->linger);
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

    connection->cancelled.on_answer = on_cancelled;
    connection->cancelling = control_stop(connection->server->control, upstream->pid,
                                          upstream->secret, &connection->cancelled);
}

static void start_close(struct connection *connection)
{
    connection->close_started = true;
    if (connection->terminated && connection->channel != NULL)
        stop_statement(connection);
    count_ready(connection);
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

/* After the session has returned: does what it asked for. May free the connection. */
static void settle(struct connection *connection)
{
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

static void update_client_pause(struct connection *connection)
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
    if (connection->closing)
        return;
    enter(connection);
    session_client_bytes(connection->session, data);
    leave(connection);
}

static void on_client_end(void *owner)
{
    struct connection *connection = owner;

    if (connection->closing)
        return;
    note(connection, "client disconnected");
    enter(connection);
    session_client_end(connection->session);
    leave(connection);
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

    note(connection, reason);
    connection->client = NULL;
    if (!connection->closing) {
        connection->closing = true;
        settle(connection);
        return;
    }
    /* It had been told to go. */
    release_upstream(connection);
    free_if_done(connection);
}

static const struct stream_events client_events = {
    .on_data = on_client_data,
    .on_end = on_client_end,
    .on_drained = on_client_drained,
    .on_closed = on_client_closed,
};

/* Upstream's events */

static void on_upstream_data(void *owner, struct bytes data)
{
    struct connection *connection = owner;

    if (connection->closing)
        return;
    enter(connection);
    session_upstream_bytes(connection->session, data);
    leave(connection);
}

static void upstream_ended(struct connection *connection, const char *reason)
{
    if (connection->closing) {
        release_upstream(connection);
        free_if_done(connection);
        return;
    }
    enter(connection);
    session_upstream_end(connection->session);
    connection->closing = true;
    note(connection, reason);
    leave(connection);
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
    update_client_pause(connection);
    enter(connection);
    session_upstream_drained(connection->session);
    leave(connection);
}

static void on_upstream_closed(void *owner, const char *reason)
{
    struct connection *connection = owner;

    connection->channel = NULL;
    upstream_ended(connection, reason);
}

static const struct stream_events upstream_events = {
    .on_data = on_upstream_data,
    .on_end = on_upstream_end,
    .on_drained = on_upstream_drained,
    .on_closed = on_upstream_closed,
};

static void connect_failed(struct connection *connection, const struct error *error)
{
    log_warn(&connection->log, "%s", error->message);
    enter(connection);
    session_upstream_failed(connection->session, error);
    leave(connection);
}

static void on_connected(void *owner, const struct error *error)
{
    struct connection *connection = owner;
    struct upstream *upstream = connection->upstream;
    struct error no_watch;

    if (error == NULL) {
        connection->channel =
            channel_new(connection->server->loop, upstream_socket(upstream), upstream_ssl(upstream),
                        CHANNEL_BORROWS_SOCKET, &upstream_events, connection);
        if (connection->channel == NULL) {
            (void)error_set(&no_watch, STATUS_SYSTEM, "53000", "the server is out of resources");
            error = &no_watch;
        }
    }
    if (error != NULL) {
        connect_failed(connection, error);
        return;
    }
    enter(connection);
    session_upstream_ready(connection->session, upstream_session(upstream));
    leave(connection);
}

/* What the session asks for */

static void host_send_client(void *host, struct bytes data)
{
    struct connection *connection = host;

    if (connection->client == NULL)
        return;
    connection->bytes_down += data.len;
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
        update_client_pause(connection);
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
    update_client_pause(connection);
}

/* An answer that cannot be given within the call, as the session's contract wants it. */
static void on_refusal(struct loop_timer *timer)
{
    struct connection *connection = lws_container_of(timer, struct connection, linger);
    struct error error;
    const struct error *obstacle = control_obstacle(connection->server->control);

    timer->on_expired = on_linger;
    (void)error_set(&error, STATUS_UNAVAILABLE, "57P03", "the server is not ready");
    if (!connection->closing)
        connect_failed(connection, obstacle != NULL ? obstacle : &error);
}

static void host_connect(void *host, const struct session_target *target)
{
    struct connection *connection = host;
    struct server *server = connection->server;

    log_debug(&connection->log, "%s connects to Postgres (%s)", target->user,
              session_mode_name(target->mode));
    if (control_obstacle(server->control) != NULL) {
        connection->linger.on_expired = on_refusal;
        loop_timer_set(server->loop, &connection->linger, 0);
        return;
    }
    connection->upstream =
        upstream_open(server->workers, server->settings, control_cancel_key(server->control),
                      target, on_connected, connection);
}

static void on_cancelled(struct control_waiter *waiter)
{
    struct connection *connection = lws_container_of(waiter, struct connection, cancelled);

    connection->cancelling = false;
    settle(connection);
}

static void host_cancel(void *host, uint32_t pid, struct bytes key)
{
    struct connection *connection = host;

    connection->cancelled.on_answer = on_cancelled;
    connection->cancelling =
        control_cancel(connection->server->control, pid, key, &connection->cancelled);
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
    enter(connection);
    session_job_done(connection->session, examination->statement);
    free(examination);
    leave(connection);
}

static void host_defer(void *host, struct statement_job *statement)
{
    struct connection *connection = host;
    struct examination *examination = mem_new(sizeof(*examination));

    examination->job = (struct worker_job){.run = run_examination, .done = examination_done};
    examination->connection = connection;
    examination->statement = statement;
    connection->examination = examination;
    worker_pool_submit(connection->server->workers, &examination->job);
}

static void on_timer(struct loop_timer *timer)
{
    struct connection *connection = lws_container_of(timer, struct connection, timer);

    enter(connection);
    session_timer(connection->session);
    leave(connection);
}

static void host_set_timer(void *host, unsigned long ms)
{
    struct connection *connection = host;

    if (ms > 0)
        loop_timer_set(connection->server->loop, &connection->timer, ms);
    else
        loop_timer_stop(&connection->timer);
}

static void host_authenticated(void *host, bool success)
{
    struct connection *connection = host;

    if (success)
        count_ready(connection);
    else
        log_warn(&connection->log, "wrong password");
}

static void host_close(void *host, const char *reason)
{
    struct connection *connection = host;

    note(connection, reason);
    connection->closing = true;
}

static const struct session_host host_operations = {
    .send_client = host_send_client,
    .send_upstream = host_send_upstream,
    .upstream_is_full = host_upstream_is_full,
    .finish_upstream = host_finish_upstream,
    .pause_client = host_pause_client,
    .connect = host_connect,
    .cancel = host_cancel,
    .defer = host_defer,
    .set_timer = host_set_timer,
    .authenticated = host_authenticated,
    .close = host_close,
};

/* The limits before authentication */

static struct connection *oldest_unready(const struct server *server)
{
    struct connection *oldest = NULL;

    for (struct server_client *entry = server->clients; entry != NULL; entry = entry->next) {
        struct connection *connection = lws_container_of(entry, struct connection, entry);

        if (connection->unready && !connection->closing)
            oldest = connection; /* the newest stand first */
    }
    return oldest;
}

/* Those who connect and say nothing must not keep others out. */
static bool make_room(struct server *server)
{
    struct connection *oldest;

    if (server->unready_count < UNREADY_MAX)
        return true;
    oldest = oldest_unready(server);
    if (oldest == NULL || loop_now_ms() - oldest->opened_at < UNREADY_GRACE_MS)
        return false;
    note(oldest, "too many connections before authentication");
    oldest->closing = true;
    settle(oldest);
    return true;
}

/* Opening */

static void terminate(struct connection *connection, const struct error *error)
{
    if (connection->closing)
        return;
    connection->terminated = true;
    enter(connection);
    session_terminate(connection->session, error);
    leave(connection);
}

static void on_terminate(struct server_client *entry, const struct error *error)
{
    terminate(lws_container_of(entry, struct connection, entry), error);
}

const struct stream_events *connection_client_events(void)
{
    return &client_events;
}

struct connection *connection_new(struct server *server, const char *peer,
                                  enum session_entrance entrance)
{
    struct connection *connection = mem_new(sizeof(*connection));

    connection->server = server;
    connection->entry.terminate = on_terminate;
    connection->timer.on_expired = on_timer;
    connection->linger.on_expired = on_linger;
    connection->opened_at = loop_now_ms();
    (void)snprintf(connection->peer, sizeof(connection->peer), "%s", peer);
    connection->log =
        (struct log_context){.role = "session", .id = ++server->last_id, .peer = connection->peer};
    connection->session = session_new(&server->session, &host_operations, connection,
                                      connection->log.id, connection->peer, entrance, false);
    connection->unready = true;
    server->unready_count++;
    server_client_add(server, &connection->entry);
    return connection;
}

static bool is_refused(const struct server *server, struct error *error)
{
    if (server->draining) {
        (void)error_set(error, STATUS_CLOSED, "57P03", "the server is shutting down");
        error_hint(error, "Connect again in a moment.");
        return true;
    }
    if (server->client_count <= server->settings->max_sessions)
        return false;
    (void)error_set(error, STATUS_FULL, "53300", "sorry, too many clients already");
    error_hint(error, "The server allows %lu at once (MAX_SESSIONS).",
               server->settings->max_sessions);
    return true;
}

void connection_start(struct connection *connection, struct stream *client)
{
    struct server *server = connection->server;
    struct error error;

    log_info(&connection->log, "opened");
    (void)make_room(server);
    connection->client = client;
    enter(connection);
    session_start(connection->session);
    /* It gets its answer once it has said what it wants: a CancelRequest must pass. */
    if (is_refused(server, &error))
        session_terminate(connection->session, &error);
    leave(connection);
}

/* The TCP port */

bool connection_has_room(void *owner)
{
    return make_room(owner);
}

void connection_accept(void *owner, int fd, const struct sockaddr_storage *address)
{
    struct server *server = owner;
    struct connection *connection;
    struct stream *client;
    char peer[PEER_NAME_MAX];

    listener_peer_name(address, peer);
    connection = connection_new(server, peer, SESSION_TCP);
    client = channel_new(server->loop, fd, NULL, CHANNEL_OWNS_SOCKET, &client_events, connection);
    if (client == NULL) {
        close(fd);
        note(connection, "out of resources");
        connection->closing = true;
        settle(connection);
        return;
    }
    connection_start(connection, client);
}
