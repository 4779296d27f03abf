/* Borrowed views of bytes, and bounds-checked big-endian reads from them. */
#ifndef COMMON_BYTES_H
#define COMMON_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Never owns; valid as long as what it points into. `data` may be NULL when `len` is 0. */
struct bytes {
    const uint8_t *data;
    size_t len;
};

static inline struct bytes bytes_of(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

/* The characters of a C string, without its NUL. */
struct bytes bytes_of_string(const char *string);

bool bytes_equal(struct bytes a, struct bytes b);
bool bytes_equal_string(struct bytes a, const char *string);
bool bytes_starts_with(struct bytes a, const char *prefix);

/* The first `count` bytes / all but the first `count`; `count` is clamped to the length. */
struct bytes bytes_first(struct bytes view, size_t count);
struct bytes bytes_skip(struct bytes view, size_t count);

/* Each takes from the front of `in` and moves it; returns false, leaving `in` alone, when too
 * few bytes are there. */
bool bytes_take(struct bytes *in, size_t count, struct bytes *out);
bool bytes_take_u8(struct bytes *in, uint8_t *out);
bool bytes_take_u16(struct bytes *in, uint16_t *out);
bool bytes_take_u32(struct bytes *in, uint32_t *out);
bool bytes_take_u64(struct bytes *in, uint64_t *out);
/* Takes up to and including the next NUL; `out` is without it. */
bool bytes_take_string(struct bytes *in, struct bytes *out);

/* Without the spaces and tabs around it. */
struct bytes bytes_trim(struct bytes view);
/* Takes everything up to `separator`, and that; what is left when it is absent. */
struct bytes bytes_take_until(struct bytes *in, char separator);

bool bytes_equal_ignoring_case(struct bytes a, const char *string); /* of ASCII letters */
/* Position of the first `needle`, ASCII letters compared without case; `view.len` if absent. */
size_t bytes_find_ignoring_case(struct bytes view, const char *needle);

/* Compares in time that depends on the lengths only. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

/* Size of the UTF-8 character (RFC 3629) at the front, 0 when there is no whole and valid one. */
size_t bytes_utf8_char(struct bytes view);
bool bytes_is_utf8(struct bytes view);
/* Length of `view` cut to at most `max` bytes without cutting through a UTF-8 character. */
size_t bytes_utf8_cut(struct bytes view, size_t max);

#endif
