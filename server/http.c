/* libwebsockets' callback for the HTTP port: one case a reason; the routes. */
#include "server/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/api/api.h"
#include "server/connection.h"
#include "server/exchange.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/proxy/control.h"
#include "server/relay.h"
#include "server/reply.h"
#include "server/request.h"
#include "server/server.h"
#include "server/upgrade.h"
#include "server/tunnel.h"
#include "server/websocket.h"

/* So long one may keep the place of another without asking anything. */
enum { IDLE_GRACE_MS = 1000 };

/* One accepted connection, from its first request to its end; the WebSocket once upgraded. */
struct http_connection {
    struct server *server;
    TAILQ_ENTRY(http_connection) idle_entry;
    bool idle;         /* in the server's list of those not upgraded */
    bool counted;      /* in its http_count */
    uint64_t asked_at; /* or came in */
    struct lws *wsi;
    struct websocket *websocket;
    char peer[PEER_NAME_MAX];
    struct control_waiter health; /* for a request that waits for it */
    bool waiting;
    struct exchange *exchange; /* an answer of the API that is under way */
};

static struct http_connection *connection_of(struct lws *wsi)
{
    return lws_get_opaque_user_data(wsi);
}

/* The limit */

static void leave_idle(struct http_connection *connection)
{
    if (connection->idle)
        TAILQ_REMOVE(&connection->server->http_idle, connection, idle_entry);
    connection->idle = false;
}

static void note_asked(struct http_connection *connection)
{
    leave_idle(connection);
    TAILQ_INSERT_TAIL(&connection->server->http_idle, connection, idle_entry);
    connection->idle = true;
    connection->asked_at = loop_now_ms();
}

static void stop_counting(struct http_connection *connection)
{
    leave_idle(connection);
    if (connection->counted)
        connection->server->http_count--;
    connection->counted = false;
}

/* libwebsockets sees the end in its next turn and closes the descriptor. */
static void evict(struct http_connection *connection)
{
    stop_counting(connection);
    (void)shutdown(lws_get_socket_fd(connection->wsi), SHUT_RDWR);
}

/* Routes */

static const struct reply root_reply = {
    .status = 200,
    .body = "electric-proxy: Postgres migrations through networks that only speak HTTP.\n"
            "The tunnel is at /proxy: electric-tunnel --service <this address>\n",
};
static const struct reply alive_reply = {.status = 200, .body = "alive\n"};
static const struct reply unready_reply = {.status = 503,
                                           .headers = "Retry-After: 5\r\n",
                                           .body = "Postgres cannot be reached, or the "
                                                   "schema is not installed yet\n"};
static const struct reply ready_reply = {.status = 200, .body = "ready\n"};
static const struct reply draining_reply = {
    .status = 503, .headers = "Retry-After: 5\r\n", .body = "the server is shutting down\n"};
static const struct reply up_reply = {.status = 200, .body = "Connection to Postgres is up!"};
static const struct reply relay_up_reply = {.status = 200, .body = "Relay is up!"};
static const struct reply not_found_reply = {
    .status = 404, .body = "no such path here; the tunnel is at /proxy\n"};
static const struct reply not_upgrade_reply = {
    .status = 400, .body = "this is the tunnel: it takes WebSocket upgrade requests only\n"};
static const struct reply method_reply = {
    .status = 405, .headers = "Allow: GET, HEAD, OPTIONS\r\n", .body = "only GET and HEAD here\n"};
static const struct reply options_reply = {
    .status = 204, .headers = "Allow: GET, HEAD, OPTIONS\r\n", .body = ""};

static const struct reply down_reply = {
    .status = 503, .headers = "Retry-After: 5\r\n", .body = "Connection to Postgres is down!"};

/* Without credentials no more than that is told of Postgres; why, stands in the log. */
static const struct reply *health_reply(const struct server *server, bool for_status)
{
    bool healthy = server->control == NULL || control_health(server->control) == NULL;

    if (server->draining)
        return &draining_reply;
    if (!healthy)
        return for_status ? &down_reply : &unready_reply;
    if (!for_status)
        return &ready_reply;
    return server->control != NULL ? &up_reply : &relay_up_reply;
}

static const struct reply *route(const struct server *server, struct lws *wsi)
{
    int method;
    struct bytes path = request_path(wsi, &method);

    if (method == LWSHUMETH_OPTIONS)
        return &options_reply;
    if (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD)
        return &method_reply;
    if (bytes_equal_string(path, "/"))
        return &root_reply;
    if (bytes_equal_string(path, "/healthz"))
        return &alive_reply;
    if (bytes_equal_string(path, "/readyz"))
        return health_reply(server, false);
    if (bytes_equal_string(path, "/api/status"))
        return health_reply(server, true);
    if (bytes_equal_string(path, "/proxy"))
        return server->settings->tunnel ? &not_upgrade_reply : upgrade_disabled_reply();
    return &not_found_reply;
}

/* What the metrics call a path; what others may invent is one. */
static const char *name_of(struct bytes path)
{
    static const char *const names[] = {"/", "/healthz", "/readyz", "/api/status", "/proxy"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (bytes_equal_string(path, names[i]))
            return names[i];
    return "other";
}

static int answer(const struct server *server, struct lws *wsi)
{
    const struct reply *reply = route(server, wsi);
    int method;

    metrics_request(name_of(request_path(wsi, &method)), reply->status);
    return reply_send(wsi, reply);
}

/* The API */

static const struct reply api_upgrade_reply = {
    .status = 400, .body = "no upgrade here: ask by HTTP/1.1 (curl --http1.1)\n"};

/* The endpoint's path, or NULL. */
static const char *find_api(const struct http_connection *connection, struct lws *wsi)
{
    int method;
    struct bytes path = request_path(wsi, &method);

    return method == LWSHUMETH_GET || method == LWSHUMETH_HEAD
               ? api_find(connection->server->api, wsi, path)
               : NULL;
}

static void start_exchange(struct http_connection *connection, struct lws *wsi, const char *path)
{
    struct server *server = connection->server;

    connection->exchange = exchange_new(server->loop, wsi, path);
    server->exchange_count++;
    /* Who has shown that they may, is no stranger whose place others may have. */
    if (api_handle(server->api, wsi, path, connection->peer, connection->exchange))
        leave_idle(connection);
}

static void end_exchange(struct http_connection *connection)
{
    struct exchange *exchange = connection->exchange;

    if (exchange == NULL)
        return;
    connection->exchange = NULL;
    exchange_free(exchange);
    connection->server->exchange_count--;
    server_check_drained(connection->server);
}

static int continue_exchange(struct http_connection *connection)
{
    switch (exchange_progress(connection->exchange)) {
    case EXCHANGE_GOES_ON:
        return 0;
    case EXCHANGE_DONE:
        end_exchange(connection);
        if (connection->counted)
            note_asked(connection);
        return lws_http_transaction_completed(connection->wsi) ? -1 : 0;
    case EXCHANGE_CLOSES:
        break;
    }
    return -1;
}

/* Whether the answer depends on how Postgres is now. */
static bool asks_for_health(struct lws *wsi)
{
    int method;
    struct bytes path = request_path(wsi, &method);

    return (method == LWSHUMETH_GET || method == LWSHUMETH_HEAD) &&
           (bytes_equal_string(path, "/readyz") || bytes_equal_string(path, "/api/status"));
}

static void on_health(struct control_waiter *waiter)
{
    struct http_connection *connection = lws_container_of(waiter, struct http_connection, health);

    lws_rx_flow_control(connection->wsi, 1);
    lws_callback_on_writable(connection->wsi);
}

static int on_request(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);
    const char *api_path;

    if (connection == NULL || !connection->counted)
        return -1;
    note_asked(connection);
    api_path = find_api(connection, wsi);
    if (api_path != NULL) {
        start_exchange(connection, wsi, api_path);
        return 0;
    }
    if (connection->server->control != NULL && !connection->server->draining &&
        asks_for_health(wsi) && !control_check(connection->server->control, &connection->health)) {
        connection->waiting = true;
        /* Else a client that ends its direction meanwhile would make the loop spin. */
        lws_rx_flow_control(wsi, 0);
        return 0;
    }
    return answer(connection->server, wsi);
}

static int on_writable(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);

    if (connection != NULL && connection->exchange != NULL)
        return continue_exchange(connection);
    if (connection == NULL || !connection->waiting)
        return 0;
    connection->waiting = false;
    return answer(connection->server, wsi);
}

/* Upgrades */

static int on_upgrade_request(struct lws *wsi, const char *protocol)
{
    struct http_connection *connection = connection_of(wsi);
    const struct reply *refusal;

    if (connection == NULL || !connection->counted)
        return -1;
    note_asked(connection);
    /* curl asks every server for h2c; the answer may ignore it (RFC 9110 section 7.8). */
    if (strcasecmp(protocol, "h2c") == 0)
        refusal =
            find_api(connection, wsi) != NULL ? &api_upgrade_reply : route(connection->server, wsi);
    else if (strcasecmp(protocol, "websocket") == 0)
        refusal = upgrade_check(connection->server, wsi);
    else
        return -1; /* libwebsockets has answered */
    if (refusal == NULL)
        return 0;
    return reply_send_last(wsi, refusal) < 0 ? -1 : 1;
}

static int on_established(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);
    struct server *server;
    struct websocket *websocket;

    if (connection == NULL || !connection->counted)
        return -1;
    leave_idle(connection);
    server = connection->server;
    websocket = websocket_new(server->loop, server->watchdog, wsi);
    if (websocket == NULL)
        return -1;
    connection->websocket = websocket;
    if (strcmp(lws_get_protocol(wsi)->name, TUNNEL_SUBPROTOCOL) == 0)
        tunnel_accept(server->tunnel, websocket, connection->peer);
    else
        server_take_client(server, connection->peer, websocket_stream(websocket));
    return 0;
}

static void on_gone(struct http_connection *connection)
{
    if (connection == NULL || connection->websocket == NULL)
        return;
    websocket_gone(connection->websocket);
    connection->websocket = NULL;
}

static void on_destroyed(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);

    if (connection == NULL)
        return;
    on_gone(connection);
    end_exchange(connection);
    if (connection->server->control != NULL)
        control_forget(connection->server->control, &connection->health);
    stop_counting(connection);
    free(connection);
    lws_set_opaque_user_data(wsi, NULL);
}

/* What is no HTTP at all. */
static int on_garbage(struct lws *wsi)
{
    static const struct reply garbage = {
        .status = 400,
        .body = "this port speaks HTTP; Postgres clients come through electric-tunnel or the TCP "
                "port\n"};

    (void)reply_send_raw(wsi, &garbage);
    return -1;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    (void)len;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade_request(wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(wsi);
    case LWS_CALLBACK_RAW_RX:
        return on_garbage(wsi);
    case LWS_CALLBACK_CLOSED:
        on_gone(connection_of(wsi));
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        on_destroyed(wsi);
        return 0;
    default:
        return 0;
    }
}

const struct lws_protocols http_protocol = {.name = "http", .callback = on_event};

/* The listener */

bool http_has_room(void *owner)
{
    const struct server *server = owner;
    struct http_connection *oldest = TAILQ_FIRST(&server->http_idle);

    if (server->http_count < server->settings->max_http)
        return true;
    /* Strangers who keep their connection must not keep the tunnel's clients out. */
    if (oldest == NULL || loop_now_ms() - oldest->asked_at < IDLE_GRACE_MS)
        return false;
    evict(oldest);
    return true;
}

void http_accept(void *owner, int fd, const struct sockaddr_storage *address)
{
    struct server *server = owner;
    struct http_connection *connection;
    lws_sock_file_fd_type socket = {.sockfd = fd};
    /* Closes the descriptor when it fails. */
    struct lws *wsi = lws_adopt_descriptor_vhost(
        loop_vhost(server->loop), LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET, socket, NULL, NULL);

    if (wsi == NULL)
        return;
    connection = mem_new(sizeof(*connection));
    connection->server = server;
    connection->wsi = wsi;
    connection->health.on_answer = on_health;
    listener_peer_name(address, connection->peer);
    lws_set_opaque_user_data(wsi, connection);
    connection->counted = true;
    server->http_count++;
    note_asked(connection);
}
