/* What introspecting tools are connected to: the companion database, which has the electrified
 * tables as ordinary tables in schema public, and nothing else. Any tool of any version then sees
 * what Postgres itself tells of them.
 *
 * It is brought up to date when a session opens. What it was made of stands in its comment, which
 * is no object of the database itself and so in no tool's output. All functions block: for worker
 * threads only. */
#ifndef SERVER_PROXY_INTROSPECTION_H
#define SERVER_PROXY_INTROSPECTION_H

#include "common/status.h"
#include "server/pgconnect.h"

#include <stdbool.h>

/* The longest that it may take, beside connecting. */
#define INTROSPECTION_TIMEOUT_MS 40000

/* Makes the companion database where it is missing, and makes its tables anew unless they are what
 * is electrified and committed now. Where something else keeps it from being changed, the tables of
 * before must do: true, and `notice` says so; else `notice` is left alone. */
bool introspection_refresh(const struct server_settings *settings,
                           const struct pg_patience *patience, struct error *notice,
                           struct error *error);

enum introspection_drop { INTROSPECTION_DROPPED, INTROSPECTION_ABSENT, INTROSPECTION_KEPT };

/* Removes the companion database, also when the database that it belongs to is gone.
 * INTROSPECTION_KEPT: it could not, and `error` says why. */
enum introspection_drop introspection_drop(const struct server_settings *settings,
                                           const struct pg_patience *patience, struct error *error);

#endif
