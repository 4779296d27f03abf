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

/* Of those that ask for something, what ends with a ReadyForQuery, and what only adds to it
 * (Postgres documentation, "Message Flow"). */
static void note_frontend(struct pgstart *start)
{
    switch (pgscan_type(&start->frontend)) {
    case 'Q': /* Query */
    case 'F': /* FunctionCall */
    case 'S': /* Sync */
        start->unanswered++;
        start->asked = false;
        break;
    case 'p': /* PasswordMessage and its kin */
    case 'd': /* CopyData, CopyDone, CopyFail: part of what was asked before */
    case 'c':
    case 'f':
    case 'H': /* Flush */
    case 'X': /* Terminate */
        break;
    default:
        start->asked = true;
    }
}

void pgstart_sent_bytes(struct pgstart *start, struct bytes bytes)
{
    size_t startup = bytes.len < start->startup_left ? bytes.len : start->startup_left;
    struct bytes piece;

    pgstart_sent(start, startup);
    bytes = bytes_skip(bytes, startup);
    if (start->kind != PGSTART_SESSION)
        return;
    start->spoke = start->spoke || bytes.len > 0;
    while (pgscan_next(&start->frontend, &bytes, &piece))
        if (start->frontend.begins)
            note_frontend(start);
}

static void note_ready(struct pgstart *start, uint8_t transaction)
{
    /* The first one ends the start-up. */
    if (start->transaction != 0 && start->unanswered > 0)
        start->unanswered--;
    start->transaction = transaction;
}

static void note_key(struct pgstart *start, struct bytes piece)
{
    size_t room = sizeof start->cancel_key - start->cancel_key_len;
    struct bytes part = bytes_first(piece, room);

    if (part.len > 0)
        memcpy(start->cancel_key + start->cancel_key_len, part.data, part.len);
    start->cancel_key_len += part.len;
}

static void note_backend(struct pgstart *start, struct bytes piece)
{
    uint8_t type = pgscan_type(&start->backend);

    start->last_type = type;
    if (type == 'Z' && piece.len > 0)
        note_ready(start, piece.data[0]);
    if (type != 'K')
        return;
    if (start->backend.begins)
        start->cancel_key_len = 0;
    note_key(start, piece);
}

void pgstart_received(struct pgstart *start, struct bytes bytes)
{
    struct bytes piece;

    if (start->kind != PGSTART_SESSION)
        return;
    start->received += bytes.len;
    while (pgscan_next(&start->backend, &bytes, &piece)) {
        note_backend(start, piece);
        if (pgscan_type(&start->backend) == 'Z')
            start->ready_at = start->received - bytes.len;
    }
    if (start->backend.invalid)
        start->kind = PGSTART_OTHER;
}

enum doubt pgstart_doubt(const struct pgstart *start)
{
    if (start->kind == PGSTART_UNKNOWN)
        return DOUBT_STARTING;
    if (start->kind != PGSTART_SESSION || start->frontend.invalid || start->asked ||
        start->unanswered > 0)
        return DOUBT_OUTCOME;
    if (start->transaction == 0)
        return start->spoke ? DOUBT_IDLE : DOUBT_STARTING;
    return start->transaction == 'I' ? DOUBT_IDLE : DOUBT_IN_TRANSACTION;
}

bool pgstart_is_over(const struct pgstart *start)
{
    return start->kind == PGSTART_OTHER || start->transaction != 0;
}

bool pgstart_read_cancel(struct bytes packet, struct tunnel_cancel *cancel)
{
    uint32_t length;
    uint32_t code;

    if (!bytes_take_u32(&packet, &length) || !bytes_take_u32(&packet, &code) ||
        code != CODE_CANCEL || length < 12 || length - 8 > packet.len)
        return false;
    bytes_take_u32(&packet, &cancel->pid);
    cancel->key = bytes_first(packet, length - 12);
    return true;
}

bool pgstart_fits_cancel(const struct pgstart *start, const struct tunnel_cancel *cancel)
{
    struct bytes key = bytes_of(start->cancel_key, start->cancel_key_len);
    uint32_t pid;

    return bytes_take_u32(&key, &pid) && pid == cancel->pid && bytes_equal_secret(key, cancel->key);
}

enum pgstart_place pgstart_place(const struct pgstart *start)
{
    if (start->kind == PGSTART_UNKNOWN || start->startup_left > 0)
        return PGSTART_EARLY;
    if (start->kind != PGSTART_SESSION)
        return PGSTART_UNTRACKED;
    if (pgscan_is_inside(&start->backend))
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
