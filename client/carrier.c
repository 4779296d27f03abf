/* Memory of carriers that are closed. */
#include "client/carrier.h"

#include <stdlib.h>

#include "client/tunnel.h"

static void on_sweep(struct loop_task *task)
{
    carrier_sweep(task->owner);
}

void carrier_sweep(struct tunnel_shared *shared)
{
    struct carrier *carrier;

    loop_task_cancel(shared->loop, &shared->sweep);
    while ((carrier = shared->closed) != NULL) {
        shared->closed = carrier->next_closed;
        free(carrier);
    }
}

void carrier_bury(struct tunnel_shared *shared, struct carrier *carrier)
{
    carrier->next_closed = shared->closed;
    shared->closed = carrier;
    shared->sweep.run = on_sweep;
    shared->sweep.owner = shared;
    loop_defer(shared->loop, &shared->sweep);
}
