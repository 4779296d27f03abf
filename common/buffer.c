/* A byte queue in one contiguous piece of memory that exists only while bytes are queued. */
#include "common/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMALLEST 256

void buffer_init(struct buffer *buffer, size_t capacity)
{
    *buffer = (struct buffer){.capacity = capacity};
}

static void release(struct buffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->start = 0;
    buffer->len = 0;
    buffer->allocated = 0;
}

void buffer_clear(struct buffer *buffer)
{
    release(buffer);
    buffer->failed = false;
}

static size_t writable(const struct buffer *buffer)
{
    return buffer->allocated - buffer->start - buffer->len;
}

static uint8_t *end_of(const struct buffer *buffer)
{
    return buffer->data + buffer->start + buffer->len;
}

static size_t grown_size(const struct buffer *buffer, size_t needed)
{
    size_t size = buffer->allocated > SMALLEST ? buffer->allocated : SMALLEST;

    while (size < needed && size <= buffer->capacity / 2)
        size *= 2;
    /* All that is left, not just what is needed: else each append would move what is queued. */
    return size >= needed && size < buffer->capacity ? size : buffer->capacity;
}

static bool grow(struct buffer *buffer, size_t needed)
{
    size_t size = grown_size(buffer, needed);
    uint8_t *data = malloc(size);

    if (data == NULL)
        return false;
    /* Not realloc(), which would also carry along the bytes already consumed. */
    if (buffer->len > 0)
        memcpy(data, buffer->data + buffer->start, buffer->len);
    free(buffer->data);
    buffer->data = data;
    buffer->start = 0;
    buffer->allocated = size;
    return true;
}

/* Makes `count` bytes writable at the end; the caller has checked that the capacity allows it. */
static bool make_room(struct buffer *buffer, size_t count)
{
    if (writable(buffer) >= count)
        return true;

    size_t needed = buffer->len + count;
    bool fits = needed <= buffer->allocated;
    /* Moving pays only when at least as much was consumed as is moved, so that each byte moves at
     * most once on average; else growing is cheaper, as long as the capacity allows it. */
    if (fits && (buffer->start >= buffer->len || buffer->allocated == buffer->capacity)) {
        memmove(buffer->data, buffer->data + buffer->start, buffer->len);
        buffer->start = 0;
        return true;
    }
    return grow(buffer, fits ? buffer->allocated + 1 : needed);
}

bool buffer_append(struct buffer *buffer, struct bytes data)
{
    if (buffer->failed)
        return false;
    if (data.len == 0)
        return true;
    if (data.len > buffer_room(buffer) || !make_room(buffer, data.len)) {
        buffer->failed = true;
        return false;
    }
    memcpy(end_of(buffer), data.data, data.len);
    buffer->len += data.len;
    return true;
}

static void store_big_endian(uint8_t *out, size_t size, uint64_t value)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        out[i] = (uint8_t)value;
}

static bool append_big_endian(struct buffer *buffer, size_t size, uint64_t value)
{
    uint8_t field[sizeof value];

    store_big_endian(field, size, value);
    return buffer_append(buffer, bytes_of(field, size));
}

bool buffer_append_u8(struct buffer *buffer, uint8_t value)
{
    return append_big_endian(buffer, sizeof value, value);
}

bool buffer_append_u16(struct buffer *buffer, uint16_t value)
{
    return append_big_endian(buffer, sizeof value, value);
}

bool buffer_append_u32(struct buffer *buffer, uint32_t value)
{
    return append_big_endian(buffer, sizeof value, value);
}

bool buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    return append_big_endian(buffer, sizeof value, value);
}

bool buffer_append_string(struct buffer *buffer, const char *string)
{
    return buffer_append(buffer, bytes_of(string, strlen(string) + 1));
}

bool buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    char *text;

    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len < 0) {
        buffer->failed = true;
        return false;
    }
    bool done = buffer_append(buffer, bytes_of(text, (size_t)len));
    free(text);
    return done;
}

void buffer_patch_u32(struct buffer *buffer, size_t offset, uint32_t value)
{
    /* After a failed append the place may not be there; whoever checks the failure later drops
     * the whole message. */
    if (buffer->failed && (offset > buffer->len || buffer->len - offset < sizeof value))
        return;
    assert(offset <= buffer->len && buffer->len - offset >= sizeof value);
    store_big_endian(buffer->data + buffer->start + offset, sizeof value, value);
}

void buffer_truncate(struct buffer *buffer, size_t len)
{
    if (len >= buffer->len)
        return;
    buffer->len = len;
    if (len == 0)
        release(buffer);
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t want, size_t *len)
{
    size_t room = buffer_room(buffer);

    *len = 0;
    if (want > room)
        want = room;
    if (want == 0 || !make_room(buffer, want))
        return NULL;
    *len = writable(buffer);
    /* The allocation never exceeds the capacity, so all of it may be written. */
    return end_of(buffer);
}

void buffer_commit(struct buffer *buffer, size_t count)
{
    assert(count <= writable(buffer));
    buffer->len += count;
    if (buffer->len == 0)
        release(buffer);
}

struct bytes buffer_peek(const struct buffer *buffer)
{
    if (buffer->len == 0)
        return bytes_of(NULL, 0);
    return bytes_of(buffer->data + buffer->start, buffer->len);
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    assert(count <= buffer->len);
    buffer->start += count;
    buffer->len -= count;
    if (buffer->len == 0)
        release(buffer);
}

size_t buffer_len(const struct buffer *buffer)
{
    return buffer->len;
}

size_t buffer_room(const struct buffer *buffer)
{
    return buffer->failed ? 0 : buffer->capacity - buffer->len;
}

bool buffer_failed(const struct buffer *buffer)
{
    return buffer->failed;
}
