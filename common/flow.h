/* One direction of a connection: when to pause its source, resume it, and close its sink.
 * Pure: the adapter asks, and obeys. */
#ifndef COMMON_FLOW_H
#define COMMON_FLOW_H

#include <stdbool.h>
#include <stddef.h>

enum flow_action {
    FLOW_NONE,
    FLOW_PAUSE_SOURCE,  /* the queue reached the high watermark */
    FLOW_RESUME_SOURCE, /* it is back at the low one */
    FLOW_CLOSE_SINK,    /* the source has ended and all is sent */
};

/* Plain value; flow_init() sets it up. */
struct flow {
    size_t high;
    size_t low;
    bool paused;
    bool ended;  /* the source will give no more */
    bool closed; /* FLOW_CLOSE_SINK was given */
};

/* Needs low < high. */
void flow_init(struct flow *flow, size_t low, size_t high);
/* The source has ended; the next flow_next() with an empty queue closes the sink. */
void flow_end(struct flow *flow);
/* What to do now that `queued` bytes wait. Gives each change once. */
enum flow_action flow_next(struct flow *flow, size_t queued);

#endif
