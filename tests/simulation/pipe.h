/* One direction of a carrier: messages that arrive late, in pieces, cut short at any byte, or
 * never. */
#ifndef TESTS_SIMULATION_PIPE_H
#define TESTS_SIMULATION_PIPE_H

#include "common/bytes.h"

struct message {
    struct message *next;
    int64_t due;
    uint64_t number; /* HTTP: of the request */
    uint64_t serial; /* HTTP: of the answer, or the one that the request confirms */
    int kind;        /* HTTP: request or answer, of which sort */
    int status;      /* HTTP: of the answer */
    size_t len;
    size_t done; /* delivered already */
    bool cut;    /* its end is lost */
    uint8_t bytes[];
};

struct pipe {
    struct message *first;
    struct message *last;
    size_t queued;  /* bytes */
    int64_t end_at; /* when the reader learns that no more comes, once all is read */
    bool broken;    /* what is sent from now on is lost */
};

void pipe_init(struct pipe *pipe);
void pipe_clear(struct pipe *pipe);
/* Copies head and payload; never before what was sent earlier. Returns NULL when it is lost. */
struct message *pipe_send(struct pipe *pipe, int64_t due, struct bytes head, struct bytes payload);
/* The first message that is due, or NULL. */
struct message *pipe_due(const struct pipe *pipe, int64_t now);
/* The first message is dealt with. */
void pipe_drop(struct pipe *pipe);
/* Everything behind `keep` queued bytes is lost, and all that is sent later. The reader learns of
 * it at `end_at`. */
void pipe_cut(struct pipe *pipe, size_t keep, int64_t end_at);
/* When something happens here next; INT64_MAX: never. */
int64_t pipe_next(const struct pipe *pipe);

#endif
