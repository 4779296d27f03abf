/* Expressions of indexes, as Postgres prints them: read, checked, and written for SQLite. */
#ifndef SERVER_RENDER_EXPRESSION_H
#define SERVER_RENDER_EXPRESSION_H

#include "server/render/model.h"

/* What SQLite and this translator know of the expression's SQL. Appends nothing and answers why,
 * in `arena`, when it is not all understood; else appends the expression for SQLite and answers
 * NULL. `table` has the columns that the expression may name. */
struct buffer;
const char *expression_to_sqlite(const char *expression, const struct model_table *table,
                                 struct arena *arena, struct buffer *sql);

/* Why the expression, which is in Postgres's own words, may not work in another database, in
 * `arena`; NULL when it names nothing but columns of `table`, their enums, and what every Postgres
 * has. */
const char *expression_find_foreign(const char *expression, const struct model_table *table,
                                    struct arena *arena);

#endif
