/* The local sockets that Postgres clients connect to. */
#ifndef CLIENT_LISTENER_H
#define CLIENT_LISTENER_H

#include "client/loop.h"
#include "common/status.h"

struct listener;

/* Takes the accepted, non-blocking socket. */
typedef void listener_accepted(void *owner, int fd);

/* Listens on `where`: NULL for 127.0.0.1 and ::1 (one is enough, with a warning), an address, or,
 * if it begins with '/' or '.', a directory in which a unix socket is made as Postgres names it.
 * Port 0 picks one that is free in both families. NULL: cannot listen; `error` names the address.
 */
struct listener *listener_open(struct loop *loop, const char *where, unsigned port,
                               listener_accepted *accepted, void *owner, struct error *error);
/* Closes the sockets and removes a unix socket. NULL-safe. */
void listener_close(struct listener *listener);

/* What a Postgres client must be told: host (an address, or a directory by its absolute path) and
 * port. */
const char *listener_host(const struct listener *listener);
unsigned listener_port(const struct listener *listener);
/* "127.0.0.1:65432", "[::1]:65432" or the path of the socket, by index; NULL after the last. */
const char *listener_name(const struct listener *listener, size_t index);

#endif
