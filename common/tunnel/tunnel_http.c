/* The field that requests of the HTTP carrier are recognised by. */
#include "common/tunnel/tunnel_http.h"

#include <stdio.h>

static char *write_hex(char *out, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

void tunnel_http_write_field(const struct tunnel_key *key, const struct tunnel_request *request,
                             char out[TUNNEL_HTTP_FIELD_SIZE])
{
    struct tunnel_seal seal = tunnel_seal_request(key, request);
    char *at = write_hex(out, request->id.bytes, sizeof request->id.bytes);

    at += snprintf(at, 13, " %lu ", (unsigned long)request->attempt);
    *write_hex(at, seal.bytes, sizeof seal.bytes) = '\0';
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_hex(struct bytes *in, uint8_t *bytes, size_t count)
{
    struct bytes text;

    if (!bytes_take(in, 2 * count, &text))
        return false;
    for (size_t i = 0; i < count; i++) {
        int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool tunnel_http_read_number(struct bytes text, uint64_t *number)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 19 || (text.len > 1 && text.data[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *number = value;
    return true;
}

bool tunnel_http_read_field(struct bytes value, struct tunnel_request *request,
                            struct tunnel_seal *seal)
{
    const size_t seal_len = 1 + 2 * sizeof seal->bytes;
    struct bytes in = value, digits;
    uint64_t attempt;
    uint8_t space;

    if (!take_hex(&in, request->id.bytes, sizeof request->id.bytes) ||
        !bytes_take_u8(&in, &space) || space != ' ' || in.len <= seal_len ||
        !bytes_take(&in, in.len - seal_len, &digits) ||
        !tunnel_http_read_number(digits, &attempt) || attempt > UINT32_MAX)
        return false;
    request->attempt = (uint32_t)attempt;
    return bytes_take_u8(&in, &space) && space == ' ' &&
           take_hex(&in, seal->bytes, sizeof seal->bytes);
}
