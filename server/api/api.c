/* Routes of the API, who may use them, refusals in JSON. */
#include "server/api/api.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/memory.h"
#include "server/api/api_state.h"
#include "server/api/hub.h"
#include "server/metrics.h"
#include "server/proxy/control.h"
#include "server/request.h"

enum { LAG_EVERY_MS = 1000 };

#define JSON "application/json"

static const struct endpoint {
    const char *path;
    void (*answer)(struct api *api, struct lws *wsi, struct exchange *exchange);
    bool needs_database; /* a relay has none */
    bool takes_ticket;
    bool takes_proof;
} endpoints[] = {
    {"/api/migrations", api_migrations, .needs_database = true},
    {"/api/migrations/stream", api_stream, .needs_database = true, .takes_ticket = true},
    {"/api/outcome", api_outcome, .needs_database = true, .takes_proof = true},
    {"/api/schema", api_schema, .needs_database = true},
    {"/api/status", api_status, .needs_database = true},
    {"/api/ticket", api_ticket, .needs_database = true},
    {.path = "/metrics", .answer = api_metrics},
};

/* Refusals */

void api_refuse(struct exchange *exchange, int status, const char *headers, const char *format, ...)
{
    struct reply reply = {.status = status, .type = JSON, .headers = headers};
    char text[1024];
    va_list arguments;
    json_t *object;
    char *body;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    text[bytes_utf8_cut(bytes_of_string(text), sizeof(text) - 1)] = '\0';
    /* What was quoted from the request may be no UTF-8: then it is left out. */
    object = json_pack("{s:s}", "error", bytes_is_utf8(bytes_of_string(text)) ? text : "bad value");
    body = json_dumps(object, JSON_COMPACT);
    reply.body = body != NULL ? body : "";
    exchange_reply(exchange, &reply);
    free(body);
    json_decref(object);
}

void api_refuse_unavailable(struct exchange *exchange, const struct error *error)
{
    api_refuse(exchange, 503, "Retry-After: 5\r\n", "%s", error->message);
}

const char *api_dialect_name(enum render_dialect dialect)
{
    return dialect == RENDER_SQLITE ? "sqlite" : "postgresql";
}

bool api_take_dialect(struct lws *wsi, struct exchange *exchange, enum render_dialect *dialect)
{
    char *name = request_argument(wsi, "dialect");
    bool known = true;

    if (name != NULL && strcmp(name, "sqlite") == 0)
        *dialect = RENDER_SQLITE;
    else if (name != NULL && strcmp(name, "postgresql") == 0)
        *dialect = RENDER_POSTGRES;
    else
        known = false;
    if (name == NULL)
        api_refuse(exchange, 403, NULL,
                   "missing dialect: add ?dialect=sqlite or ?dialect=postgresql");
    else if (!known)
        api_refuse(exchange, 403, NULL, "unsupported dialect \"%.100s\"", name);
    free(name);
    return known;
}

/* Who may */

#define CHALLENGE                                           \
    "WWW-Authenticate: Bearer realm=\"electric-proxy\"\r\n" \
    "WWW-Authenticate: Basic realm=\"electric-proxy\", charset=\"UTF-8\"\r\n"

static void refuse_stranger(struct exchange *exchange, bool wrong)
{
    api_refuse(exchange, 401, CHALLENGE,
               "%s: send Authorization: Bearer with API_TOKEN, or Basic with any user name and "
               "PG_PROXY_PASSWORD; for the generate command of older clients, which sends neither, "
               "the server has to run with API_AUTH=none",
               wrong ? "wrong credentials" : "credentials are needed");
}

static bool has_valid_ticket(const struct api *api, const char *ticket)
{
    const struct control *control = api->server->control;

    return control_obstacle(control) == NULL &&
           credentials_ticket_is_valid(control_cancel_key(control), &api->policy, ticket,
                                       (uint64_t)time(NULL));
}

static bool authorize(struct api *api, const struct endpoint *endpoint, struct lws *wsi,
                      const char *peer, struct exchange *exchange)
{
    char *given, *ticket;
    uint64_t now = loop_now_ms();
    bool right, tried, may_try;

    if (api->policy.open || (endpoint->takes_proof && api_outcome_is_own(api, wsi)))
        return true;
    given = request_header(wsi, WSI_TOKEN_HTTP_AUTHORIZATION);
    ticket = endpoint->takes_ticket ? request_argument(wsi, "token") : NULL;
    tried = given != NULL || ticket != NULL;
    may_try = credentials_may_try(&api->guard, peer, now);
    right = ((may_try || credentials_are_beyond_guessing(&api->policy, given)) &&
             credentials_are_right(&api->policy, given)) ||
            (ticket != NULL && has_valid_ticket(api, ticket));
    if (tried && !right && !may_try) {
        api_refuse(exchange, 429, "Retry-After: 1\r\n", "too many wrong credentials");
    } else if (!right) {
        if (tried)
            credentials_note_wrong(&api->guard, peer, now);
        refuse_stranger(exchange, tried);
    }
    if (given != NULL)
        mem_free_secret(given, strlen(given));
    if (ticket != NULL)
        mem_free_secret(ticket, strlen(ticket));
    return right;
}

/* Routes */

static const struct endpoint *find_endpoint(const struct api *api, struct bytes path)
{
    for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
        if (bytes_equal_string(path, endpoints[i].path))
            return endpoints[i].needs_database && api->reader == NULL ? NULL : &endpoints[i];
    return NULL;
}

/* Details are for those who ask for them and say who they are; probes get a line of text. */
static bool wants_details(const struct api *api, struct lws *wsi)
{
    char *accept = request_header(wsi, WSI_TOKEN_HTTP_ACCEPT);
    bool wants = accept != NULL && strstr(accept, JSON) != NULL &&
                 (api->policy.open || lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_AUTHORIZATION) > 0);

    free(accept);
    return wants;
}

const char *api_find(const struct api *api, struct lws *wsi, struct bytes path)
{
    const struct endpoint *endpoint = find_endpoint(api, path);

    if (endpoint == NULL || (endpoint->answer == api_status && !wants_details(api, wsi)))
        return NULL;
    return endpoint->path;
}

bool api_handle(struct api *api, struct lws *wsi, const char *path, const char *peer,
                struct exchange *exchange)
{
    const struct endpoint *endpoint = find_endpoint(api, bytes_of_string(path));
    const struct error *obstacle;

    if (!authorize(api, endpoint, wsi, peer, exchange))
        return false;
    obstacle = endpoint->needs_database && endpoint->answer != api_status
                   ? control_obstacle(api->server->control)
                   : NULL;
    if (obstacle != NULL)
        api_refuse_unavailable(exchange, obstacle);
    else
        endpoint->answer(api, wsi, exchange);
    return true;
}

/* How late the loop is */

static uint64_t now_us(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void watch_lag(struct api *api);

static void on_lag_timer(struct loop_timer *timer)
{
    struct api *api = lws_container_of(timer, struct api, lag_timer);
    uint64_t now = now_us();

    metrics_loop_lag(now > api->lag_due_us ? now - api->lag_due_us : 0);
    watch_lag(api);
}

static void watch_lag(struct api *api)
{
    api->lag_due_us = now_us() + LAG_EVERY_MS * 1000ULL;
    loop_timer_set(api->server->loop, &api->lag_timer, LAG_EVERY_MS);
}

/* Life */

struct api *api_new(struct server *server)
{
    const struct server_settings *settings = server->settings;
    struct api *api = mem_new(sizeof(*api));

    api->server = server;
    api->policy = (struct credentials_policy){
        .open = settings->api_auth == API_AUTH_NONE,
        .password = settings->password,
        .token = settings->api_token,
    };
    if (server->control != NULL) {
        api->reader = reader_new(server->loop, server->workers, settings);
        api->hub = hub_new(server->loop, api->reader);
    }
    api->lag_timer.on_expired = on_lag_timer;
    watch_lag(api);
    return api;
}

struct reader *api_reader(const struct api *api)
{
    return api->reader;
}

void api_ready(struct api *api)
{
    if (api->server->ledger != NULL)
        hub_follow(api->hub, api->server->ledger);
}

void api_drain(struct api *api)
{
    if (api->hub != NULL)
        hub_drain(api->hub);
}

void api_stop(struct api *api)
{
    if (api == NULL)
        return;
    loop_timer_stop(&api->lag_timer);
    reader_free(api->reader);
    hub_stop(api->hub);
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    hub_free(api->hub);
    free(api);
}

/* Tickets for browsers' EventSource, which can send no header */

enum { TICKET_LIFETIME_S = 600 };

void api_ticket(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    char ticket[CREDENTIALS_TICKET_MAX];
    json_t *object;
    char *body;

    (void)wsi;
    credentials_ticket_make(control_cancel_key(api->server->control), &api->policy,
                            (uint64_t)time(NULL) + TICKET_LIFETIME_S, ticket);
    object = json_pack("{s:s, s:i}", "token", ticket, "expires_in", TICKET_LIFETIME_S);
    body = json_dumps(object, 0);
    exchange_reply(exchange, &(struct reply){.status = 200, .type = JSON, .body = body});
    free(body);
    json_decref(object);
}
