/* libwebsockets' callback for the HTTP port: one case a reason; the routes. */
#include "server/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/api/api.h"
#include "server/connection.h"
#include "server/exchange.h"
#include "server/gate.h"
#include "server/http_head.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/proxy/control.h"
#include "server/relay.h"
#include "server/reply.h"
#include "server/request.h"
#include "server/server.h"
#include "server/upgrade.h"
#include "server/visitor.h"
#include "server/tunnel.h"
#include "server/tunnel_http.h"
#include "server/websocket.h"

/* So long one may keep the place of another without asking anything. */
enum { IDLE_GRACE_MS = 1000 };
/* Of all connections one address may have this part before they have become tunnels. */
enum { ADDRESS_SHARE = 4 };
/* What may be left to send of the answer to an upgrade. */
#define UNSENT_MAX ((size_t)1024 * 1024)

/* One accepted connection, from its gate to its end: the gate, libwebsockets' side of it from the
 * first request on, then perhaps the WebSocket alone. */
struct http_connection {
    struct server *server;
    TAILQ_ENTRY(http_connection) entry;
    TAILQ_ENTRY(http_connection) idle_entry;
    bool idle;         /* in the server's list of those not upgraded */
    bool counted;      /* in its http_count */
    uint64_t asked_at; /* or came in */
    struct gate *gate; /* until it closes or has become a WebSocket */
    struct lws *wsi;
    struct websocket *websocket;
    struct client_address peer; /* the socket's other end */
    struct visitor visitor;     /* who sent the last request */
    enum tls_client certificate;
    bool certificate_known;
    struct control_waiter health; /* for a request that waits for it */
    bool waiting;
    struct exchange *exchange;       /* an answer that is under way … */
    bool holds_drain;                /* … and that a draining server waits for */
    struct carrier_request *carried; /* of the HTTP carrier, while its body comes */
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

/* Frees it once all three of its parts have gone. */
static void release(struct http_connection *connection)
{
    if (connection->gate != NULL || connection->wsi != NULL || connection->websocket != NULL)
        return;
    stop_counting(connection);
    TAILQ_REMOVE(&connection->server->http_connections, connection, entry);
    free(connection);
}

/* libwebsockets sees the end of its side in its next turn. */
static void evict(struct http_connection *connection)
{
    stop_counting(connection);
    gate_close(connection->gate);
    connection->gate = NULL;
    release(connection);
}

/* The gate's */

static bool on_gate_request(void *owner, int fd)
{
    struct http_connection *connection = owner;
    const lws_sock_file_fd_type socket = {.sockfd = fd};

    /* Closes the descriptor when it fails. */
    connection->wsi =
        lws_adopt_descriptor_vhost(loop_vhost(connection->server->loop),
                                   LWS_ADOPT_HTTP | LWS_ADOPT_SOCKET, socket, NULL, NULL);
    if (connection->wsi != NULL)
        lws_set_opaque_user_data(connection->wsi, connection);
    return connection->wsi != NULL;
}

static void on_gate_refused(void *owner, int status)
{
    (void)owner;
    metrics_request("other", status);
}

static void on_gate_turn(void *owner)
{
    struct http_connection *connection = owner;

    if (connection->server->draining)
        server_check_drained(connection->server);
}

static void on_gate_closed(void *owner)
{
    struct http_connection *connection = owner;
    struct server *server = connection->server;

    connection->gate = NULL;
    /* Its place is free, whatever libwebsockets still has to tidy up. */
    stop_counting(connection);
    release(connection);
    server_check_drained(server);
}

static const struct gate_events gate_events = {
    .on_request = on_gate_request,
    .on_refused = on_gate_refused,
    .on_turn = on_gate_turn,
    .on_closed = on_gate_closed,
};

static void log_certificate(const struct http_connection *connection, const char *reason)
{
    const struct log_context context = {.role = "http", .peer = connection->visitor.address.text};

    log_warn(&context, "the client's certificate is not accepted: %s", reason);
}

/* Once: it is the connection's, whatever is asked on it. */
static void note_certificate(struct http_connection *connection)
{
    const SSL *ssl = connection->gate != NULL ? gate_ssl(connection->gate) : NULL;
    const char *reason;

    if (ssl == NULL || connection->certificate_known)
        return;
    connection->certificate_known = true;
    connection->certificate = tls_client(ssl, &reason);
    if (connection->certificate == TLS_CLIENT_RIGHT)
        tls_client_identity(ssl, connection->visitor.certificate);
    else if (connection->certificate == TLS_CLIENT_WRONG)
        log_certificate(connection, reason);
}

/* What the gate has written into the request's head. */
static void note_client(struct http_connection *connection, struct lws *wsi)
{
    char *line = request_custom_header(wsi, HTTP_HEAD_CLIENT ":");
    char *address = line != NULL ? strchr(line, ' ') : NULL;

    if (address != NULL) {
        connection->visitor.address.single = strncmp(line, "single ", 7) == 0;
        (void)snprintf(connection->visitor.address.text, sizeof(connection->visitor.address.text),
                       "%s", address + 1);
    }
    free(line);
    note_certificate(connection);
}

/* Routes */

static const struct reply root_reply = {
    .status = 200,
    .body = "electric-proxy: Postgres migrations through networks that only speak HTTP.\n"
            "The tunnel is at /proxy: electric-tunnel --service <this address>\n",
};
static const struct reply alive_reply = {.status = 200, .body = "alive\n"};
static const struct reply alive_with_tunnel_reply = {
    .status = 200, .headers = TUNNEL_HERE, .body = "alive\n"};
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
    .status = 400,
    .headers = TUNNEL_HERE,
    .body = "this is the tunnel: it takes WebSocket upgrade requests, and requests of "
            "electric-tunnel\n"};
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
        return server->settings->tunnel ? &alive_with_tunnel_reply : &alive_reply;
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

/* An answer is complete, and the connection kept. */
static int complete(struct http_connection *connection)
{
    if (lws_http_transaction_completed(connection->wsi))
        return -1;
    if (connection->gate != NULL)
        gate_answered(connection->gate);
    return 0;
}

static int send_answer(struct http_connection *connection, struct lws *wsi,
                       const struct reply *reply)
{
    int method;

    metrics_request(name_of(request_path(wsi, &method)), reply->status);
    return reply_send(wsi, reply) == REPLY_KEPT ? complete(connection) : -1;
}

static int answer(struct http_connection *connection, struct lws *wsi)
{
    return send_answer(connection, wsi, route(connection->server, wsi));
}

/* The API */

/* The endpoint's path, or NULL. */
static const char *find_api(const struct http_connection *connection, struct lws *wsi)
{
    int method;
    struct bytes path = request_path(wsi, &method);

    return method == LWSHUMETH_GET || method == LWSHUMETH_HEAD
               ? api_find(connection->server->api, wsi, path)
               : NULL;
}

static void end_exchange(struct http_connection *connection)
{
    struct exchange *exchange = connection->exchange;

    if (exchange == NULL)
        return;
    connection->exchange = NULL;
    exchange_free(exchange);
    if (!connection->holds_drain)
        return;
    connection->holds_drain = false;
    connection->server->exchange_count--;
    server_check_drained(connection->server);
}

/* What the client has sent since must not be read before the transaction is over: libwebsockets
 * would take it for part of it. */
static void on_sent(struct lws *wsi, bool goes_on)
{
    struct http_connection *connection = connection_of(wsi);

    end_exchange(connection);
    if (connection->counted)
        note_asked(connection);
    if (!goes_on || lws_http_transaction_completed(wsi) != 0) {
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_ASYNC);
        return;
    }
    lws_rx_flow_control(wsi, 1);
    if (connection->gate != NULL)
        gate_answered(connection->gate);
}

static void start_exchange(struct http_connection *connection, struct lws *wsi, const char *path)
{
    struct server *server = connection->server;

    connection->exchange = exchange_new(server->loop, wsi, path, on_sent);
    connection->holds_drain = true;
    server->exchange_count++;
    /* Who has shown that they may, is no stranger whose place others may have. */
    if (api_handle(server->api, wsi, path, connection->visitor.address.text, connection->exchange))
        leave_idle(connection);
}

/* The HTTP carrier */

static int finish_carried(struct http_connection *connection)
{
    struct carrier_request *request = connection->carried;

    connection->carried = NULL;
    connection->exchange =
        exchange_new(connection->server->loop, connection->wsi, "/proxy", on_sent);
    if (carrier_request_has_body(request))
        exchange_read_body(connection->exchange);
    if (carrier_request_finish(request, connection->exchange))
        leave_idle(connection);
    return 0;
}

static bool is_carried(const struct http_connection *connection, struct lws *wsi)
{
    int method;

    return bytes_equal_string(request_path(wsi, &method), "/proxy") &&
           connection->server->settings->tunnel && carrier_request_is_meant(wsi);
}

static int start_carried(struct http_connection *connection, struct lws *wsi)
{
    connection->carried =
        carrier_request_new(connection->server, wsi, &connection->visitor, connection->certificate);
    return carrier_request_has_body(connection->carried) ? 0 : finish_carried(connection);
}

static int on_body(struct lws *wsi, struct bytes piece)
{
    struct http_connection *connection = connection_of(wsi);

    if (connection == NULL || connection->carried == NULL)
        return 0;
    return carrier_request_take(connection->carried, piece) ? 0 : -1;
}

static int on_body_complete(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);

    /* Comes again when a body was there and something follows it. */
    return connection == NULL || connection->carried == NULL ? 0 : finish_carried(connection);
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
    const struct reply *refusal;
    const char *api_path;

    if (connection == NULL || !connection->counted)
        return -1;
    note_asked(connection);
    note_client(connection, wsi);
    if (is_carried(connection, wsi))
        return start_carried(connection, wsi);
    api_path = find_api(connection, wsi);
    if (api_path != NULL) {
        refusal = upgrade_check_certificate(connection->server, connection->certificate);
        if (refusal != NULL)
            return send_answer(connection, wsi, refusal);
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
    return answer(connection, wsi);
}

static int on_writable(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);

    if (connection == NULL || !connection->waiting)
        return 0;
    connection->waiting = false;
    return answer(connection, wsi);
}

/* Upgrades */

static int on_upgrade_request(struct lws *wsi, const char *protocol)
{
    struct http_connection *connection = connection_of(wsi);
    const struct reply *refusal;

    if (connection == NULL || !connection->counted)
        return -1;
    note_asked(connection);
    note_client(connection, wsi);
    /* The gate lets no other upgrade through. */
    if (strcasecmp(protocol, "websocket") != 0)
        return -1;
    refusal = upgrade_check(connection->server, wsi, connection->certificate);
    if (refusal == NULL)
        return 0;
    /* What it says has been written; by itself the library would keep a connection that it has kept
     * before. */
    (void)reply_send_last(wsi, refusal);
    return -1;
}

static void on_websocket_gone(void *owner)
{
    struct http_connection *connection = owner;

    connection->websocket = NULL;
    release(connection);
}

/* The WebSocket goes on without libwebsockets. */
static int on_established(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);
    struct server *server;
    struct transport transport;
    struct buffer unsent;
    bool waited;

    if (connection == NULL || !connection->counted || connection->gate == NULL)
        return -1;
    leave_idle(connection);
    server = connection->server;
    buffer_init(&unsent, UNSENT_MAX);
    waited = gate_leave(connection->gate, &transport, &unsent);
    connection->gate = NULL;
    connection->websocket = websocket_new(server->loop, server->watchdog, &transport, &unsent,
                                          waited, on_websocket_gone, connection);
    if (connection->websocket == NULL)
        return -1;
    if (strcmp(lws_get_protocol(wsi)->name, TUNNEL_SUBPROTOCOL) == 0)
        tunnel_accept(server->tunnel, connection->websocket, &connection->visitor);
    else
        server_take_client(server, &connection->visitor.address,
                           websocket_stream(connection->websocket));
    return -1;
}

static void on_destroyed(struct lws *wsi)
{
    struct http_connection *connection = connection_of(wsi);

    if (connection == NULL)
        return;
    end_exchange(connection);
    carrier_request_free(connection->carried);
    if (connection->server->control != NULL)
        control_forget(connection->server->control, &connection->health);
    lws_set_opaque_user_data(wsi, NULL);
    connection->wsi = NULL;
    release(connection);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    (void)user;
    switch (reason) {
    case LWS_CALLBACK_HTTP:
        return on_request(wsi);
    case LWS_CALLBACK_HTTP_BODY:
        return on_body(wsi, bytes_of(in, len));
    case LWS_CALLBACK_HTTP_BODY_COMPLETION:
        return on_body_complete(wsi);
    case LWS_CALLBACK_HTTP_WRITEABLE:
        return on_writable(wsi);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
        return on_upgrade_request(wsi, in);
    case LWS_CALLBACK_ESTABLISHED:
        return on_established(wsi);
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

/* One address must not have all the places of those who have not become anything yet. */
static void keep_to_share(struct server *server, const struct client_address *address)
{
    struct http_connection *connection, *oldest = NULL;
    unsigned long count = 0;

    if (!address->single)
        return;
    for (connection = TAILQ_LAST(&server->http_idle, http_connections); connection != NULL;
         connection = TAILQ_PREV(connection, http_connections, idle_entry)) {
        if (strcmp(connection->peer.text, address->text) != 0)
            continue;
        oldest = connection;
        count++;
    }
    if (oldest != NULL && count > server->settings->max_http / ADDRESS_SHARE)
        evict(oldest);
}

void http_accept(void *owner, int fd, const struct sockaddr_storage *address)
{
    struct server *server = owner;
    struct http_connection *connection = mem_new(sizeof(*connection));
    char name[PEER_NAME_MAX];
    const struct gate_options options = {
        .loop = server->loop,
        .tls = server->http_tls,
        .trusted = &server->settings->trusted_networks,
        .peer = connection->peer.text,
        .head_ms = server->settings->auth_timeout_ms,
        .events = &gate_events,
        .owner = connection,
    };

    listener_peer_name(address, name);
    client_address_find(&connection->peer, name, &server->settings->trusted_networks, NULL, 0);
    connection->visitor.address = connection->peer;
    connection->server = server;
    connection->health.on_answer = on_health;
    connection->gate = gate_new(fd, &options);
    if (connection->gate == NULL) {
        close(fd);
        free(connection);
        return;
    }
    TAILQ_INSERT_TAIL(&server->http_connections, connection, entry);
    connection->counted = true;
    server->http_count++;
    note_asked(connection);
    keep_to_share(server, &connection->peer);
}

bool http_is_delivering(const struct server *server)
{
    const struct http_connection *connection;

    for (connection = TAILQ_FIRST(&server->http_connections); connection != NULL;
         connection = TAILQ_NEXT(connection, entry)) {
        const struct gate *gate = connection->gate;

        /* Of exchanges only some hold the drain, and are counted. */
        if (gate != NULL &&
            (gate_is_delivering(gate) || (gate_is_busy(gate) && connection->exchange == NULL)))
            return true;
    }
    return false;
}

void http_stop(struct server *server)
{
    struct http_connection *connection, *next;

    for (connection = TAILQ_FIRST(&server->http_connections); connection != NULL;
         connection = next) {
        next = TAILQ_NEXT(connection, entry);
        if (connection->gate != NULL)
            evict(connection);
        else if (connection->websocket != NULL)
            websocket_drop(connection->websocket);
    }
}
