/* Bytes of a stream between two absolute offsets, in memory that is allocated when bytes arrive and
 * freed when none are left.
 *
 * A socket is read straight into the ring, and what is sent is a view of it: nothing here moves or
 * changes bytes that are held, except that growing moves all of them. */
#ifndef COMMON_TUNNEL_RING_H
#define COMMON_TUNNEL_RING_H

#include "common/bytes.h"
#include "common/tunnel/budget.h"

/* The least that is allocated, and what a ring gets even above the budget: so that each session
 * goes on, however slowly, while others have taken everything. */
#ifndef RING_SMALLEST
#define RING_SMALLEST ((size_t)16 * 1024)
#endif

/* Embedded by value; `base` and `end` may be read, the rest is private. */
struct ring {
    struct budget *budget;
    uint8_t *memory;
    size_t size;     /* of `memory`; a power of two */
    size_t capacity; /* bytes held at most */
    uint64_t origin; /* the offset that lies at memory[0], and at each multiple of the size on */
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

/* A place for bytes at the end, one piece of at most `want`, less when the capacity, the budget or
 * a wrap is near; `*len` is 0 when there is none now. To be followed by ring_commit(). */
uint8_t *ring_reserve(struct ring *ring, size_t want, size_t *len);
/* The first `count` bytes of what was reserved are there; 0: none came. */
void ring_commit(struct ring *ring, size_t count);
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
