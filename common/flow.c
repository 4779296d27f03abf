/* Watermarks of one direction of a connection. */
#include "common/flow.h"

#include <assert.h>

void flow_init(struct flow *flow, size_t low, size_t high)
{
    assert(low < high);
    *flow = (struct flow){.low = low, .high = high};
}

void flow_end(struct flow *flow)
{
    flow->ended = true;
}

enum flow_action flow_next(struct flow *flow, size_t queued)
{
    if (flow->closed)
        return FLOW_NONE;
    if (flow->ended) {
        /* A source that gives no more need be neither paused nor resumed. */
        if (queued > 0)
            return FLOW_NONE;
        flow->closed = true;
        return FLOW_CLOSE_SINK;
    }
    if (!flow->paused && queued >= flow->high) {
        flow->paused = true;
        return FLOW_PAUSE_SOURCE;
    }
    if (flow->paused && queued <= flow->low) {
        flow->paused = false;
        return FLOW_RESUME_SOURCE;
    }
    return FLOW_NONE;
}
