/* From a service's URL to an open WebSocket: dial, TLS, upgrade, at most one redirect; each step
 * with a deadline, and every failure with its place and its cure. */
#ifndef CLIENT_CONNECT_H
#define CLIENT_CONNECT_H

#include "client/cookies.h"
#include "client/hop.h"
#include "client/loop.h"
#include "client/transport.h"
#include "common/bytes.h"
#include "common/frame.h"
#include "common/status.h"
#include "common/url.h"

struct connector;
struct connecting;

/* All borrowed for as long as the connector lives; optional ones NULL. */
struct connect_settings {
    const struct url *service;
    const char *credentials; /* header lines to send, each with its end; "" for none. Secret */
    const char *ca_file;
    const char *certificate;
    const char *key;
    unsigned long timeout; /* of each step, milliseconds */
    const struct hop_observer *observer;
};

/* The subprotocol whose sessions outlive their WebSockets. */
#define CONNECT_SUBPROTOCOL "electric-tunnel.v1"

/* What to ask the service for; copied, what it points to is borrowed until done. */
struct connect_request {
    bool plain; /* only the path to it, for requests to where connector_origin() says */
    bool offer; /* the subprotocol */
    /* A service that does not take the offer is asked once more without it, and for some minutes
     * not at all. */
    bool may_retract;
    const char *session;     /* for balancers; NULL: none. Goes with the offer */
    struct cookies *cookies; /* sent, and set by the answer; NULL: none */
    /* Instead of a WebSocket: an answer to GET of this path, behind the service's own, as soon as
     * `is_whole` finds its body whole. NULL: none of it. */
    const char *path;
    bool (*is_whole)(struct bytes body);
};

/* Views are valid during the call. */
struct connect_result {
    /* STATUS_OK: the transport is an open WebSocket, watched for reading; or, for a plain one,
     * connected and perhaps encrypted. Otherwise it is closed.
     * STATUS_DENIED: credentials or policy, trying again is no use. */
    enum status status;
    const struct error *error; /* unless STATUS_OK: fit for the Postgres client */
    bool agreed;               /* on the subprotocol */
    struct bytes rest;    /* the first bytes that came behind the upgrade's answer; or a body */
    unsigned http_status; /* of the answer; 0: there was none */
    bool cut;             /* there was a connection, and it broke before the service could answer */
    bool blocked;         /* something in between may have done that to the upgrade */
};

/* Called once; then the connecting is gone. */
typedef void connect_done(void *owner, const struct connect_result *result);

/* NULL: a file in the settings is not usable, described in `error`. `keys` is borrowed. */
struct connector *connector_new(struct loop *loop, const struct connect_settings *settings,
                                struct frame_keys *keys, struct error *error);
/* NULL-safe; nothing made by it may be left. */
void connector_free(struct connector *connector);
/* The service's URL for people. */
const char *connector_display(const struct connector *connector);

/* Where requests of other kinds go, and with what. */
struct connect_origin {
    const struct url *url;
    const char *path;        /* of the tunnel, absolute */
    const char *credentials; /* as in the settings */
    const char *display;     /* for people */
};
struct connect_origin connector_origin(const struct connector *connector);

/* Opens a WebSocket on `transport`, which is freshly initialised and stays where it is. Never calls
 * `done` before it returns. */
struct connecting *connect_open(struct connector *connector, const struct connect_request *request,
                                struct transport *transport, connect_done *done, void *owner);
/* Closes the transport; `done` will not be called. */
void connect_cancel(struct connecting *connecting);

#endif
