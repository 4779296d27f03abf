/* Puts a server together, runs it, drains it. */
#include "server/server.h"

#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/log.h"
#include "common/ready.h"
#include "server/activation.h"
#include "server/api/api.h"
#include "server/certificates.h"
#include "server/cancel_request.h"
#include "server/connection.h"
#include "server/dial.h"
#include "server/http.h"
#include "server/ledger.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/proxy/auth.h"
#include "server/proxy/control.h"
#include "server/relay.h"
#include "server/stream.h"
#include "server/supervisor.h"
#include "server/tunnel.h"
#include "server/websocket.h"
#include "server/worker.h"

enum {
    WORKERS = 4,
    EXAMINERS = 2,
    INTROSPECTORS = 2,
    HTTP_IDLE_TIMEOUT_S = 60,
    TERMINATE_GRACE_MS = 5000
};
#define WORKER_STACK (8UL * 1024 * 1024)
/* The longest SQL text that is searched for our statements; it is held whole meanwhile, for clients
 * that have logged in. */
#define QUERY_MAX ((size_t)256 * 1024 * 1024)

/* Threads, and their results on the loop. */
struct crew {
    struct loop_watch watch;
    struct worker_pool *pool;
};

/* What only this file needs to know of a running server. */
struct runner {
    struct server server; /* first */
    struct listener *http;
    struct listener *postgres;
    struct auth_verifier *verifier;
    char *database;
    bool hopeless;
    struct loop_watch signals;
    /* Statements of open sessions must not wait behind connections that hang. */
    struct crew workers;
    struct crew examiners;
    /* Sessions that make migrations must not wait behind those that wait for each other to see
     * them. */
    struct crew introspectors;
    struct loop_timer deadline;
    bool terminated;
    struct activation activation;
    struct supervisor supervisor;
    const char *status; /* for the service manager */
};

/* Clients */

bool server_has_room(const struct server *server)
{
    return server->client_count < server->settings->max_sessions;
}

void server_client_add(struct server *server, struct server_client *client)
{
    client->next = server->clients;
    client->previous = NULL;
    if (client->next != NULL)
        client->next->previous = client;
    server->clients = client;
    server->client_count++;
}

void server_client_remove(struct server *server, struct server_client *client)
{
    if (client->next != NULL)
        client->next->previous = client->previous;
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        server->clients = client->next;
    server->client_count--;
    server_check_drained(server);
}

void server_check_drained(struct server *server)
{
    if (server->draining && server->clients == NULL && server->exchange_count == 0 &&
        tunnel_is_drained(server->tunnel) && !http_is_delivering(server))
        loop_stop(server->loop);
}

static void own(struct stream *stream, const struct stream_events *events, void *owner)
{
    stream->events = events;
    stream->owner = owner;
}

void server_take_client(struct server *server, const struct client_address *address,
                        struct stream *stream)
{
    if (server->relay != NULL) {
        struct relay *relay = relay_new(server, address);

        own(stream, relay_client_events(), relay);
        relay_start(relay, stream);
    } else {
        struct connection *client = connection_new(server, address, SESSION_WEBSOCKET);

        own(stream, connection_client_events(), client);
        connection_start(client, stream);
    }
}

/* The drain */

static void terminate_clients(struct server *server)
{
    struct error error;

    (void)error_set(&error, STATUS_CLOSED, "57P01",
                    "terminating connection due to administrator command");
    for (struct server_client *client = server->clients, *next; client != NULL; client = next) {
        next = client->next;
        client->terminate(client, &error);
    }
}

static void on_deadline(struct loop_timer *timer)
{
    struct runner *runner = lws_container_of(timer, struct runner, deadline);
    struct server *server = &runner->server;

    if (runner->terminated || server->clients == NULL) {
        loop_stop(server->loop);
        return;
    }
    runner->terminated = true;
    log_info(NULL, "closing %lu remaining connection%s", server->client_count,
             server->client_count == 1 ? "" : "s");
    loop_timer_set(server->loop, timer, TERMINATE_GRACE_MS);
    terminate_clients(server);
}

static void close_listeners(struct runner *runner)
{
    listener_close(runner->http);
    listener_close(runner->postgres);
    runner->http = NULL;
    runner->postgres = NULL;
}

static void drain(struct runner *runner)
{
    struct server *server = &runner->server;

    server->draining = true;
    supervisor_stopping();
    tunnel_drain(server->tunnel);
    log_info(NULL, "shutting down; %lu connection%s to finish", server->client_count,
             server->client_count == 1 ? "" : "s");
    api_drain(server->api);
    loop_timer_set(server->loop, &runner->deadline, server->settings->drain_timeout_ms);
    server_check_drained(server);
}

static void reload(struct runner *runner)
{
    supervisor_reloading();
    certificates_reload(&runner->server);
    supervisor_ready(runner->status);
}

static void on_signal(struct loop_watch *watch, uint32_t events)
{
    struct runner *runner = lws_container_of(watch, struct runner, signals);
    struct signalfd_siginfo info;

    (void)events;
    while (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGHUP)
            reload(runner);
        else if (runner->server.draining)
            loop_stop(runner->server.loop);
        else
            drain(runner);
    }
}

static void on_jobs_done(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    worker_pool_collect(lws_container_of(watch, struct crew, watch)->pool);
}

/* Putting it together */

static enum status watch_signals(struct runner *runner, struct error *error)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    runner->signals = (struct loop_watch){.on_ready = on_signal,
                                          .fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (runner->signals.fd >= 0 && loop_watch_add(runner->server.loop, &runner->signals, EPOLLIN))
        return STATUS_OK;
    return error_set(error, STATUS_SYSTEM, "53000", "could not watch signals: %s", strerror(errno));
}

static enum status start_crew(struct loop *loop, struct crew *crew, unsigned threads,
                              unsigned long stack_size, struct error *error)
{
    crew->pool = worker_pool_new(threads, stack_size);
    if (crew->pool == NULL)
        return error_set(error, STATUS_SYSTEM, "53000", "could not start worker threads: %s",
                         strerror(errno));
    crew->watch = (struct loop_watch){.on_ready = on_jobs_done, .fd = worker_pool_fd(crew->pool)};
    if (loop_watch_add(loop, &crew->watch, EPOLLIN))
        return STATUS_OK;
    return error_set(error, STATUS_SYSTEM, "53000", "could not watch the workers: %s",
                     strerror(errno));
}

static enum status start_workers(struct runner *runner, struct error *error)
{
    struct server *server = &runner->server;
    enum status status = start_crew(server->loop, &runner->workers, WORKERS, WORKER_STACK, error);

    if (status == STATUS_OK && server->settings->relay_host == NULL)
        status = start_crew(server->loop, &runner->examiners, EXAMINERS, WORKER_STACK, error);
    if (status == STATUS_OK && server->settings->relay_host == NULL)
        status =
            start_crew(server->loop, &runner->introspectors, INTROSPECTORS, WORKER_STACK, error);
    server->workers = runner->workers.pool;
    server->examiners = runner->examiners.pool;
    server->introspectors = runner->introspectors.pool;
    return status;
}

static enum status start_loop(struct runner *runner, struct error *error)
{
    struct server *server = &runner->server;
    unsigned long header_timeout_s = (server->settings->auth_timeout_ms + 999) / 1000;
    const struct loop_http http = {
        .protocol = &http_protocol,
        .subprotocol = TUNNEL_SUBPROTOCOL,
        .user = server,
        .header_timeout_s = header_timeout_s > 0 ? (unsigned)header_timeout_s : 60,
        .idle_timeout_s = HTTP_IDLE_TIMEOUT_S,
    };

    server->loop = loop_new(&http, error);
    if (server->loop == NULL)
        return STATUS_SYSTEM;
    server->watchdog = websocket_watchdog_new(server->loop);
    server->tunnel = tunnel_new(server);
    return STATUS_OK;
}

static enum status listen_http(struct runner *runner, struct error *error)
{
    const struct server_settings *settings = runner->server.settings;
    const struct listener_options options = {
        .purpose = "HTTP",
        .variable = "HTTP_PORT",
        .addresses = settings->listen,
        .ipv6 = settings->listen_ipv6,
        .port = settings->http_port,
        .inherited = runner->activation.http.sockets,
        .inherited_count = runner->activation.http.count,
        .has_room = http_has_room,
        .on_accept = http_accept,
        .owner = &runner->server,
    };

    return listener_open(runner->server.loop, &options, &runner->http, error);
}

static enum status listen_postgres(struct runner *runner, struct error *error)
{
    const struct server_settings *settings = runner->server.settings;
    const struct listener_options options = {
        .purpose = "Postgres",
        .variable = "PG_PROXY_PORT",
        .addresses = settings->listen,
        .ipv6 = settings->listen_ipv6,
        .port = settings->tcp_port,
        .inherited = runner->activation.postgres.sockets,
        .inherited_count = runner->activation.postgres.count,
        .has_room = connection_has_room,
        .on_accept = connection_accept,
        .owner = &runner->server,
    };

    return listener_open(runner->server.loop, &options, &runner->postgres, error);
}

/* End to end: what comes in now is served. */
static void say_ready(struct runner *runner)
{
    log_info(NULL, "ready");
    runner->status = "ready";
    supervisor_status(runner->status);
    if (runner->server.settings->ready_fd != 0)
        ready_write((int)runner->server.settings->ready_fd);
}

static void on_prepared(void *owner)
{
    struct server *server = &((struct runner *)owner)->server;
    enum schema_mode mode = control_capture_mode(server->control);

    server->session.fallback = mode == SCHEMA_CAPTURE_FALLBACK;
    if (mode != SCHEMA_CAPTURE_OFF)
        server->session.framework_tables = control_framework_tables(server->control);
    if (server->settings->capture)
        server->ledger = ledger_new(server->loop, server->workers, server->settings);
    api_ready(server->api);
    tunnel_prepare(server->tunnel);
    say_ready(owner);
}

static void on_hopeless(void *owner, const struct error *error)
{
    struct runner *runner = owner;

    log_error(NULL, "%s", error->message);
    if (error->hint[0] != '\0')
        log_error(NULL, "%s", error->hint);
    runner->hopeless = true;
    loop_stop(runner->server.loop);
}

static enum status start_proxy(struct runner *runner, struct error *error)
{
    static const struct control_events control_events = {.on_prepared = on_prepared,
                                                         .on_hopeless = on_hopeless};
    struct server *server = &runner->server;
    const struct server_settings *settings = server->settings;

    runner->verifier = auth_verifier_new(settings->password, error);
    if (runner->verifier == NULL)
        return STATUS_SYSTEM;
    runner->database = server_settings_database(settings);
    server->session = (struct session_settings){
        .verifier = runner->verifier,
        .md5_password = settings->password_method == PASSWORD_MD5 ? settings->password : NULL,
        .database = runner->database,
        .shadow_databases = settings->shadow_databases,
        .tls = server->postgres_tls != NULL,
        .tls_required = settings->tcp_tls_required,
        .auth_timeout_ms = settings->auth_timeout_ms,
        .query_max = QUERY_MAX,
    };
    server->control = control_new(server->loop, settings, &control_events, runner);
    if (server->control == NULL)
        return error_set(error, STATUS_SYSTEM, "53000", "could not start a thread: %s",
                         strerror(errno));
    return settings->tcp ? listen_postgres(runner, error) : STATUS_OK;
}

static enum status take_sockets(struct runner *runner, struct error *error)
{
    enum status status = activation_take(&runner->activation, error);

    if (status == STATUS_OK && runner->activation.postgres.count > 0 &&
        !runner->server.settings->tcp)
        status = error_set(error, STATUS_USAGE, "22023",
                           "the service manager hands over a socket named \"postgres\", but "
                           "PG_PROXY_PORT names no TCP port");
    return status;
}

static enum status start(struct runner *runner, struct error *error)
{
    struct server *server = &runner->server;
    const struct server_settings *settings = server->settings;
    enum status status;

    if ((status = take_sockets(runner, error)) != STATUS_OK)
        return status;
    /* Signals first, so that workers inherit them blocked. */
    if ((status = start_loop(runner, error)) != STATUS_OK ||
        (status = watch_signals(runner, error)) != STATUS_OK ||
        (status = start_workers(runner, error)) != STATUS_OK ||
        (status = certificates_load(server, error)) != STATUS_OK)
        return status;
    if (settings->relay_host != NULL) {
        server->relay = dial_target_new(settings->relay_host, settings->relay_port);
        server->cancel_requests = cancel_requests_new(server);
    } else if ((status = start_proxy(runner, error)) != STATUS_OK) {
        return status;
    }
    server->api = api_new(server);
    return listen_http(runner, error);
}

static void stop(struct runner *runner)
{
    struct server *server = &runner->server;

    close_listeners(runner);
    supervisor_stop(&runner->supervisor);
    loop_timer_stop(&runner->deadline);
    control_free(server->control);
    server->control = NULL;
    api_stop(server->api);
    tunnel_stop(server->tunnel);
    cancel_requests_free(server->cancel_requests);
    ledger_free(server->ledger);
    server->ledger = NULL;
    worker_pool_free(server->introspectors);
    worker_pool_free(server->examiners);
    worker_pool_free(server->workers);
    http_stop(server);
    websocket_watchdog_stop(server->watchdog);
    loop_free(server->loop);
    tunnel_free(server->tunnel);
    api_free(server->api);
    websocket_watchdog_free(server->watchdog);
    dial_target_free(server->relay);
    certificates_free(server);
    auth_verifier_free(runner->verifier);
    free(runner->database);
    if (runner->signals.fd >= 0)
        close(runner->signals.fd);
}

int server_run(const struct server_settings *settings)
{
    struct runner runner = {
        .server = {.settings = settings}, .signals.fd = -1, .status = "waiting for Postgres"};
    struct error error = {0};
    enum status status;
    int code;

    /* A write to a peer that has gone is an error code here, not a signal. */
    (void)signal(SIGPIPE, SIG_IGN);
    TAILQ_INIT(&runner.server.http_connections);
    TAILQ_INIT(&runner.server.http_idle);
    runner.deadline.on_expired = on_deadline;
    status = start(&runner, &error);
    if (status == STATUS_OK) {
        /* A Postgres that is down is no reason to be started again. */
        supervisor_start(&runner.supervisor, runner.server.loop);
        supervisor_ready(runner.status);
        if (runner.server.relay != NULL)
            say_ready(&runner);
        loop_run(runner.server.loop);
        log_info(NULL, "stopped");
    } else {
        log_error(NULL, "%s", error.message);
    }
    code = status == STATUS_OK && !runner.hopeless ? 0 : 2;
    /* At once means at once: the kernel closes what is open. */
    if (runner.server.clients != NULL)
        _exit(code);
    stop(&runner);
    return code;
}
