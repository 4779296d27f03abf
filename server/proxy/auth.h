/* The server's side of password authentication: SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802,
 * RFC 7677, channel binding tls-server-end-point of RFC 5929; PostgreSQL documentation, "SASL
 * Authentication"), and MD5 where it is asked for. Sans-I/O.
 *
 * Any user name is accepted with the one password, so the exchange has the same shape and cost for
 * every name, right or wrong. */
#ifndef SERVER_PROXY_AUTH_H
#define SERVER_PROXY_AUTH_H

#include "common/buffer.h"
#include "common/status.h"

/* Salt, iteration count, StoredKey and ServerKey; derived once, shared by all sessions. */
struct auth_verifier;

/* Costs some milliseconds. NULL when the system gives no random bytes or the crypto library fails.
 */
struct auth_verifier *auth_verifier_new(const char *password, struct error *error);
/* The same with a given salt (at most 64 bytes) and iteration count. */
struct auth_verifier *auth_verifier_new_salted(const char *password, struct bytes salt,
                                               unsigned iterations, struct error *error);
void auth_verifier_free(struct auth_verifier *verifier);

/* One client's exchange. `channel_binding` is the tls-server-end-point data of the client's TLS
 * connection, copied (at most 64 bytes); empty: no TLS, PLUS is not offered. */
struct auth_exchange;
struct auth_exchange *auth_exchange_new(const struct auth_verifier *verifier,
                                        struct bytes channel_binding);
void auth_exchange_free(struct auth_exchange *exchange);

/* For published test vectors: the server's part of the nonce (at most 36 characters). */
void auth_exchange_set_nonce(struct auth_exchange *exchange, const char *nonce);

/* The body of AuthenticationSASL after its code: the mechanisms, each ended by NUL, and a NUL. */
bool auth_append_mechanisms(const struct auth_exchange *exchange, struct buffer *out);

/* `body` is SASLInitialResponse without type and length; appends server-first-message to `out`.
 * STATUS_INVALID: a protocol violation (08P01), an unsupported feature (0A000) or a channel binding
 * that does not fit (28000), described in `error`. A call out of order is STATUS_INVALID too. */
enum status auth_start(struct auth_exchange *exchange, struct bytes body, struct buffer *out,
                       struct error *error);
/* `body` is SASLResponse; appends server-final-message. STATUS_DENIED: wrong password (28P01).
 * STATUS_INVALID as above. */
enum status auth_finish(struct auth_exchange *exchange, struct bytes body, struct buffer *out,
                        struct error *error);

/* Whether `answer` is "md5" + md5(md5(password + user) + salt) in hex; constant time. */
bool auth_check_md5(const char *password, struct bytes user, const uint8_t salt[4],
                    struct bytes answer);

#endif
