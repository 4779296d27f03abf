/* Where messages begin and end in one direction of a Postgres connection: five bytes each, and
 * pieces of their bodies. Postgres documentation, "Message Formats". No I/O. */
#ifndef CLIENT_PGSCAN_H
#define CLIENT_PGSCAN_H

#include <stdbool.h>

#include "common/bytes.h"

/* Embedded by value, all zero at first; may be read. */
struct pgscan {
    uint8_t header[5];  /* of the message that is coming by; the first byte is its type */
    uint8_t header_len; /* bytes of it seen, until it is complete */
    bool begins;        /* the piece just given is the first of its message */
    bool invalid;       /* a length is impossible: these are no messages */
    uint32_t body_left;
};

/* Takes a piece of a message from the front of `in`: once for its header, with what follows of its
 * body, perhaps nothing, and once for each further piece. False: all of `in` was taken. */
bool pgscan_next(struct pgscan *scan, struct bytes *in, struct bytes *piece);

static inline bool pgscan_is_inside(const struct pgscan *scan)
{
    return scan->header_len > 0 || scan->body_left > 0;
}

static inline uint8_t pgscan_type(const struct pgscan *scan)
{
    return scan->header[0];
}

#endif
