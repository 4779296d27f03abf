/* electric-tunnel.v1, beside what client/tunnel.h has of it. */
#ifndef CLIENT_V1_H
#define CLIENT_V1_H

#include "client/tunnel.h"

/* A new session's, which nobody has heard of. */
void v1_make_id(struct tunnel_id *id, struct tunnel_key *key);

/* Ends the sessions that still tell the service of their end, when no tunnel is left. */
void v1_free_all(struct tunnel_shared *shared);

#endif
