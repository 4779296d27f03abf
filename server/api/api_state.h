/* The inside of the API, shared by its endpoints. */
#ifndef SERVER_API_API_STATE_H
#define SERVER_API_API_STATE_H

#include "server/api/api.h"
#include "server/api/credentials.h"
#include "server/api/reader.h"
#include "server/exchange.h"
#include "server/loop.h"
#include "server/render/render.h"
#include "server/server.h"

struct hub;

struct api {
    struct server *server;
    struct reader *reader; /* proxy mode, else NULL */
    struct hub *hub;       /* the same */
    struct credentials_policy policy;
    struct credentials_guard guard;
    size_t downloads; /* archives under way */
    struct loop_timer lag_timer;
    uint64_t lag_due_us;
};

/* {"error": …} */
void api_refuse(struct exchange *exchange, int status, const char *headers, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* 503: Postgres could not be asked. */
void api_refuse_unavailable(struct exchange *exchange, const struct error *error);
/* From the argument `dialect`; false with a refusal. */
bool api_take_dialect(struct lws *wsi, struct exchange *exchange, enum render_dialect *dialect);
const char *api_dialect_name(enum render_dialect dialect);

/* The endpoints; each answers. */
void api_migrations(struct api *api, struct lws *wsi, struct exchange *exchange);
void api_stream(struct api *api, struct lws *wsi, struct exchange *exchange);
void api_schema(struct api *api, struct lws *wsi, struct exchange *exchange);
void api_status(struct api *api, struct lws *wsi, struct exchange *exchange);
void api_ticket(struct api *api, struct lws *wsi, struct exchange *exchange);
void api_outcome(struct api *api, struct lws *wsi, struct exchange *exchange);
/* Whether the request proves that the transaction it asks about is its own. */
bool api_outcome_is_own(const struct api *api, struct lws *wsi);
void api_metrics(struct api *api, struct lws *wsi, struct exchange *exchange);

#endif
