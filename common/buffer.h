/* Owned FIFO of bytes, bounded by the capacity given at creation.
 *
 * Memory is allocated when bytes arrive, grows by doubling up to the capacity, and is freed when
 * the queue becomes empty, so that an idle connection costs only the struct. Writing has a sticky
 * failure: after one append that did not fit, all further appends fail until buffer_clear(), so a
 * message can be built field by field and checked once. */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include "common/bytes.h"

/* Embedded by value; treat the fields as private. */
struct buffer {
    uint8_t *data;
    size_t start;     /* offset of the first queued byte */
    size_t len;       /* bytes queued */
    size_t allocated; /* bytes at `data` */
    size_t capacity;
    bool failed;
};

void buffer_init(struct buffer *buffer, size_t capacity);
/* Frees the memory, empties the queue and forgets the failure; usable again. */
void buffer_clear(struct buffer *buffer);

/* Copies all of `data`, or none and returns false when it would exceed the capacity. */
bool buffer_append(struct buffer *buffer, struct bytes data);
bool buffer_append_u8(struct buffer *buffer, uint8_t value);
bool buffer_append_u16(struct buffer *buffer, uint16_t value);
bool buffer_append_u32(struct buffer *buffer, uint32_t value);
bool buffer_append_u64(struct buffer *buffer, uint64_t value);
/* The characters and a NUL. */
bool buffer_append_string(struct buffer *buffer, const char *string);
/* Characters without a NUL. */
bool buffer_append_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Overwrites four queued bytes at `offset` from the front (a length that is known only later). */
void buffer_patch_u32(struct buffer *buffer, size_t offset, uint32_t value);
/* Drops queued bytes from the end until `len` remain. */
void buffer_truncate(struct buffer *buffer, size_t len);

/* At least `want` writable bytes at the end (fewer only when the capacity is near), to read a
 * socket into; `*len` is their number, 0 when full. buffer_commit() then queues `count` of them. */
uint8_t *buffer_reserve(struct buffer *buffer, size_t want, size_t *len);
void buffer_commit(struct buffer *buffer, size_t count);

/* The queued bytes, contiguous, without removing them; valid until the next call on `buffer`. */
struct bytes buffer_peek(const struct buffer *buffer);
void buffer_consume(struct buffer *buffer, size_t count);

/* From now on; what is queued stays, even if it is more. */
static inline void buffer_set_capacity(struct buffer *buffer, size_t capacity)
{
    buffer->capacity = capacity;
}

size_t buffer_len(const struct buffer *buffer);
/* Bytes that can still be appended. */
size_t buffer_room(const struct buffer *buffer);
bool buffer_failed(const struct buffer *buffer);

#endif
