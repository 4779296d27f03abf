/* Pieces of one read, on their way to the local side in as few system calls as possible. */
#ifndef CLIENT_GATHER_H
#define CLIENT_GATHER_H

#include <stdbool.h>
#include <sys/uio.h>

#include "common/bytes.h"

#define GATHER_MAX 64
/* Pieces up to this size are moved together instead of being named one by one. */
#define GATHER_JOIN_BELOW 2048

/* Embedded by value, all zero at first. */
struct gather {
    struct iovec slices[GATHER_MAX];
    int count;
};

static inline bool gather_is_full(const struct gather *gather)
{
    return gather->count == GATHER_MAX;
}

/* `piece` is in writable memory, behind the pieces before it; between them lie only headers that
 * nobody needs any more. It must not be full. */
void gather_add(struct gather *gather, struct bytes piece);

#endif
