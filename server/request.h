/* What a request says, from libwebsockets' tables; only while it is being answered. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include "common/bytes.h"

#include <libwebsockets.h>

/* `method` is one of LWSHUMETH_…; the path is without arguments, and decoded. */
struct bytes request_path(struct lws *wsi, int *method);
/* A header's value, trimmed; NULL when absent. Owned by the caller. */
char *request_header(struct lws *wsi, enum lws_token_indexes token);
/* The same for one that libwebsockets has no token for; `name` in lower case, with its colon. */
char *request_custom_header(struct lws *wsi, const char *name);
/* An argument of the query string, decoded; NULL when absent. Owned by the caller. */
char *request_argument(struct lws *wsi, const char *name);
/* Whether the connection may serve another request after this one, whose body nobody reads … */
bool request_keeps_alive(struct lws *wsi);
/* … or somebody has. */
bool request_asks_to_keep(struct lws *wsi);
bool request_is_http_1_1(struct lws *wsi);

#endif
