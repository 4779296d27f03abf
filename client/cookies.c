/* A session's cookies. */
#include "client/cookies.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* What may stand in a header of ours. */
static bool is_plain(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

/* Whether one of the attributes ends the cookie at once. Expires is not read: a balancer that wants
 * a cookie gone says so by Max-Age, too, and a session sees few days. */
static bool ends_at_once(struct bytes attributes)
{
    while (attributes.len > 0) {
        struct bytes attribute = bytes_trim(bytes_take_until(&attributes, ';'));

        if (bytes_find_ignoring_case(attribute, "max-age=") == 0 && attribute.len > 8 &&
            (attribute.data[8] == '0' || attribute.data[8] == '-'))
            return true;
    }
    return false;
}

static void drop(struct cookies *cookies, size_t i)
{
    cookies->size -= strlen(cookies->pairs[i]);
    free(cookies->pairs[i]);
    cookies->pairs[i] = cookies->pairs[--cookies->count];
}

static void drop_named(struct cookies *cookies, struct bytes name)
{
    for (size_t i = 0; i < cookies->count; i++)
        if (strncmp(cookies->pairs[i], (const char *)name.data, name.len) == 0 &&
            cookies->pairs[i][name.len] == '=') {
            drop(cookies, i);
            return;
        }
}

void cookies_set(struct cookies *cookies, struct bytes field)
{
    struct bytes pair = bytes_trim(bytes_take_until(&field, ';'));
    struct bytes value = pair;
    struct bytes name = bytes_take_until(&value, '=');

    if (name.len == 0 || name.len == pair.len || !is_plain(pair))
        return;
    drop_named(cookies, name);
    if (ends_at_once(field) || cookies->count == COOKIES_MAX ||
        cookies->size + pair.len > COOKIES_SIZE)
        return;
    cookies->pairs[cookies->count++] = mem_copy_chars((const char *)pair.data, pair.len);
    cookies->size += pair.len;
}

void cookies_write(const struct cookies *cookies, struct buffer *out)
{
    for (size_t i = 0; i < cookies->count; i++)
        buffer_append_format(out, "%s%s", i == 0 ? "Cookie: " : "; ", cookies->pairs[i]);
    if (cookies->count > 0)
        buffer_append_format(out, "\r\n");
}

void cookies_clear(struct cookies *cookies)
{
    while (cookies->count > 0)
        drop(cookies, cookies->count - 1);
}
