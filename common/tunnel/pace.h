/* How many bytes are worth keeping under way.
 *
 * Whatever is under way waits in a ring, and a ring that is larger than the processor's caches
 * costs half as much again for each byte. Only a long way needs that many: as many as a fast
 * network takes in one round trip. */
#ifndef COMMON_TUNNEL_PACE_H
#define COMMON_TUNNEL_PACE_H

#include <stddef.h>
#include <stdint.h>

/* What is kept under way however short the way is, and what a millisecond of it adds (1 Gbit/s).
 * (The simulation has smaller ones, so that they count among its few bytes.) */
#ifndef PACE_LEAST
#define PACE_LEAST ((size_t)1024 * 1024)
#endif
#ifndef PACE_PER_MS
#define PACE_PER_MS ((size_t)128 * 1024)
#endif

/* Embedded by value, private. */
struct pace {
    uint64_t probe;     /* unit whose acknowledgement is timed; 0: none */
    int64_t probe_at;   /* when it was sent */
    int64_t round_trip; /* shortest seen, ms; acknowledgements may be late, but never early */
};

/* Nothing is known of the way: at first, and on a new attachment. */
void pace_reset(struct pace *pace);
/* All units below `end` have been sent. */
void pace_sent(struct pace *pace, int64_t now, uint64_t end);
void pace_acknowledged(struct pace *pace, int64_t now, uint64_t units);
size_t pace_limit(const struct pace *pace);

#endif
