/* How long to wait before the next attempt to reach the service. No I/O, no clock. */
#ifndef CLIENT_BACKOFF_H
#define CLIENT_BACKOFF_H

#include <stdint.h>

/* Milliseconds; also between two attempts, whatever became of the first. */
#define BACKOFF_MIN 100

/* Before the attempt that follows `failures` in a row: nothing at first, then twice as long each
 * time, up to `most`, less up to the half of it by chance, lest many clients come at once. `random`
 * is any number. */
int64_t backoff_delay(unsigned failures, int64_t most, uint32_t random);

#endif
