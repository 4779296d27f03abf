/* Gathering pieces. */
#include "client/gather.h"

#include <assert.h>
#include <string.h>

void gather_add(struct gather *gather, struct bytes piece)
{
    struct iovec *last = &gather->slices[gather->count];

    assert(!gather_is_full(gather));
    if (piece.len == 0)
        return;
    if (gather->count > 0 && piece.len <= GATHER_JOIN_BELOW) {
        last--;
        memmove((uint8_t *)last->iov_base + last->iov_len, piece.data, piece.len);
        last->iov_len += piece.len;
        return;
    }
    last->iov_base = (void *)(uintptr_t)piece.data;
    last->iov_len = piece.len;
    gather->count++;
}
