/* The HTTP carrier, for networks that let no WebSocket through: its requests, from the HTTP port's
 * point of view. What they say is in common/tunnel/tunnel_http.h. */
#ifndef SERVER_TUNNEL_HTTP_H
#define SERVER_TUNNEL_HTTP_H

#include "common/bytes.h"
#include "server/visitor.h"

#include <libwebsockets.h>
#include <stdbool.h>

struct exchange;
struct server;

/* One request, while its body comes. */
struct carrier_request;

/* Whether a request on the tunnel's path, without Upgrade, is one of these. */
bool carrier_request_is_meant(struct lws *wsi);
/* Looks at its head. `visitor` is copied. */
struct carrier_request *carrier_request_new(struct server *server, struct lws *wsi,
                                            const struct visitor *visitor,
                                            enum tls_client certificate);
bool carrier_request_has_body(const struct carrier_request *request);
/* Some of the body. False: the connection is to be closed. */
bool carrier_request_take(struct carrier_request *request, struct bytes piece);
/* It is complete: `exchange` will answer it, now or later. Frees the request. True: it is a known
 * session's, so that its connection is no stranger's. */
bool carrier_request_finish(struct carrier_request *request, struct exchange *exchange);
/* NULL-safe. */
void carrier_request_free(struct carrier_request *request);

#endif
