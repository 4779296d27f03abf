/* The requests of the HTTP carrier, as far as both ends must agree on them.
 *
 * POST …?session=<route> opens or resumes a session; then come POST …&up=<n> with frames in its
 * body, and GET …&down=<n>&got=<serial>, whose answer brings some; with &wait=<seconds> it comes
 * before something in between loses patience. Each frame stands behind its length. Requests and
 * answers can be lost, repeated or cut short: a POST takes effect once, and each answer with frames
 * has a serial number, which the next GET names if it came in whole. */
#ifndef COMMON_TUNNEL_TUNNEL_HTTP_H
#define COMMON_TUNNEL_TUNNEL_HTTP_H

#include "common/tunnel/tunnel_auth.h"

/* In requests: who asks, and the proof. In answers with frames: their serial number. */
#define TUNNEL_HTTP_FIELD "Electric-Tunnel"
#define TUNNEL_HTTP_TYPE "application/vnd.electric-tunnel"
/* The field's value in answers about the service as a whole: this carrier is spoken here. */
#define TUNNEL_HTTP_HERE "v1"

enum {
    TUNNEL_HTTP_BODY_MAX = 1024 * 1024, /* of requests and answers */
    /* OPEN, and what may follow it without waiting. */
    TUNNEL_HTTP_OPEN_MAX = 128 * 1024,
    TUNNEL_HTTP_FIELD_SIZE = 32 + 1 + 10 + 1 + 64 + 1, /* of the value, with a NUL */
};

/* The value of the field for `request`. */
void tunnel_http_write_field(const struct tunnel_key *key, const struct tunnel_request *request,
                             char out[TUNNEL_HTTP_FIELD_SIZE]);
/* Sets `request`'s id and attempt, and the seal to be compared. */
bool tunnel_http_read_field(struct bytes value, struct tunnel_request *request,
                            struct tunnel_seal *seal);
/* Decimal digits without a superfluous zero. */
bool tunnel_http_read_number(struct bytes text, uint64_t *number);

#endif
