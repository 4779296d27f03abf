/* Heads of HTTP responses, and short responses in one write each. */
#include "server/reply.h"

#include <assert.h>
#include <string.h>

#include "server/request.h"

enum { RESPONSE_MAX = 4096 };

static const char *phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
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
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 411:
        return "Length Required";
    case 413:
        return "Content Too Large";
    case 426:
        return "Upgrade Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

void reply_append_head(struct buffer *out, const struct reply *reply, enum reply_framing framing,
                       size_t body_len, bool keep_alive)
{
    bool has_body = reply->status != 204 && reply->status != 304;
    bool caches = reply->headers != NULL && strstr(reply->headers, "Cache-Control:") != NULL;

    (void)buffer_append_format(out, "HTTP/1.1 %d %s\r\n", reply->status, phrase(reply->status));
    if (has_body)
        (void)buffer_append_format(out, "Content-Type: %s\r\n",
                                   reply->type != NULL ? reply->type : "text/plain; charset=utf-8");
    if (reply->headers != NULL)
        (void)buffer_append(out, bytes_of_string(reply->headers));
    if (!caches)
        (void)buffer_append_format(out, "Cache-Control: no-store\r\n");
    if (has_body && framing == REPLY_LENGTH)
        (void)buffer_append_format(out, "Content-Length: %zu\r\n", body_len);
    if (has_body && framing == REPLY_CHUNKED)
        (void)buffer_append_format(out, "Transfer-Encoding: chunked\r\n");
    (void)buffer_append_format(out, "Connection: %s\r\n\r\n", keep_alive ? "keep-alive" : "close");
}

static int send_response(struct lws *wsi, const struct reply *reply, bool head_only,
                         bool keep_alive)
{
    unsigned char memory[LWS_PRE + RESPONSE_MAX];
    bool has_body = reply->status != 204 && reply->status != 304;
    struct buffer out;
    struct bytes bytes;
    int result = -1;

    buffer_init(&out, RESPONSE_MAX);
    reply_append_head(&out, reply, REPLY_LENGTH, strlen(reply->body), keep_alive);
    if (has_body && !head_only)
        (void)buffer_append(&out, bytes_of_string(reply->body));
    assert(!buffer_failed(&out));
    bytes = buffer_peek(&out);
    memcpy(memory + LWS_PRE, bytes.data, bytes.len);
    if (lws_write(wsi, memory + LWS_PRE, bytes.len, LWS_WRITE_HTTP_HEADERS) >= 0)
        result = 0;
    buffer_clear(&out);
    return result;
}

static bool is_head(struct lws *wsi)
{
    int method;

    (void)request_path(wsi, &method);
    return method == LWSHUMETH_HEAD;
}

enum reply_result reply_send(struct lws *wsi, const struct reply *reply)
{
    bool keep = request_keeps_alive(wsi);

    return send_response(wsi, reply, is_head(wsi), keep) == 0 && keep ? REPLY_KEPT : REPLY_ENDS;
}

int reply_send_last(struct lws *wsi, const struct reply *reply)
{
    return send_response(wsi, reply, is_head(wsi), false);
}
