/* Requests of the HTTP carrier: who may make them, and their bodies. */
#include "server/tunnel_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "common/memory.h"
#include "common/tunnel/tunnel_http.h"
#include "server/exchange.h"
#include "server/request.h"
#include "server/server.h"
#include "server/tunnel_http_state.h"
#include "server/upgrade.h"

enum {
    ARRIVAL_MS = 60000, /* for a body */
    BODIES_SHARE = 4,   /* of the tunnel's memory, for bodies that arrive */
};

enum carrier_request_kind {
    CARRIER_REQUEST_OPEN, /* OPEN or RESUME is in the body */
    CARRIER_REQUEST_UP,
    CARRIER_REQUEST_DOWN,
};

struct carrier_request {
    struct tunnel *tunnel;
    struct lws *wsi;
    struct visitor visitor;
    enum tls_client certificate;
    enum carrier_request_kind kind;
    const struct reply *refusal; /* NULL: not refused so far */
    struct tunnel_request claim;
    struct tunnel_seal seal;
    uint64_t wait_s; /* how long a GET may wait for its answer; 0: nothing was said */
    struct buffer body;
    size_t expected;  /* length of the body */
    size_t discarded; /* of one that nobody reads, so that its sender gets an answer */
    struct loop_timer deadline;
};

static const struct reply no_length = {
    .status = 411,
    .headers = TUNNEL_HERE,
    .body = "the tunnel's requests need a Content-Length: something in between re-chunks them\n"};
static const struct reply too_long = {
    .status = 413, .headers = TUNNEL_HERE, .body = "a body is at most 1 MiB long here\n"};
static const struct reply wrong_type = {.status = 403,
                                        .headers = TUNNEL_HERE,
                                        .body = "the tunnel takes POSTs of type " TUNNEL_HTTP_TYPE
                                                " only\n"};
static const struct reply from_page = {
    .status = 403, .headers = TUNNEL_HERE, .body = "requests from web pages are refused here\n"};
static const struct reply malformed = {
    .status = 400,
    .headers = TUNNEL_HERE,
    .body = "malformed request of the tunnel: wrong " TUNNEL_HTTP_FIELD " or query\n"};
static const struct reply busy = {.status = 503,
                                  .headers = TUNNEL_HERE "Retry-After: 1\r\n",
                                  .body = "too many requests bring bodies at the moment\n"};
static const struct reply forged = {
    .status = 403, .headers = TUNNEL_HERE, .body = "this is not the session's client\n"};

/* What the head says */

static char *signature(struct lws *wsi)
{
    return request_custom_header(wsi, "electric-tunnel:");
}

bool carrier_request_is_meant(struct lws *wsi)
{
    char *session = request_argument(wsi, "session");
    char *field = signature(wsi);
    bool meant;
    int method;

    (void)request_path(wsi, &method);
    meant =
        session != NULL && (method == LWSHUMETH_POST || (method == LWSHUMETH_GET && field != NULL));
    free(session);
    free(field);
    return meant;
}

static bool has_custom_header(struct lws *wsi, const char *name)
{
    return lws_hdr_custom_length(wsi, name, (int)strlen(name)) >= 0;
}

static bool has_type(struct lws *wsi)
{
    char *type = request_header(wsi, WSI_TOKEN_HTTP_CONTENT_TYPE);
    bool ok = type != NULL && strcasecmp(type, TUNNEL_HTTP_TYPE) == 0;

    free(type);
    return ok;
}

/* False when it is there and no number. */
static bool read_argument(struct lws *wsi, const char *name, uint64_t *number, bool *there)
{
    char *value = request_argument(wsi, name);
    bool ok = value == NULL || tunnel_http_read_number(bytes_of_string(value), number);

    *there = value != NULL;
    free(value);
    return ok;
}

static bool read_query(struct carrier_request *request)
{
    struct tunnel_request *claim = &request->claim;
    struct lws *wsi = request->wsi;
    uint64_t up = 0, down = 0;
    bool has_up, has_down, has_got, has_wait;

    if (!read_argument(wsi, "up", &up, &has_up) || !read_argument(wsi, "down", &down, &has_down) ||
        !read_argument(wsi, "got", &claim->got, &has_got) ||
        !read_argument(wsi, "wait", &request->wait_s, &has_wait))
        return false;
    if (strcmp(claim->method, "GET") == 0) {
        request->kind = CARRIER_REQUEST_DOWN;
        claim->number = down;
        return has_down && has_got && !has_up && down > 0;
    }
    request->kind = has_up ? CARRIER_REQUEST_UP : CARRIER_REQUEST_OPEN;
    claim->number = up;
    return !has_down && !has_got && (!has_up || up > 0);
}

static bool read_signature(struct carrier_request *request)
{
    char *field;
    bool ok;

    if (request->kind == CARRIER_REQUEST_OPEN)
        return true; /* OPEN and RESUME speak for themselves */
    field = signature(request->wsi);
    ok = field != NULL &&
         tunnel_http_read_field(bytes_of_string(field), &request->claim, &request->seal);
    free(field);
    return ok;
}

static const struct reply *check_length(struct carrier_request *request)
{
    char *text = request_header(request->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    uint64_t length = 0;
    bool ok = text != NULL && tunnel_http_read_number(bytes_of_string(text), &length) &&
              lws_hdr_total_length(request->wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) <= 0;
    size_t most =
        request->kind == CARRIER_REQUEST_OPEN ? TUNNEL_HTTP_OPEN_MAX : TUNNEL_HTTP_BODY_MAX;

    free(text);
    if (!ok)
        return &no_length;
    if (length > most)
        return &too_long;
    request->expected = (size_t)length;
    return NULL;
}

/* So that strangers make nothing be kept. */
static const struct reply *check_memory(struct carrier_request *request)
{
    struct tunnel *tunnel = request->tunnel;
    const struct budget *budget = &tunnel->budget;

    if (request->kind == CARRIER_REQUEST_UP &&
        registry_find(tunnel->registry, &request->claim.id) == NULL)
        return carrier_gone_reply();
    if (request->expected > budget->limit / BODIES_SHARE ||
        tunnel->arriving > budget->limit / BODIES_SHARE - request->expected)
        return &busy;
    return NULL;
}

static const struct reply *check(struct carrier_request *request)
{
    const struct reply *refusal;
    bool is_get = strcmp(request->claim.method, "GET") == 0;

    /* Browsers set these, and no page can stop them. */
    if (has_custom_header(request->wsi, "sec-fetch-site:"))
        return &from_page;
    refusal = upgrade_check_caller(request->tunnel->server, request->wsi, request->certificate);
    if (refusal != NULL)
        return refusal;
    if (!is_get && !has_type(request->wsi))
        return &wrong_type;
    if (!read_query(request) || !read_signature(request))
        return &malformed;
    if (is_get)
        return NULL;
    refusal = check_length(request);
    return refusal != NULL ? refusal : check_memory(request);
}

/* The body */

static void on_deadline(struct loop_timer *timer)
{
    struct carrier_request *request = lws_container_of(timer, struct carrier_request, deadline);

    (void)shutdown(lws_get_socket_fd(request->wsi), SHUT_RDWR);
}

struct carrier_request *carrier_request_new(struct server *server, struct lws *wsi,
                                            const struct visitor *visitor,
                                            enum tls_client certificate)
{
    struct carrier_request *request = mem_new(sizeof(*request));
    int method;

    (void)request_path(wsi, &method);
    request->tunnel = server->tunnel;
    request->wsi = wsi;
    request->claim.method = method == LWSHUMETH_GET ? "GET" : "POST";
    request->visitor = *visitor;
    request->certificate = certificate;
    request->refusal = check(request);
    buffer_init(&request->body, TUNNEL_HTTP_BODY_MAX);
    if (request->refusal != NULL)
        request->expected = 0;
    request->tunnel->arriving += request->expected;
    request->deadline.on_expired = on_deadline;
    if (method != LWSHUMETH_GET)
        loop_timer_set(server->loop, &request->deadline, ARRIVAL_MS);
    return request;
}

bool carrier_request_has_body(const struct carrier_request *request)
{
    return request->refusal != &no_length && request->refusal != &too_long &&
           strcmp(request->claim.method, "POST") == 0;
}

bool carrier_request_take(struct carrier_request *request, struct bytes piece)
{
    if (request->refusal == NULL)
        return buffer_append(&request->body, piece);
    request->discarded += piece.len;
    return request->discarded <= TUNNEL_HTTP_BODY_MAX;
}

void carrier_request_free(struct carrier_request *request)
{
    if (request == NULL)
        return;
    loop_timer_stop(&request->deadline);
    request->tunnel->arriving -= request->expected;
    buffer_clear(&request->body);
    free(request);
}

/* The answer */

/* `*session` is set when the proof is good. */
static const struct reply *judge(struct carrier_request *request, struct tunnel_session **session)
{
    struct registry_entry *entry = registry_find(request->tunnel->registry, &request->claim.id);
    struct tunnel_seal expected;

    if (entry == NULL)
        return carrier_gone_reply();
    request->claim.body = buffer_peek(&request->body);
    expected = tunnel_seal_request(registry_key(entry), &request->claim);
    if (!tunnel_seal_equal(&expected, &request->seal))
        return &forged;
    *session = registry_session(entry);
    if (*session == NULL)
        return carrier_gone_reply();
    return memcmp((*session)->certificate, request->visitor.certificate,
                  sizeof(request->visitor.certificate)) == 0
               ? NULL
               : &forged;
}

bool carrier_request_finish(struct carrier_request *request, struct exchange *exchange)
{
    struct tunnel_session *session = NULL;
    const struct reply *refusal = request->refusal;
    struct bytes body = buffer_peek(&request->body);

    if (refusal == NULL && request->kind != CARRIER_REQUEST_OPEN)
        refusal = judge(request, &session);
    if (refusal != NULL)
        exchange_reply(exchange, refusal);
    else if (request->kind == CARRIER_REQUEST_OPEN)
        carrier_open(request->tunnel, &request->visitor, body, exchange);
    else if (request->kind == CARRIER_REQUEST_UP)
        carrier_up(session, &request->claim, exchange);
    else
        carrier_down(session, &request->claim, request->wait_s, exchange);
    carrier_request_free(request);
    return refusal == NULL;
}
