/* GET /api/schema: the electrified schema, put together by Postgres. */
#include "server/api/api_state.h"

void api_schema(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    (void)api;
    (void)wsi;
    api_refuse(exchange, 404, NULL, "not here yet");
}
