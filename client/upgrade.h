/* The WebSocket opening handshake, client's end (RFC 6455 section 4, RFC 9112). No I/O. */
#ifndef CLIENT_UPGRADE_H
#define CLIENT_UPGRADE_H

#include "client/cookies.h"
#include "client/http_message.h"
#include "common/buffer.h"
#include "common/frame.h"
#include "common/status.h"
#include "common/url.h"

/* Sec-WebSocket-Key: 24 characters and a NUL. */
struct upgrade_key {
    char text[25];
};

void upgrade_key_make(struct upgrade_key *key, struct frame_keys *keys);

/* What to ask for, where, and with which credentials. All borrowed; what follows `path` may be
 * NULL.
 */
struct upgrade_target {
    const struct url *service;
    const char *path;        /* with its query, absolute */
    const char *session;     /* value of a parameter added to the query, for balancers */
    const char *credentials; /* header lines, each with its end */
    const char *subprotocol; /* offered */
    const struct cookies *cookies;
};

/* Appends the request. */
void upgrade_write_request(struct buffer *out, const struct upgrade_target *target,
                           const struct upgrade_key *key);

/* The same for a GET of the path, without the offer, as the last request on its connection. */
void upgrade_write_get(struct buffer *out, const struct upgrade_target *target);

/* What a response head says. Views into the input. */
struct upgrade_response {
    unsigned status;
    bool upgraded;     /* 101 with everything RFC 6455 wants of it */
    const char *fault; /* why a 101 is not `upgraded`: "…", or NULL */
    struct bytes location;
    struct bytes subprotocol;
    struct bytes server;
    struct bytes content_type;
    struct bytes retry_after;
    bool is_ours; /* nothing in between gave this answer, but a service with the HTTP carrier */
    struct bytes cookies[COOKIES_MAX]; /* the first Set-Cookie fields */
    size_t cookie_count;
    struct bytes body; /* what has arrived of it; after a 101: WebSocket frames */
};

/* Reads a response head from `in`. STATUS_MORE: it is not complete. STATUS_INVALID: this is no
 * HTTP/1 response, or its head is too long; described in `error`. Interim responses (1xx but 101)
 * are skipped. */
enum status upgrade_read_response(struct bytes in, const struct upgrade_key *key,
                                  struct upgrade_response *response, struct error *error);

/* Describes any status but 101: what the service of that name answered and what to do about it.
 * Returns STATUS_DENIED, STATUS_UNAVAILABLE or STATUS_INVALID (no tunnel there). */
enum status upgrade_describe(const struct upgrade_response *response, const char *service,
                             bool has_credentials, struct error *error);

/* What answered, in a line for people: its status, what it calls itself, where it points, the
 * subprotocol it agreed to, and the beginning of what it has to say. */
void upgrade_summarise(const struct upgrade_response *response, char *out, size_t size);

/* Where a redirect leads, if it may be followed: the same host, by the same port or from http to
 * https, never from https to http. STATUS_DENIED with a description otherwise. On success the
 * caller owns `next` and `*path` (absolute, with its query). */
enum status upgrade_follow(const struct upgrade_response *response, const struct url *current,
                           struct url *next, char **path, struct error *error);

#endif
