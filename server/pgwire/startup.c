/* Decoder of start-up packets. */
#include "server/pgwire/startup.h"

#include "server/pgwire/message.h"

#define SPECIAL_MAJOR 1234 /* the "version" of the requests that are no start-up */
#define CANCEL_MINOR 5678
#define SSL_MINOR 5679
#define GSSENC_MINOR 5680
#define PACKET_MIN 8 /* length and code */

bool startup_next_parameter(struct bytes *parameters, struct startup_parameter *parameter)
{
    return bytes_take_string(parameters, &parameter->name) && parameter->name.len > 0 &&
           bytes_take_string(parameters, &parameter->value);
}

/* Pairs of strings, then an empty name as the last byte. */
static bool is_well_formed(struct bytes parameters)
{
    struct startup_parameter parameter = {{NULL, 0}, {NULL, 0}};

    while (startup_next_parameter(&parameters, &parameter))
        ;
    return parameters.len == 0 && parameter.name.data != NULL && parameter.name.len == 0;
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
    if (!bytes_take_u16(&body, &packet->major) || !bytes_take_u16(&body, &packet->minor))
        return STATUS_INVALID;
    if (packet->major == SPECIAL_MAJOR)
        return decode_special(body, packet);
    if (packet->major != 3) {
        packet->kind = STARTUP_OTHER_VERSION;
        return STATUS_OK;
    }
    packet->kind = is_well_formed(body) ? STARTUP_MESSAGE : STARTUP_MALFORMED;
    packet->parameters = body;
    return STATUS_OK;
}

enum status startup_decode(struct bytes *in, struct startup_packet *packet)
{
    struct bytes rest = *in;
    struct bytes body;
    uint32_t length;

    if (!bytes_take_u32(&rest, &length))
        return STATUS_MORE;
    /* "GET " and a TLS record header both read as a length far above the limit. */
    if (length < PACKET_MIN || length > STARTUP_PACKET_MAX + PGWIRE_LENGTH_SIZE)
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
    struct bytes parameters = packet->parameters;
    struct bytes found = {NULL, 0};
    struct startup_parameter parameter;

    /* Postgres lets the last one win. */
    while (startup_next_parameter(&parameters, &parameter))
        if (bytes_equal_string(parameter.name, name))
            found = parameter.value;
    return found;
}
