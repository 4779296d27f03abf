/* Memory that all sessions of a process share. Plain counting: whoever holds a ring charges it. */
#ifndef COMMON_TUNNEL_BUDGET_H
#define COMMON_TUNNEL_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed by every ring; outlives them. */
struct budget {
    size_t limit;
    size_t used;
    size_t promised; /* windows that other ends may fill, whatever is used by then */
};

static inline bool budget_has(const struct budget *budget, size_t more)
{
    return budget->used < budget->limit && more <= budget->limit - budget->used;
}

/* A window of at most `most` for one more session: a part of what is not promised yet, so that many
 * that come at once do not get more than there is. */
static inline size_t budget_window(const struct budget *budget, size_t most)
{
    size_t left = budget->promised < budget->limit ? budget->limit - budget->promised : 0;

    if (!budget_has(budget, most))
        return 0;
    return left / 4 < most ? left / 4 : most;
}

#endif
