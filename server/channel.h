/* One raw socket, with or without TLS, as a stream. */
#ifndef SERVER_CHANNEL_H
#define SERVER_CHANNEL_H

#include "server/stream.h"

#include <openssl/ssl.h>

struct loop;

/* Who closes the socket and frees the SSL: libpq keeps both of its connections until PQfinish(). */
enum channel_ownership { CHANNEL_OWNS_SOCKET, CHANNEL_BORROWS_SOCKET };

/* `fd` is connected and non-blocking; `ssl` may be NULL, else its handshake is done. Reading starts
 * at the next turn of the loop. With CHANNEL_BORROWS_SOCKET the descriptor must stay open until
 * stream_close() or on_closed. NULL when the kernel refuses to watch the descriptor, which is then
 * still the caller's. */
struct stream *channel_new(struct loop *loop, int fd, SSL *ssl, enum channel_ownership ownership,
                           const struct stream_events *events, void *owner);

#endif
