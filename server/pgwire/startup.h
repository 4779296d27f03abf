/* The packets a Postgres connection begins with, before messages have types (PostgreSQL
 * documentation, "Message Formats": StartupMessage, SSLRequest, GSSENCRequest, CancelRequest). */
#ifndef SERVER_PGWIRE_STARTUP_H
#define SERVER_PGWIRE_STARTUP_H

#include "common/bytes.h"
#include "common/status.h"

/* As in Postgres: MAX_STARTUP_PACKET_LENGTH, without the length field. */
#define STARTUP_PACKET_MAX 10000
#define STARTUP_CANCEL_KEY_MAX 256

enum startup_kind {
    STARTUP_MESSAGE,
    STARTUP_SSL_REQUEST,
    STARTUP_GSSENC_REQUEST,
    STARTUP_CANCEL_REQUEST,
    STARTUP_MALFORMED,     /* a StartupMessage whose parameters do not end as they must */
    STARTUP_OTHER_VERSION, /* a protocol we do not speak: `major`, `minor` tell */
};

struct startup_parameter {
    struct bytes name;
    struct bytes value;
};

/* Borrows from the packet. */
struct startup_packet {
    enum startup_kind kind;
    uint16_t major, minor;   /* MESSAGE, OTHER_VERSION */
    struct bytes parameters; /* MESSAGE; see startup_next_parameter() */
    uint32_t pid;            /* CANCEL_REQUEST */
    struct bytes secret;     /* CANCEL_REQUEST: 4 bytes, up to 256 with protocol 3.2 */
};

/* STATUS_INVALID for everything that is not Postgres: HTTP, a TLS hello, garbage. `in` moves past
 * the packet on success. */
enum status startup_decode(struct bytes *in, struct startup_packet *packet);

/* Takes the next parameter from the front of a copy of `packet->parameters`; false at the end. */
bool startup_next_parameter(struct bytes *parameters, struct startup_parameter *parameter);

/* The value of parameter `name`; NULL data when it is absent. */
struct bytes startup_parameter(const struct startup_packet *packet, const char *name);

#endif
