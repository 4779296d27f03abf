/* What carries one local connection's bytes to the service and back.
 *
 * Raw mode is one WebSocket for one local connection (raw.c). Sessions of electric-tunnel.v1
 * outlive their WebSockets (v1.c). The local side only knows this. Nothing here frees or closes a
 * tunnel but tunnel_free(), so events may arrive during any call. */
#ifndef CLIENT_TUNNEL_H
#define CLIENT_TUNNEL_H

#include <sys/uio.h>

#include "client/choice.h"
#include "client/connect.h"
#include "client/doubt.h"
#include "common/log.h"
#include "common/tunnel/endpoint.h"

struct tunnel;
struct v1;
struct prewarm;
struct carrier;

/* What all tunnels use; owned by the program. */
struct tunnel_shared {
    struct loop *loop;
    struct connector *connector;
    struct frame_keys *keys;
    uint8_t
        *payload; /* TUNNEL_READ_SIZE bytes, and in front of them room for headers (websocket.h) */
    uint8_t *receive; /* TUNNEL_READ_SIZE bytes */
    const struct endpoint_settings *endpoint;
    struct v1 *sessions;     /* all of v1.c's */
    struct prewarm *prewarm; /* NULL: none */
    struct carrier *closed;  /* those whose memory is still in use */
    struct loop_task sweep;
    unsigned long long reattached; /* how often sessions found their way back */
    struct choice choice;          /* of the kind of carriers */
    size_t post_max;               /* what a POST brings at most, as things are; 0: not known yet */
    unsigned poll_wait; /* seconds a GET may wait for its answer; 0: as the service likes */
    bool stopping;      /* the program ends, whatever its local connections want */
    bool may_be_raw;    /* v1 becomes raw mode with a service that does not know it */
    bool raw_told;      /* that it did */
};

/* What is read at once, from either side. Big reads matter more than anything else here: each one
 * is a frame, a wake-up and a system call fewer. What is sent at once is a frame with its header,
 * so that a service with equally big reads gets whole frames. */
#define TUNNEL_READ_SIZE (256u * 1024u)
#define TUNNEL_PAYLOAD_MAX (TUNNEL_READ_SIZE - FRAME_HEADER_MAX)

/* Any number. */
static inline uint32_t tunnel_random(struct tunnel_shared *shared)
{
    uint8_t bytes[4];

    frame_keys_next(shared->keys, bytes);
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

struct tunnel_events {
    /* The service is there: bytes may be sent. */
    void (*on_up)(void *owner);
    /* Bytes from the service, in order; borrowed. */
    void (*on_data)(void *owner, const struct iovec *slices, int count);
    /* After tunnel_commit() said that it is full: there is room again. */
    void (*on_room)(void *owner);
    /* Over. NULL: the service ended it in good order; all it sent was handed on. */
    void (*on_end)(void *owner, const struct error *error);
    /* The tunnel is gone, and another one, which tells its events to nobody yet, stands in for it:
     * nothing was sent so far. To be answered with tunnel_own(). */
    void (*on_replaced)(void *owner, struct tunnel *replacement);
    /* A question: how much may have happened that the local side does not know of? */
    enum doubt (*doubt)(void *owner);
    /* Another: up to which byte of the service's, the end of a ReadyForQuery, all was answered?
     * NULL if nobody ever waits for the outcome of anything. */
    uint64_t (*ready_at)(void *owner);
    /* Another: is it past the start-up, authentication included? NULL: that does not matter. */
    bool (*is_established)(void *owner);
};

/* One kind of tunnel. */
struct tunnel_type {
    const char *name;
    bool asks_doubt; /* whether it ever asks that */
    struct tunnel *(*open)(struct tunnel_shared *shared);
    uint8_t *(*reserve)(struct tunnel *tunnel, size_t *len);
    bool (*commit)(struct tunnel *tunnel, size_t count);
    void (*receive)(struct tunnel *tunnel, bool on);
    void (*finish)(struct tunnel *tunnel);
    /* NULL: there is no way to. */
    void (*cancel)(struct tunnel *tunnel, const struct tunnel_cancel *cancel);
    void (*free)(struct tunnel *tunnel);
};

/* The part that all kinds begin with. */
struct tunnel {
    const struct tunnel_type *type;
    struct tunnel_shared *shared;
    const struct tunnel_events *events;
    void *owner;
    struct log_context log; /* the owner's */
};

extern const struct tunnel_type tunnel_raw;
extern const struct tunnel_type tunnel_v1;

/* Starts to connect. No event comes before it returns; tunnel_own() must follow. */
static inline struct tunnel *tunnel_open(const struct tunnel_type *type,
                                         struct tunnel_shared *shared)
{
    return type->open(shared);
}

static inline void tunnel_own(struct tunnel *tunnel, const struct tunnel_events *events,
                              void *owner, const struct log_context *log)
{
    tunnel->events = events;
    tunnel->owner = owner;
    tunnel->log = *log;
}

/* Where to put bytes that are to be sent: `*len` of them at most; 0 only of a tunnel that is full:
 * wait for on_room(). Only once it is up. */
static inline uint8_t *tunnel_reserve(struct tunnel *tunnel, size_t *len)
{
    return tunnel->type->reserve(tunnel, len);
}

/* Sends the first `count` bytes of what was reserved. False: full, send no more until on_room(). */
static inline bool tunnel_commit(struct tunnel *tunnel, size_t count)
{
    return tunnel->type->commit(tunnel, count);
}

/* Whether bytes from the service are wanted; they are at first. */
static inline void tunnel_receive(struct tunnel *tunnel, bool on)
{
    tunnel->type->receive(tunnel, on);
}

/* No more bytes will be sent: end it once those given are. on_end() follows. */
static inline void tunnel_finish(struct tunnel *tunnel)
{
    tunnel->type->finish(tunnel);
}

/* Hands a CancelRequest for the backend at its other end on. False: it cannot. */
static inline bool tunnel_cancel(struct tunnel *tunnel, const struct tunnel_cancel *cancel)
{
    if (tunnel->type->cancel == NULL)
        return false;
    tunnel->type->cancel(tunnel, cancel);
    return true;
}

/* Ends it now, telling the service if that takes no waiting. NULL-safe; not from an event. */
static inline void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel != NULL)
        tunnel->type->free(tunnel);
}

#endif
