/* What a dialect makes of a migration: statements in groups, and what it had to leave out. */
#ifndef SERVER_RENDER_SCRIPT_H
#define SERVER_RENDER_SCRIPT_H

#include "common/buffer.h"
#include "server/render/plan.h"

/* As the client libraries number them. What they have no number for goes as its next of kin. */
enum statement_type {
    STATEMENT_CREATE_TABLE = 0,
    STATEMENT_CREATE_INDEX = 1,
    STATEMENT_CREATE_ENUM_TYPE = 2,
    STATEMENT_ALTER_ADD_COLUMN = 6,
};

struct script_statement {
    enum statement_type type;
    size_t start, end; /* in the text; without a terminator */
};

/* Becomes one SatOpMigrate. */
struct script_group {
    size_t first, count;             /* of the statements */
    const struct model_table *table; /* NULL: none that clients have in the end */
    const struct model_op *new_type; /* CREATE_TYPE, or NULL */
};

struct script {
    struct arena *arena;
    struct buffer text;
    struct script_statement *statements;
    size_t statement_count, statements_allocated;
    struct script_group *groups;
    size_t group_count, groups_allocated;
    json_t *omitted;                  /* array */
    const struct plan_table *subject; /* of the step that is rendered; or NULL */
};

/* The text is bounded by `capacity`; when it was too small the buffer has failed. */
void script_init(struct script *script, struct arena *arena, size_t capacity);
void script_clear(struct script *script);

void script_open_group(struct script *script, const struct model_table *table,
                       const struct model_op *new_type);
/* Where the next statement is to be appended to. */
struct buffer *script_begin(struct script *script, enum statement_type type);
void script_end(struct script *script);
/* Instead of script_end(): forgets the statement. */
void script_cancel(struct script *script);
struct bytes script_text(const struct script *script, const struct script_statement *statement);

/* Notes that the `what` ("index", "column", …) named `name` was left out, or changed; `table` may
 * be NULL. */
void script_omit(struct script *script, const char *table, const char *what, const char *name,
                 const char *reason);

#endif
