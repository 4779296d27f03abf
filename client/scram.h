/* The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding: what carries
 * it here is no TLS connection with the server it logs in to. No I/O. */
#ifndef CLIENT_SCRAM_H
#define CLIENT_SCRAM_H

#include "common/buffer.h"
#include "common/status.h"

struct scram;

/* The password is copied. */
struct scram *scram_new(const char *password);
/* NULL-safe. */
void scram_free(struct scram *scram);
/* For published test vectors: the client's nonce (at most 36 characters) and user name. */
void scram_set_nonce(struct scram *scram, const char *nonce, const char *user);

/* Appends client-first-message. */
void scram_begin(struct scram *scram, struct buffer *out);
/* Takes server-first-message, appends client-final-message. STATUS_INVALID: it is malformed, not an
 * answer to ours, or asks for more work than is reasonable. Costs some milliseconds. */
enum status scram_answer(struct scram *scram, struct bytes server_first, struct buffer *out,
                         struct error *error);
/* Takes server-final-message. STATUS_DENIED: the server does not know the password, either. */
enum status scram_verify(const struct scram *scram, struct bytes server_final, struct error *error);

#endif
