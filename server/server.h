/* One running server: what its connections share, and its drain. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "common/status.h"
#include "server/guesses.h"
#include "server/options.h"
#include "server/proxy/session.h"

#include <stdbool.h>
#include <sys/queue.h>

struct api;
struct cancel_requests;
struct control;
struct dial_target;
struct http_connection;
struct ledger;
struct listener;
struct loop;
struct stream;
struct tls;
struct tunnel;
struct websocket_watchdog;
struct worker_pool;

TAILQ_HEAD(http_connections, http_connection);

/* One client, relayed or a session; embed it. */
struct server_client {
    struct server_client *next, *previous;
    /* The drain is over: tell the client why, then close. May end in server_client_remove(). */
    void (*terminate)(struct server_client *client, const struct error *error);
};

struct server {
    const struct server_settings *settings;
    struct loop *loop;
    struct worker_pool *workers;       /* for what waits: connecting, closing */
    struct worker_pool *examiners;     /* for what burns: big SQL texts; proxy mode, else NULL */
    struct worker_pool *introspectors; /* for connecting tools that introspect; likewise */
    struct websocket_watchdog *watchdog;
    struct tunnel *tunnel;
    struct dial_target *relay;               /* relay mode, else NULL */
    struct cancel_requests *cancel_requests; /* likewise */
    struct control *control;                 /* proxy mode, else NULL */
    struct api *api;
    struct ledger *ledger; /* once the schema is installed, if changes are captured; or NULL */
    struct tls *http_tls;  /* NULL: clear text */
    struct tls *postgres_tls;
    struct session_settings session;
    struct guesses guesses;
    struct server_client *clients;
    unsigned long client_count;
    unsigned long http_count;     /* connections on the HTTP port, WebSockets included */
    unsigned long exchange_count; /* answers of the API under way */
    unsigned long unready_count;  /* clients that have not authenticated yet */
    unsigned long admitted_count; /* clients that have, and whose session is not over */
    struct http_connections http_connections;
    struct http_connections http_idle; /* those not upgraded; who asked longest ago stands first */
    unsigned long long last_id;
    bool draining;
};

/* Runs until a signal ends it; the exit code. */
int server_run(const struct server_settings *settings);

/* A client has come in at `entrance`; sets the stream's owner through the functions given, since
 * a WebSocket exists before its owner does. */
bool server_has_room(const struct server *server);
/* Serves a client that has come through the tunnel: gives `stream` its owner. */
void server_take_client(struct server *server, const struct client_address *address,
                        struct stream *stream);
void server_client_add(struct server *server, struct server_client *client);
void server_client_remove(struct server *server, struct server_client *client);
/* Something has come to its end: a draining server with nothing left to do ends. */
void server_check_drained(struct server *server);

#endif
