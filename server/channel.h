/* One raw socket, with or without TLS, as a stream. */
#ifndef SERVER_CHANNEL_H
#define SERVER_CHANNEL_H

#include "server/stream.h"

#include <openssl/ssl.h>

struct loop;

/* Who closes the socket and frees the SSL: libpq keeps both of its connections until PQfinish(). */
enum channel_ownership { CHANNEL_OWNS_SOCKET, CHANNEL_BORROWS_SOCKET };

/* The first byte of a TLS client (RFC 8446 section 5.1). */
#define CHANNEL_TLS_HELLO 0x16

/* `fd` is connected and non-blocking; `ssl` may be NULL, else its handshake is done. Reading starts
 * at the next turn of the loop. With CHANNEL_BORROWS_SOCKET the descriptor must stay open until
 * stream_close() or on_closed. NULL when the kernel refuses to watch the descriptor, which is then
 * still the caller's. */
struct stream *channel_new(struct loop *loop, int fd, SSL *ssl, enum channel_ownership ownership,
                           const struct stream_events *events, void *owner);

/* Of a channel that owns its socket: the next byte and everything after it, both ways, belong to
 * `ssl`, which it takes. What was sent before must have gone. */
void channel_start_tls(struct stream *stream, SSL *ssl);
/* Before anything was read: a client whose first byte begins TLS gets what `on_hello` returns as
 * for channel_start_tls(); NULL: it is closed. */
void channel_expect_tls(struct stream *stream, SSL *(*on_hello)(void *owner));
int channel_socket(const struct stream *stream);
/* Its TLS, or NULL. */
const SSL *channel_ssl(const struct stream *stream);

#endif
