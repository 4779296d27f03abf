/* A byte stream to a peer, whatever carries it: a TCP or TLS socket (channel.c), a WebSocket
 * (websocket.c), a session that outlives its WebSockets (tunnel_session.c).
 *
 * The owner hands in events; the carrier offers operations. Everything happens on the loop thread.
 * A carrier never calls an event from inside one of its operations, except on_data's caller, so an
 * owner may call any operation from any event, stream_close() included: the carrier then frees
 * itself once the event has returned. */
#ifndef SERVER_STREAM_H
#define SERVER_STREAM_H

#include "common/bytes.h"
#include "common/tunnel/tunnel_frame.h"

#include <stdbool.h>

struct stream;

/* Given by the owner; `owner` is the pointer it registered. */
struct stream_events {
    /* Bytes from the peer, borrowed for the call. All are taken: an owner that cannot pass them on
     * keeps them and pauses the stream. */
    void (*on_data)(void *owner, struct bytes data);
    /* The peer has ended its direction (TCP FIN, TLS close_notify, WebSocket Close 1000). */
    void (*on_end)(void *owner);
    /* What was queued has gone down to the low watermark; called once per rise above the high one.
     */
    void (*on_drained)(void *owner);
    /* Nothing can be written any more, though the peer may have sent something before it went; for
     * an owner that then needs neither. May be NULL; on_closed follows unless the owner closes. */
    void (*on_broken)(void *owner);
    /* The stream is gone, with `reason` for the log; the last event, not given after
     * stream_close(). */
    void (*on_closed)(void *owner, const char *reason);
    /* Instead of on_closed: the peer has been away for longer than it is waited for. The owner
     * still closes the stream, once it has said stream_outcome(). May be NULL. */
    void (*on_given_up)(void *owner, const char *reason);
};

/* How our direction ends; what the peer is told of it depends on the carrier. */
enum stream_end {
    STREAM_END_NORMAL,     /* TCP: FIN; WebSocket: Close 1000 */
    STREAM_END_GOING_AWAY, /* the server stops; TCP: FIN; WebSocket: Close 1001 */
    STREAM_END_FAILED,     /* what was to come is lost; TCP: FIN; WebSocket: Close 1011 */
};

struct stream_ops {
    void (*send)(struct stream *stream, struct bytes data);
    size_t (*queued)(const struct stream *stream);
    void (*pause)(struct stream *stream, bool paused);
    void (*finish)(struct stream *stream, enum stream_end end, const char *reason);
    void (*close)(struct stream *stream);
    /* All of the rest may be NULL. */
    void (*established)(struct stream *stream);
    void (*committing)(struct stream *stream, const struct tunnel_txn *txn);
    uint64_t (*undelivered)(const struct stream *stream);
    void (*outcome)(struct stream *stream, enum tunnel_outcome outcome, uint64_t xid);
};

/* First member of every carrier. */
struct stream {
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *owner;
};

/* Writes what the peer takes now and queues a copy of the rest. The queue is bounded by what owners
 * do at the high watermark: they pause the source. Ignored after stream_finish(). */
static inline void stream_send(struct stream *stream, struct bytes data)
{
    stream->ops->send(stream, data);
}

/* Bytes accepted but not yet written to the peer. */
static inline size_t stream_queued(const struct stream *stream)
{
    return stream->ops->queued(stream);
}

/* Stops or goes on reading from the peer. */
static inline void stream_pause(struct stream *stream, bool paused)
{
    stream->ops->pause(stream, paused);
}

/* Ends our direction once all is written. Data still arrives where the carrier has half-close. */
static inline void stream_finish(struct stream *stream)
{
    stream->ops->finish(stream, STREAM_END_NORMAL, "");
}

/* The same, with a reason for the peer's log, at most 120 bytes. */
static inline void stream_finish_because(struct stream *stream, enum stream_end end,
                                         const char *reason)
{
    stream->ops->finish(stream, end, reason);
}

/* Closes now, dropping what is queued; no event follows. */
static inline void stream_close(struct stream *stream)
{
    stream->ops->close(stream);
}

/* The peer has authenticated: worth waiting for, where a carrier can lose and find it again. */
static inline void stream_established(struct stream *stream)
{
    if (stream->ops->established != NULL)
        stream->ops->established(stream);
}

/* A COMMIT is under way whose answer comes behind what was sent so far; the offset is left open. */
static inline void stream_committing(struct stream *stream, const struct tunnel_txn *txn)
{
    if (stream->ops->committing != NULL)
        stream->ops->committing(stream, txn);
}

/* Bytes of which the peer has not said that it has got them; also after on_given_up(). */
static inline uint64_t stream_undelivered(const struct stream *stream)
{
    return stream->ops->undelivered != NULL ? stream->ops->undelivered(stream) : 0;
}

/* After on_given_up(): what became of the peer's transaction, should it come back after all. */
static inline void stream_outcome(struct stream *stream, enum tunnel_outcome outcome, uint64_t xid)
{
    if (stream->ops->outcome != NULL)
        stream->ops->outcome(stream, outcome, xid);
}

/* A read is up to 256 KiB long, so what a source still gives after the mark is several times the
 * mark itself; low, since whatever is queued has been copied. */
#define STREAM_QUEUE_LOW ((size_t)0)
#define STREAM_QUEUE_HIGH ((size_t)16 * 1024)

#endif
