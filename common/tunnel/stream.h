/* The two directions of a session as one end sees them: bytes that the other end may not have yet,
 * and bytes that came from it. Offsets count from the start of the session, whatever carried them.
 *
 * The end of a stream is one unit behind its last byte: FIN at offset `end` is acknowledged by
 * end + 1. Both structs are plain bookkeeping; when frames go is the endpoint's business. */
#ifndef COMMON_TUNNEL_STREAM_H
#define COMMON_TUNNEL_STREAM_H

#include "common/status.h"
#include "common/tunnel/ring.h"

/* Embedded by value; may be read. */
struct sender {
    struct ring ring;    /* all that may have to be sent again, and what was not sent yet */
    size_t limit;        /* of the ring, whatever window the other end has … */
    size_t pace;         /* … and however many bytes are worth keeping under way */
    uint64_t sent;       /* next unit to send; ring.end + 1: FIN has gone, too */
    uint64_t sent_most;  /* the highest it ever was: what can be acknowledged */
    uint64_t checkpoint; /* where sending goes on after a rewind */
    uint64_t consumed;   /* units the other end has handed on: the window starts here */
    uint64_t received;   /* units it has; consumed or not */
    uint32_t window;
    bool ended; /* the source will give no more */
};

/* `limit` is what the ring holds at most. Until the other end has named its window, it is the least
 * one that every end takes. */
void sender_init(struct sender *sender, struct budget *budget, size_t limit);
void sender_clear(struct sender *sender);
void sender_set_window(struct sender *sender, uint32_t window);
void sender_set_pace(struct sender *sender, size_t pace);

/* Source: a place for bytes (see ring_reserve), and that they are there. */
uint8_t *sender_reserve(struct sender *sender, size_t want, size_t *len);
void sender_commit(struct sender *sender, size_t count);
/* Source: bytes that need no copy (see ring_adopt). */
bool sender_adopt(struct sender *sender, struct block *block, struct bytes data);
void sender_end(struct sender *sender);

/* What to send next: bytes at offset `sender->sent`, at most `max`; none when nothing may be sent.
 */
struct bytes sender_peek(const struct sender *sender, size_t max);
/* All bytes are sent, and the source has ended: it is FIN's turn. */
bool sender_owes_fin(const struct sender *sender);
/* The next `units` have gone. */
void sender_advance(struct sender *sender, size_t units);

/* The other end acknowledges. STATUS_INVALID: what was never sent. */
enum status sender_acknowledge(struct sender *sender, uint64_t consumed);
/* A new attachment: the other end goes on at `next`. STATUS_INVALID: it cannot mean that. */
enum status sender_resume(struct sender *sender, uint64_t next);
/* What went since the last sender_confirm() may be lost, and is sent again. */
void sender_rewind(struct sender *sender);
void sender_confirm(struct sender *sender);

/* Something was sent that is not acknowledged. */
bool sender_is_waiting(const struct sender *sender);
/* The other end has handed on everything and knows that no more comes. */
bool sender_is_finished(const struct sender *sender);

/* Embedded by value; may be read. */
struct receiver {
    struct ring queue;     /* received, in order, not handed on yet */
    struct bytes fresh;    /* received just now; borrowed from the frame */
    uint64_t next;         /* next unit wanted */
    uint64_t consumed;     /* units handed on */
    uint64_t acknowledged; /* units of which the other end was told that they are handed on */
    uint32_t window;       /* what was announced: next never exceeds consumed by more */
    bool finished;         /* FIN is received; `next` counts it */
};

void receiver_init(struct receiver *receiver, struct budget *budget, uint32_t window);
void receiver_clear(struct receiver *receiver);

/* Bytes from the other end. What was received before is trimmed. STATUS_INVALID: a gap, more than
 * the window, or bytes behind FIN. Bytes are queued behind what is queued already; with an empty
 * queue they are `fresh`, and receiver_accept() must follow. */
enum status receiver_data(struct receiver *receiver, uint64_t offset, struct bytes data);
/* The destination took the first `taken` bytes of what is fresh; the rest is queued. */
void receiver_accept(struct receiver *receiver, size_t taken);
enum status receiver_fin(struct receiver *receiver, uint64_t end);

/* What is queued, as far as it is in one piece; and that the destination took some of it. */
struct bytes receiver_peek(const struct receiver *receiver);
void receiver_consume(struct receiver *receiver, size_t count);

/* Everything is handed on, and no more comes. */
bool receiver_is_finished(const struct receiver *receiver);
/* Units handed on of which the other end does not know. */
bool receiver_owes_ack(const struct receiver *receiver);
/* So many that it should learn of it now; or the last one. */
bool receiver_owes_ack_now(const struct receiver *receiver);

#endif
