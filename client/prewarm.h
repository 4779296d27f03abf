/* Connections to the service on which nothing was said yet: a session that takes one begins without
 * waiting for the network. */
#ifndef CLIENT_PREWARM_H
#define CLIENT_PREWARM_H

#include "client/carrier.h"
#include "client/tunnel.h"

struct prewarm;

/* Starts to make `count` of them, and keeps that many. `shared` is borrowed. */
struct prewarm *prewarm_new(struct tunnel_shared *shared, unsigned count);
/* NULL-safe. */
void prewarm_free(struct prewarm *prewarm);

/* A connection and what it was made with: balancers know it by the route of this id and by these
 * cookies, so its session takes them, too. */
struct prewarmed {
    struct carrier *carrier; /* open; owned, as `cookies` is */
    struct cookies cookies;
    struct tunnel_id id;
    struct tunnel_key key;
};

/* Takes one; its events go to `events` and `owner` from now on. False: there is none. NULL-safe. */
bool prewarm_take(struct prewarm *prewarm, struct prewarmed *prewarmed,
                  const struct carrier_events *events, void *owner);

#endif
