/* Message boundaries. */
#include "client/pgscan.h"

/* Takes what is missing of a header; false when the bytes end before it does. */
static bool take_header(struct pgscan *scan, struct bytes *in)
{
    while (scan->header_len < sizeof scan->header) {
        if (!bytes_take_u8(in, &scan->header[scan->header_len]))
            return false;
        scan->header_len++;
    }
    scan->header_len = 0;
    return true;
}

bool pgscan_next(struct pgscan *scan, struct bytes *in, struct bytes *piece)
{
    struct bytes length_field = bytes_of(scan->header + 1, 4);
    uint32_t length;

    if (in->len == 0 || scan->invalid)
        return false;
    scan->begins = scan->body_left == 0;
    if (scan->begins) {
        if (!take_header(scan, in))
            return false;
        bytes_take_u32(&length_field, &length);
        scan->invalid = length < 4;
        if (scan->invalid)
            return false;
        scan->body_left = length - 4;
    }
    *piece = bytes_first(*in, scan->body_left);
    *in = bytes_skip(*in, piece->len);
    scan->body_left -= (uint32_t)piece->len;
    return true;
}
