/* Decoders of Postgres messages. */
#include "server/pgwire/decode.h"

enum status pgwire_peek(struct bytes in, struct pgwire_header *header)
{
    if (!bytes_take_u8(&in, &header->type) || !bytes_take_u32(&in, &header->length))
        return STATUS_MORE;
    if (header->length < PGWIRE_LENGTH_SIZE || header->length > PGWIRE_MESSAGE_MAX)
        return STATUS_INVALID;
    return STATUS_OK;
}

enum status pgwire_decode(struct bytes *in, struct pgwire_message *message)
{
    struct bytes rest = *in;
    struct pgwire_header header;
    enum status status = pgwire_peek(rest, &header);

    if (status != STATUS_OK)
        return status;
    if (!bytes_take(&rest, (size_t)header.length + 1, &message->whole))
        return STATUS_MORE;
    message->type = header.type;
    message->body = bytes_skip(message->whole, PGWIRE_HEADER_SIZE);
    *in = rest;
    return STATUS_OK;
}

enum status pgwire_decode_parse(struct bytes body, struct pgwire_parse *parse)
{
    if (!bytes_take_string(&body, &parse->name) || !bytes_take_string(&body, &parse->text))
        return STATUS_INVALID;
    parse->rest = body;
    return STATUS_OK;
}

enum status pgwire_decode_bind(struct bytes body, struct pgwire_bind *bind)
{
    if (!bytes_take_string(&body, &bind->portal) || !bytes_take_string(&body, &bind->statement))
        return STATUS_MORE;
    return STATUS_OK;
}

enum status pgwire_decode_target(struct bytes body, struct pgwire_target *target)
{
    if (!bytes_take_u8(&body, &target->what) || !bytes_take_string(&body, &target->name))
        return STATUS_INVALID;
    return body.len == 0 ? STATUS_OK : STATUS_INVALID;
}

enum status pgwire_decode_execute(struct bytes body, struct bytes *portal)
{
    uint32_t limit;

    if (!bytes_take_string(&body, portal) || !bytes_take_u32(&body, &limit))
        return STATUS_INVALID;
    return body.len == 0 ? STATUS_OK : STATUS_INVALID;
}

enum status pgwire_decode_query(struct bytes body, struct bytes *text)
{
    if (!bytes_take_string(&body, text))
        return STATUS_INVALID;
    return body.len == 0 ? STATUS_OK : STATUS_INVALID;
}

enum status pgwire_decode_parameter(struct bytes body, struct bytes *name, struct bytes *value)
{
    if (!bytes_take_string(&body, name) || !bytes_take_string(&body, value))
        return STATUS_INVALID;
    return body.len == 0 ? STATUS_OK : STATUS_INVALID;
}
