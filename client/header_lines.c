/* Reading, checking and writing header lines. */
#include "client/header_lines.h"

#include <string.h>
#include <strings.h>

/* What makes the request a handshake, or would make it another one. */
static const char *const reserved[] = {
    "Connection", "Content-Length",    "Content-Type", "Cookie", "Expect",
    "Host",       "Keep-Alive",        "Origin",       "TE",     "Trailer",
    "User-Agent", "Transfer-Encoding", "Upgrade",      NULL};
static const char reserved_prefix[] = "Sec-WebSocket-";

struct line {
    struct bytes name;
    struct bytes value;
    bool has_colon;
};

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && strchr(" \t", text.data[0]) != NULL)
        text = bytes_skip(text, 1);
    while (text.len > 0 && strchr(" \t\r", text.data[text.len - 1]) != NULL)
        text.len--;
    return text;
}

/* Takes the next line that counts; `number` grows by the lines that were taken. */
static bool next_line(struct bytes *text, unsigned *number, struct line *line)
{
    while (text->len > 0) {
        const uint8_t *end = memchr(text->data, '\n', text->len);
        struct bytes all = bytes_first(*text, end == NULL ? text->len : (size_t)(end - text->data));
        const uint8_t *colon;

        *text = bytes_skip(*text, all.len + 1);
        ++*number;
        all = trim(all);
        if (all.len == 0 || all.data[0] == '#')
            continue;
        colon = memchr(all.data, ':', all.len);
        line->has_colon = colon != NULL;
        line->name = bytes_first(all, colon == NULL ? all.len : (size_t)(colon - all.data));
        line->value = trim(bytes_skip(all, line->name.len + 1));
        return true;
    }
    return false;
}

static bool is_named(struct bytes name, const char *other)
{
    return name.len == strlen(other) && strncasecmp((const char *)name.data, other, name.len) == 0;
}

static bool is_reserved(struct bytes name)
{
    size_t len = sizeof reserved_prefix - 1;

    for (const char *const *other = reserved; *other != NULL; other++)
        if (is_named(name, *other))
            return true;
    return name.len >= len && is_named(bytes_first(name, len), reserved_prefix);
}

/* A token of RFC 9110 section 5.6.2. */
static bool is_name(struct bytes name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.data[i];
        bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool digit = byte >= '0' && byte <= '9';

        if (!letter && !digit && (byte == '\0' || strchr("!#$%&'*+-.^_`|~", byte) == NULL))
            return false;
    }
    return name.len > 0;
}

static bool is_value(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
            return false;
    return value.len > 0;
}

bool header_lines_check(const char *text, struct error *error)
{
    struct bytes rest = bytes_of_string(text);
    unsigned number = 0;
    struct line line;

    while (next_line(&rest, &number, &line)) {
        if (!line.has_colon || !is_name(line.name)) {
            error_set(error, STATUS_USAGE, "22023", "line %u: a header is \"Name: value\"", number);
            return false;
        }
        if (!is_value(line.value)) {
            error_set(error, STATUS_USAGE, "22023",
                      "line %u: the value of %.*s is empty or holds a control character", number,
                      (int)(line.name.len < 80 ? line.name.len : 80), (const char *)line.name.data);
            return false;
        }
        if (is_reserved(line.name)) {
            error_set(error, STATUS_USAGE, "22023", "line %u: the tunnel sets %.*s itself", number,
                      (int)line.name.len, (const char *)line.name.data);
            return false;
        }
    }
    return true;
}

bool header_lines_has(const char *text, const char *name)
{
    struct bytes rest = bytes_of_string(text);
    unsigned number = 0;
    struct line line;

    while (next_line(&rest, &number, &line))
        if (is_named(line.name, name))
            return true;
    return false;
}

void header_lines_write(const char *text, struct buffer *out)
{
    struct bytes rest = bytes_of_string(text);
    unsigned number = 0;
    struct line line;

    while (next_line(&rest, &number, &line)) {
        buffer_append(out, line.name);
        buffer_append_format(out, ": ");
        buffer_append(out, line.value);
        buffer_append_format(out, "\r\n");
    }
}

void header_lines_name(const char *text, struct buffer *out)
{
    struct bytes rest = bytes_of_string(text);
    const char *separator = "";
    unsigned number = 0;
    struct line line;

    while (next_line(&rest, &number, &line)) {
        buffer_append_format(out, "%s", separator);
        buffer_append(out, line.name);
        separator = ", ";
    }
}
