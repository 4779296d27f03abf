/* libpq in non-blocking mode, its socket one of the loop's watches. */
#include "server/pgclient.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/memory.h"
#include "server/loop.h"
#include "server/pgconnect.h"
#include "server/worker.h"

/* Nothing that the role or the database sets changes what our questions mean, and a forgotten one
 * ends by itself. */
#define SET_UP                                              \
    "SET search_path = pg_catalog, pg_temp;"                \
    "SET standard_conforming_strings = on;"                 \
    "SET bytea_output = hex;"                               \
    "SET default_transaction_read_only = on;"               \
    "SET default_transaction_isolation = 'read committed';" \
    "SET statement_timeout = '30s';"                        \
    "SET lock_timeout = '5s'"

enum pgclient_state { PGCLIENT_CLOSED, PGCLIENT_CONNECTING, PGCLIENT_IDLE, PGCLIENT_ASKING };

/* What a worker does with a connection; outlives the client when it is given up. */
struct attempt {
    struct worker_job job;
    struct worker_pool *workers;
    const struct server_settings *settings;
    struct pgclient *client; /* NULL: given up */
    atomic_bool given_up;
    uint64_t deadline_ms;
    PGconn *conn;
    struct error error;
};

struct pgclient {
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop *loop;
    struct worker_pool *workers;
    const struct server_settings *settings;
    const struct pgclient_events *events;
    void *owner;
    enum pgclient_state state;
    struct attempt *attempt; /* while connecting */
    PGconn *conn;
    PGresult *result; /* the last one of the question */
    bool unsent;      /* the question could not be sent */
    unsigned depth;   /* of calls of `events` */
    bool freed;       /* within such a call */
};

/* On a worker */

static bool set_up(PGconn *conn, const struct pg_patience *patience, struct error *error)
{
    PGresult *result = pg_query(conn, SET_UP, patience, error);

    PQclear(result);
    return result != NULL;
}

static void run_connect(struct worker_job *job)
{
    struct attempt *attempt = (struct attempt *)job;
    static const char *const parameters[] = {"client_encoding", "UTF8", NULL};
    const struct pg_target target = {
        .settings = attempt->settings, .parameters = parameters, .fallback_name = "electric-proxy"};
    const struct pg_patience patience = {.deadline_ms = attempt->deadline_ms,
                                         .given_up = &attempt->given_up};

    attempt->conn = pg_connect(&target, &patience, &attempt->error);
    if (attempt->conn == NULL || set_up(attempt->conn, &patience, &attempt->error))
        return;
    PQfinish(attempt->conn);
    attempt->conn = NULL;
}

/* In blocking mode PQfinish() waits for ever for a peer that reads nothing. */
static void run_finish(struct worker_job *job)
{
    struct attempt *attempt = (struct attempt *)job;

    (void)PQsetnonblocking(attempt->conn, 1);
    PQfinish(attempt->conn);
    attempt->conn = NULL;
}

/* On the loop thread */

static void finish_done(struct worker_job *job)
{
    struct attempt *attempt = (struct attempt *)job;

    /* A pool that shuts down gives waiting jobs back without running them. */
    if (attempt->conn != NULL)
        run_finish(job);
    free(attempt);
}

static void finish(struct attempt *attempt)
{
    attempt->job = (struct worker_job){.run = run_finish, .done = finish_done};
    worker_pool_submit(attempt->workers, &attempt->job);
}

static void close_connection(struct pgclient *client)
{
    struct attempt *attempt;

    loop_timer_stop(&client->timer);
    PQclear(client->result);
    client->result = NULL;
    client->state = PGCLIENT_CLOSED;
    if (client->attempt != NULL) {
        client->attempt->client = NULL;
        atomic_store(&client->attempt->given_up, true);
        client->attempt = NULL;
    }
    if (client->conn == NULL)
        return;
    loop_watch_remove(client->loop, &client->watch);
    attempt = mem_new(sizeof(*attempt));
    attempt->workers = client->workers;
    attempt->conn = client->conn;
    client->conn = NULL;
    finish(attempt);
}

/* Every event stands between these two; the second frees what was to be freed meanwhile. */
static void enter(struct pgclient *client)
{
    client->depth++;
}

/* False when the client is gone. */
static bool leave(struct pgclient *client)
{
    if (--client->depth > 0 || !client->freed)
        return true;
    free(client);
    return false;
}

static void fail(struct pgclient *client, const struct error *error)
{
    close_connection(client);
    enter(client);
    client->events->on_failed(client->owner, error);
    (void)leave(client);
}

static void fail_lost(struct pgclient *client)
{
    struct error error;
    const char *message = PQerrorMessage(client->conn);

    (void)error_set(&error, STATUS_UNAVAILABLE, "08006", "lost the connection to Postgres: %.*s",
                    (int)strcspn(message, "\n"), message);
    fail(client, &error);
}

static void on_timeout(struct loop_timer *timer)
{
    struct pgclient *client = lws_container_of(timer, struct pgclient, timer);
    struct error error;

    (void)error_set(&error, STATUS_TIMEOUT, "08006", "Postgres did not answer in time");
    fail(client, &error);
}

/* False when the client is gone or no longer connected. */
static bool deliver_result(struct pgclient *client)
{
    PGresult *result = client->result;

    client->result = NULL;
    client->state = PGCLIENT_IDLE;
    loop_timer_stop(&client->timer);
    enter(client);
    client->events->on_result(client->owner, result);
    return leave(client) && client->conn != NULL;
}

static bool deliver_notifications(struct pgclient *client)
{
    PGnotify *notification;
    bool alive = true;

    while (alive && (notification = PQnotifies(client->conn)) != NULL) {
        bool own = notification->be_pid == PQbackendPID(client->conn);

        PQfreemem(notification);
        if (own || client->events->on_notified == NULL)
            continue;
        enter(client);
        client->events->on_notified(client->owner);
        alive = leave(client) && client->conn != NULL;
    }
    return alive;
}

static void flush(struct pgclient *client)
{
    int left = PQflush(client->conn);

    if (left < 0)
        fail_lost(client);
    else
        loop_watch_change(client->loop, &client->watch, left > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* False when the client is gone or no longer connected. */
static bool take_results(struct pgclient *client)
{
    while (client->state == PGCLIENT_ASKING && !PQisBusy(client->conn)) {
        PGresult *result = PQgetResult(client->conn);

        if (result == NULL && PQstatus(client->conn) != CONNECTION_OK) {
            fail_lost(client); /* what came before may be cut short */
            return false;
        }
        if (result == NULL)
            return deliver_result(client);
        PQclear(client->result);
        client->result = result;
    }
    return true;
}

static void on_ready(struct loop_watch *watch, uint32_t events)
{
    struct pgclient *client = lws_container_of(watch, struct pgclient, watch);

    if ((client->state == PGCLIENT_ASKING && client->unsent) ||
        ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !PQconsumeInput(client->conn))) {
        fail_lost(client);
        return;
    }
    if (!deliver_notifications(client) || !take_results(client))
        return;
    if (PQstatus(client->conn) == CONNECTION_BAD)
        fail_lost(client);
    else
        flush(client);
}

static bool watch_socket(struct pgclient *client)
{
    client->watch = (struct loop_watch){.on_ready = on_ready, .fd = PQsocket(client->conn)};
    return PQsetnonblocking(client->conn, 1) == 0 &&
           loop_watch_add(client->loop, &client->watch, EPOLLIN);
}

static void connected(struct pgclient *client, struct attempt *attempt)
{
    struct error error;

    client->attempt = NULL;
    client->conn = attempt->conn;
    attempt->conn = NULL;
    if (client->conn == NULL) {
        error = attempt->error;
        fail(client, &error);
    } else if (watch_socket(client)) {
        client->state = PGCLIENT_IDLE;
        enter(client);
        client->events->on_connected(client->owner);
        (void)leave(client);
    } else {
        (void)error_set(&error, STATUS_SYSTEM, "53000", "the server is out of resources");
        fail(client, &error);
    }
}

static void connect_done(struct worker_job *job)
{
    struct attempt *attempt = (struct attempt *)job;

    if (attempt->client != NULL) {
        if (attempt->conn == NULL && attempt->error.sqlstate[0] == '\0')
            (void)error_set(&attempt->error, STATUS_CLOSED, "57P01", "the server is shutting down");
        connected(attempt->client, attempt);
    }
    if (attempt->conn != NULL)
        finish(attempt);
    else
        free(attempt);
}

struct pgclient *pgclient_new(struct loop *loop, struct worker_pool *workers,
                              const struct server_settings *settings,
                              const struct pgclient_events *events, void *owner)
{
    struct pgclient *client = mem_new(sizeof(*client));

    client->loop = loop;
    client->workers = workers;
    client->settings = settings;
    client->events = events;
    client->owner = owner;
    client->timer.on_expired = on_timeout;
    return client;
}

void pgclient_free(struct pgclient *client)
{
    if (client == NULL)
        return;
    close_connection(client);
    if (client->depth > 0)
        client->freed = true;
    else
        free(client);
}

void pgclient_connect(struct pgclient *client)
{
    struct attempt *attempt = mem_new(sizeof(*attempt));

    assert(client->state == PGCLIENT_CLOSED);
    attempt->job = (struct worker_job){.run = run_connect, .done = connect_done};
    attempt->workers = client->workers;
    attempt->settings = client->settings;
    attempt->client = client;
    attempt->deadline_ms = pg_clock_ms() + pg_connect_timeout_ms(client->settings);
    client->attempt = attempt;
    client->state = PGCLIENT_CONNECTING;
    worker_pool_submit(client->workers, &attempt->job);
}

void pgclient_disconnect(struct pgclient *client)
{
    close_connection(client);
}

bool pgclient_is_closed(const struct pgclient *client)
{
    return client->state == PGCLIENT_CLOSED;
}

bool pgclient_is_idle(const struct pgclient *client)
{
    return client->state == PGCLIENT_IDLE;
}

void pgclient_ask(struct pgclient *client, const char *sql, int count, const char *const *values,
                  unsigned long timeout_ms)
{
    assert(client->state == PGCLIENT_IDLE);
    client->state = PGCLIENT_ASKING;
    loop_timer_set(client->loop, &client->timer, timeout_ms);
    client->unsent = !PQsendQueryParams(client->conn, sql, count, NULL, values, NULL, NULL, 0);
    /* What is left to be sent, and a failure, are seen to when the socket is ready: callers need
     * not expect an event within their call. */
    loop_watch_change(client->loop, &client->watch, EPOLLIN | EPOLLOUT);
}

bool pgclient_is_error(const PGresult *result, struct error *error)
{
    const char *sqlstate, *message;

    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return false;
    sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    (void)error_set(error, STATUS_UNAVAILABLE, sqlstate != NULL ? sqlstate : "08006", "%s",
                    message != NULL ? message : "lost the connection to Postgres");
    return true;
}
