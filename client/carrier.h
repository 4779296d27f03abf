/* What carries the frames of one session to the service and back for a while, until it breaks: a
 * WebSocket, say. The session outlives it, and goes on with another one. */
#ifndef CLIENT_CARRIER_H
#define CLIENT_CARRIER_H

#include "client/connect.h"
#include "common/tunnel/endpoint.h"
#include "common/tunnel/tunnel_decoder.h"

struct carrier;
struct tunnel_shared;

/* Any of them may call anything here, also carrier_free(). */
struct carrier_events {
    /* It is open, or could not be opened, and is over. */
    void (*on_open)(void *owner, const struct connect_result *result);
    /* A piece of what the service sends, in writable memory; `last`: a message ends with it. */
    void (*on_data)(void *owner, struct bytes piece, bool last);
    /* Something was heard. The pieces given since the last call are about to be overwritten. */
    void (*on_heard)(void *owner);
    /* There is room again. */
    void (*on_room)(void *owner);
    /* Over. `code` is that of the service's Close, and `reason` its text; 0: it was lost, and
     * `reason` says how. */
    void (*on_end)(void *owner, uint16_t code, const char *reason);
    /* Over: it was open, but the service refuses what it was asked on it. Only of kinds that can
     * tell. */
    void (*on_refused)(void *owner, const struct connect_result *result);
};

struct carrier_ops {
    enum tunnel_framing framing;
    /* NULL: it makes no difference. */
    void (*begin)(struct carrier *carrier, const struct endpoint *endpoint);
    size_t (*room)(const struct carrier *carrier);
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
    struct carrier *next_closed; /* of those that are freed soon */
};

/* It is open, and carries this session from now on. */
static inline void carrier_begin(struct carrier *carrier, const struct endpoint *endpoint)
{
    if (carrier->ops->begin != NULL)
        carrier->ops->begin(carrier, endpoint);
}

/* How long a frame can be that is sent now; 0: none can. */
static inline size_t carrier_room(const struct carrier *carrier)
{
    return carrier->ops->room(carrier);
}

/* It takes no more; what the service sent before may still come. */
static inline bool carrier_is_broken(const struct carrier *carrier)
{
    return carrier->ops->is_broken(carrier);
}

/* A frame: `head` and `payload`, no longer than the room there is. Neither is changed. */
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

/* For kinds: the carrier is closed, and its memory goes when no call uses it; an event may free the
 * carrier that it is about. It begins with the struct, and is freed with free(). */
void carrier_bury(struct tunnel_shared *shared, struct carrier *carrier);
/* Gives the memory of those back; only needed when the loop does not run any more. */
void carrier_sweep(struct tunnel_shared *shared);

/* No event follows. NULL-safe. */
static inline void carrier_free(struct carrier *carrier)
{
    if (carrier != NULL)
        carrier->ops->free(carrier);
}

#endif
