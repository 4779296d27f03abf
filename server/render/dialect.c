/* What the dialects do alike. */
#include "server/render/dialect.h"

/* Whether two steps come from one statement, whose last op says what its table is like. */
static bool belongs_to(const struct plan_step *step, const struct plan_step *before)
{
    return before->table == step->table && before->op->kind != OP_CREATE_TABLE &&
           before->op->table == NULL;
}

void dialect_open_change(const struct plan *plan, size_t step, struct script *script)
{
    if (step == 0 || !belongs_to(&plan->steps[step], &plan->steps[step - 1]))
        script_open_group(script, plan_facts(plan->steps[step].table), NULL);
}
