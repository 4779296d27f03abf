/* Local connections, each forwarded through a tunnel of its own. */
#ifndef CLIENT_FORWARD_H
#define CLIENT_FORWARD_H

#include "client/tunnel.h"

struct forwards;

/* Both are borrowed. */
struct forwards *forwards_new(struct tunnel_shared *shared, const struct tunnel_type *type);
/* Ends every connection at once; one that can still be told why gets `reason` as an ErrorResponse.
 * NULL-safe. */
void forwards_free(struct forwards *forwards, const struct error *reason);

/* Takes a connected, non-blocking local socket. The tunnel is opened at once, beside the local
 * start-up; when that fails, the Postgres client learns why in an ErrorResponse. */
void forwards_add(struct forwards *forwards, int fd);
/* Takes one that is not forwarded: it learns why, once it has said what a Postgres client begins
 * with. Few wait for that at once. */
void forwards_refuse(struct forwards *forwards, int fd, const struct error *reason);

bool forwards_are_empty(const struct forwards *forwards);
/* Calls `on_empty` each time the last connection has ended. */
void forwards_when_empty(struct forwards *forwards, void (*on_empty)(void *owner), void *owner);

#endif
