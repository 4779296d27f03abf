/* One client of the migrations proxy: its stream, its session, its Postgres. */
#ifndef SERVER_CONNECTION_H
#define SERVER_CONNECTION_H

#include "server/proxy/session.h"

#include <sys/socket.h>

struct client_address;
struct connection;
struct server;
struct stream;
struct stream_events;

/* For a client that has just come in. The caller gives its stream `events` and the connection as
 * owner, then calls connection_start(). It frees itself when both ends are gone. */
struct connection *connection_new(struct server *server, const struct client_address *address,
                                  enum session_entrance entrance);
const struct stream_events *connection_client_events(void);
void connection_start(struct connection *connection, struct stream *client);

/* A listener's callbacks for the TCP port; `owner` is the struct server. */
bool connection_has_room(void *owner);
void connection_accept(void *owner, int fd, const struct sockaddr_storage *address);

#endif
