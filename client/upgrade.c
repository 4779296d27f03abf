/* Upgrade request, and what to make of its answer. */
#include "client/upgrade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/sha.h>

#include "common/memory.h"
#include "common/tunnel/tunnel_http.h"

#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define ACCEPT_LEN 28
#define REASON_MAX 120

void upgrade_key_make(struct upgrade_key *key, struct frame_keys *keys)
{
    uint8_t nonce[16];

    for (size_t i = 0; i < sizeof nonce; i += 4)
        frame_keys_next(keys, nonce + i);
    EVP_EncodeBlock((unsigned char *)key->text, nonce, sizeof nonce);
}

/* A redirect may have led here with the parameter in its query already. */
static void write_path(struct buffer *out, const char *path, const char *session)
{
    char *parameter = session != NULL ? mem_format("session=%s", session) : NULL;
    const char *query = strchr(path, '?');

    buffer_append_format(out, "%s", path);
    if (parameter != NULL && (query == NULL || strstr(query, parameter) == NULL))
        buffer_append_format(out, "%c%s", query == NULL ? '?' : '&', parameter);
    free(parameter);
}

/* `connection`: the header lines that say what becomes of it. */
static void write_head(struct buffer *out, const struct upgrade_target *target,
                       const char *connection)
{
    buffer_append_format(out, "GET ");
    write_path(out, target->path, target->session);
    buffer_append_format(out, " HTTP/1.1\r\nHost: ");
    http_write_host(out, target->service);
    buffer_append_format(out, "\r\n%sUser-Agent: electric-tunnel/" ELECTRIC_VERSION "\r\n",
                         connection);
    if (target->cookies != NULL)
        cookies_write(target->cookies, out);
    if (target->credentials != NULL)
        buffer_append(out, bytes_of_string(target->credentials));
}

void upgrade_write_request(struct buffer *out, const struct upgrade_target *target,
                           const struct upgrade_key *key)
{
    write_head(out, target,
               "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    if (target->subprotocol != NULL)
        buffer_append_format(out, "Sec-WebSocket-Protocol: %s\r\n", target->subprotocol);
    buffer_append_format(out, "Sec-WebSocket-Key: %s\r\n\r\n", key->text);
}

void upgrade_write_get(struct buffer *out, const struct upgrade_target *target)
{
    write_head(out, target, "Connection: close\r\n");
    buffer_append_format(out, "\r\n");
}

/* ---- reading the answer ------------------------------------------------------------------------
 */

static void expected_accept(const struct upgrade_key *key, char out[ACCEPT_LEN + 1])
{
    char joined[sizeof key->text + sizeof ACCEPT_GUID];
    unsigned char digest[SHA_DIGEST_LENGTH];
    int len = snprintf(joined, sizeof joined, "%s" ACCEPT_GUID, key->text);

    SHA1((unsigned char *)joined, (size_t)len, digest);
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof digest);
}

struct checks {
    bool upgrade;
    bool connection;
    bool accept;
    bool extensions;
};

static void read_field(struct bytes name, struct bytes value, const char *accept,
                       struct upgrade_response *response, struct checks *checks)
{
    if (bytes_equal_ignoring_case(name, "upgrade"))
        checks->upgrade |= http_list_has(value, "websocket");
    else if (bytes_equal_ignoring_case(name, "connection"))
        checks->connection |= http_list_has(value, "upgrade");
    else if (bytes_equal_ignoring_case(name, "sec-websocket-accept"))
        checks->accept = bytes_equal_string(value, accept);
    else if (bytes_equal_ignoring_case(name, "sec-websocket-extensions"))
        checks->extensions |= value.len > 0;
    else if (bytes_equal_ignoring_case(name, "sec-websocket-protocol"))
        response->subprotocol = value;
    else if (bytes_equal_ignoring_case(name, "location"))
        response->location = value;
    else if (bytes_equal_ignoring_case(name, "server"))
        response->server = value;
    else if (bytes_equal_ignoring_case(name, "content-type"))
        response->content_type = value;
    else if (bytes_equal_ignoring_case(name, "retry-after"))
        response->retry_after = value;
    else if (bytes_equal_ignoring_case(name, TUNNEL_HTTP_FIELD))
        response->is_ours = bytes_equal_string(value, TUNNEL_HTTP_HERE);
    else if (bytes_equal_ignoring_case(name, "set-cookie") && response->cookie_count < COOKIES_MAX)
        response->cookies[response->cookie_count++] = value;
}

static const char *find_fault(const struct checks *checks)
{
    if (!checks->upgrade || !checks->connection)
        return "it switched to something other than a WebSocket";
    if (!checks->accept)
        return "its Sec-WebSocket-Accept is not the answer to our key";
    if (checks->extensions)
        return "it chose an extension that was not offered";
    return NULL;
}

/* One head. STATUS_OK also for an interim one, with `in` moved behind it. */
static enum status read_head(struct bytes *in, const char *accept,
                             struct upgrade_response *response, struct error *error)
{
    struct bytes rest = *in;
    struct checks checks = {false, false, false, false};
    struct bytes line, name, value;
    unsigned minor;

    if (!http_take_line(&rest, &line))
        return STATUS_MORE;
    if (!http_read_status_line(line, &minor, &response->status))
        return error_set(error, STATUS_INVALID, "08P01", "the answer is not HTTP");
    for (;;) {
        if (!http_take_line(&rest, &line))
            return STATUS_MORE;
        if (line.len == 0)
            break;
        if (!http_read_field(line, &name, &value))
            return error_set(error, STATUS_INVALID, "08P01", "the answer's head is malformed");
        read_field(name, value, accept, response, &checks);
    }
    response->fault = response->status == 101 ? find_fault(&checks) : NULL;
    response->upgraded = response->status == 101 && response->fault == NULL;
    *in = rest;
    return STATUS_OK;
}

enum status upgrade_read_response(struct bytes in, const struct upgrade_key *key,
                                  struct upgrade_response *response, struct error *error)
{
    char accept[ACCEPT_LEN + 1];
    size_t total = in.len;
    enum status status;

    if (in.len > 0 && !http_begins_well(in))
        return error_set(error, STATUS_INVALID, "08P01", "the answer is not HTTP");
    /* Hashed only when the head may be whole. */
    if (in.len == 0 || memchr(in.data, '\n', in.len) == NULL)
        return in.len < HTTP_HEAD_MAX
                   ? STATUS_MORE
                   : error_set(error, STATUS_INVALID, "08P01", "the answer's head is too long");
    expected_accept(key, accept);
    do {
        memset(response, 0, sizeof *response);
        status = read_head(&in, accept, response, error);
    } while (status == STATUS_OK && response->status < 200 && response->status != 101);
    if (status == STATUS_MORE && total >= HTTP_HEAD_MAX)
        return error_set(error, STATUS_INVALID, "08P01", "the answer's head is too long");
    response->body = in;
    return status;
}

/* ---- refusals ----------------------------------------------------------------------------------
 */

/* The first line of a text body, for people: our own server says there what is wrong. */
static void body_reason(const struct upgrade_response *response, char out[REASON_MAX + 4])
{
    struct bytes body = response->body;
    size_t len = 0;

    out[0] = '\0';
    if (bytes_find_ignoring_case(response->content_type, "text/plain") != 0 ||
        response->content_type.len == 0)
        return;
    while (len < body.len && len < REASON_MAX && body.data[len] >= ' ' && body.data[len] < 0x7f)
        len++;
    if (len > 0)
        snprintf(out, REASON_MAX + 4, " (%.*s)", (int)len, (const char *)body.data);
}

struct refusal {
    unsigned status;
    enum status outcome;
    const char *sqlstate;
    const char *meaning;
    const char *hint;
};

static const struct refusal refusals[] = {
    {400, STATUS_INVALID, "08004", "400: it did not take the upgrade request",
     "Something in between may remove the WebSocket headers."},
    {401, STATUS_DENIED, "28000", "401: it wants credentials",
     "Give its token in ELECTRIC_TUNNEL_TOKEN or --token-file."},
    {403, STATUS_DENIED, "28000", "403: it does not allow this",
     "Check the token, and whether a firewall in front of the service allows WebSockets."},
    {404, STATUS_INVALID, "08004", "404: there is no tunnel at that path",
     "Check --service, its path included, and that the service's PG_PROXY_PORT is http."},
    {405, STATUS_INVALID, "08004", "405: it does not take this method",
     "Check --service; this does not look like the service."},
    {407, STATUS_DENIED, "28000", "407: a proxy wants credentials",
     "Put user:password@ into the proxy's variable."},
    {426, STATUS_INVALID, "08004", "426: it does not speak this version of WebSocket",
     "Update the service or electric-tunnel."},
    {429, STATUS_UNAVAILABLE, "53300", "429: too many requests", "Wait, then try again."},
    {500, STATUS_UNAVAILABLE, "08001", "500: it failed", "Look at the service's log."},
    {502, STATUS_UNAVAILABLE, "08001", "502: a gateway in front of it got no good answer",
     "The service is down or starting; look at its log."},
    {503, STATUS_UNAVAILABLE, "08001", "503: it is not ready",
     "It may be starting, full or being stopped; try again soon."},
    {504, STATUS_UNAVAILABLE, "08001", "504: a gateway in front of it waited in vain",
     "The service is down or overloaded; look at its log."},
};

static const struct refusal *find_refusal(unsigned status)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (refusals[i].status == status)
            return &refusals[i];
    return NULL;
}

enum status upgrade_describe(const struct upgrade_response *response, const char *service,
                             bool has_credentials, struct error *error)
{
    const struct refusal *refusal = find_refusal(response->status);
    char reason[REASON_MAX + 4];

    body_reason(response, reason);
    if (refusal == NULL) {
        error_set(error, STATUS_INVALID, "08004", "%s answered %u instead of a tunnel%s", service,
                  response->status, reason);
        error_hint(error, "Check --service; this does not look like the service.");
        return STATUS_INVALID;
    }
    error_set(error, refusal->outcome, refusal->sqlstate, "%s answered %s%s", service,
              refusal->meaning, reason);
    if (response->status == 401 && has_credentials)
        error_hint(error, "The credentials were sent, but not accepted; check them.");
    else if (response->status == 429 && response->retry_after.len > 0 &&
             response->retry_after.len < 10)
        error_hint(error, "Try again in %.*s seconds.", (int)response->retry_after.len,
                   (const char *)response->retry_after.data);
    else
        error_hint(error, "%s", refusal->hint);
    return refusal->outcome;
}

/* ---- summaries ---------------------------------------------------------------------------------
 */

#define SUMMARY_BODY_MAX 100

/* Appends `label` and `text`, as much as fits, with white space as one space and without what a
 * terminal would obey. Nothing when there is no text. */
static void add_text(struct buffer *out, const char *label, struct bytes text)
{
    bool space = true;

    if (text.len == 0)
        return;
    buffer_append_format(out, "%s", label);
    for (size_t i = 0; i < text.len; i++) {
        bool printable = text.data[i] > ' ' && text.data[i] < 0x7f;

        if (printable)
            buffer_append_u8(out, text.data[i]);
        else if (!space)
            buffer_append_u8(out, ' ');
        space = !printable;
    }
}

void upgrade_summarise(const struct upgrade_response *response, char *out, size_t size)
{
    struct buffer text;
    size_t len;

    buffer_init(&text, HTTP_HEAD_MAX + 1024);
    buffer_append_format(&text, "%u", response->status);
    add_text(&text, " from ", bytes_first(response->server, 60));
    add_text(&text, ", ", response->subprotocol);
    add_text(&text, ", to ", bytes_first(response->location, 200));
    if (response->status != 101)
        add_text(&text, ": ", bytes_first(response->body, SUMMARY_BODY_MAX));
    len = buffer_len(&text) < size ? buffer_len(&text) : size - 1;
    memcpy(out, buffer_peek(&text).data, len);
    out[len] = '\0';
    buffer_clear(&text);
}

/* ---- redirects ---------------------------------------------------------------------------------
 */

/* Path and query of an absolute URL or of a path; NULL if it is neither. */
static char *redirect_path(const char *location)
{
    const char *authority = strstr(location, "://");
    const char *path = location;
    char *copy;

    if (authority != NULL)
        path = authority + 3 + strcspn(authority + 3, "/?#");
    else if (location[0] != '/' || location[1] == '/')
        return NULL;
    copy = *path == '/' ? mem_copy_string(path) : mem_format("/%s", *path == '?' ? path : "");
    copy[strcspn(copy, "#")] = '\0';
    return copy;
}

static bool is_printable(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return false;
    return text.len > 0;
}

/* The origin of a URL without path, query and credentials, as text that url_parse() takes. */
static char *origin_of(const char *location, const struct url *current)
{
    const char *authority = strstr(location, "://");
    struct buffer out;
    char *text;

    if (authority != NULL) {
        const char *end = authority + 3 + strcspn(authority + 3, "/?#");

        return mem_copy_chars(location, (size_t)(end - location));
    }
    buffer_init(&out, 4096);
    buffer_append_format(&out, "%s://", current->secure ? "https" : "http");
    http_write_host(&out, current);
    text = mem_copy_chars((const char *)buffer_peek(&out).data, buffer_len(&out));
    buffer_clear(&out);
    return text;
}

static enum status check_redirect(const struct url *current, const struct url *next,
                                  const char *location, struct error *error)
{
    const char *reason = NULL;

    if (strcasecmp(current->host, next->host) != 0)
        reason = "another host";
    else if (current->secure && !next->secure)
        reason = "an unencrypted connection";
    else if (current->port != next->port && (current->secure || !next->secure))
        reason = "another port";
    if (reason == NULL)
        return STATUS_OK;
    error_set(error, STATUS_DENIED, "08004",
              "the service redirects to %s, which is not followed: %.120s", reason, location);
    error_hint(error,
               "If that is right, give the new address with --service. If it is where people "
               "log in, give what lets programs in with --header-file.");
    return STATUS_DENIED;
}

enum status upgrade_follow(const struct upgrade_response *response, const struct url *current,
                           struct url *next, char **path, struct error *error)
{
    char *location = NULL;
    char *origin = NULL;
    enum status status;

    *path = NULL;
    memset(next, 0, sizeof *next);
    if (is_printable(response->location)) {
        location = mem_copy_chars((const char *)response->location.data, response->location.len);
        *path = redirect_path(location);
    }
    if (*path == NULL) {
        free(location);
        return error_set(error, STATUS_DENIED, "08004",
                         "the service answered %u with no usable Location", response->status);
    }
    origin = origin_of(location, current);
    status = url_parse(origin, next, NULL);
    if (status == STATUS_OK)
        status = check_redirect(current, next, location, error);
    else
        error_set(error, STATUS_DENIED, "08004",
                  "the service redirects to an address of no use: %.120s", location);
    if (status != STATUS_OK) {
        url_clear(next);
        free(*path);
        *path = NULL;
        status = STATUS_DENIED;
    }
    free(origin);
    free(location);
    return status;
}
