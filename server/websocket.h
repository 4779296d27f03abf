/* One WebSocket (RFC 6455) as a stream: binary messages whose boundaries mean nothing. */
#ifndef SERVER_WEBSOCKET_H
#define SERVER_WEBSOCKET_H

#include "server/stream.h"

#include <libwebsockets.h>

struct loop;
struct websocket;

/* Finds dead peers of all WebSockets; one a server. */
struct websocket_watchdog;
struct websocket_watchdog *websocket_watchdog_new(struct loop *loop);
/* Before the loop goes; NULL-safe. */
void websocket_watchdog_stop(struct websocket_watchdog *watchdog);
/* Once all WebSockets are gone, with the loop; NULL-safe. */
void websocket_watchdog_free(struct websocket_watchdog *watchdog);

/* For a connection that has just been upgraded; websocket_gone() frees it. Must get its owner, by
 * websocket_own(), before the callback returns to libwebsockets. */
struct websocket *websocket_new(struct loop *loop, struct websocket_watchdog *watchdog,
                                struct lws *wsi);
void websocket_own(struct websocket *websocket, const struct stream_events *events, void *owner);
struct stream *websocket_stream(struct websocket *websocket);

/* The callbacks of libwebsockets, translated. Each answers what the callback must return: 0, or -1
 * to close the connection. */
int websocket_receive(struct websocket *websocket, uint8_t *data, size_t len);
int websocket_writable(struct websocket *websocket);
int websocket_peer_close(struct websocket *websocket, const uint8_t *payload, size_t len);
void websocket_alive(struct websocket *websocket);
/* The connection is gone; `websocket` is not to be used any more. */
void websocket_gone(struct websocket *websocket);

#endif
