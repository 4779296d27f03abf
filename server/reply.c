/* HTTP responses in one write each. */
#include "server/reply.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { RESPONSE_MAX = 2048 };

static const char *phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 426:
        return "Upgrade Required";
    case 503:
        return "Service Unavailable";
    default:
        return "Error";
    }
}

static int send_response(struct lws *wsi, const struct reply *reply, bool head_only,
                         const char *connection)
{
    unsigned char buffer[LWS_PRE + RESPONSE_MAX];
    char *out = (char *)buffer + LWS_PRE;
    bool has_body = reply->status != 204;
    size_t body_len = strlen(reply->body);
    int len = snprintf(out, RESPONSE_MAX,
                       "HTTP/1.1 %d %s\r\n"
                       "%s%s"
                       "Cache-Control: no-store\r\n"
                       "Connection: %s\r\n",
                       reply->status, phrase(reply->status),
                       has_body ? "Content-Type: text/plain; charset=utf-8\r\n" : "",
                       reply->headers != NULL ? reply->headers : "", connection);

    if (has_body)
        len +=
            snprintf(out + len, (size_t)(RESPONSE_MAX - len), "Content-Length: %zu\r\n", body_len);
    len += snprintf(out + len, (size_t)(RESPONSE_MAX - len), "\r\n%s",
                    has_body && !head_only ? reply->body : "");
    assert(len < RESPONSE_MAX);
    return lws_write(wsi, buffer + LWS_PRE, (size_t)len, LWS_WRITE_HTTP_HEADERS) < 0 ? -1 : 0;
}

static bool is_head(struct lws *wsi)
{
    char *path = NULL;
    int len = 0;

    return lws_http_get_uri_and_method(wsi, &path, &len) == LWSHUMETH_HEAD;
}

/* As libwebsockets decides it, and RFC 9112 section 9.3. */
static bool is_kept_alive(struct lws *wsi)
{
    char version[16] = "", connection[32] = "";

    (void)lws_hdr_copy(wsi, version, sizeof(version), WSI_TOKEN_HTTP);
    (void)lws_hdr_copy(wsi, connection, sizeof(connection), WSI_TOKEN_CONNECTION);
    if (strcasecmp(connection, "close") == 0)
        return false;
    return strcmp(version, "HTTP/1.1") == 0 || strcasecmp(connection, "keep-alive") == 0;
}

static bool may_have_body(struct lws *wsi)
{
    char *path = NULL;
    int len = 0;
    int method = lws_http_get_uri_and_method(wsi, &path, &len);

    return (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD && method != LWSHUMETH_OPTIONS) ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
}

int reply_send(struct lws *wsi, const struct reply *reply)
{
    /* A body that nobody reads would be taken for the next request. */
    bool keep = is_kept_alive(wsi) && !may_have_body(wsi);

    if (send_response(wsi, reply, is_head(wsi), keep ? "keep-alive" : "close") < 0 || !keep)
        return -1;
    return lws_http_transaction_completed(wsi) ? -1 : 0;
}

int reply_send_last(struct lws *wsi, const struct reply *reply)
{
    return send_response(wsi, reply, is_head(wsi), "close");
}

int reply_send_raw(struct lws *wsi, const struct reply *reply)
{
    return send_response(wsi, reply, false, "close");
}
