/* Reading libwebsockets' tables of headers and arguments. */
#include "server/request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/memory.h"

struct bytes request_path(struct lws *wsi, int *method)
{
    char *path = NULL;
    int len = 0;

    *method = lws_http_get_uri_and_method(wsi, &path, &len);
    return bytes_of(path, len > 0 ? (size_t)len : 0);
}

char *request_header(struct lws *wsi, enum lws_token_indexes token)
{
    int len = lws_hdr_total_length(wsi, token);
    char *value;

    if (len <= 0)
        return NULL;
    value = mem_new((size_t)len + 8); /* fragments are joined by separators */
    if (lws_hdr_copy(wsi, value, len + 8, token) >= 0)
        return value;
    free(value);
    return NULL;
}

char *request_custom_header(struct lws *wsi, const char *name)
{
    int name_len = (int)strlen(name);
    int len = lws_hdr_custom_length(wsi, name, name_len);
    char *value;

    if (len <= 0)
        return NULL;
    value = mem_new((size_t)len + 1);
    if (lws_hdr_custom_copy(wsi, value, len + 1, name, name_len) >= 0)
        return value;
    free(value);
    return NULL;
}

char *request_argument(struct lws *wsi, const char *name)
{
    size_t name_len = strlen(name);
    int all = lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_URI_ARGS);
    char *fragment;
    int len;

    if (all <= 0)
        return NULL;
    fragment = mem_new((size_t)all + 1);
    /* Between two ampersands there may be nothing; behind the last fragment copying fails. */
    for (int i = 0;
         (len = lws_hdr_copy_fragment(wsi, fragment, all + 1, WSI_TOKEN_HTTP_URI_ARGS, i)) >= 0;
         i++) {
        if (strncmp(fragment, name, name_len) != 0 || fragment[name_len] != '=')
            continue;
        memmove(fragment, fragment + name_len + 1, (size_t)len - name_len);
        return fragment;
    }
    free(fragment);
    return NULL;
}

bool request_is_http_1_1(struct lws *wsi)
{
    char version[16] = "";

    (void)lws_hdr_copy(wsi, version, sizeof(version), WSI_TOKEN_HTTP);
    return strcmp(version, "HTTP/1.1") == 0;
}

/* As libwebsockets decides it, and RFC 9112 section 9.3. */
bool request_asks_to_keep(struct lws *wsi)
{
    char connection[32] = "";

    (void)lws_hdr_copy(wsi, connection, sizeof(connection), WSI_TOKEN_CONNECTION);
    if (strcasecmp(connection, "close") == 0)
        return false;
    return request_is_http_1_1(wsi) || strcasecmp(connection, "keep-alive") == 0;
}

static bool may_have_body(struct lws *wsi)
{
    int method;

    (void)request_path(wsi, &method);
    return (method != LWSHUMETH_GET && method != LWSHUMETH_HEAD && method != LWSHUMETH_OPTIONS) ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
           lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING) > 0;
}

bool request_keeps_alive(struct lws *wsi)
{
    /* A body that nobody reads would be taken for the next request. */
    return request_asks_to_keep(wsi) && !may_have_body(wsi);
}
