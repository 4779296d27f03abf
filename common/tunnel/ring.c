/* A circular buffer addressed by stream offsets. */
#include "common/tunnel/ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

void ring_init(struct ring *ring, struct budget *budget, size_t capacity)
{
    *ring = (struct ring){.budget = budget, .capacity = capacity};
}

static void release(struct ring *ring)
{
    free(ring->memory);
    ring->memory = NULL;
    ring->budget->used -= ring->size;
    ring->size = 0;
}

void ring_clear(struct ring *ring)
{
    ring->base = ring->end;
    release(ring);
}

static size_t position(const struct ring *ring, uint64_t offset)
{
    return (size_t)(offset - ring->origin) & (ring->size - 1);
}

/* How much is in one piece from `offset` on, held or not. */
static size_t until_wrap(const struct ring *ring, uint64_t offset)
{
    return ring->size - position(ring, offset);
}

static size_t size_for(size_t len)
{
    size_t size = RING_SMALLEST;

    while (size < len)
        size *= 2;
    return size;
}

/* What is held lies at the front of the new memory, so that nothing wraps for a while. */
static void resize(struct ring *ring, size_t size)
{
    uint8_t *memory = mem_resize(NULL, size);
    size_t copied = 0;

    for (struct bytes piece; (piece = ring_peek(ring, ring->base + copied)).len > 0;
         copied += piece.len)
        memcpy(memory + copied, piece.data, piece.len);
    release(ring);
    ring->memory = memory;
    ring->size = size;
    ring->origin = ring->base;
    ring->budget->used += size;
}

static bool may_grow(const struct ring *ring, size_t size)
{
    return size <= RING_SMALLEST || budget_has(ring->budget, size - ring->size);
}

uint8_t *ring_reserve(struct ring *ring, size_t want, size_t *len)
{
    size_t room = ring->capacity > ring_len(ring) ? ring->capacity - ring_len(ring) : 0;

    *len = want < room ? want : room;
    if (*len == 0)
        return NULL;
    size_t size = size_for(ring_len(ring) + *len);
    /* The largest size that the budget allows, if it is not the one wanted. */
    while (size > ring->size && !may_grow(ring, size))
        size /= 2;
    if (size > ring->size)
        resize(ring, size);
    size_t vacant = ring->size - ring_len(ring);
    if (*len > vacant)
        *len = vacant;
    if (*len > until_wrap(ring, ring->end))
        *len = until_wrap(ring, ring->end);
    return *len == 0 ? NULL : ring->memory + position(ring, ring->end);
}

void ring_commit(struct ring *ring, size_t count)
{
    assert(count <= ring->size - ring_len(ring));
    ring->end += count;
    if (ring_len(ring) == 0)
        release(ring);
}

void ring_append(struct ring *ring, struct bytes data)
{
    size_t needed = ring_len(ring) + data.len;

    assert(needed <= ring->capacity);
    if (needed > ring->size)
        resize(ring, size_for(needed));
    while (data.len > 0) {
        struct bytes part = bytes_first(data, until_wrap(ring, ring->end));
        memcpy(ring->memory + position(ring, ring->end), part.data, part.len);
        ring->end += part.len;
        data = bytes_skip(data, part.len);
    }
}

void ring_pass(struct ring *ring, size_t count)
{
    assert(ring_len(ring) == 0);
    ring->base += count;
    ring->end += count;
}

struct bytes ring_peek(const struct ring *ring, uint64_t offset)
{
    assert(offset >= ring->base && offset <= ring->end);
    if (offset == ring->end || ring->memory == NULL)
        return bytes_of(NULL, 0);
    return bytes_first(bytes_of(ring->memory + position(ring, offset), until_wrap(ring, offset)),
                       (size_t)(ring->end - offset));
}

void ring_forget(struct ring *ring, uint64_t offset)
{
    assert(offset <= ring->end);
    if (offset <= ring->base)
        return;
    ring->base = offset;
    if (ring_len(ring) == 0)
        release(ring);
}
