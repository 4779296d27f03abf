/* A carrier made of HTTP requests, for networks that let no WebSocket through: frames go up in the
 * bodies of POSTs, and come down in the answers to GETs (common/tunnel/tunnel_http.h). One of each
 * is under way at a time, each on a connection of its own. */
#ifndef CLIENT_HTTP_CARRIER_H
#define CLIENT_HTTP_CARRIER_H

#include "client/carrier.h"

struct http_carrier_settings {
    const char *session; /* the route; copied */
    struct cookies *cookies;
    /* Opens only if the service says at its /healthz that it speaks this. */
    bool probe;
};

/* Starts to connect. No event comes before it returns. */
struct carrier *http_carrier_open(struct tunnel_shared *shared,
                                  const struct http_carrier_settings *settings,
                                  const struct carrier_events *events, void *owner);

#endif
