/* Bytes of a stream between two absolute offsets, in pieces of memory that are allocated when bytes
 * arrive and given back when none of theirs are left.
 *
 * A socket is read straight into the ring, or what it was read into becomes part of it, and what is
 * sent is a view of it: nothing here moves or changes bytes that are held. */
#ifndef COMMON_TUNNEL_RING_H
#define COMMON_TUNNEL_RING_H

#include "common/block.h"
#include "common/bytes.h"
#include "common/tunnel/budget.h"

/* The least that is allocated, and what a ring gets even above the budget: so that each session
 * goes on, however slowly, while others have taken everything. */
#ifndef RING_SMALLEST
#define RING_SMALLEST ((size_t)16 * 1024)
#endif
/* What a piece grows to when nobody asks for more at once. */
#define RING_LARGEST ((size_t)256 * 1024)

struct ring_piece;

/* Embedded by value; `base` and `end` may be read, the rest is private. */
struct ring {
    struct budget *budget;
    struct ring_piece *first;
    struct ring_piece *last;
    size_t capacity; /* bytes held at most */
    uint64_t base;   /* first byte held */
    uint64_t end;    /* one behind the last */
};

void ring_init(struct ring *ring, struct budget *budget, size_t capacity);
/* Forgets all bytes; the offsets stay where they are. */
void ring_clear(struct ring *ring);

static inline size_t ring_len(const struct ring *ring)
{
    return (size_t)(ring->end - ring->base);
}

/* What the capacity leaves. */
static inline size_t ring_room(const struct ring *ring)
{
    return ring->capacity > ring_len(ring) ? ring->capacity - ring_len(ring) : 0;
}

/* A place for bytes at the end, one piece of at most `want`, less when the capacity, the budget or
 * the end of a piece is near; `*len` is 0 when there is none now. To be followed by ring_commit().
 */
uint8_t *ring_reserve(struct ring *ring, size_t want, size_t *len);
/* The first `count` bytes of what was reserved are there; 0: none came. */
void ring_commit(struct ring *ring, size_t count);
/* Makes `data`, which lies in `block`, the end of the ring without copying it; the ring holds the
 * block as long as it needs it. False when the capacity or the budget does not allow all of it. */
bool ring_adopt(struct ring *ring, struct block *block, struct bytes data);
/* Copies; the caller has made sure that the capacity allows it. Does not ask the budget: the window
 * that was announced is a promise. */
void ring_append(struct ring *ring, struct bytes data);
/* Moves the offsets of an empty ring on: bytes that went past it. */
void ring_pass(struct ring *ring, size_t count);

/* The bytes held from `offset` on, as far as they are in one piece; valid until the next call that
 * changes the ring. */
struct bytes ring_peek(const struct ring *ring, uint64_t offset);
/* Drops what is below `offset`. */
void ring_forget(struct ring *ring, uint64_t offset);

#endif
