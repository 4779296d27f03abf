/* A migration's changes in the order in which clients make them, each with what its table is like
 * in the end. */
#ifndef SERVER_RENDER_PLAN_H
#define SERVER_RENDER_PLAN_H

#include "server/render/model.h"

/* A table between its ENABLE and its DISABLE. */
struct plan_table {
    bool created;              /* by this migration */
    bool gone;                 /* by the end of it */
    struct model_table *facts; /* at its end; NULL: not told */
};

struct plan_step {
    const struct model_op *op;
    const struct plan_table *table; /* NULL for types and SQLite statements */
};

struct plan {
    /* Without rules and foreign keys. */
    struct plan_step *steps;
    size_t step_count;
    /* ADD_FOREIGN_KEY of tables that clients have already. */
    struct plan_step *late_keys;
    size_t late_key_count;
};

/* Foreign keys of new tables whose target joins later in the same migration count as electrified
 * from now on. What belongs to the plan is in `arena`. */
void plan_make(struct model *model, struct arena *arena, struct plan *plan);

/* What a client has of the table, or NULL. */
static inline const struct model_table *plan_facts(const struct plan_table *table)
{
    return table == NULL || table->gone ? NULL : table->facts;
}

#endif
