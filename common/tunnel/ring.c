/* A queue of pieces, addressed by stream offsets. There are few: pieces get as large as what is
 * held. */
#include "common/tunnel/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

struct ring_piece {
    struct ring_piece *next;
    struct block *block;
    uint8_t *data; /* in `block`; of the offset `start` */
    size_t size;   /* from there on; the end of the last piece is vacant */
    size_t charge; /* on the budget */
    uint64_t start;
};

void ring_init(struct ring *ring, struct budget *budget, size_t capacity)
{
    *ring = (struct ring){.budget = budget, .capacity = capacity};
}

static void drop_first(struct ring *ring)
{
    struct ring_piece *piece = ring->first;

    ring->first = piece->next;
    if (ring->first == NULL)
        ring->last = NULL;
    ring->budget->used -= piece->charge;
    block_drop(piece->block);
    free(piece);
}

static void drop_all(struct ring *ring)
{
    while (ring->first != NULL)
        drop_first(ring);
}

void ring_clear(struct ring *ring)
{
    ring->base = ring->end;
    drop_all(ring);
}

/* Takes over a hold on `block`. */
static void add(struct ring *ring, struct block *block, uint8_t *data, size_t size)
{
    struct ring_piece *piece = mem_new(sizeof *piece);
    bool charged = ring->last != NULL && ring->last->block == block;

    piece->block = block;
    piece->data = data;
    piece->size = size;
    piece->charge = charged ? 0 : block->size;
    piece->start = ring->end;
    ring->budget->used += piece->charge;
    if (ring->last != NULL)
        ring->last->next = piece;
    else
        ring->first = piece;
    ring->last = piece;
}

static void add_new(struct ring *ring, size_t size)
{
    struct block *block = block_new(size);

    add(ring, block, block->data, size);
}

/* For `want` bytes and what may follow them. */
static size_t size_for(const struct ring *ring, size_t want)
{
    size_t size = ring_len(ring) < RING_LARGEST ? ring_len(ring) : RING_LARGEST;

    if (size > ring_room(ring))
        size = ring_room(ring);
    if (size < want)
        size = want;
    return size < RING_SMALLEST ? RING_SMALLEST : size;
}

/* The largest piece that the budget allows, up to `size`; false when it allows none. */
static bool add_within_budget(struct ring *ring, size_t size)
{
    while (!budget_has(ring->budget, size)) {
        if (size <= RING_SMALLEST && ring->first != NULL)
            return false;
        if (size <= RING_SMALLEST)
            break;
        size = size / 2 < RING_SMALLEST ? RING_SMALLEST : size / 2;
    }
    add_new(ring, size);
    return true;
}

static size_t filled(const struct ring *ring)
{
    return (size_t)(ring->end - ring->last->start);
}

static size_t vacant(const struct ring *ring)
{
    return ring->last == NULL ? 0 : ring->last->size - filled(ring);
}

/* Whether to go on behind what the last piece holds: not for the little at its end, or a large read
 * would be cut in two. */
static bool last_will_do(const struct ring *ring, size_t want)
{
    return vacant(ring) > 0 && (vacant(ring) >= want || vacant(ring) >= ring->last->size / 4);
}

uint8_t *ring_reserve(struct ring *ring, size_t want, size_t *len)
{
    *len = 0;
    if (want > ring_room(ring))
        want = ring_room(ring);
    if (want == 0)
        return NULL;
    if (!last_will_do(ring, want) && !add_within_budget(ring, size_for(ring, want)) &&
        vacant(ring) == 0)
        return NULL;
    *len = want < vacant(ring) ? want : vacant(ring);
    return ring->last->data + filled(ring);
}

void ring_commit(struct ring *ring, size_t count)
{
    assert(count <= vacant(ring));
    ring->end += count;
    if (ring_len(ring) == 0)
        drop_all(ring);
}

bool ring_adopt(struct ring *ring, struct block *block, struct bytes data)
{
    assert(block_contains(block, data) && data.len > 0);
    if (data.len > ring_room(ring) || !budget_has(ring->budget, block->size))
        return false;
    add(ring, block_hold(block), block->data + (data.data - block->data), data.len);
    ring->end += data.len;
    return true;
}

void ring_append(struct ring *ring, struct bytes data)
{
    assert(data.len <= ring_room(ring));
    while (data.len > 0) {
        if (vacant(ring) == 0)
            add_new(ring, size_for(ring, data.len));
        struct bytes part = bytes_first(data, vacant(ring));
        memcpy(ring->last->data + filled(ring), part.data, part.len);
        ring->end += part.len;
        data = bytes_skip(data, part.len);
    }
}

void ring_pass(struct ring *ring, size_t count)
{
    assert(ring_len(ring) == 0);
    drop_all(ring);
    ring->base += count;
    ring->end += count;
}

static uint64_t end_of(const struct ring *ring, const struct ring_piece *piece)
{
    return piece->next != NULL ? piece->next->start : ring->end;
}

struct bytes ring_peek(const struct ring *ring, uint64_t offset)
{
    const struct ring_piece *piece = ring->first;

    assert(offset >= ring->base && offset <= ring->end);
    while (piece != NULL && end_of(ring, piece) <= offset)
        piece = piece->next;
    if (piece == NULL)
        return bytes_of(NULL, 0);
    return bytes_of(piece->data + (offset - piece->start), (size_t)(end_of(ring, piece) - offset));
}

void ring_forget(struct ring *ring, uint64_t offset)
{
    assert(offset <= ring->end);
    if (offset <= ring->base)
        return;
    ring->base = offset;
    while (ring->first != NULL && end_of(ring, ring->first) <= offset)
        drop_first(ring);
}
