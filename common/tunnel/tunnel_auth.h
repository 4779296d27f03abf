/* Proofs that a carrier belongs to the session it names: HMAC-SHA256 (RFC 2104) under the key that
 * only the client and its server know. */
#ifndef COMMON_TUNNEL_TUNNEL_AUTH_H
#define COMMON_TUNNEL_TUNNEL_AUTH_H

#include "common/tunnel/tunnel_frame.h"

/* Over id, instance, attempt and next of `resume`. */
struct tunnel_seal tunnel_seal_resume(const struct tunnel_key *key,
                                      const struct tunnel_resume *resume);
bool tunnel_resume_is_genuine(const struct tunnel_key *key, const struct tunnel_resume *resume);

/* One request of the HTTP carrier. */
struct tunnel_request {
    struct tunnel_id id;
    uint32_t attempt;   /* of the RESUME that made the carrier; 0: OPEN did */
    const char *method; /* "GET" or "POST" */
    uint64_t number;    /* up=<n> or down=<n> */
    uint64_t got;       /* of GET: serial of the last answer that came in whole */
    struct bytes body;
};

struct tunnel_seal tunnel_seal_request(const struct tunnel_key *key,
                                       const struct tunnel_request *request);
bool tunnel_seal_equal(const struct tunnel_seal *a, const struct tunnel_seal *b);

#endif
