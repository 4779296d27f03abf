/* Follows each table through the migration, and sorts what is created. */
#include "server/render/plan.h"

#include <string.h>

/* Names and what they are numbered with. */
static size_t find_number(const json_t *numbers, const char *name, size_t none)
{
    const json_t *number = json_object_get(numbers, name);

    return number == NULL ? none : (size_t)json_integer_value(number);
}

static void set_number(json_t *numbers, const char *name, size_t number)
{
    json_object_set_new(numbers, name, json_integer((json_int_t)number));
}

/* -- tables ------------------------------------------------------------------------------------ */

struct tracker {
    struct arena *arena;
    struct plan_table **tables;
    size_t count;
    json_t *current; /* names of tables -> index in `tables` */
};

static struct plan_table *add_table(struct tracker *tracker, const char *name, bool created)
{
    struct plan_table *table = arena_new(tracker->arena, sizeof *table);

    table->created = created;
    set_number(tracker->current, name, tracker->count);
    tracker->tables[tracker->count++] = table;
    return table;
}

static struct plan_table *find_table(struct tracker *tracker, const char *name)
{
    size_t number = find_number(tracker->current, name, tracker->count);

    return number < tracker->count ? tracker->tables[number] : add_table(tracker, name, false);
}

static struct model_table *copy_of(const struct model_table *facts, struct arena *arena)
{
    struct model_table *copy = arena_new(arena, sizeof *copy);

    *copy = *facts;
    return copy;
}

static void append_column(struct model_table *facts, const struct model_column *column,
                          struct arena *arena)
{
    size_t count = facts->column_count;
    struct model_column *columns = arena_new_array(arena, count + 1, sizeof *columns);

    memcpy(columns, facts->columns, count * sizeof *columns);
    columns[count] = *column;
    facts->columns = columns;
    facts->column_count++;
}

static void mark_electrified(struct model_table *facts, const char *key)
{
    for (size_t i = 0; i < facts->foreign_key_count; i++) {
        if (strcmp(facts->foreign_keys[i].name, key) == 0)
            facts->foreign_keys[i].electrified = true;
    }
}

static struct plan_table *follow(struct tracker *tracker, const struct model_op *op)
{
    struct plan_table *table;

    if (op->kind == OP_CREATE_TABLE) {
        table = add_table(tracker, op->name, true);
        table->facts = copy_of(op->table, tracker->arena);
        return table;
    }
    table = find_table(tracker, op->name);
    if (op->kind == OP_DISABLE_TABLE) {
        table->gone = true;
        json_object_del(tracker->current, op->name);
    } else if (op->kind == OP_ADD_FOREIGN_KEY && table->facts != NULL) {
        /* The keys are those of CREATE_TABLE, if there was one: a copy shares them. */
        mark_electrified(table->facts, op->foreign_key->name);
    }
    if (op->table != NULL) {
        /* Its keys say which targets were electrified then; those of CREATE_TABLE know more. */
        struct model_table *facts = copy_of(op->table, tracker->arena);
        if (table->created && table->facts != NULL) {
            facts->foreign_keys = table->facts->foreign_keys;
            facts->foreign_key_count = table->facts->foreign_key_count;
        }
        table->facts = facts;
    } else if (op->kind == OP_ADD_COLUMN && table->facts != NULL) {
        append_column(table->facts, op->column, tracker->arena);
    }
    return table;
}

/* -- order ------------------------------------------------------------------------------------- */

/* A run of steps that only create. Types come first, and tables after those they refer to, except
 * in a circle. */
struct run {
    struct plan_step *steps;
    size_t count;
    json_t *tables; /* names -> index in `steps` */
    bool *visited;
    struct visit {
        size_t step, next_key;
    } * stack;
    struct plan_step *sorted;
    size_t sorted_count;
};

static void push(struct run *run, size_t *depth, size_t step)
{
    run->visited[step] = true;
    run->stack[(*depth)++] = (struct visit){.step = step};
}

/* Depth first, without recursion: there may be a table for each step. */
static void visit_table(struct run *run, size_t root)
{
    size_t depth = 0;

    push(run, &depth, root);
    while (depth > 0) {
        struct visit *top = &run->stack[depth - 1];
        const struct model_table *table = run->steps[top->step].op->table;
        if (top->next_key == table->foreign_key_count) {
            run->sorted[run->sorted_count++] = run->steps[top->step];
            depth--;
            continue;
        }
        const struct model_foreign_key *key = &table->foreign_keys[top->next_key++];
        size_t target = find_number(run->tables, key->target_table, run->count);
        if (target < run->count && !run->visited[target])
            push(run, &depth, target);
    }
}

static void sort_run(struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        if (run->steps[i].op->kind == OP_CREATE_TYPE)
            run->sorted[run->sorted_count++] = run->steps[i];
        else
            set_number(run->tables, run->steps[i].op->name, i);
    }
    for (size_t i = 0; i < run->count; i++) {
        if (run->steps[i].op->kind == OP_CREATE_TABLE && !run->visited[i])
            visit_table(run, i);
    }
    memcpy(run->steps, run->sorted, run->count * sizeof *run->steps);
}

static bool is_creation(const struct plan_step *step)
{
    return step->op->kind == OP_CREATE_TYPE || step->op->kind == OP_CREATE_TABLE;
}

static void sort(struct plan *plan, struct arena *arena)
{
    for (size_t from = 0, to; from < plan->step_count; from = to + 1) {
        for (to = from; to < plan->step_count && is_creation(&plan->steps[to]);)
            to++;
        if (to - from < 2)
            continue;
        struct run run = {.steps = plan->steps + from, .count = to - from};
        run.tables = json_object();
        run.visited = arena_new_array(arena, run.count, sizeof *run.visited);
        run.stack = arena_new_array(arena, run.count, sizeof *run.stack);
        run.sorted = arena_new_array(arena, run.count, sizeof *run.sorted);
        sort_run(&run);
        json_decref(run.tables);
    }
}

/* -- plan -------------------------------------------------------------------------------------- */

static void add_step(struct plan *plan, struct tracker *tracker, const struct model_op *op)
{
    struct plan_step step = {.op = op};

    switch (op->kind) {
    case OP_RULE:
        return;
    case OP_CREATE_TYPE:
    case OP_DROP_TYPE:
    case OP_SQLITE:
        break;
    case OP_ADD_FOREIGN_KEY:
        step.table = follow(tracker, op);
        if (!step.table->created)
            plan->late_keys[plan->late_key_count++] = step;
        return;
    case OP_CREATE_TABLE:
    case OP_DISABLE_TABLE:
    case OP_ADD_COLUMN:
    case OP_CREATE_INDEX:
    case OP_DROP_INDEX:
        step.table = follow(tracker, op);
        break;
    }
    plan->steps[plan->step_count++] = step;
}

void plan_make(struct model *model, struct arena *arena, struct plan *plan)
{
    struct tracker tracker = {.arena = arena, .current = json_object()};

    *plan = (struct plan){0};
    tracker.tables = arena_new_array(arena, model->op_count, sizeof(struct plan_table *));
    plan->steps = arena_new_array(arena, model->op_count, sizeof *plan->steps);
    plan->late_keys = arena_new_array(arena, model->op_count, sizeof *plan->late_keys);
    for (size_t i = 0; i < model->op_count; i++)
        add_step(plan, &tracker, &model->ops[i]);
    json_decref(tracker.current);
    sort(plan, arena);
}
