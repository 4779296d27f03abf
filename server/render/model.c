/* Reads the ops, believing nothing about their shape. */
#include "server/render/model.h"

#include <string.h>

/* What electric.supported_types() lists. */
static const struct model_type types[] = {
    {"bool", "boolean", "INTEGER"},
    {"bytea", "bytea", "BLOB"},
    {"date", "date", "TEXT"},
    {"float4", "real", "REAL"},
    {"float8", "double precision", "REAL"},
    {"int2", "smallint", "INTEGER"},
    {"int4", "integer", "INTEGER"},
    {"int8", "bigint", "INTEGER"},
    {"jsonb", "jsonb", "TEXT_JSON"},
    {"text", "text", "TEXT"},
    {"time", "time without time zone", "TEXT"},
    {"timestamp", "timestamp without time zone", "TEXT"},
    {"timestamptz", "timestamp with time zone", "TEXT"},
    {"uuid", "uuid", "TEXT"},
    {"varchar", "character varying", "TEXT"},
};

static const struct op_name {
    const char *name;
    enum model_op_kind kind;
} op_names[] = {
    {"create_type", OP_CREATE_TYPE},
    {"drop_type", OP_DROP_TYPE},
    {"create_table", OP_CREATE_TABLE},
    {"disable_table", OP_DISABLE_TABLE},
    {"add_column", OP_ADD_COLUMN},
    {"create_index", OP_CREATE_INDEX},
    {"drop_index", OP_DROP_INDEX},
    {"add_foreign_key", OP_ADD_FOREIGN_KEY},
    {"sqlite", OP_SQLITE},
    {"grant", OP_RULE},
    {"revoke", OP_RULE},
    {"assign", OP_RULE},
    {"unassign", OP_RULE},
};

static const char *const foreign_key_actions[] = {
    "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT",
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* The first mistake is kept; what is read after it does not matter any more. */
struct reader {
    struct arena *arena;
    struct error *error;
    bool failed;
};

static void fail(struct reader *reader, const char *key)
{
    if (!reader->failed)
        error_set(reader->error, STATUS_INVALID, "XX001",
                  "cannot read the ops of a migration: \"%s\" is missing or wrong", key);
    reader->failed = true;
}

static const char *optional_string(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value == NULL || json_is_null(value))
        return NULL;
    if (!json_is_string(value))
        fail(reader, key);
    return json_string_value(value);
}

static const char *string_of(struct reader *reader, const json_t *object, const char *key)
{
    const char *value = optional_string(reader, object, key);

    if (value == NULL)
        fail(reader, key);
    return value == NULL ? "" : value;
}

/* As string_of(), of what SQL cannot do without. */
static const char *name_of(struct reader *reader, const json_t *object, const char *key)
{
    const char *value = string_of(reader, object, key);

    if (value[0] == '\0')
        fail(reader, key);
    return value;
}

static bool bool_of(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value != NULL && !json_is_boolean(value) && !json_is_null(value))
        fail(reader, key);
    return json_is_true(value);
}

/* A missing list is an empty one. */
static const json_t *list_of(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (value != NULL && !json_is_array(value) && !json_is_null(value))
        fail(reader, key);
    return value;
}

static struct model_names names_of(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *list = list_of(reader, object, key);
    struct model_names names = {.count = json_array_size(list)};

    names.items = arena_new_array(reader->arena, names.count, sizeof *names.items);
    for (size_t i = 0; i < names.count; i++) {
        names.items[i] = json_string_value(json_array_get(list, i));
        if (names.items[i] == NULL || names.items[i][0] == '\0') {
            fail(reader, key);
            names.items[i] = "";
        }
    }
    return names;
}

static struct model_names some_names(struct reader *reader, const json_t *object, const char *key)
{
    struct model_names names = names_of(reader, object, key);

    if (names.count == 0)
        fail(reader, key);
    return names;
}

static const struct model_type *find_type(const char *name)
{
    for (size_t i = 0; i < COUNT(types); i++) {
        if (strcmp(types[i].name, name) == 0)
            return &types[i];
    }
    return NULL;
}

static void read_column(struct reader *reader, const json_t *json, struct model_column *column)
{
    const char *type = name_of(reader, json, "type");

    column->name = name_of(reader, json, "name");
    column->collation = optional_string(reader, json, "collation");
    column->not_null = bool_of(reader, json, "not_null");
    if (bool_of(reader, json, "enum")) {
        column->enum_schema = name_of(reader, json, "type_schema");
        column->enum_name = type;
        type = "text";
    }
    column->type = find_type(type);
    if (column->type == NULL)
        fail(reader, "type");
}

static const char *read_action(struct reader *reader, const json_t *json, const char *key)
{
    const char *action = string_of(reader, json, key);

    for (size_t i = 0; i < COUNT(foreign_key_actions); i++) {
        if (strcmp(foreign_key_actions[i], action) == 0)
            return foreign_key_actions[i];
    }
    fail(reader, key);
    return "";
}

static void read_foreign_key(struct reader *reader, const json_t *json,
                             struct model_foreign_key *key)
{
    const json_t *target = json_object_get(json, "references");
    const char *match = optional_string(reader, json, "match");

    key->name = name_of(reader, json, "name");
    key->columns = some_names(reader, json, "columns");
    key->target_schema = name_of(reader, target, "schema");
    key->target_table = name_of(reader, target, "table");
    key->target_columns = some_names(reader, target, "columns");
    if (key->columns.count != key->target_columns.count)
        fail(reader, "references");
    key->on_update = read_action(reader, json, "on_update");
    key->on_delete = read_action(reader, json, "on_delete");
    key->set_columns = optional_string(reader, json, "set_columns");
    key->match_full = match != NULL && strcmp(match, "FULL") == 0;
    key->deferrable = bool_of(reader, json, "deferrable");
    key->deferred = bool_of(reader, json, "deferred");
    key->not_enforced = bool_of(reader, json, "not_enforced");
    key->electrified = bool_of(reader, json, "electrified");
}

static void read_index_key(struct reader *reader, const json_t *json, struct model_index_key *key)
{
    key->column = optional_string(reader, json, "column");
    key->expression = optional_string(reader, json, "expression");
    if ((key->column == NULL) == (key->expression == NULL))
        fail(reader, "column");
    key->opclass = optional_string(reader, json, "opclass");
    key->collation = optional_string(reader, json, "collation");
    key->descending = bool_of(reader, json, "descending");
    key->nulls_first = bool_of(reader, json, "nulls_first");
}

static void read_index(struct reader *reader, const json_t *json, struct model_index *index)
{
    const json_t *keys = list_of(reader, json, "columns");

    index->name = name_of(reader, json, "name");
    index->method = name_of(reader, json, "method");
    index->predicate = optional_string(reader, json, "predicate");
    index->include = names_of(reader, json, "include");
    index->key_count = json_array_size(keys);
    index->keys = arena_new_array(reader->arena, index->key_count, sizeof *index->keys);
    for (size_t i = 0; i < index->key_count; i++)
        read_index_key(reader, json_array_get(keys, i), &index->keys[i]);
    if (index->key_count == 0)
        fail(reader, "columns");
}

static void read_columns(struct reader *reader, const json_t *json, struct model_table *table)
{
    const json_t *list = list_of(reader, json, "columns");

    table->column_count = json_array_size(list);
    table->columns = arena_new_array(reader->arena, table->column_count, sizeof *table->columns);
    for (size_t i = 0; i < table->column_count; i++)
        read_column(reader, json_array_get(list, i), &table->columns[i]);
    if (table->column_count == 0)
        fail(reader, "columns");
}

/* The facts of a table, which stand in an op beside its own or in its "after". */
static struct model_table *read_table(struct reader *reader, const json_t *json,
                                      const struct model_op *op)
{
    const json_t *primary_key = json_object_get(json, "primary_key");
    const json_t *foreign_keys = list_of(reader, json, "foreign_keys");
    const json_t *indexes = list_of(reader, json, "indexes");
    struct model_table *table = arena_new(reader->arena, sizeof *table);

    table->schema = op->schema;
    table->name = op->name;
    read_columns(reader, json, table);
    table->primary_key = name_of(reader, primary_key, "name");
    table->primary_key_columns = some_names(reader, primary_key, "columns");
    table->primary_key_options = optional_string(reader, primary_key, "options");
    table->foreign_key_count = json_array_size(foreign_keys);
    table->foreign_keys =
        arena_new_array(reader->arena, table->foreign_key_count, sizeof *table->foreign_keys);
    for (size_t i = 0; i < table->foreign_key_count; i++)
        read_foreign_key(reader, json_array_get(foreign_keys, i), &table->foreign_keys[i]);
    table->index_count = json_array_size(indexes);
    table->indexes = arena_new_array(reader->arena, table->index_count, sizeof *table->indexes);
    for (size_t i = 0; i < table->index_count; i++)
        read_index(reader, json_array_get(indexes, i), &table->indexes[i]);
    return table;
}

static bool find_op(const char *name, enum model_op_kind *kind)
{
    for (size_t i = 0; i < COUNT(op_names); i++) {
        if (strcmp(op_names[i].name, name) == 0) {
            *kind = op_names[i].kind;
            return true;
        }
    }
    return false;
}

static void read_change(struct reader *reader, const json_t *json, struct model_op *op)
{
    const json_t *after = json_object_get(json, "after");

    switch (op->kind) {
    case OP_CREATE_TYPE:
        op->labels = names_of(reader, json, "labels");
        break;
    case OP_CREATE_TABLE:
        op->table = read_table(reader, json, op);
        break;
    case OP_ADD_COLUMN:
        op->column = arena_new(reader->arena, sizeof *op->column);
        read_column(reader, json_object_get(json, "column"), op->column);
        break;
    case OP_CREATE_INDEX:
        op->index = arena_new(reader->arena, sizeof *op->index);
        read_index(reader, json_object_get(json, "index"), op->index);
        break;
    case OP_DROP_INDEX:
        /* Not "index", as in create_index: that one is an object. */
        op->dropped_index = name_of(reader, json, "name");
        break;
    case OP_ADD_FOREIGN_KEY:
        op->foreign_key = arena_new(reader->arena, sizeof *op->foreign_key);
        read_foreign_key(reader, json_object_get(json, "foreign_key"), op->foreign_key);
        break;
    case OP_DROP_TYPE:
    case OP_DISABLE_TABLE:
    case OP_SQLITE:
    case OP_RULE:
        break;
    }
    if (op->kind != OP_CREATE_TABLE && after != NULL)
        op->table = read_table(reader, after, op);
}

static void read_op(struct reader *reader, json_t *json, struct model_op *op)
{
    const char *name = string_of(reader, json, "op");

    op->json = json;
    if (!find_op(name, &op->kind)) {
        fail(reader, "op");
        return;
    }
    if (op->kind == OP_SQLITE) {
        op->statements = string_of(reader, json, "statements");
        return;
    }
    if (op->kind == OP_RULE)
        return;
    op->schema = name_of(reader, json, "schema");
    op->name = name_of(reader, json,
                       op->kind == OP_CREATE_TYPE || op->kind == OP_DROP_TYPE ? "name" : "table");
    read_change(reader, json, op);
}

enum status model_read(json_t *json, struct arena *arena, struct model *model, struct error *error)
{
    struct reader reader = {.arena = arena, .error = error};

    if (!json_is_array(json))
        fail(&reader, "ops");
    model->op_count = json_array_size(json);
    model->ops = arena_new_array(arena, model->op_count, sizeof *model->ops);
    for (size_t i = 0; i < model->op_count && !reader.failed; i++)
        read_op(&reader, json_array_get(json, i), &model->ops[i]);
    return reader.failed ? STATUS_INVALID : STATUS_OK;
}

const struct model_column *model_find_column(const struct model_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (strcmp(table->columns[i].name, name) == 0)
            return &table->columns[i];
    }
    return NULL;
}

bool model_has_enum(const struct model_table *table, const char *schema, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct model_column *column = &table->columns[i];
        if (column->enum_name != NULL && strcmp(column->enum_name, name) == 0 &&
            strcmp(column->enum_schema, schema) == 0)
            return true;
    }
    return false;
}
