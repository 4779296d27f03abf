/* electric-tunnel.v1, beside what client/tunnel.h has of it. */
#ifndef CLIENT_V1_H
#define CLIENT_V1_H

#include "client/tunnel.h"

/* Ends the sessions that still tell the service of their end, when no tunnel is left. */
void v1_free_all(struct tunnel_shared *shared);

#endif
