/* One request's head, checked and rewritten before libwebsockets sees it. */
#include "server/http_head.h"

#include <libwebsockets.h>
#include <string.h>
#include <strings.h>

enum {
    METHOD_MAX = 16,
    LENGTH_DIGITS_MAX = 15,
    ENTRIES_MAX = 64, /* of the library's table of some eighty */
};

/* What is known of a head while it is read. */
struct parser {
    struct http_head *head;
    struct buffer *out;
    unsigned entries; /* what the library keeps in its table: arguments, headers that it knows */
    bool version_1_0;
    bool has_host;
    bool has_length;
    bool has_coding;
    bool closes; /* what Connection lists */
    bool keeps;
    bool upgrades;
};

static enum status refuse(struct http_head *head, int status, const char *reason)
{
    head->status = status;
    head->reason = reason;
    return STATUS_INVALID;
}

static enum status malformed(struct http_head *head, const char *reason)
{
    return refuse(head, 400, reason);
}

/* Characters */

/* RFC 9110 section 5.6.2. */
static bool is_token_char(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool is_token(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_token_char(text.data[i]))
            return false;
    return text.len > 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

static bool is_value(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.data[i] < ' ' && text.data[i] != '\t') || text.data[i] == 0x7f)
            return false;
    return true;
}

static bool lists(struct bytes value, const char *word)
{
    while (value.len > 0)
        if (bytes_equal_ignoring_case(bytes_trim(bytes_take_until(&value, ',')), word))
            return true;
    return false;
}

/* The request line */

static bool is_known_method(struct bytes method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "OPTIONS", "PUT", "PATCH", "DELETE"};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (bytes_equal_string(method, known[i]))
            return true;
    return false;
}

/* Visible ASCII, and whole escapes; a decoded NUL would end the path early. */
static bool is_target(struct bytes target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.data[i] <= ' ' || target.data[i] >= 0x7f)
            return false;
        if (target.data[i] == '%' &&
            (i + 2 >= target.len || !is_hex(target.data[i + 1]) || !is_hex(target.data[i + 2]) ||
             (target.data[i + 1] == '0' && target.data[i + 2] == '0')))
            return false;
    }
    return target.len > 0;
}

/* Appends the path of any form of target (RFC 9112 section 3.2); false: it has none. */
static bool append_path(struct buffer *out, struct bytes target)
{
    if (bytes_equal_string(target, "*"))
        return buffer_append_format(out, "/");
    if (target.data[0] != '/') {
        size_t scheme = bytes_starts_with(target, "http://")    ? 7
                        : bytes_starts_with(target, "https://") ? 8
                                                                : 0;

        if (scheme == 0)
            return false;
        target = bytes_skip(target, scheme);
        while (target.len > 0 && target.data[0] != '/' && target.data[0] != '?')
            target = bytes_skip(target, 1);
        if (target.len == 0 || target.data[0] == '?')
            (void)buffer_append_format(out, "/");
    }
    return buffer_append(out, target);
}

static enum status take_request_line(struct parser *parser, struct bytes line)
{
    struct http_head *head = parser->head;
    struct bytes method = bytes_take_until(&line, ' ');
    struct bytes target = bytes_take_until(&line, ' ');

    if (!is_token(method) || !is_target(target))
        return malformed(head, "malformed request line");
    if (!bytes_equal_string(line, "HTTP/1.1") && !bytes_equal_string(line, "HTTP/1.0"))
        return bytes_starts_with(line, "HTTP/")
                   ? refuse(head, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
                   : malformed(head, "malformed request line");
    if (!is_known_method(method))
        return refuse(head, 501, "no such method here");
    parser->version_1_0 = line.data[line.len - 1] == '0';
    for (size_t i = 0; i < target.len; i++)
        parser->entries += target.data[i] == '&';
    (void)buffer_append(parser->out, method);
    (void)buffer_append_format(parser->out, " ");
    if (!append_path(parser->out, target))
        return malformed(head, "malformed request target");
    (void)buffer_append_format(parser->out, " %.*s\r\n", (int)line.len, (const char *)line.data);
    return STATUS_OK;
}

/* Headers */

/* What the library makes of a name. */
enum reading { UNKNOWN, KNOWN, MISREAD };

/* Misread is one that it takes for (the beginning of) something else; see the header. Its names end
 * in a colon, or it does not wait for one. */
static enum reading reading_of(struct bytes name)
{
    enum reading reading = UNKNOWN;
    const char *known;

    for (int i = 0; (known = (const char *)lws_token_to_string((enum lws_token_indexes)i)) != NULL;
         i++) {
        size_t len = strlen(known);
        bool whole = len > 0 && known[len - 1] == ':';
        size_t common = name.len < len ? name.len : len;

        if (len == 0 || strncasecmp(known, (const char *)name.data, common) != 0)
            continue;
        if (whole && name.len == len - 1)
            return KNOWN;
        if (name.len < len || !whole)
            reading = MISREAD;
    }
    return reading;
}

static enum status take_length(struct parser *parser, struct bytes value)
{
    uint64_t length = 0;

    if (parser->has_length)
        return malformed(parser->head, "Content-Length is there twice");
    if (value.len == 0 || value.len > LENGTH_DIGITS_MAX)
        return malformed(parser->head, "malformed Content-Length");
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9')
            return malformed(parser->head, "malformed Content-Length");
        length = length * 10 + (value.data[i] - '0');
    }
    parser->has_length = true;
    parser->head->body = length;
    return STATUS_OK;
}

static void take_forwarded(struct http_head *head, struct bytes value)
{
    if (head->forwarded_count == HTTP_HEAD_FORWARDED_MAX) {
        memmove(head->forwarded, head->forwarded + 1,
                sizeof(head->forwarded) - sizeof(head->forwarded[0]));
        head->forwarded_count--;
    }
    head->forwarded[head->forwarded_count++] = value;
}

static void take_connection(struct parser *parser, struct bytes list)
{
    parser->closes |= lists(list, "close");
    parser->keeps |= lists(list, "keep-alive");
    parser->upgrades |= lists(list, "upgrade");
}

static void pass(struct parser *parser, struct bytes name, struct bytes value)
{
    (void)buffer_append(parser->out, name);
    (void)buffer_append_format(parser->out, ": ");
    (void)buffer_append(parser->out, value);
    (void)buffer_append_format(parser->out, "\r\n");
}

/* One word, which is all that libwebsockets understands there. */
static void pass_connection(struct parser *parser)
{
    const char *word = parser->head->upgrade && parser->upgrades ? "Upgrade"
                       : parser->closes                          ? "close"
                       : parser->keeps                           ? "keep-alive"
                                                                 : NULL;

    if (word != NULL)
        pass(parser, bytes_of_string("Connection"), bytes_of_string(word));
}

static enum status take_header(struct parser *parser, struct bytes name, struct bytes value)
{
    struct http_head *head = parser->head;
    enum reading reading = reading_of(name);

    parser->entries += reading == KNOWN;
    if (bytes_equal_ignoring_case(name, "Content-Length")) {
        if (take_length(parser, value) != STATUS_OK)
            return STATUS_INVALID;
    } else if (bytes_equal_ignoring_case(name, "Transfer-Encoding")) {
        parser->has_coding = true;
        return STATUS_OK;
    } else if (bytes_equal_ignoring_case(name, "Host")) {
        if (parser->has_host)
            return malformed(head, "Host is there twice");
        parser->has_host = true;
    } else if (bytes_equal_ignoring_case(name, "X-Forwarded-For")) {
        take_forwarded(head, value);
        return STATUS_OK;
    } else if (bytes_equal_ignoring_case(name, "Upgrade")) {
        /* Others may be ignored, and are (RFC 9110 section 7.8). */
        if (parser->version_1_0 || head->upgrade || !lists(value, "websocket"))
            return STATUS_OK;
        head->upgrade = true;
        value = bytes_of_string("websocket");
    } else if (bytes_equal_ignoring_case(name, "Connection")) {
        take_connection(parser, value);
        return STATUS_OK;
    } else if (bytes_equal_ignoring_case(name, HTTP_HEAD_CLIENT) || reading == MISREAD) {
        return STATUS_OK;
    }
    pass(parser, name, value);
    return STATUS_OK;
}

static enum status take_line(struct parser *parser, struct bytes line)
{
    struct bytes value = line;
    struct bytes name = bytes_take_until(&value, ':');

    if (line.data[0] == ' ' || line.data[0] == '\t')
        return malformed(parser->head, "folded header lines are obsolete (RFC 9112 section 5.2)");
    if (name.len == line.len || !is_token(name) || !is_value(value))
        return malformed(parser->head, "malformed header line");
    return take_header(parser, name, bytes_trim(value));
}

/* The whole */

static enum status finish(struct parser *parser)
{
    struct http_head *head = parser->head;

    if (!parser->has_host && !parser->version_1_0)
        return malformed(head, "the Host header is missing");
    if (parser->has_coding && (parser->has_length || parser->version_1_0))
        return malformed(head, "Transfer-Encoding makes the length of this request doubtful");
    if (parser->has_coding)
        return refuse(head, 411, "a request with a body needs Content-Length here");
    if (head->upgrade && head->body > 0)
        return malformed(head, "an upgrade request has no body");
    if (parser->entries > ENTRIES_MAX)
        return refuse(head, 431, "too many headers and arguments");
    pass_connection(parser);
    return buffer_failed(parser->out) ? refuse(head, 431, "the request's head is too long")
                                      : STATUS_OK;
}

/* The length of the head at the front of `in`, with the empty line. */
static enum status find_end(struct bytes in, struct http_head *head, size_t *end)
{
    size_t at = 0;

    /* With the request line and the empty one. */
    for (unsigned lines = 0; lines < HTTP_HEAD_LINES_MAX + 2; lines++) {
        const uint8_t *newline = memchr(in.data + at, '\n', in.len - at);
        size_t next;

        if (newline == NULL)
            return STATUS_MORE;
        next = (size_t)(newline - in.data) + 1;
        if (next - at < 2 || newline[-1] != '\r')
            return malformed(head, "lines end in CRLF (RFC 9112 section 2.2)");
        if (next - at == 2) {
            *end = next;
            return STATUS_OK;
        }
        at = next;
    }
    return refuse(head, 431, "too many headers");
}

/* What no request begins with is refused before anything else is waited for. */
static enum status check_beginning(struct bytes in, struct http_head *head)
{
    for (size_t i = 0; i < in.len && i <= METHOD_MAX && in.data[i] != ' '; i++)
        if (i == METHOD_MAX || !is_token_char(in.data[i]))
            return in.data[0] == 0x16
                       ? malformed(head, "this port speaks HTTP without TLS: use http://, or set "
                                         "HTTP_TLS_CERT for the server")
                       : malformed(head, "this port speaks HTTP; Postgres clients come through "
                                         "electric-tunnel or the TCP port");
    return STATUS_OK;
}

enum status http_head_take(struct bytes *in, struct http_head *head, struct buffer *out)
{
    struct parser parser = {.head = head, .out = out};
    struct bytes rest = *in, lines;
    size_t end = 0;
    enum status status;

    *head = (struct http_head){.body = 0};
    while (bytes_starts_with(rest, "\r\n"))
        rest = bytes_skip(rest, 2);
    if (rest.len == 0 || bytes_equal_string(rest, "\r"))
        return in->len < HTTP_HEAD_MAX ? STATUS_MORE
                                       : malformed(head, "empty lines instead of a request");
    if ((status = check_beginning(rest, head)) != STATUS_OK)
        return status;
    status = find_end(rest, head, &end);
    if ((status == STATUS_MORE && in->len >= HTTP_HEAD_MAX) || end > HTTP_HEAD_MAX)
        return refuse(head, 431, "the request's head is too long");
    if (status != STATUS_OK)
        return status;

    lines = bytes_first(rest, end - 2);
    for (bool first = true; lines.len > 0 && status == STATUS_OK; first = false) {
        struct bytes line = bytes_take_until(&lines, '\n');

        line.len--; /* CR */
        status = first ? take_request_line(&parser, line) : take_line(&parser, line);
    }
    if (status == STATUS_OK && (status = finish(&parser)) == STATUS_OK)
        *in = bytes_skip(rest, end);
    return status;
}
