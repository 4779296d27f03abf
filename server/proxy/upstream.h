/* The real Postgres of one session: connected by libpq on a worker, then handed over as a socket.
 *
 * libpq does what is hard (DNS, TLS with every sslmode, SCRAM with channel binding) and keeps what
 * it made; from then on the session speaks protocol 3 on the socket itself. */
#ifndef SERVER_PROXY_UPSTREAM_H
#define SERVER_PROXY_UPSTREAM_H

#include "server/proxy/session.h"

#include <openssl/ssl.h>

struct server_settings;
struct upstream;
struct worker_pool;

#define UPSTREAM_CANCEL_KEY_SIZE 32

/* The secret of BackendKeyData: the first 32 bits, big-endian, of
 * HMAC-SHA256(key, pid ‖ backend_start), pid as 4 bytes and backend_start, microseconds since 1970,
 * as 8 bytes, both big-endian. Every replica of this server can compute it from pg_stat_activity.
 */
#define UPSTREAM_BACKEND_START_SQL                                       \
    "(EXTRACT(epoch FROM backend_start) OPERATOR(pg_catalog.*) 1000000)" \
    "::pg_catalog.int8"
uint32_t upstream_secret(const uint8_t key[UPSTREAM_CANCEL_KEY_SIZE], uint32_t pid,
                         int64_t backend_start_us);

/* The outcome, on the loop thread: NULL, or why there is no connection. Not given after
 * upstream_close(). */
typedef void upstream_done(void *owner, const struct error *error);

/* `target`, `key` and `token` are copied, `settings` and `workers` borrowed for good. Unless
 * `token` is NULL it marks the session as one that may change electrified tables, but neither a
 * transparent one nor one for introspection, which is connected to the companion database. */
struct upstream *upstream_open(struct worker_pool *workers, const struct server_settings *settings,
                               const uint8_t key[UPSTREAM_CANCEL_KEY_SIZE], const char *token,
                               const struct session_target *target, upstream_done *done,
                               void *owner);

/* Once connected; valid until upstream_close(). */
const struct session_upstream *upstream_session(const struct upstream *upstream);
int upstream_socket(const struct upstream *upstream);
SSL *upstream_ssl(const struct upstream *upstream); /* NULL without TLS */

/* Gives up connecting, or says Terminate and closes, on a worker. Nothing of ours may use the
 * socket any more. Frees itself. */
void upstream_close(struct upstream *upstream);

#endif
