/* Pieces of SQL that both dialects write alike. */
#ifndef SERVER_RENDER_SQL_H
#define SERVER_RENDER_SQL_H

#include "common/buffer.h"
#include "server/render/model.h"

void sql_append(struct buffer *sql, const char *text);
/* "name", inner quotes doubled. */
void sql_identifier(struct buffer *sql, const char *name);
/* "schema"."name" */
void sql_qualified(struct buffer *sql, const char *schema, const char *name);
/* 'text', inner quotes doubled: means the same in SQLite and, with standard_conforming_strings, in
 * Postgres. */
void sql_literal(struct buffer *sql, const char *text);
/* ("a", "b") */
void sql_names(struct buffer *sql, const struct model_names *names);

#endif
