/* Postgres: as the source, with what every Postgres has. */
#include "server/render/dialect.h"
#include "server/render/expression.h"
#include "server/render/sql.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Collations that do not depend on what Postgres was built with, as the ledger has them. */
static const char *const collations[] = {
    "pg_catalog.\"C\"",
    "pg_catalog.\"POSIX\"",
    "pg_catalog.\"default\"",
    "pg_catalog.ucs_basic",
};

/* Access methods with operator classes for all the types, and operator classes, that no extension
 * brings. */
static const char *const methods[] = {"btree", "hash", "brin"};
static const char *const opclasses[] = {
    "text_pattern_ops", "varchar_pattern_ops", "jsonb_path_ops",     "jsonb_ops",
    "text_ops",         "varchar_ops",         "bpchar_pattern_ops", "bpchar_ops",
};

static bool is_among(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i], name) == 0)
            return true;
    }
    return false;
}

static bool has_collation(const char *collation)
{
    return collation == NULL || is_among(collation, collations, COUNT(collations));
}

static void write_column(struct script *script, struct buffer *sql, const char *table,
                         const struct model_column *column)
{
    sql_identifier(sql, column->name);
    sql_append(sql, " ");
    if (column->enum_name != NULL)
        sql_qualified(sql, column->enum_schema, column->enum_name);
    else
        sql_append(sql, column->type->postgres);
    if (!has_collation(column->collation)) {
        script_omit(
            script, table, "column", column->name,
            arena_format(script->arena, "collation %s may not be there", column->collation));
    } else if (column->collation != NULL) {
        sql_append(sql, " COLLATE ");
        sql_append(sql, column->collation);
    }
    if (column->not_null)
        sql_append(sql, " NOT NULL");
}

/* -- indexes ----------------------------------------------------------------------------------- */

static bool is_jsonb(const struct model_table *table, const char *name)
{
    const struct model_column *column =
        table == NULL || name == NULL ? NULL : model_find_column(table, name);

    return column != NULL && strcmp(column->type->name, "jsonb") == 0;
}

static const char *refuse_expression(struct script *script, const struct model_table *table,
                                     const char *expression)
{
    if (expression == NULL)
        return NULL;
    if (table == NULL)
        return "the columns of its table are not known";
    return expression_find_foreign(expression, table, script->arena);
}

/* Why the index may not work in another database; NULL: it will. */
static const char *refuse_index(struct script *script, const struct model_table *table,
                                const struct model_index *index)
{
    const char *reason = refuse_expression(script, table, index->predicate);
    bool is_gin = strcmp(index->method, "gin") == 0;

    if (reason != NULL)
        return reason;
    if (!is_gin && !is_among(index->method, methods, COUNT(methods)))
        return arena_format(script->arena, "access method %s", index->method);
    for (size_t i = 0; i < index->key_count; i++) {
        const struct model_index_key *key = &index->keys[i];
        reason = refuse_expression(script, table, key->expression);
        if (reason != NULL)
            return reason;
        if ((is_gin && !is_jsonb(table, key->column)) ||
            (key->opclass != NULL && !is_among(key->opclass, opclasses, COUNT(opclasses))))
            return "its operator class may not be there";
        if (!has_collation(key->collation))
            return arena_format(script->arena, "collation %s may not be there", key->collation);
    }
    return NULL;
}

static void write_index_key(struct buffer *sql, const struct model_index_key *key)
{
    if (key->column != NULL)
        sql_identifier(sql, key->column);
    else
        sql_append(sql, key->expression);
    if (key->collation != NULL) {
        sql_append(sql, " COLLATE ");
        sql_append(sql, key->collation);
    }
    if (key->opclass != NULL) {
        sql_append(sql, " ");
        sql_identifier(sql, key->opclass);
    }
    if (key->descending)
        sql_append(sql, " DESC");
    if (key->nulls_first != key->descending)
        sql_append(sql, key->nulls_first ? " NULLS FIRST" : " NULLS LAST");
}

static void write_index(struct script *script, const struct model_table *table,
                        const struct model_op *op, const struct model_index *index)
{
    const char *reason = refuse_index(script, table, index);

    if (reason != NULL) {
        script_omit(script, op->name, "index", index->name, reason);
        return;
    }
    struct buffer *sql = script_begin(script, STATEMENT_CREATE_INDEX);
    sql_append(sql, "CREATE INDEX ");
    sql_identifier(sql, index->name);
    sql_append(sql, " ON ");
    sql_qualified(sql, op->schema, op->name);
    if (strcmp(index->method, "btree") != 0) {
        sql_append(sql, " USING ");
        sql_append(sql, index->method);
    }
    for (size_t i = 0; i < index->key_count; i++) {
        sql_append(sql, i == 0 ? " (" : ", ");
        write_index_key(sql, &index->keys[i]);
    }
    sql_append(sql, ")");
    if (index->include.count > 0) {
        sql_append(sql, " INCLUDE ");
        sql_names(sql, &index->include);
    }
    if (index->predicate != NULL) {
        sql_append(sql, " WHERE ");
        sql_append(sql, index->predicate);
    }
    script_end(script);
}

/* -- tables ------------------------------------------------------------------------------------ */

static void create_type(struct script *script, const struct model_op *op)
{
    script_open_group(script, NULL, op);
    struct buffer *sql = script_begin(script, STATEMENT_CREATE_ENUM_TYPE);
    sql_append(sql, "CREATE TYPE ");
    sql_qualified(sql, op->schema, op->name);
    sql_append(sql, " AS ENUM (");
    for (size_t i = 0; i < op->labels.count; i++) {
        sql_append(sql, i == 0 ? "" : ", ");
        sql_literal(sql, op->labels.items[i]);
    }
    sql_append(sql, ")");
    script_end(script);
}

static void create_table(struct script *script, const struct plan_step *step)
{
    const struct model_table *table = step->op->table;

    script_open_group(script, plan_facts(step->table), NULL);
    struct buffer *sql = script_begin(script, STATEMENT_CREATE_TABLE);
    sql_append(sql, "CREATE TABLE ");
    sql_qualified(sql, table->schema, table->name);
    sql_append(sql, " (\n");
    for (size_t i = 0; i < table->column_count; i++) {
        sql_append(sql, "  ");
        write_column(script, sql, table->name, &table->columns[i]);
        sql_append(sql, ",\n");
    }
    sql_append(sql, "  CONSTRAINT ");
    sql_identifier(sql, table->primary_key);
    sql_append(sql, " PRIMARY KEY ");
    sql_names(sql, &table->primary_key_columns);
    if (table->primary_key_options != NULL) {
        sql_append(sql, " ");
        sql_append(sql, table->primary_key_options);
    }
    sql_append(sql, "\n)");
    script_end(script);
    for (size_t i = 0; i < table->index_count; i++)
        write_index(script, table, step->op, &table->indexes[i]);
}

static void add_column(struct script *script, const struct model_op *op)
{
    struct buffer *sql = script_begin(script, STATEMENT_ALTER_ADD_COLUMN);

    sql_append(sql, "ALTER TABLE ");
    sql_qualified(sql, op->schema, op->name);
    sql_append(sql, " ADD COLUMN ");
    write_column(script, sql, op->name, op->column);
    script_end(script);
}

static void drop(struct script *script, enum statement_type type, const char *what,
                 const char *schema, const char *name)
{
    struct buffer *sql = script_begin(script, type);

    sql_append(sql, "DROP ");
    sql_append(sql, what);
    sql_append(sql, " IF EXISTS ");
    sql_qualified(sql, schema, name);
    script_end(script);
}

/* -- foreign keys ------------------------------------------------------------------------------ */

static void write_foreign_key(struct buffer *sql, const struct model_foreign_key *key)
{
    sql_append(sql, " ADD CONSTRAINT ");
    sql_identifier(sql, key->name);
    sql_append(sql, " FOREIGN KEY ");
    sql_names(sql, &key->columns);
    sql_append(sql, " REFERENCES ");
    sql_qualified(sql, key->target_schema, key->target_table);
    sql_append(sql, " ");
    sql_names(sql, &key->target_columns);
    if (key->match_full)
        sql_append(sql, " MATCH FULL");
    sql_append(sql, " ON DELETE ");
    sql_append(sql, key->on_delete);
    if (key->set_columns != NULL) {
        sql_append(sql, " ");
        sql_append(sql, key->set_columns);
    }
    sql_append(sql, " ON UPDATE ");
    sql_append(sql, key->on_update);
    if (key->deferrable)
        sql_append(sql, key->deferred ? " DEFERRABLE INITIALLY DEFERRED" : " DEFERRABLE");
    if (key->not_enforced)
        sql_append(sql, " NOT ENFORCED");
}

static void add_foreign_key(struct script *script, const struct plan_step *step,
                            const struct model_foreign_key *key)
{
    const struct model_op *op = step->op;

    if (step->table->gone)
        return;
    script->subject = step->table;
    if (!key->electrified) {
        script_omit(script, op->name, "foreign_key", key->name,
                    "the table it refers to is not electrified");
        return;
    }
    script_open_group(script, plan_facts(step->table), NULL);
    struct buffer *sql = script_begin(script, STATEMENT_ALTER_ADD_COLUMN);
    sql_append(sql, "ALTER TABLE ");
    sql_qualified(sql, op->schema, op->name);
    write_foreign_key(sql, key);
    script_end(script);
}

/* After all else, when every table is there. */
static void add_foreign_keys(struct script *script, const struct plan *plan)
{
    for (size_t i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];
        size_t count = step->op->kind == OP_CREATE_TABLE ? step->op->table->foreign_key_count : 0;
        for (size_t k = 0; k < count; k++)
            add_foreign_key(script, step, &step->op->table->foreign_keys[k]);
    }
    for (size_t i = 0; i < plan->late_key_count; i++)
        add_foreign_key(script, &plan->late_keys[i], plan->late_keys[i].op->foreign_key);
}

/* -- plan -------------------------------------------------------------------------------------- */

static void render_step(const struct plan *plan, size_t number, struct script *script)
{
    const struct plan_step *step = &plan->steps[number];
    const struct model_op *op = step->op;

    script->subject = step->table;
    switch (op->kind) {
    case OP_CREATE_TYPE:
        create_type(script, op);
        break;
    case OP_DROP_TYPE:
        script_open_group(script, NULL, NULL);
        drop(script, STATEMENT_CREATE_ENUM_TYPE, "TYPE", op->schema, op->name);
        break;
    case OP_CREATE_TABLE:
        create_table(script, step);
        break;
    case OP_DISABLE_TABLE:
        script_open_group(script, NULL, NULL);
        drop(script, STATEMENT_CREATE_TABLE, "TABLE", op->schema, op->name);
        break;
    case OP_ADD_COLUMN:
        dialect_open_change(plan, number, script);
        add_column(script, op);
        break;
    case OP_CREATE_INDEX:
        dialect_open_change(plan, number, script);
        write_index(script, step->table->facts, op, op->index);
        break;
    case OP_DROP_INDEX:
        dialect_open_change(plan, number, script);
        drop(script, STATEMENT_CREATE_INDEX, "INDEX", op->schema, op->dropped_index);
        break;
    case OP_SQLITE:
    case OP_ADD_FOREIGN_KEY:
    case OP_RULE:
        break;
    }
}

void postgres_render(const struct plan *plan, struct script *script)
{
    for (size_t i = 0; i < plan->step_count; i++)
        render_step(plan, i, script);
    add_foreign_keys(script, plan);
}
