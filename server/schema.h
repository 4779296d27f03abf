/* The user's database as this program needs it: the right kind of server, and in it the schema
 * `electric`, installed and upgraded at start. All functions block: for worker threads only, with
 * an idle connection that the caller keeps.
 *
 * Statuses: STATUS_UNAVAILABLE may pass by itself and is worth another try; STATUS_USAGE and
 * STATUS_DENIED mean that somebody must change the configuration or grant a right. */
#ifndef SERVER_SCHEMA_H
#define SERVER_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include <libpq-fe.h>

#include "common/status.h"

#define SCHEMA_CANCEL_KEY_SIZE 32
#define SCHEMA_TOKEN_SIZE 32

/* What was found at the other end of a connection. */
struct schema_server {
    int version;  /* as PQserverVersion(): 150004 is 15.4 */
    bool standby; /* in recovery: nothing can be installed or changed here */
    bool pooled; /* a session pooler stands in between: pids in BackendKeyData are not Postgres's */
};

/* How changes of electrified tables are noticed: not at all, by event triggers, or by calls of
 * electric.capture() after statements where this role may not create event triggers. */
enum schema_mode { SCHEMA_CAPTURE_OFF, SCHEMA_CAPTURE_TRIGGERS, SCHEMA_CAPTURE_FALLBACK };

/* From its name in electric.settings; false for any other. */
bool schema_decode_mode(const char *name, enum schema_mode *mode);

/* Zeroed before it is first read, and cleared in the end. */
struct schema_settings {
    uint8_t
        cancel_key[SCHEMA_CANCEL_KEY_SIZE]; /* secret; the same for every server of this database */
    /* Hex digits. A session started with the option `-c electric.proxied=<token>` may change
     * electrified tables; others are refused. No secret, it only guards against accidents. */
    char proxied_token[SCHEMA_TOKEN_SIZE + 1];
    enum schema_mode mode;
    /* Where migration tools record what they have run: names in lower case, each ended by a NUL,
     * the list by an empty name. Owned; NULL until read. */
    char *framework_tables;
};

/* Refuses (STATUS_USAGE) what cannot be served: Postgres older than 14, and a transaction pooler,
 * which hands each transaction to any backend while sessions need one of their own. Opens a second
 * connection with the parameters of `conn` when it finds a pooler of unknown kind. A standby is
 * reported, not refused. */
enum status schema_check_server(PGconn *conn, struct schema_server *server, struct error *error);

/* Installs the schema or brings it up to date, in one transaction under a lock, so that servers may
 * start together. Nothing is written when it is current. Refuses a schema `electric` that something
 * else made, one that belongs to another role, and one that a newer program has upgraded.
 *
 * `capture` switches on what captures changes of electrified tables, or off: then no event trigger
 * is there. Of servers that differ in it the last one started decides. */
enum status schema_install(PGconn *conn, bool capture, struct error *error);

/* Replaces what `settings` held; after a failure it holds nothing. */
enum status schema_read_settings(PGconn *conn, struct schema_settings *settings,
                                 struct error *error);
/* Frees what the settings own, and forgets the secret. */
void schema_clear_settings(struct schema_settings *settings);

/* All of the above in order, for a server that starts. On a standby whose schema is missing or old:
 * STATUS_UNAVAILABLE, with `server` filled in. */
enum status schema_prepare(PGconn *conn, bool capture, struct schema_server *server,
                           struct schema_settings *settings, struct error *error);

#endif
