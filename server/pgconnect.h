/* Connecting to DATABASE_URL with libpq, on a worker: never longer than a deadline, and given up
 * when nobody waits any more. */
#ifndef SERVER_PGCONNECT_H
#define SERVER_PGCONNECT_H

#include "common/status.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct server_settings;

/* Where to, beside the URL. */
struct pg_target {
    const struct server_settings *settings;
    const char *database;          /* NULL: the URL's */
    const char *const *parameters; /* run-time settings: name, value, …, NULL; or NULL */
    const char *fallback_name;     /* application_name where nothing else names one, or NULL */
};

/* How long a piece of work may take. */
struct pg_patience {
    uint64_t deadline_ms;        /* on the clock of pg_clock_ms() */
    const atomic_bool *given_up; /* NULL: nobody gives up */
};

/* Connecting takes at most this long, unless the URL's connect_timeout says otherwise. */
#define PG_CONNECT_TIMEOUT_MS 10000

uint64_t pg_clock_ms(void);
unsigned long pg_connect_timeout_ms(const struct server_settings *settings);

/* NULL with an error: what Postgres itself refused keeps its SQLSTATE and message, everything else
 * is 08001 with a hint what to check. */
PGconn *pg_connect(const struct pg_target *target, const struct pg_patience *patience,
                   struct error *error);

/* Runs one simple Query; the last result, or NULL with an error. The connection is not usable after
 * STATUS_TIMEOUT or STATUS_UNAVAILABLE, which `status` (may be NULL) tells. */
PGresult *pg_query(PGconn *conn, const char *sql, const struct pg_patience *patience,
                   struct error *error);

#endif
