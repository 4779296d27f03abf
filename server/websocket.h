/* One WebSocket (RFC 6455) as a stream: binary messages whose boundaries mean nothing.
 *
 * libwebsockets has answered the upgrade; from then on the client's socket is read and written
 * here, through our own epoll set and framing. (The library's receive path unmasks byte by byte,
 * which was two fifths of this server's CPU in bulk, takes unmasked frames, and answers one ping of
 * two.) */
#ifndef SERVER_WEBSOCKET_H
#define SERVER_WEBSOCKET_H

#include "server/stream.h"

struct buffer;
struct loop;
struct transport;
struct websocket;

/* Finds dead peers of all WebSockets; one a server. */
struct websocket_watchdog;
struct websocket_watchdog *websocket_watchdog_new(struct loop *loop);
/* Before the loop goes; NULL-safe. */
void websocket_watchdog_stop(struct websocket_watchdog *watchdog);
/* Once all WebSockets are gone, with the loop; NULL-safe. */
void websocket_watchdog_free(struct websocket_watchdog *watchdog);

/* Takes over a connection whose upgrade is answered, `unsent` being what is left of that to send;
 * `waited`: the client has. Must get its owner, by websocket_own(), at once. `on_gone` is called
 * when it is freed. NULL when the kernel refuses; the connection is closed then. */
struct websocket *websocket_new(struct loop *loop, struct websocket_watchdog *watchdog,
                                const struct transport *transport, struct buffer *unsent,
                                bool waited, void (*on_gone)(void *context), void *context);
void websocket_own(struct websocket *websocket, const struct stream_events *events, void *owner);
struct stream *websocket_stream(struct websocket *websocket);

/* For a protocol on top whose messages matter: each piece of a binary message is given to the
 * owner by `on_piece` instead of on_data, borrowed for the call; `last` ends its message. */
typedef void websocket_piece(void *owner, struct bytes piece, bool last);
void websocket_carry_messages(struct websocket *websocket, websocket_piece *on_piece);
/* Back to bytes, from inside on_piece too: that piece is then given to the owner by on_data. */
void websocket_carry_bytes(struct websocket *websocket);
/* The protocol on top has its own signs of life. */
void websocket_stop_pings(struct websocket *websocket);
/* One message of two parts, at most WEBSOCKET_HEAD_MAX bytes in `head`. What the peer does not take
 * now is copied; on_drained follows once all is sent. */
#define WEBSOCKET_HEAD_MAX 2048
void websocket_send_message(struct websocket *websocket, struct bytes head, struct bytes payload);

/* Ends it at once: on_closed(), then it is gone. */
void websocket_drop(struct websocket *websocket);

#endif
