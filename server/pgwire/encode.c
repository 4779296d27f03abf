/* Encoders of Postgres messages. */
#include "server/pgwire/encode.h"

size_t pgwire_begin(struct buffer *out, uint8_t type)
{
    size_t mark = buffer_len(out) + 1;

    buffer_append_u8(out, type);
    buffer_append_u32(out, 0);
    return mark;
}

void pgwire_end(struct buffer *out, size_t mark)
{
    if (!buffer_failed(out))
        buffer_patch_u32(out, mark, (uint32_t)(buffer_len(out) - mark));
}

static void append_field(struct buffer *out, uint8_t code, const char *value)
{
    buffer_append_u8(out, code);
    buffer_append_string(out, value);
}

static void encode_report(struct buffer *out, uint8_t type, const char *severity,
                          const struct error *error)
{
    size_t mark = pgwire_begin(out, type);

    append_field(out, 'S', severity);
    append_field(out, 'V', severity);
    append_field(out, 'C', error->sqlstate);
    append_field(out, 'M', error->message);
    if (error->hint[0] != '\0')
        append_field(out, 'H', error->hint);
    buffer_append_u8(out, 0);
    pgwire_end(out, mark);
}

void pgwire_encode_error(struct buffer *out, const char *severity, const struct error *error)
{
    encode_report(out, PGWIRE_ERROR_RESPONSE, severity, error);
}

void pgwire_encode_notice(struct buffer *out, const char *severity, const struct error *error)
{
    encode_report(out, PGWIRE_NOTICE_RESPONSE, severity, error);
}

void pgwire_encode_authentication(struct buffer *out, uint32_t code, struct bytes data)
{
    size_t mark = pgwire_begin(out, PGWIRE_AUTHENTICATION);

    buffer_append_u32(out, code);
    buffer_append(out, data);
    pgwire_end(out, mark);
}

void pgwire_encode_parameter_status(struct buffer *out, const char *name, const char *value)
{
    size_t mark = pgwire_begin(out, PGWIRE_PARAMETER_STATUS);

    buffer_append_string(out, name);
    buffer_append_string(out, value);
    pgwire_end(out, mark);
}

void pgwire_encode_backend_key_data(struct buffer *out, uint32_t pid, uint32_t secret)
{
    size_t mark = pgwire_begin(out, PGWIRE_BACKEND_KEY_DATA);

    buffer_append_u32(out, pid);
    buffer_append_u32(out, secret);
    pgwire_end(out, mark);
}

void pgwire_encode_ready_for_query(struct buffer *out, char status)
{
    size_t mark = pgwire_begin(out, PGWIRE_READY_FOR_QUERY);

    buffer_append_u8(out, (uint8_t)status);
    pgwire_end(out, mark);
}

void pgwire_encode_command_complete(struct buffer *out, const char *tag)
{
    size_t mark = pgwire_begin(out, PGWIRE_COMMAND_COMPLETE);

    buffer_append_string(out, tag);
    pgwire_end(out, mark);
}

void pgwire_encode_negotiate_version(struct buffer *out, uint32_t newest_minor,
                                     const struct bytes *unknown, size_t unknown_count)
{
    size_t mark = pgwire_begin(out, PGWIRE_NEGOTIATE_PROTOCOL_VERSION);

    buffer_append_u32(out, (3u << 16) | newest_minor);
    buffer_append_u32(out, (uint32_t)unknown_count);
    for (size_t i = 0; i < unknown_count; i++) {
        buffer_append(out, unknown[i]);
        buffer_append_u8(out, 0);
    }
    pgwire_end(out, mark);
}
