/* What the dialects do alike. */
#include "server/render/dialect.h"

void dialect_open_change(const struct plan *plan, size_t step, struct script *script)
{
    const struct plan_step *now = &plan->steps[step];
    const struct plan_step *before = step > 0 ? now - 1 : NULL;

    /* The last op of a statement says what its table is like. */
    if (before != NULL && before->table == now->table && before->op->kind != OP_CREATE_TABLE &&
        before->op->table == NULL)
        return;
    script_open_group(script, plan_facts(now->table), NULL);
}
