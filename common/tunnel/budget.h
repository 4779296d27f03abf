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
};

static inline bool budget_has(const struct budget *budget, size_t more)
{
    return budget->used < budget->limit && more <= budget->limit - budget->used;
}

#endif
