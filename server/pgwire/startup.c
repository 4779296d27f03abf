/* Decoder of start-up packets. */
#include "server/pgwire/startup.h"

#include "server/pgwire/message.h"

#define SPECIAL_MAJOR 1234 /* the "version" of the requests that are no start-up */
#define CANCEL_MINOR 5678
#define SSL_MINOR 5679
#define GSSENC_MINOR 5680
#define PACKET_MIN 8 /* length and code */

static enum status decode_parameters(struct bytes body, struct startup_packet *packet)
{
    struct startup_parameter parameter;

    while (bytes_take_string(&body, &parameter.name)) {
        if (parameter.name.len == 0)
            return body.len == 0 ? STATUS_OK : STATUS_INVALID;
        if (!bytes_take_string(&body, &parameter.value))
            return STATUS_INVALID;
        if (packet->parameter_count == STARTUP_PARAMETERS_MAX)
            return STATUS_INVALID;
        packet->parameters[packet->parameter_count++] = parameter;
    }
    return STATUS_INVALID; /* the list ends with an empty name */
}

static enum status decode_special(struct bytes body, struct startup_packet *packet)
{
    switch (packet->minor) {
    case SSL_MINOR:
        packet->kind = STARTUP_SSL_REQUEST;
        return body.len == 0 ? STATUS_OK : STATUS_INVALID;
    case GSSENC_MINOR:
        packet->kind = STARTUP_GSSENC_REQUEST;
        return body.len == 0 ? STATUS_OK : STATUS_INVALID;
    case CANCEL_MINOR:
        packet->kind = STARTUP_CANCEL_REQUEST;
        if (!bytes_take_u32(&body, &packet->pid))
            return STATUS_INVALID;
        packet->secret = body;
        return body.len >= 4 && body.len <= STARTUP_CANCEL_KEY_MAX ? STATUS_OK : STATUS_INVALID;
    default:
        packet->kind = STARTUP_OTHER_VERSION;
        return STATUS_OK;
    }
}

static enum status decode_body(struct bytes body, struct startup_packet *packet)
{
    packet->parameter_count = 0;
    if (!bytes_take_u16(&body, &packet->major) || !bytes_take_u16(&body, &packet->minor))
        return STATUS_INVALID;
    if (packet->major == SPECIAL_MAJOR)
        return decode_special(body, packet);
    if (packet->major != 3) {
        packet->kind = STARTUP_OTHER_VERSION;
        return STATUS_OK;
    }
    packet->kind = STARTUP_MESSAGE;
    return decode_parameters(body, packet);
}

enum status startup_decode(struct bytes *in, struct startup_packet *packet)
{
    struct bytes rest = *in;
    struct bytes body;
    uint32_t length;

    if (!bytes_take_u32(&rest, &length))
        return STATUS_MORE;
    /* "GET " and a TLS record header both read as a length far above the limit. */
    if (length < PACKET_MIN || length > STARTUP_PACKET_MAX)
        return STATUS_INVALID;
    if (!bytes_take(&rest, length - PGWIRE_LENGTH_SIZE, &body))
        return STATUS_MORE;
    if (decode_body(body, packet) != STATUS_OK)
        return STATUS_INVALID;
    *in = rest;
    return STATUS_OK;
}

struct bytes startup_parameter(const struct startup_packet *packet, const char *name)
{
    /* Postgres lets the last one win. */
    for (size_t i = packet->parameter_count; i > 0; i--)
        if (bytes_equal_string(packet->parameters[i - 1].name, name))
            return packet->parameters[i - 1].value;
    return (struct bytes){NULL, 0};
}
