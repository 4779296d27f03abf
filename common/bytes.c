/* Byte views: comparison, bounds-checked reads, UTF-8 checks. */
#include "common/bytes.h"

#include <string.h>

struct bytes bytes_of_string(const char *string)
{
    return bytes_of(string, strlen(string));
}

bool bytes_equal(struct bytes a, struct bytes b)
{
    /* memcmp() may not be given NULL, which an empty view may hold. */
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool bytes_equal_string(struct bytes a, const char *string)
{
    return bytes_equal(a, bytes_of_string(string));
}

bool bytes_starts_with(struct bytes a, const char *prefix)
{
    size_t len = strlen(prefix);

    return a.len >= len && bytes_equal(bytes_first(a, len), bytes_of(prefix, len));
}

struct bytes bytes_first(struct bytes view, size_t count)
{
    return bytes_of(view.data, count < view.len ? count : view.len);
}

struct bytes bytes_skip(struct bytes view, size_t count)
{
    if (count == 0)
        return view; /* NULL + 0 is undefined in C */
    if (count > view.len)
        count = view.len;
    return view.data == NULL ? view : bytes_of(view.data + count, view.len - count);
}

bool bytes_take(struct bytes *in, size_t count, struct bytes *out)
{
    if (in->len < count)
        return false;
    *out = bytes_first(*in, count);
    *in = bytes_skip(*in, count);
    return true;
}

static bool take_big_endian(struct bytes *in, size_t size, uint64_t *out)
{
    struct bytes field;
    uint64_t value = 0;

    if (!bytes_take(in, size, &field))
        return false;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | field.data[i];
    *out = value;
    return true;
}

bool bytes_take_u8(struct bytes *in, uint8_t *out)
{
    uint64_t value;

    if (!take_big_endian(in, sizeof *out, &value))
        return false;
    *out = (uint8_t)value;
    return true;
}

bool bytes_take_u16(struct bytes *in, uint16_t *out)
{
    uint64_t value;

    if (!take_big_endian(in, sizeof *out, &value))
        return false;
    *out = (uint16_t)value;
    return true;
}

bool bytes_take_u32(struct bytes *in, uint32_t *out)
{
    uint64_t value;

    if (!take_big_endian(in, sizeof *out, &value))
        return false;
    *out = (uint32_t)value;
    return true;
}

bool bytes_take_u64(struct bytes *in, uint64_t *out)
{
    return take_big_endian(in, sizeof *out, out);
}

bool bytes_take_string(struct bytes *in, struct bytes *out)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->data, 0, in->len);

    if (end == NULL)
        return false;
    *out = bytes_of(in->data, (size_t)(end - in->data));
    *in = bytes_skip(*in, out->len + 1);
    return true;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static bool matches_ignoring_case(const uint8_t *data, const char *needle, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (lower(data[i]) != lower((uint8_t)needle[i]))
            return false;
    return true;
}

struct bytes bytes_trim(struct bytes view)
{
    while (view.len > 0 && is_blank(view.data[0]))
        view = bytes_skip(view, 1);
    while (view.len > 0 && is_blank(view.data[view.len - 1]))
        view.len--;
    return view;
}

struct bytes bytes_take_until(struct bytes *in, char separator)
{
    const uint8_t *at = in->len > 0 ? memchr(in->data, separator, in->len) : NULL;
    struct bytes part = at != NULL ? bytes_first(*in, (size_t)(at - in->data)) : *in;

    *in = bytes_skip(*in, part.len + 1);
    return part;
}

bool bytes_equal_ignoring_case(struct bytes a, const char *string)
{
    return a.len == strlen(string) && matches_ignoring_case(a.data, string, a.len);
}

/* Position of the next byte equal to `low` or `high` from `from` on; `view.len` if absent. */
static size_t find_either(struct bytes view, size_t from, uint8_t low, uint8_t high)
{
    const uint8_t *found = memchr(view.data + from, low, view.len - from);
    size_t limit = found == NULL ? view.len : (size_t)(found - view.data);

    if (high != low && (found = memchr(view.data + from, high, limit - from)) != NULL)
        return (size_t)(found - view.data);
    return limit;
}

size_t bytes_find_ignoring_case(struct bytes view, const char *needle)
{
    size_t len = strlen(needle);

    if (len == 0)
        return 0;
    if (view.len < len)
        return view.len;

    uint8_t low = lower((uint8_t)needle[0]);
    uint8_t high = low >= 'a' && low <= 'z' ? (uint8_t)(low - ('a' - 'A')) : low;
    struct bytes starts = bytes_first(view, view.len - len + 1);

    /* memchr() looks at many bytes at a time; whole queries of megabytes pass through here. Its
     * window is bounded, or a text of one letter would be searched to the end for the other. */
    for (size_t at = 0; at < starts.len;) {
        struct bytes window = bytes_first(starts, at + 4096);
        at = find_either(window, at, low, high);
        if (at == window.len)
            continue;
        if (matches_ignoring_case(view.data + at, needle, len))
            return at;
        at++;
    }
    return view.len;
}

bool bytes_equal_secret(struct bytes a, struct bytes b)
{
    /* volatile keeps the compiler from leaving the loop at the first difference. */
    volatile uint8_t difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
    return difference == 0;
}

size_t bytes_utf8_char(struct bytes view)
{
    if (view.len == 0)
        return 0;

    const uint8_t *c = view.data;
    size_t size = c[0] < 0x80 ? 1 : c[0] < 0xC2 ? 0 : c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : 4;

    if (size == 0 || c[0] > 0xF4 || size > view.len)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((c[i] & 0xC0) != 0x80)
            return 0;
    /* Overlong forms, UTF-16 surrogates, and what lies above U+10FFFF (RFC 3629 section 4). */
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F) ||
        (c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F))
        return 0;
    return size;
}

bool bytes_is_utf8(struct bytes view)
{
    while (view.len > 0) {
        size_t size = bytes_utf8_char(view);
        if (size == 0)
            return false;
        view = bytes_skip(view, size);
    }
    return true;
}

size_t bytes_utf8_cut(struct bytes view, size_t max)
{
    size_t start = max;

    if (view.len < max)
        return view.len;
    /* Back to the first byte of the last character that begins below `max`. */
    while (start > 0 && max - start < 4) {
        start--;
        if ((view.data[start] & 0xC0) != 0x80)
            break;
    }
    uint8_t lead = start < max ? view.data[start] : 0;
    size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    return lead >= 0xC0 && start + size > max ? start : max;
}
