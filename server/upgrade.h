/* Whether an upgrade request on the tunnel's path is granted (RFC 6455 section 4.2). */
#ifndef SERVER_UPGRADE_H
#define SERVER_UPGRADE_H

#include <libwebsockets.h>

#include "common/tunnel/tunnel_http.h"
#include "server/tls.h"

struct reply;
struct server;

/* A field of answers about the tunnel: it is here, and the HTTP carrier with it. Who is refused can
 * tell by it that nothing in between did that. */
#define TUNNEL_HERE TUNNEL_HTTP_FIELD ": " TUNNEL_HTTP_HERE "\r\n"

/* NULL when granted, else the refusal, which lives as long as the program. Everything that
 * libwebsockets would drop without a word is refused here with one. */
const struct reply *upgrade_check(const struct server *server, struct lws *wsi,
                                  enum tls_client certificate);
/* Why a certificate is not enough where one is needed; NULL: it is right, or none is needed. */
const struct reply *upgrade_check_certificate(const struct server *server,
                                              enum tls_client certificate);

/* The part of it that asks who it is: the same for requests of the HTTP carrier. */
const struct reply *upgrade_check_caller(const struct server *server, struct lws *wsi,
                                         enum tls_client certificate);

/* For any request on the path while the tunnel is turned off. */
const struct reply *upgrade_disabled_reply(void);

#endif
