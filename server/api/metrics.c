/* GET /metrics: what is counted, and what can be looked up now. */
#include "server/metrics.h"

#include "server/api/api_state.h"
#include "server/api/hub.h"
#include "server/tunnel.h"

/* Every line is ours, so their number is bounded. */
#define TEXT_MAX ((size_t)256 * 1024)

static void write_database(struct buffer *out, const struct api *api)
{
    const struct ledger_head *head = hub_head(api->hub);

    metrics_write_gauge(out, "electric_stream_listeners", "Open live streams.",
                        (double)hub_count(api->hub));
    metrics_write_gauge(out, "electric_downloads", "Archives of migrations under way.",
                        (double)api->downloads);
    if (head != NULL)
        metrics_write_gauge(out, "electric_ledger_seq", "Number of the newest migration read.",
                            (double)head->seq);
}

void api_metrics(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    const struct reply reply = {.status = 200, .type = "text/plain; version=0.0.4; charset=utf-8"};
    struct buffer out;

    (void)wsi;
    buffer_init(&out, TEXT_MAX);
    metrics_write(&out);
    metrics_write_gauge(&out, "electric_http_connections",
                        "Connections to the HTTP port, tunnels included.",
                        (double)api->server->http_count);
    metrics_write_gauge(&out, "electric_tunnel_detached", "Sessions whose client is away.",
                        (double)tunnel_detached_count(api->server->tunnel));
    if (api->hub != NULL)
        write_database(&out, api);
    exchange_reply_body(exchange, &reply, buffer_peek(&out));
    buffer_clear(&out);
}
