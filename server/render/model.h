/* The ledger's ops as structs: what a migration does to the electrified schema. */
#ifndef SERVER_RENDER_MODEL_H
#define SERVER_RENDER_MODEL_H

#include "common/status.h"
#include "server/render/arena.h"

#include <jansson.h>

/* A type that electrified columns may have. */
struct model_type {
    const char *name;     /* in pg_type */
    const char *postgres; /* how SQL spells it */
    const char *sqlite;
};

struct model_column {
    const char *name;
    const struct model_type *type; /* of an enum: the one of text */
    const char *enum_schema;       /* NULL: no enum */
    const char *enum_name;
    const char *collation; /* as Postgres prints it, with its schema; NULL: the type's own */
    bool not_null;
};

struct model_names {
    const char **items;
    size_t count;
};

struct model_foreign_key {
    const char *name;
    struct model_names columns;
    const char *target_schema, *target_table;
    struct model_names target_columns;
    const char *on_update, *on_delete; /* as SQL spells them */
    const char *set_columns;           /* "(a, b)" of ON DELETE SET NULL (a, b), or NULL */
    bool match_full, deferrable, deferred, not_enforced;
    bool electrified; /* the target is, too */
};

/* One of column and expression is not NULL. Expressions are as Postgres prints them. */
struct model_index_key {
    const char *column, *expression;
    const char *opclass;   /* NULL: the default */
    const char *collation; /* NULL: the column's */
    bool descending, nulls_first;
};

struct model_index {
    const char *name;
    const char *method;
    const char *predicate; /* NULL: none */
    struct model_index_key *keys;
    size_t key_count;
    struct model_names include;
};

struct model_table {
    const char *schema, *name;
    struct model_column *columns;
    size_t column_count;
    const char *primary_key; /* the constraint's name */
    struct model_names primary_key_columns;
    const char *primary_key_options; /* behind the columns: INCLUDE, DEFERRABLE; NULL: none */
    struct model_foreign_key *foreign_keys;
    size_t foreign_key_count;
    struct model_index *indexes;
    size_t index_count;
};

enum model_op_kind {
    OP_CREATE_TYPE,
    OP_DROP_TYPE,
    OP_CREATE_TABLE,
    OP_DISABLE_TABLE,
    OP_ADD_COLUMN,
    OP_CREATE_INDEX,
    OP_DROP_INDEX,
    OP_ADD_FOREIGN_KEY,
    OP_SQLITE,
    OP_RULE, /* ELECTRIC GRANT, REVOKE, ASSIGN, UNASSIGN */
};

struct model_op {
    enum model_op_kind kind;
    const char *schema;
    const char *name;            /* of the table; of the type in CREATE_TYPE and DROP_TYPE */
    struct model_table *table;   /* CREATE_TABLE; else what the table is like after this op and
                                    those before it, or NULL: not told */
    struct model_column *column; /* ADD_COLUMN */
    struct model_index *index;   /* CREATE_INDEX */
    const char *dropped_index;   /* DROP_INDEX */
    struct model_foreign_key *foreign_key; /* ADD_FOREIGN_KEY */
    struct model_names labels;             /* CREATE_TYPE */
    const char *statements;                /* SQLITE */
    json_t *json;                          /* as it stands in the ledger */
};

struct model {
    struct model_op *ops;
    size_t op_count;
};

/* Strings belong to `json`, the rest to `arena`. STATUS_INVALID when `json` is not what the engine
 * writes. */
enum status model_read(json_t *json, struct arena *arena, struct model *model, struct error *error);

/* NULL: `table` has no such column. */
const struct model_column *model_find_column(const struct model_table *table, const char *name);
/* Whether a column of the table is of this enum. */
bool model_has_enum(const struct model_table *table, const char *schema, const char *name);

#endif
