/* The inside of a connection, shared by connection.c (its life and its streams), connection_host.c
 * (what its session asks for) and entrance.c (who is let in). */
#ifndef SERVER_CONNECTION_STATE_H
#define SERVER_CONNECTION_STATE_H

#include "common/log.h"
#include "server/connection.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/proxy/control.h"
#include "server/server.h"
#include "server/stream.h"

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
    bool not_ready;  /* the session wants Postgres, and the server is not prepared */
    bool cancelling; /* a CancelRequest is worked off, or our own statement stopped */
    bool terminated; /* by us: what it runs must not go on in Postgres */
    bool closing;    /* the session is over */
    bool close_started;
};

/* Every call into the session stands between these two: what it asks for is done after it, in
 * connection_settle(), which may free the connection. */
void connection_enter(struct connection *connection);
void connection_leave(struct connection *connection);
void connection_settle(struct connection *connection);

/* The first reason is the one that is logged. */
void connection_note(struct connection *connection, const char *reason);
/* It has logged in, or will not any more. */
void connection_count_ready(struct connection *connection);
void connection_update_client_pause(struct connection *connection);
/* An answer to control_cancel() or control_stop(). */
void connection_on_cancelled(struct control_waiter *waiter);

extern const struct session_host connection_host;
extern const struct stream_events connection_upstream_events;

#endif
