/* SQLite. Its tables have rows of clients in them, and cannot be changed but by adding to them. */
#include "server/render/dialect.h"
#include "server/render/expression.h"
#include "server/render/sql.h"
#include "server/render/sqlite_script.h"

#include <string.h>

static bool is_primary_key(const struct model_table *table, const char *column)
{
    for (size_t i = 0; i < table->primary_key_columns.count; i++) {
        if (strcmp(table->primary_key_columns.items[i], column) == 0)
            return true;
    }
    return false;
}

static void write_column(struct buffer *sql, const struct model_column *column, bool not_null)
{
    sql_identifier(sql, column->name);
    sql_append(sql, " ");
    sql_append(sql, column->type->sqlite);
    if (not_null)
        sql_append(sql, " NOT NULL");
}

static void write_foreign_key(struct buffer *sql, const struct model_foreign_key *key)
{
    sql_append(sql, ",\n  CONSTRAINT ");
    sql_identifier(sql, key->name);
    sql_append(sql, " FOREIGN KEY ");
    sql_names(sql, &key->columns);
    sql_append(sql, " REFERENCES ");
    sql_identifier(sql, key->target_table);
    sql_append(sql, " ");
    sql_names(sql, &key->target_columns);
    if (strcmp(key->on_delete, "NO ACTION") != 0) {
        sql_append(sql, " ON DELETE ");
        sql_append(sql, key->on_delete);
    }
    if (strcmp(key->on_update, "NO ACTION") != 0) {
        sql_append(sql, " ON UPDATE ");
        sql_append(sql, key->on_update);
    }
    if (key->deferred)
        sql_append(sql, " DEFERRABLE INITIALLY DEFERRED");
}

/* Why SQLite cannot have the foreign key; NULL: it can. One whose target is missing would make
 * every write fail. */
static const char *refuse_foreign_key(const struct model_foreign_key *key)
{
    if (!key->electrified)
        return "the table it refers to is not electrified";
    if (key->set_columns != NULL)
        return "SQLite sets all columns of a foreign key, or none";
    if (key->not_enforced)
        return "it is not enforced";
    return NULL;
}

static void write_foreign_keys(struct script *script, struct buffer *sql,
                               const struct model_table *table)
{
    for (size_t i = 0; i < table->foreign_key_count; i++) {
        const struct model_foreign_key *key = &table->foreign_keys[i];
        const char *reason = refuse_foreign_key(key);
        if (reason == NULL)
            write_foreign_key(sql, key);
        else
            script_omit(script, table->name, "foreign_key", key->name, reason);
        if (reason == NULL && key->match_full && key->columns.count > 1)
            script_omit(script, table->name, "foreign_key", key->name,
                        "SQLite treats MATCH FULL as MATCH SIMPLE");
    }
}

/* Of an index's columns, those that make it smaller or faster for Postgres only (NULLS FIRST,
 * operator classes, INCLUDE) go unmentioned. */
static const char *write_index_keys(struct script *script, struct buffer *sql,
                                    const struct model_table *table,
                                    const struct model_index *index)
{
    for (size_t i = 0; i < index->key_count; i++) {
        const struct model_index_key *key = &index->keys[i];
        const char *reason = NULL;
        sql_append(sql, i == 0 ? "(" : ", ");
        if (key->column != NULL)
            sql_identifier(sql, key->column);
        else if (table == NULL)
            reason = "the columns of its table are not known";
        else
            reason = expression_to_sqlite(key->expression, table, script->arena, sql);
        if (reason != NULL)
            return reason;
        sql_append(sql, key->descending ? " DESC" : " ASC");
    }
    sql_append(sql, ")");
    return NULL;
}

static const char *write_predicate(struct script *script, struct buffer *sql,
                                   const struct model_table *table, const char *predicate)
{
    if (predicate == NULL)
        return NULL;
    if (table == NULL)
        return "the columns of its table are not known";
    sql_append(sql, " WHERE ");
    return expression_to_sqlite(predicate, table, script->arena, sql);
}

static void write_index(struct script *script, const struct model_table *table,
                        const char *table_name, const struct model_index *index)
{
    const char *reason = NULL;

    if (strcmp(index->method, "btree") != 0) {
        script_omit(script, table_name, "index", index->name,
                    arena_format(script->arena, "access method %s", index->method));
        return;
    }
    struct buffer *sql = script_begin(script, STATEMENT_CREATE_INDEX);
    sql_append(sql, "CREATE INDEX ");
    sql_identifier(sql, index->name);
    sql_append(sql, " ON ");
    sql_identifier(sql, table_name);
    sql_append(sql, " ");
    reason = write_index_keys(script, sql, table, index);
    if (reason == NULL)
        reason = write_predicate(script, sql, table, index->predicate);
    if (reason == NULL) {
        script_end(script);
    } else {
        script_cancel(script);
        script_omit(script, table_name, "index", index->name, reason);
    }
}

static void create_table(struct script *script, const struct plan_step *step)
{
    const struct model_table *table = step->op->table;

    script_open_group(script, plan_facts(step->table), NULL);
    struct buffer *sql = script_begin(script, STATEMENT_CREATE_TABLE);
    sql_append(sql, "CREATE TABLE ");
    sql_identifier(sql, table->name);
    sql_append(sql, " (\n");
    for (size_t i = 0; i < table->column_count; i++) {
        const struct model_column *column = &table->columns[i];
        sql_append(sql, "  ");
        write_column(sql, column, column->not_null || is_primary_key(table, column->name));
        sql_append(sql, ",\n");
    }
    sql_append(sql, "  CONSTRAINT ");
    sql_identifier(sql, table->primary_key);
    sql_append(sql, " PRIMARY KEY ");
    sql_names(sql, &table->primary_key_columns);
    if (table->primary_key_options != NULL &&
        strstr(table->primary_key_options, "DEFERRABLE") != NULL)
        script_omit(script, table->name, "primary_key", table->primary_key,
                    "DEFERRABLE, since SQLite checks keys at once");
    write_foreign_keys(script, sql, table);
    sql_append(sql, "\n)");
    script_end(script);
    for (size_t i = 0; i < table->index_count; i++)
        write_index(script, table, table->name, &table->indexes[i]);
}

static void add_column(struct script *script, const struct model_op *op)
{
    struct buffer *sql = script_begin(script, STATEMENT_ALTER_ADD_COLUMN);

    sql_append(sql, "ALTER TABLE ");
    sql_identifier(sql, op->name);
    sql_append(sql, " ADD COLUMN ");
    write_column(sql, op->column, false);
    script_end(script);
    if (op->column->not_null)
        script_omit(script, op->name, "column", op->column->name,
                    "NOT NULL, since clients have rows without it");
}

static void drop(struct script *script, enum statement_type type, const char *what,
                 const char *name)
{
    struct buffer *sql = script_begin(script, type);

    sql_append(sql, "DROP ");
    sql_append(sql, what);
    sql_append(sql, " IF EXISTS ");
    sql_identifier(sql, name);
    script_end(script);
}

static void copy_statements(struct script *script, const char *statements)
{
    struct bytes rest = bytes_of_string(statements);
    struct bytes statement;
    enum status status;

    while ((status = sqlite_script_next(&rest, &statement)) == STATUS_OK)
        ;
    if (status == STATUS_INVALID) {
        script_omit(script, NULL, "sqlite", statements, "a quote or a trigger in it does not end");
        return;
    }
    script_open_group(script, NULL, NULL);
    for (rest = bytes_of_string(statements); sqlite_script_next(&rest, &statement) == STATUS_OK;) {
        buffer_append(script_begin(script, STATEMENT_CREATE_TABLE), statement);
        script_end(script);
    }
}

static void render_step(const struct plan *plan, size_t number, struct script *script)
{
    const struct plan_step *step = &plan->steps[number];

    script->subject = step->table;
    switch (step->op->kind) {
    case OP_CREATE_TYPE:
        script_open_group(script, NULL, step->op); /* which generators of clients want to know */
        break;
    case OP_CREATE_TABLE:
        create_table(script, step);
        break;
    case OP_DISABLE_TABLE:
        script_open_group(script, NULL, NULL);
        drop(script, STATEMENT_CREATE_TABLE, "TABLE", step->op->name);
        break;
    case OP_ADD_COLUMN:
        dialect_open_change(plan, number, script);
        add_column(script, step->op);
        break;
    case OP_CREATE_INDEX:
        dialect_open_change(plan, number, script);
        write_index(script, step->table->facts, step->op->name, step->op->index);
        break;
    case OP_DROP_INDEX:
        dialect_open_change(plan, number, script);
        drop(script, STATEMENT_CREATE_INDEX, "INDEX", step->op->dropped_index);
        break;
    case OP_SQLITE:
        copy_statements(script, step->op->statements);
        break;
    case OP_DROP_TYPE:
    case OP_ADD_FOREIGN_KEY:
    case OP_RULE:
        break;
    }
}

void sqlite_render(const struct plan *plan, struct script *script)
{
    for (size_t i = 0; i < plan->step_count; i++)
        render_step(plan, i, script);
    for (size_t i = 0; i < plan->late_key_count; i++) {
        const struct model_op *op = plan->late_keys[i].op;
        script->subject = plan->late_keys[i].table;
        script_omit(script, op->name, "foreign_key", op->foreign_key->name,
                    "SQLite cannot add it to a table that is there");
    }
}
