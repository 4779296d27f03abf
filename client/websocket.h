/* A WebSocket to the service, client's end: opening, binary messages both ways, pongs, Close. What
 * the messages carry is its owner's business.
 *
 * Bytes are masked on their way into one buffer that all share, and written from there; only what
 * the system refuses is copied into a queue. An idle WebSocket holds no buffer at all. */
#ifndef CLIENT_WEBSOCKET_H
#define CLIENT_WEBSOCKET_H

#include "client/carrier.h"
#include "common/buffer.h"
#include "common/frame.h"

struct tunnel_shared;

/* May be read by its owner, except what is marked as private. */
struct websocket {
    struct carrier carrier; /* first; its events, and of what */
    struct tunnel_shared *shared;
    struct connecting *connecting; /* NULL once it is open or over */
    struct transport transport;
    struct frame_decoder decoder; /* private */
    struct buffer out;            /* what the system has not taken yet */
    struct loop_task read_again;  /* private: bytes that no readiness will announce */
    int64_t heard_at;             /* loop_now() */
    bool open;
    bool receiving;
    bool close_sent;
    bool broken;       /* it takes no more; what the service sent before may still be read */
    bool sent_unheard; /* data went out since the service was last heard of */
    bool ended;        /* no event follows */
};

/* Starts to connect. No event comes before it returns. */
struct websocket *websocket_open(struct tunnel_shared *shared,
                                 const struct connect_request *request,
                                 const struct carrier_events *events, void *owner);
/* The one that a carrier is; only of those that websocket_open() made. */
static inline struct websocket *websocket_of(struct carrier *carrier)
{
    return (struct websocket *)carrier;
}
/* From now on it serves somebody else. */
void websocket_hand_over(struct websocket *websocket, const struct carrier_events *events,
                         void *owner);
/* No event follows; only websocket_free(). */
void websocket_stop(struct websocket *websocket);
/* Closes the connection; no event follows. NULL-safe. */
void websocket_free(struct websocket *websocket);

/* Room in front of the shared buffer, for that and a frame's header. */
#define WEBSOCKET_HEAD_MAX 2048
/* One binary message: `head` and `payload`, TUNNEL_PAYLOAD_MAX bytes together at most. Neither is
 * changed. What the system does not take is queued: to be avoided while `out` is not empty. */
void websocket_send(struct websocket *websocket, struct bytes head, struct bytes payload);
/* The same for the first `count` bytes in the shared buffer, which are masked in place. */
void websocket_send_shared(struct websocket *websocket, size_t count);
void websocket_ping(struct websocket *websocket);
/* Once; nothing can be sent behind it. */
void websocket_close(struct websocket *websocket, uint16_t code, const char *reason);

/* Whether to read; on at first. */
void websocket_receive(struct websocket *websocket, bool on);

#endif
