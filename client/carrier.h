/* What carries the frames of one session to the service and back for a while, until it breaks: a
 * WebSocket, say. The session outlives it, and goes on with another one. */
#ifndef CLIENT_CARRIER_H
#define CLIENT_CARRIER_H

#include "client/connect.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/tunnel_decoder.h"

struct carrier;

/* Any of them may call anything here, also carrier_free(). */
struct carrier_events {
    /* It is open, or could not be opened, and is over. */
    void (*on_open)(void *owner, const struct connect_result *result);
    /* A piece of what the service sends, in writable memory; `last`: a message ends with it. */
    void (*on_data)(void *owner, struct bytes piece, bool last);
    /* Something was heard. The pieces given since the last call are about to be overwritten. */
    void (*on_heard)(void *owner);
    /* After carrier_has_room() was false: there is room. */
    void (*on_room)(void *owner);
    /* Over. `code` is that of the service's Close, and `reason` its text; 0: it was lost, and
     * `reason` says how. */
    void (*on_end)(void *owner, uint16_t code, const char *reason);
};

struct carrier_ops {
    enum tunnel_framing framing;
    bool (*has_room)(const struct carrier *carrier);
    bool (*is_broken)(const struct carrier *carrier);
    void (*send)(struct carrier *carrier, struct bytes head, struct bytes payload);
    void (*stop)(struct carrier *carrier);
    void (*close)(struct carrier *carrier);
    void (*free)(struct carrier *carrier);
};

/* The part that all kinds begin with. */
struct carrier {
    const struct carrier_ops *ops;
    const struct carrier_events *events;
    void *owner;
};

/* Whether a frame can be sent now. */
static inline bool carrier_has_room(const struct carrier *carrier)
{
    return carrier->ops->has_room(carrier);
}

/* It takes no more; what the service sent before may still come. */
static inline bool carrier_is_broken(const struct carrier *carrier)
{
    return carrier->ops->is_broken(carrier);
}

/* A frame: `head` and `payload`, TUNNEL_PAYLOAD_MAX bytes together at most. Neither is changed. */
static inline void carrier_send(struct carrier *carrier, struct bytes head, struct bytes payload)
{
    carrier->ops->send(carrier, head, payload);
}

/* No event follows; only carrier_free(). */
static inline void carrier_stop(struct carrier *carrier)
{
    carrier->ops->stop(carrier);
}

/* Ends it in good order where that takes no waiting, and frees it. No event follows. */
static inline void carrier_close(struct carrier *carrier)
{
    carrier->ops->close(carrier);
}

/* No event follows. NULL-safe. */
static inline void carrier_free(struct carrier *carrier)
{
    if (carrier != NULL)
        carrier->ops->free(carrier);
}

#endif
