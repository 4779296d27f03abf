/* Start-up packets and backend message boundaries. */
#include "client/pgstart.h"

#include <string.h>

#define CODE_CANCEL 80877102u
#define CODE_SSL 80877103u
#define CODE_GSSENC 80877104u
#define PROTOCOL_MAJOR 3u
/* libpq asks at most for GSSAPI, then for TLS, and again when it retries; more is no libpq. */
#define DECLINES_MAX 8

void pgstart_init(struct pgstart *start)
{
    memset(start, 0, sizeof *start);
}

/* Whether fewer than eight bytes could still become a start-up packet: its length is at most
 * 10,000, and its code begins with 0 (protocol 3) or 4 (the requests). */
static bool may_be_startup(struct bytes bytes)
{
    static const uint8_t length_high[2] = {0, 0};

    if (memcmp(bytes.data, length_high, bytes.len < 2 ? bytes.len : 2) != 0)
        return false;
    return bytes.len <= 4 || bytes.data[4] == 0 || bytes.data[4] == 4;
}

static enum pgstart_answer pass(struct pgstart *start, enum pgstart_kind kind, uint32_t length)
{
    start->kind = kind;
    start->startup_left = kind == PGSTART_SESSION ? length : 0;
    return PGSTART_PASS;
}

enum pgstart_answer pgstart_begin(struct pgstart *start, struct bytes bytes)
{
    struct bytes rest = bytes;
    uint32_t length;
    uint32_t code;

    if (bytes.len == 0)
        return PGSTART_MORE;
    if (!bytes_take_u32(&rest, &length) || !bytes_take_u32(&rest, &code))
        return may_be_startup(bytes) ? PGSTART_MORE : pass(start, PGSTART_OTHER, 0);
    if (length < 8 || length > PGSTART_PACKET_MAX)
        return pass(start, PGSTART_OTHER, 0);
    if ((code == CODE_SSL || code == CODE_GSSENC) && length == PGSTART_REQUEST_LEN)
        return start->declined++ < DECLINES_MAX ? PGSTART_DECLINE : pass(start, PGSTART_OTHER, 0);
    if (code == CODE_CANCEL)
        return pass(start, PGSTART_CANCEL, length);
    return pass(start, code >> 16 == PROTOCOL_MAJOR ? PGSTART_SESSION : PGSTART_OTHER, length);
}

void pgstart_sent(struct pgstart *start, size_t count)
{
    start->startup_left = count >= start->startup_left ? 0 : start->startup_left - (uint32_t)count;
}

/* Takes what is missing of a header; false when the bytes end before it does. */
static bool take_header(struct pgstart *start, struct bytes *bytes)
{
    while (start->header_len < sizeof start->header) {
        if (!bytes_take_u8(bytes, &start->header[start->header_len]))
            return false;
        start->header_len++;
    }
    return true;
}

void pgstart_received(struct pgstart *start, struct bytes bytes)
{
    while (start->kind == PGSTART_SESSION && bytes.len > 0) {
        struct bytes length_field = bytes_of(start->header + 1, 4);
        uint32_t length;
        size_t skipped;

        if (start->body_left == 0) {
            if (!take_header(start, &bytes))
                return;
            start->header_len = 0;
            bytes_take_u32(&length_field, &length);
            if (length < 4) {
                start->kind = PGSTART_OTHER;
                return;
            }
            start->last_type = start->header[0];
            start->body_left = length - 4;
        }
        skipped = bytes.len < start->body_left ? bytes.len : start->body_left;
        bytes = bytes_skip(bytes, skipped);
        start->body_left -= (uint32_t)skipped;
    }
}

enum pgstart_place pgstart_place(const struct pgstart *start)
{
    if (start->kind == PGSTART_UNKNOWN || start->startup_left > 0)
        return PGSTART_EARLY;
    if (start->kind != PGSTART_SESSION)
        return PGSTART_UNTRACKED;
    if (start->header_len > 0 || start->body_left > 0)
        return PGSTART_INSIDE;
    return start->last_type == 'E' ? PGSTART_AFTER_ERROR : PGSTART_BOUNDARY;
}

static void write_field(struct buffer *out, uint8_t code, const char *text)
{
    buffer_append_u8(out, code);
    buffer_append_string(out, text);
}

void pgstart_write_error(struct buffer *out, const struct error *error)
{
    size_t before = buffer_len(out);

    buffer_append_u8(out, 'E');
    buffer_append_u32(out, 0);
    write_field(out, 'S', "FATAL");
    write_field(out, 'V', "FATAL");
    write_field(out, 'C', error->sqlstate[0] != '\0' ? error->sqlstate : "08006");
    write_field(out, 'M', error->message);
    if (error->hint[0] != '\0')
        write_field(out, 'H', error->hint);
    buffer_append_u8(out, 0);
    if (!buffer_failed(out))
        buffer_patch_u32(out, before + 1, (uint32_t)(buffer_len(out) - before - 1));
}
