/* Wrong passwords by address: who has sent some waits longer for each answer. No I/O, a clock
 * handed in. Right ones are never refused, so that nobody can lock another out. */
#ifndef SERVER_GUESSES_H
#define SERVER_GUESSES_H

#include "server/client_address.h"

#include <stdint.h>

enum {
    GUESSES_ADDRESSES = 512,
    GUESSES_DELAY_MS = 1000,     /* the first, and of all who share their address with others … */
    GUESSES_DELAY_MAX_MS = 8000, /* … else doubled each time up to this … */
    GUESSES_FORGET_MS = 60 * 1000 /* … until there were none for so long */
};

/* A table of fixed size; addresses that meet in one slot take it from each other. */
struct guesses {
    struct guess {
        char address[CLIENT_ADDRESS_MAX];
        unsigned count;
        uint64_t last_ms;
    } slots[GUESSES_ADDRESSES];
};

/* One more came from there: how long its answer has to wait. */
unsigned long guesses_note(struct guesses *guesses, const struct client_address *address,
                           uint64_t now_ms);

#endif
