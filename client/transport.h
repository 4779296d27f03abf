/* A connected, non-blocking byte stream to the service: a socket, perhaps with TLS. */
#ifndef CLIENT_TRANSPORT_H
#define CLIENT_TRANSPORT_H

#include "client/loop.h"
#include "common/bytes.h"
#include "common/status.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

/* Owns what it names, except the multi handle. Must not move once TLS has started. */
struct transport {
    struct loop_watch watch; /* its socket; -1 before there is one. Callback and owner are whoever
                                uses the transport now */
    SSL *ssl;                /* NULL: no TLS with the service */
    CURL *easy;              /* NULL, unless bytes pass libcurl's TLS with an https:// proxy */
    CURLM *multi;            /* what `easy` was added to */
    bool read_needs_write;   /* TLS must write before it can read on, or the reverse */
    bool write_needs_read;
    bool tls_failed; /* nothing more may be said through it */
};

/* Starts TLS as a client on it; takes `ssl`. */
void transport_start_tls(struct transport *transport, SSL *ssl);
void transport_init(struct transport *transport);
/* Closes and frees; says goodbye only if that takes no waiting. It can be used again. */
void transport_close(struct transport *transport, struct loop *loop);

/* Reads what is there, as much as fits. STATUS_OK: `*count` bytes, at least one; `*drained` says
 * that no more was there. STATUS_MORE: nothing yet. STATUS_CLOSED: the peer has ended.
 * STATUS_SYSTEM: it broke, described in `error`. */
enum status transport_read(struct transport *transport, void *data, size_t len, size_t *count,
                           bool *drained, struct error *error);

/* Writes what the system takes now. STATUS_OK: all. STATUS_MORE: `*count` bytes, perhaps none;
 * call again with the rest, and nothing shorter, when the socket is writable.
 * STATUS_SYSTEM: it broke. */
enum status transport_write(struct transport *transport, struct bytes data, size_t *count,
                            struct error *error);

/* Whether bytes are buffered that no readiness of the socket will announce. */
bool transport_has_pending(const struct transport *transport);

/* Waits for what it needs when the owner wants to read or write; false when the system refuses. */
bool transport_wait(struct transport *transport, struct loop *loop, bool reading, bool writing);

/* "connection reset by peer" and the like, in our style. */
const char *transport_reason(int error_number);

#endif
