/* One connection on the HTTP port, in front of libwebsockets: TLS, and every request's head is
 * checked before the library sees any of it.
 *
 * The library serves one end of a pair of sockets; the gate passes bytes between the other end and
 * the client. So it reads heads that are whole, of bounded size and well-formed, whatever comes in
 * whatever pieces, on connections that are kept alive too. A WebSocket leaves the gate with the
 * client's socket, and costs neither a pair nor a copy. */
#ifndef SERVER_GATE_H
#define SERVER_GATE_H

#include "common/buffer.h"
#include "server/client_address.h"
#include "server/transport.h"

#include <stdbool.h>

struct gate;
struct loop;
struct tls;

struct gate_events {
    /* The first head has come: `fd`, non-blocking, is to be served and is the callee's. False: it
     * cannot be. */
    bool (*on_request)(void *owner, int fd);
    /* A request has been refused with this status. */
    void (*on_refused)(void *owner, int status);
    /* Something was done, and perhaps the last of an answer delivered. */
    void (*on_turn)(void *owner);
    /* The gate is gone; the last event, not given after gate_close() or gate_leave(). */
    void (*on_closed)(void *owner);
};

/* Borrowed for the call, pointers in it as long as the gate lives. */
struct gate_options {
    struct loop *loop;
    const struct tls *tls;          /* NULL: clear text */
    const struct networks *trusted; /* whose X-Forwarded-For is believed */
    const char *peer;               /* numeric address of the socket's other end */
    unsigned long head_ms;          /* for TLS's handshake and a head, 0: for ever */
    const struct gate_events *events;
    void *owner;
};

/* `fd` is non-blocking. NULL when the kernel refuses to watch it; it is then still the caller's. */
struct gate *gate_new(int fd, const struct gate_options *options);
/* The library has answered a request and waits for the next one on this connection. */
void gate_answered(struct gate *gate);
/* The library has a request that it has not answered. */
bool gate_is_busy(const struct gate *gate);
/* What it has said is still on its way to the client. */
bool gate_is_delivering(const struct gate *gate);
/* Closes at once. */
void gate_close(struct gate *gate);

/* An upgrade has been answered by the library: the client's socket is the caller's from now on, the
 * gate is gone. `unsent` gets what is to be sent before anything else. False: the client has sent
 * something without waiting for the answer. */
bool gate_leave(struct gate *gate, struct transport *transport, struct buffer *unsent);

/* The client's TLS, or NULL. */
const SSL *gate_ssl(const struct gate *gate);

#endif
