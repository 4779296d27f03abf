/* The inside of a connection, shared by connection.c (its life and its streams), connection_host.c
 * (what its session asks for), connection_outcome.c (a COMMIT without one of its ends) and
 * entrance.c (who is let in). */
#ifndef SERVER_CONNECTION_STATE_H
#define SERVER_CONNECTION_STATE_H

#include "common/log.h"
#include "server/connection.h"
#include "server/listener.h"
#include "server/loop.h"
#include "server/metrics.h"
#include "server/outcome.h"
#include "server/proxy/control.h"
#include "server/server.h"
#include "server/stream.h"

/* Which of the server's limits a connection counts for. */
enum standing {
    STANDING_OVER,     /* none: its session is over, or about to be refused */
    STANDING_UNREADY,  /* it has not logged in */
    STANDING_ADMITTED, /* MAX_SESSIONS */
};

struct connection {
    struct server_client entry;
    struct server *server;
    struct log_context log;
    struct client_address address;
    char reason[128];
    uint64_t opened_at;
    uint64_t bytes_up, bytes_down;
    uint64_t connecting_since; /* to Postgres */
    struct metrics_session metrics;
    struct session *session;
    struct stream *client;     /* NULL once gone */
    struct upstream *upstream; /* from connecting on, NULL once given back */
    struct stream *channel;    /* the upstream socket, while it is ours */
    struct loop_timer timer;   /* the session's */
    struct loop_timer linger;
    struct stream *absent;      /* its client, away for too long, until told of the outcome */
    struct loop_timer patience; /* with what is to be told */
    struct outcome_search search;
    unsigned long endings; /* of transactions that were answered … */
    uint64_t ended_at;     /* … and how far the client's bytes were by then, as in bytes_down */
    struct control_waiter cancelled;
    struct examination *examination; /* a statement job on a worker */
    unsigned depth;                  /* of calls into the session */
    enum standing standing;
    bool over_tcp; /* `client` is a channel */
    bool session_pauses_client;
    bool upstream_is_full;
    bool refused;    /* the session wants Postgres, and gets connection_refusal() */
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
void connection_update_client_pause(struct connection *connection);
/* An answer to control_cancel() or control_stop(). */
void connection_on_cancelled(struct control_waiter *waiter);

/* entrance.c */
void connection_stand(struct connection *connection, enum standing standing);
/* It has logged in: admits it if MAX_SESSIONS allows. */
void connection_admit(struct connection *connection);
/* Whether it must not be connected to Postgres, and why. */
bool connection_refusal(const struct connection *connection, struct error *error);

/* connection_outcome.c */
void connection_on_committing(void *host, uint64_t xid);
void connection_ask_outcome(void *host, uint64_t xid);
/* After each call into the session. */
void connection_note_endings(struct connection *connection);
/* The client has been away for too long. It is gone, unless it is `absent` until an answer to
 * COMMIT has come. */
void connection_give_up(struct connection *connection, const char *reason);
/* If that is over, so is the connection. */
void connection_check_outcome(struct connection *connection);

extern const struct session_host connection_host;
extern const struct stream_events connection_upstream_events;

#endif
