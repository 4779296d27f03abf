/* How fast Postgres can be talked to, over a session that is logged in and idle: statements with
 * long texts one way, long rows the other. No I/O, no clock: times are given, in microseconds. */
#ifndef CLIENT_PGLOAD_H
#define CLIENT_PGLOAD_H

#include <stdint.h>

#include "client/pgscan.h"

enum pgload_stage {
    PGLOAD_UP,   /* statements are sent as fast as they are taken, so many ahead of their answers */
    PGLOAD_WAIT, /* the answers to the last ones */
    PGLOAD_DOWN, /* rows */
    PGLOAD_OVER, /* enough was seen */
    PGLOAD_FAILED, /* Postgres answered an error */
};

#define PGLOAD_STATEMENT_SIZE (64u * 1024u)

/* Embedded by value; what is said to be read may be. */
struct pgload {
    enum pgload_stage stage; /* to be read */
    int64_t duration;        /* of each direction */
    int64_t began_at;        /* of the stage; UP and WAIT are one */
    uint64_t bytes;          /* in the stage, up: that Postgres has answered */
    uint32_t ahead;          /* statements without an answer */
    uint32_t left;           /* bytes of the statement being sent */
    struct pgscan scan;
    uint8_t statement[PGLOAD_STATEMENT_SIZE]; /* a Query with a long string constant */
    double up; /* bytes a second; to be read once they are known, else 0 */
    double down;
};

void pgload_init(struct pgload *load, int64_t duration, int64_t now);
/* Whether there is something to be sent before the next input. */
bool pgload_has_output(const struct pgload *load, int64_t now);
/* Writes it, `len` bytes at most; 0: there is nothing. */
size_t pgload_output(struct pgload *load, uint8_t *out, size_t len, int64_t now);
/* What Postgres says. */
void pgload_input(struct pgload *load, struct bytes in, int64_t now);

#endif
