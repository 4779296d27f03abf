/* The HTTP API: migrations for client applications, their live stream, the schema, the server's
 * status and metrics. */
#ifndef SERVER_API_API_H
#define SERVER_API_API_H

#include "common/bytes.h"

#include <stdbool.h>

struct api;
struct exchange;
struct lws;
struct reader;
struct server;

struct api *api_new(struct server *server);
/* Before the loop goes: no answer comes from Postgres any more. NULL-safe. */
void api_stop(struct api *api);
/* After it, when all exchanges are gone. NULL-safe. */
void api_free(struct api *api);

/* The schema is installed: what is captured can be read. */
void api_ready(struct api *api);
/* The server is shutting down: streams end. */
void api_drain(struct api *api);

/* To ask Postgres; NULL without a database. */
struct reader *api_reader(const struct api *api);

/* The path of the endpoint that answers a GET of `path`, for as long as the program lives; NULL
 * when it is not the API's. For /api/status that depends on what the request asks for: everybody
 * may know whether Postgres is up. */
const char *api_find(const struct api *api, struct lws *wsi, struct bytes path);
/* Answers a request for such a path; true when whoever asks has shown that they may. */
bool api_handle(struct api *api, struct lws *wsi, const char *path, const char *peer,
                struct exchange *exchange);

#endif
