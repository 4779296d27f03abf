/* A connection to Postgres that the loop thread uses: it connects and closes on a worker (DNS, TLS,
 * a peer that reads nothing), and asks one question at a time without waiting. */
#ifndef SERVER_PGCLIENT_H
#define SERVER_PGCLIENT_H

#include "common/status.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

struct loop;
struct pgclient;
struct server_settings;
struct worker_pool;

/* Each may ask again, disconnect or free the client. */
struct pgclient_events {
    void (*on_connected)(void *owner);
    /* The last result of the question, which the callee clears; may be an error of Postgres, after
     * which the connection is still good. */
    void (*on_result)(void *owner, PGresult *result);
    /* From another session than this one; may be NULL. */
    void (*on_notified)(void *owner);
    /* Could not connect, or the connection broke; a question asked meanwhile is lost with it. */
    void (*on_failed)(void *owner, const struct error *error);
};

/* Not connected yet. Everything is borrowed. */
struct pgclient *pgclient_new(struct loop *loop, struct worker_pool *workers,
                              const struct server_settings *settings,
                              const struct pgclient_events *events, void *owner);
/* Without any further event; gives up connecting. NULL-safe. */
void pgclient_free(struct pgclient *client);

/* Only when it is neither connected nor connecting. */
void pgclient_connect(struct pgclient *client);
/* Without any further event; it may connect again. */
void pgclient_disconnect(struct pgclient *client);
bool pgclient_is_closed(const struct pgclient *client);
/* Connected, and no question is under way. */
bool pgclient_is_idle(const struct pgclient *client);

/* One statement with text parameters, of which any may be NULL; only when idle. An answer that does
 * not come within `timeout_ms` breaks the connection. */
void pgclient_ask(struct pgclient *client, const char *sql, int count, const char *const *values,
                  unsigned long timeout_ms);

/* The error that `result` is; false when it is none. */
bool pgclient_is_error(const PGresult *result, struct error *error);

#endif
