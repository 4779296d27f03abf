/* The server's end of electric-tunnel.v1: sessions that outlive the WebSockets they came on. What
 * such a session carries is a stream like any other to whoever serves it. */
#ifndef SERVER_TUNNEL_H
#define SERVER_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>

struct server;
struct tunnel;
struct visitor;
struct websocket;

/* The subprotocol of the upgrade (RFC 6455 section 1.9). */
#define TUNNEL_SUBPROTOCOL "electric-tunnel.v1"

struct tunnel *tunnel_new(struct server *server);
/* Before the loop goes: drops what is left. NULL-safe. */
void tunnel_stop(struct tunnel *tunnel);
/* Once all WebSockets are gone, with the loop; NULL-safe. */
void tunnel_free(struct tunnel *tunnel);
/* The database can be reached, if there is one: it knows which other servers live. */
void tunnel_prepare(struct tunnel *tunnel);
/* No session is opened from now on; those that live may be resumed. */
void tunnel_drain(struct tunnel *tunnel);
/* No client that is there has yet to take what it was sent last. */
bool tunnel_is_drained(const struct tunnel *tunnel);
/* Sessions whose client is away. */
size_t tunnel_detached_count(const struct tunnel *tunnel);

/* A WebSocket on which the subprotocol was agreed. Its first message decides: a start-up packet of
 * Postgres means that it is used without the protocol after all. */
void tunnel_accept(struct tunnel *tunnel, struct websocket *websocket,
                   const struct visitor *visitor);

#endif
