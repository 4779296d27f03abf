/* GET /api/migrations/stream: one client of the live stream, as server-sent events (the HTML
 * standard's section 9.2). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "server/api/api_state.h"
#include "server/api/hub.h"
#include "server/request.h"

enum {
    PIECE = 16 * 1024,  /* of a page, written at once */
    DIGITS_MAX = 18,    /* of an id; more cannot be one of ours */
    RESERVED_SHARE = 8, /* one in so many HTTP connections is kept for others */
};

struct stream_client {
    struct hub_listener listener;
    struct api *api;
    struct exchange *exchange;
    bool begun;
    uint64_t after;        /* HUB_NEWEST: from the next one on; until begun */
    uint64_t sent;         /* all up to here */
    bool news;             /* since the last fetch began */
    struct hub_page *page; /* being written, from `offset` on */
    size_t offset;
    bool reset_due; /* the ledger was replaced by one that ends here: */
    struct ledger_head replacement;
};

static const char *const headers = "Cache-Control: no-store, no-transform\r\n"
                                   "X-Accel-Buffering: no\r\n";

static struct stream_client *client_of(struct hub_listener *listener)
{
    return lws_container_of(listener, struct stream_client, listener);
}

/* The exchange is done, or gone. */
static void free_client(struct stream_client *client)
{
    hub_leave(client->api->hub, &client->listener);
    hub_page_release(client->page);
    free(client);
}

static void write_text(struct stream_client *client, const char *text)
{
    exchange_write(client->exchange, bytes_of_string(text));
}

/* The head first, and something behind it: there are proxies that hold back a head without a body.
 */
static bool begin(struct stream_client *client)
{
    const struct reply head = {.status = 200, .type = "text/event-stream", .headers = headers};

    client->begun = true;
    if (!exchange_begin(client->exchange, &head)) {
        free_client(client);
        return false;
    }
    exchange_watch_client(client->exchange);
    write_text(client, "retry: 2000\n\n");
    return true;
}

static void write_reset(struct stream_client *client, const struct ledger_head *head)
{
    struct buffer text;

    buffer_init(&text, 512);
    /* A version is digits and underscores. */
    (void)buffer_append_format(&text,
                               "id: %" PRIu64 "\nevent: reset\ndata: {\"seq\": %" PRIu64
                               ", \"version\": \"%s\"}\n\n",
                               head->seq, head->seq, head->version);
    exchange_write(client->exchange, buffer_peek(&text));
    buffer_clear(&text);
    client->sent = head->seq;
}

/* Writing */

static void write_piece(struct stream_client *client)
{
    struct hub_page *page = client->page;
    struct bytes rest = bytes_skip(bytes_of(page->bytes, page->len), client->offset);
    struct bytes piece = bytes_first(rest, PIECE);

    exchange_write(client->exchange, piece);
    client->offset += piece.len;
    if (piece.len < rest.len)
        return;
    client->sent = page->last;
    client->page = NULL;
    client->offset = 0;
    hub_page_release(page);
}

/* False when there is nothing to write now. */
static bool find_more(struct stream_client *client)
{
    struct hub *hub = client->api->hub;
    const struct ledger_head *head = hub_head(hub);

    if (client->listener.fetch != NULL)
        return false;
    if (client->reset_due) {
        client->reset_due = false;
        write_reset(client, &client->replacement);
        return true;
    }
    client->page = hub_take(hub, client->listener.dialect, client->sent);
    if (client->page == NULL && head != NULL && head->seq > client->sent) {
        client->news = false;
        hub_fetch(hub, &client->listener, client->sent);
    }
    return client->page != NULL;
}

static void on_room(void *owner)
{
    struct stream_client *client = owner;

    while (client->begun && exchange_has_room(client->exchange) &&
           (client->page != NULL || find_more(client)))
        if (client->page != NULL)
            write_piece(client);
}

static void on_gone(void *owner)
{
    free_client(owner);
}

static const struct exchange_events exchange_events = {.on_room = on_room, .on_gone = on_gone};

/* The hub's calls */

static void on_news(struct hub_listener *listener)
{
    struct stream_client *client = client_of(listener);

    client->news = true;
    exchange_ask_room(client->exchange);
}

/* What was fetched may not follow what was sent: the ledger was replaced, which has not been
 * noticed here yet, or its beginning was removed. False when there is nothing to write. */
static bool take_fetched(struct stream_client *client, const struct ledger_head *head,
                         struct hub_page *page)
{
    if (!client->reset_due && page != NULL && page->first == client->sent + 1) {
        client->page = page;
        return true;
    }
    hub_page_release(page);
    if (client->reset_due || head->seq == client->sent)
        return client->reset_due;
    write_reset(client, head);
    return true;
}

static void on_fetched(struct hub_listener *listener, const struct ledger_head *head,
                       struct hub_page *page)
{
    struct stream_client *client = client_of(listener);

    if (!client->begun) {
        client->sent = client->after == HUB_NEWEST ? head->seq : client->after;
        if (!begin(client)) {
            hub_page_release(page);
            return;
        }
    }
    /* Without anything new to fetch again would end the same way, at once and for ever. */
    if (take_fetched(client, head, page) || client->news)
        exchange_ask_room(client->exchange);
}

static void on_fetch_failed(struct hub_listener *listener, const struct error *error)
{
    struct stream_client *client = client_of(listener);

    if (client->begun)
        exchange_end(client->exchange); /* the client comes again, and goes on where it was */
    else
        api_refuse_unavailable(client->exchange, error);
    free_client(client);
}

static void on_replaced(struct hub_listener *listener, const struct ledger_head *head)
{
    struct stream_client *client = client_of(listener);

    client->reset_due = client->begun;
    client->replacement = *head;
    exchange_ask_room(client->exchange);
}

static void on_heartbeat(struct hub_listener *listener)
{
    struct stream_client *client = client_of(listener);

    /* Only between events, and not to one that does not take what is there already. */
    if (client->begun && client->page == NULL && exchange_is_empty(client->exchange))
        write_text(client, ":\n\n");
}

static void on_drain(struct hub_listener *listener)
{
    struct stream_client *client = client_of(listener);

    if (client->begun)
        exchange_end(client->exchange);
    else
        api_refuse(client->exchange, 503, "Retry-After: 1\r\n", "the server is shutting down");
    free_client(client);
}

/* The request */

/* What a client has already: by the header on a reconnect, which then counts more than the address
 * that it began with. What is no id at all is one that is unknown. */
static uint64_t take_position(struct lws *wsi)
{
    char *text = request_custom_header(wsi, "last-event-id:");
    uint64_t after = HUB_NEWEST;
    size_t digits;

    if (text == NULL || *text == '\0') {
        free(text);
        text = request_argument(wsi, "after");
    }
    if (text != NULL && *text != '\0') {
        digits = strspn(text, "0123456789");
        after = digits <= DIGITS_MAX && text[digits] == '\0' ? strtoull(text, NULL, 10)
                                                             : HUB_NEWEST - 1;
    }
    free(text);
    return after;
}

static bool refuse_if_full(struct api *api, struct exchange *exchange)
{
    unsigned long max_http = api->server->settings->max_http;

    if (api->server->draining) {
        api_refuse(exchange, 503, "Retry-After: 1\r\n", "the server is shutting down");
        return true;
    }
    if (!hub_is_live(api->hub)) {
        api_refuse(exchange, 404, NULL,
                   "nothing is captured here: the server runs without CAPTURE");
        return true;
    }
    if (hub_count(api->hub) >= max_http - max_http / RESERVED_SHARE) {
        api_refuse(exchange, 503, "Retry-After: 10\r\n",
                   "too many streams at once; MAX_HTTP is %lu", max_http);
        return true;
    }
    return false;
}

void api_stream(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    const struct ledger_head *head = hub_head(api->hub);
    enum render_dialect dialect;
    struct stream_client *client;

    if (!api_take_dialect(wsi, exchange, &dialect) || refuse_if_full(api, exchange))
        return;
    client = mem_new(sizeof(*client));
    client->listener = (struct hub_listener){
        .dialect = dialect,
        .on_news = on_news,
        .on_fetched = on_fetched,
        .on_fetch_failed = on_fetch_failed,
        .on_replaced = on_replaced,
        .on_heartbeat = on_heartbeat,
        .on_drain = on_drain,
    };
    client->api = api;
    client->exchange = exchange;
    client->after = take_position(wsi);
    exchange_own(exchange, &exchange_events, client);
    hub_join(api->hub, &client->listener);
    if (head == NULL || client->after > head->seq) {
        /* What is known here may be some moments behind: ask. */
        hub_fetch(api->hub, &client->listener,
                  client->after == HUB_NEWEST - 1 ? HUB_NEWEST : client->after);
        return;
    }
    client->sent = client->after;
    (void)begin(client);
}
