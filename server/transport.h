/* Reading and writing one non-blocking socket, through TLS or not. */
#ifndef SERVER_TRANSPORT_H
#define SERVER_TRANSPORT_H

#include "common/bytes.h"

#include <openssl/ssl.h>

/* What became of a read or write. */
enum transfer { TRANSFER_DONE, TRANSFER_BLOCKED, TRANSFER_ENDED, TRANSFER_FAILED };

/* Embedded by value. The handshake of TLS may still be ahead: reading and writing do it. */
struct transport {
    int fd;
    SSL *ssl;           /* NULL: clear text */
    int error;          /* errno of the failure, 0: none known */
    const char *reason; /* OpenSSL's words for it, or NULL */
    bool established;   /* TLS has seen its handshake through, at the last look */
    /* TLS may need the other direction for its own messages. */
    bool read_wants_write;
    bool write_wants_read;
};

/* `ssl` may be NULL. */
void transport_init(struct transport *transport, int fd, SSL *ssl);

/* At most `room` bytes; with TRANSFER_DONE at least one. */
enum transfer transport_read(struct transport *transport, uint8_t *out, size_t room, size_t *got);
/* `put` bytes of the two were taken. What was not must be offered again, in the same order; over
 * TLS the head is small and joins the payload's first record. */
enum transfer transport_write(struct transport *transport, struct bytes head, struct bytes payload,
                              size_t *put);
/* Decrypted bytes, or records not decrypted yet, inside the SSL, which no poll shows. */
bool transport_has_pending(const struct transport *transport);
/* Ends our direction: close_notify, FIN. */
void transport_finish(struct transport *transport);
/* Frees the SSL, closes the socket. */
void transport_close(struct transport *transport);
/* Why it failed, for the log. */
const char *transport_failure(const struct transport *transport);

#endif
