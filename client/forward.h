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

#endif
