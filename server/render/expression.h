/* Expressions of indexes, as Postgres prints them: read, checked, and written for SQLite. */
#ifndef SERVER_RENDER_EXPRESSION_H
#define SERVER_RENDER_EXPRESSION_H

#include "common/buffer.h"
#include "server/render/model.h"

/* Appends the expression in SQLite's words and answers NULL; or appends nothing and answers why it
 * has none, in `arena`. `table` has the columns that the expression may name. */
const char *expression_to_sqlite(const char *expression, const struct model_table *table,
                                 struct arena *arena, struct buffer *sql);

/* Why the expression, which is in Postgres's own words, may not work in another database, in
 * `arena`; NULL when it names nothing but columns of `table`, their enums, and what every Postgres
 * has. */
const char *expression_find_foreign(const char *expression, const struct model_table *table,
                                    struct arena *arena);

#endif
