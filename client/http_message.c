/* Reading and writing of HTTP/1.1 messages. */
#include "client/http_message.h"

#include <string.h>
#include <strings.h>

#define LINE_MAX_LEN 1024u /* of a chunk's size, with what extends it */
/* Nothing that is asked for is nearly as long. */
#define BODY_MAX (UINT64_C(1) << 40)

/* ---- pieces of a head --------------------------------------------------------------------------
 */

bool http_take_line(struct bytes *in, struct bytes *line)
{
    const uint8_t *end = in->len > 0 ? memchr(in->data, '\n', in->len) : NULL;

    if (end == NULL)
        return false;
    *line = bytes_of(in->data, (size_t)(end - in->data));
    *in = bytes_skip(*in, line->len + 1);
    if (line->len > 0 && line->data[line->len - 1] == '\r')
        line->len--;
    return true;
}

bool http_list_has(struct bytes list, const char *token)
{
    while (list.len > 0)
        if (bytes_equal_ignoring_case(bytes_trim(bytes_take_until(&list, ',')), token))
            return true;
    return false;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

bool http_read_status_line(struct bytes line, unsigned *minor, unsigned *status)
{
    /* HTTP/1.x SSS */
    if (line.len < 12 || !bytes_starts_with(line, "HTTP/1.") || !is_digit(line.data[7]) ||
        line.data[8] != ' ')
        return false;
    *minor = (unsigned)(line.data[7] - '0');
    *status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (!is_digit(line.data[i]))
            return false;
        *status = *status * 10 + (unsigned)(line.data[i] - '0');
    }
    return line.len == 12 || line.data[12] == ' ';
}

bool http_read_field(struct bytes line, struct bytes *name, struct bytes *value)
{
    const uint8_t *colon = line.len > 0 ? memchr(line.data, ':', line.len) : NULL;

    if (colon == NULL)
        return false;
    *name = bytes_first(line, (size_t)(colon - line.data));
    *value = bytes_trim(bytes_skip(line, name->len + 1));
    return true;
}

bool http_begins_well(struct bytes in)
{
    return in.len == 0 || memcmp(in.data, "HTTP/1.", in.len < 7 ? in.len : 7) == 0;
}

void http_write_host(struct buffer *out, const struct url *url)
{
    if (strchr(url->host, ':') != NULL)
        buffer_append_format(out, "[%s]", url->host);
    else
        buffer_append_format(out, "%s", url->host);
    if (url->port != (url->secure ? 443 : 80))
        buffer_append_format(out, ":%u", (unsigned)url->port);
}

void http_write_target(struct buffer *out, const char *path, const char *query)
{
    buffer_append_format(out, "%s%c%s", path, strchr(path, '?') == NULL ? '?' : '&', query);
}

struct bytes http_head_field(const struct http_head *head, const char *wanted)
{
    struct bytes fields = head->fields, line, name, value;

    while (http_take_line(&fields, &line))
        if (http_read_field(line, &name, &value) && bytes_equal_ignoring_case(name, wanted))
            return value;
    return bytes_of(NULL, 0);
}

/* ---- how long a body is (RFC 9112 section 6.3) -------------------------------------------------
 */

static bool read_length(struct bytes digits, uint64_t *length)
{
    uint64_t value = 0;

    if (digits.len == 0)
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.data[i]))
            return false;
        value = value * 10 + (uint64_t)(digits.data[i] - '0');
        if (value > BODY_MAX)
            return false;
    }
    *length = value;
    return true;
}

/* What the fields say about it. */
struct framing {
    bool has_length;
    bool lengths_differ; /* or make no sense */
    bool is_coded;
    bool is_chunked; /* the last coding */
    bool closes;
    bool keeps;
    uint64_t length;
};

static void note_field(struct framing *framing, struct bytes name, struct bytes value)
{
    uint64_t length = 0;

    if (bytes_equal_ignoring_case(name, "content-length")) {
        bool fits =
            read_length(value, &length) && (!framing->has_length || framing->length == length);

        framing->lengths_differ |= !fits;
        framing->has_length = true;
        framing->length = length;
    } else if (bytes_equal_ignoring_case(name, "transfer-encoding")) {
        framing->is_coded = true;
        framing->is_chunked = bytes_equal_ignoring_case(value, "chunked");
    } else if (bytes_equal_ignoring_case(name, "connection")) {
        framing->closes |= http_list_has(value, "close");
        framing->keeps |= http_list_has(value, "keep-alive");
    }
}

/* False: it cannot be known where the body ends. */
static bool choose_state(struct http_decoder *decoder, unsigned status, unsigned minor,
                         const struct framing *framing)
{
    decoder->keeps = !framing->closes && (minor > 0 || framing->keeps);
    decoder->left = 0;
    if (status == 101 || status == 204 || status == 304) {
        decoder->state = HTTP_DECODER_END;
    } else if (framing->is_coded) {
        /* With a length beside it somebody may have been smuggling (RFC 9112 section 6.1). */
        decoder->keeps = decoder->keeps && framing->is_chunked && !framing->has_length;
        decoder->state = framing->is_chunked ? HTTP_DECODER_CHUNK_SIZE : HTTP_DECODER_UNTIL_CLOSE;
    } else if (framing->lengths_differ) {
        return false;
    } else if (framing->has_length) {
        decoder->left = framing->length;
        decoder->state = framing->length > 0 ? HTTP_DECODER_LENGTH : HTTP_DECODER_END;
    } else {
        decoder->keeps = false;
        decoder->state = HTTP_DECODER_UNTIL_CLOSE;
    }
    return true;
}

/* ---- decoding ----------------------------------------------------------------------------------
 */

void http_decoder_init(struct http_decoder *decoder)
{
    memset(decoder, 0, sizeof *decoder);
    buffer_init(&decoder->held, HTTP_HEAD_MAX);
}

void http_decoder_clear(struct http_decoder *decoder)
{
    buffer_clear(&decoder->held);
    http_decoder_init(decoder);
}

static enum status fail(struct http_decoder *decoder, struct error *error, const char *reason)
{
    decoder->state = HTTP_DECODER_BROKEN;
    return error_set(error, STATUS_INVALID, "08P01", "%s", reason);
}

/* Moves a line from `in` into what is held, as far as it has come. */
static enum status hold_line(struct http_decoder *decoder, struct bytes *in, size_t max,
                             struct error *error)
{
    const uint8_t *end = in->len > 0 ? memchr(in->data, '\n', in->len) : NULL;
    size_t len = end != NULL ? (size_t)(end - in->data) + 1 : in->len;

    if (buffer_len(&decoder->held) + len > max ||
        !buffer_append(&decoder->held, bytes_first(*in, len)))
        return fail(decoder, error, "a line of it, or its head, is too long");
    *in = bytes_skip(*in, len);
    return end != NULL ? STATUS_OK : STATUS_MORE;
}

/* Whether the last line that is held is empty. */
static bool ends_head(struct bytes held)
{
    size_t len = held.len - 1;

    if (len > 0 && held.data[len - 1] == '\r')
        len--;
    return len == 0 || held.data[len - 1] == '\n';
}

/* A head that is complete. STATUS_MORE: it was an interim one. */
static enum status read_head(struct http_decoder *decoder, struct http_head *head,
                             struct error *error)
{
    struct bytes rest = buffer_peek(&decoder->held), line, name, value;
    struct framing framing = {.has_length = false};
    unsigned minor;

    if (!http_take_line(&rest, &line) || !http_read_status_line(line, &minor, &head->status))
        return fail(decoder, error, "it is not HTTP");
    if (head->status < 200 && head->status != 101) {
        buffer_clear(&decoder->held);
        return STATUS_MORE;
    }
    head->fields = rest;
    while (http_take_line(&rest, &line) && line.len > 0) {
        if (!http_read_field(line, &name, &value))
            return fail(decoder, error, "its head is malformed");
        note_field(&framing, name, value);
    }
    if (!choose_state(decoder, head->status, minor, &framing))
        return fail(decoder, error, "its length is unclear");
    decoder->given = true;
    return STATUS_OK;
}

static enum status take_head(struct http_decoder *decoder, struct bytes *in,
                             struct http_event *event, struct error *error)
{
    enum status status;

    do {
        status = hold_line(decoder, in, HTTP_HEAD_MAX, error);
        if (status != STATUS_INVALID && !http_begins_well(buffer_peek(&decoder->held)))
            return fail(decoder, error, "it is not HTTP");
        if (status == STATUS_OK && ends_head(buffer_peek(&decoder->held))) {
            event->type = HTTP_HEAD;
            status = read_head(decoder, &event->head, error);
            if (status != STATUS_MORE)
                return status;
            status = STATUS_OK;
        }
    } while (status == STATUS_OK);
    return status;
}

static int hex_value(uint8_t byte)
{
    if (is_digit(byte))
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Hexadecimal digits, then perhaps extensions (RFC 9112 section 7.1). */
static bool read_chunk_size(struct bytes line, uint64_t *size)
{
    size_t digits = 0;

    *size = 0;
    while (digits < line.len && hex_value(line.data[digits]) >= 0) {
        *size = *size << 4 | (uint64_t)hex_value(line.data[digits++]);
        if (*size > BODY_MAX)
            return false;
    }
    line = bytes_trim(bytes_skip(line, digits));
    return digits > 0 && (line.len == 0 || line.data[0] == ';');
}

/* A line of the chunked coding, outside of the chunks. */
static enum status take_chunk_line(struct http_decoder *decoder, struct bytes *in,
                                   struct error *error)
{
    enum status status = hold_line(decoder, in, LINE_MAX_LEN, error);
    struct bytes held, line = {0};

    if (status != STATUS_OK)
        return status;
    held = buffer_peek(&decoder->held);
    decoder->trailer_len += decoder->state == HTTP_DECODER_TRAILER ? held.len : 0;
    (void)http_take_line(&held, &line);
    if (decoder->state == HTTP_DECODER_CHUNK_SIZE && !read_chunk_size(line, &decoder->left))
        return fail(decoder, error, "a chunk of it has no size");
    if (decoder->state == HTTP_DECODER_CHUNK_END && line.len > 0)
        return fail(decoder, error, "a chunk of it does not end where it should");
    if (decoder->trailer_len > HTTP_HEAD_MAX)
        return fail(decoder, error, "its trailer is too long");
    if (decoder->state == HTTP_DECODER_CHUNK_END)
        decoder->state = HTTP_DECODER_CHUNK_SIZE;
    else if (decoder->state == HTTP_DECODER_CHUNK_SIZE)
        decoder->state = decoder->left > 0 ? HTTP_DECODER_CHUNK : HTTP_DECODER_TRAILER;
    else if (line.len == 0)
        decoder->state = HTTP_DECODER_END;
    buffer_clear(&decoder->held);
    return STATUS_OK;
}

static void take_body(struct http_decoder *decoder, struct bytes *in, struct http_event *event)
{
    size_t len = in->len < decoder->left ? in->len : (size_t)decoder->left;

    if (decoder->state == HTTP_DECODER_UNTIL_CLOSE)
        len = in->len;
    else
        decoder->left -= len;
    event->type = HTTP_BODY;
    event->body = bytes_first(*in, len);
    *in = bytes_skip(*in, len);
    if (decoder->left > 0 || decoder->state == HTTP_DECODER_UNTIL_CLOSE)
        return;
    decoder->state =
        decoder->state == HTTP_DECODER_CHUNK ? HTTP_DECODER_CHUNK_END : HTTP_DECODER_END;
}

enum status http_decode(struct http_decoder *decoder, struct bytes *in, struct http_event *event,
                        struct error *error)
{
    enum status status;

    if (decoder->given)
        buffer_clear(&decoder->held);
    decoder->given = false;
    for (;;) {
        switch (decoder->state) {
        case HTTP_DECODER_HEAD:
            return take_head(decoder, in, event, error);
        case HTTP_DECODER_LENGTH:
        case HTTP_DECODER_CHUNK:
        case HTTP_DECODER_UNTIL_CLOSE:
            if (in->len == 0)
                return STATUS_MORE;
            take_body(decoder, in, event);
            return STATUS_OK;
        case HTTP_DECODER_CHUNK_SIZE:
        case HTTP_DECODER_CHUNK_END:
        case HTTP_DECODER_TRAILER:
            status = take_chunk_line(decoder, in, error);
            if (status != STATUS_OK)
                return status;
            break;
        case HTTP_DECODER_END:
            event->type = HTTP_END;
            decoder->trailer_len = 0;
            decoder->state = HTTP_DECODER_HEAD;
            return STATUS_OK;
        case HTTP_DECODER_BROKEN:
            return error_set(error, STATUS_INVALID, "08P01", "it is not HTTP");
        }
    }
}

bool http_decoder_keeps(const struct http_decoder *decoder)
{
    return decoder->keeps;
}

bool http_decoder_ends_with_connection(const struct http_decoder *decoder)
{
    return decoder->state == HTTP_DECODER_UNTIL_CLOSE;
}
