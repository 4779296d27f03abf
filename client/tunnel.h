/* What carries one local connection's bytes to the service and back.
 *
 * Raw mode is one WebSocket for one local connection (raw.c). A protocol that outlives its
 * WebSocket can stand beside it: the local side only knows this. Nothing here frees or closes a
 * tunnel but tunnel_free(), so events may arrive during any call. */
#ifndef CLIENT_TUNNEL_H
#define CLIENT_TUNNEL_H

#include <sys/uio.h>

#include "client/connect.h"

struct tunnel;

/* What all tunnels use; owned by the program. */
struct tunnel_shared {
    struct loop *loop;
    struct connector *connector;
    struct frame_keys *keys;
    uint8_t *payload; /* TUNNEL_PAYLOAD_MAX bytes, and FRAME_HEADER_MAX in front of them */
    uint8_t *receive; /* TUNNEL_READ_SIZE bytes */
};

/* What is read at once, from either side. Big reads matter more than anything else here: each one
 * is a frame, a wake-up and a system call fewer. What is sent at once is a frame with its header,
 * so that a service with equally big reads gets whole frames. */
#define TUNNEL_READ_SIZE (256u * 1024u)
#define TUNNEL_PAYLOAD_MAX (TUNNEL_READ_SIZE - FRAME_HEADER_MAX)

struct tunnel_events {
    /* The service is there: bytes may be sent. */
    void (*on_up)(void *owner);
    /* Bytes from the service, in order; borrowed. */
    void (*on_data)(void *owner, const struct iovec *slices, int count);
    /* After tunnel_commit() said that it is full: there is room again. */
    void (*on_room)(void *owner);
    /* Over. NULL: the service ended it in good order; all it sent was handed on. */
    void (*on_end)(void *owner, const struct error *error);
};

/* One kind of tunnel. */
struct tunnel_type {
    const char *name;
    struct tunnel *(*open)(struct tunnel_shared *shared);
    uint8_t *(*reserve)(struct tunnel *tunnel, size_t *len);
    bool (*commit)(struct tunnel *tunnel, size_t count);
    void (*receive)(struct tunnel *tunnel, bool on);
    void (*finish)(struct tunnel *tunnel);
    void (*free)(struct tunnel *tunnel);
};

/* The part that all kinds begin with. */
struct tunnel {
    const struct tunnel_type *type;
    const struct tunnel_events *events;
    void *owner;
};

extern const struct tunnel_type tunnel_raw;

/* Starts to connect. No event comes before it returns. */
static inline struct tunnel *tunnel_open(const struct tunnel_type *type,
                                         struct tunnel_shared *shared,
                                         const struct tunnel_events *events, void *owner)
{
    struct tunnel *tunnel = type->open(shared);

    tunnel->events = events;
    tunnel->owner = owner;
    return tunnel;
}

/* Where to put bytes that are to be sent: `*len` of them at most. Only once it is up. */
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

/* Ends it now, telling the service if that takes no waiting. NULL-safe; not from an event. */
static inline void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel != NULL)
        tunnel->type->free(tunnel);
}

#endif
