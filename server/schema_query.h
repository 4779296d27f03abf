/* Blocking statements, for the files that check and install the schema `electric`. Statuses as in
 * server/schema.h. */
#ifndef SERVER_SCHEMA_QUERY_H
#define SERVER_SCHEMA_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "common/status.h"

/* Runs a script of one or more statements, dropping what it answers. `doing` completes the message
 * "could not …". */
enum status schema_run(PGconn *conn, const char *sql, const char *doing, struct error *error);

/* Runs one statement with at most one parameter (`value` may be NULL). The caller clears `*rows`,
 * which is NULL after a failure. */
enum status schema_fetch(PGconn *conn, const char *sql, const char *value, const char *doing,
                         PGresult **rows, struct error *error);

/* A value as a string, cut to `size` with its NUL. */
void schema_copy_field(char *to, size_t size, const PGresult *rows, int row, int column);
/* Whether a boolean column of the first row is true. */
bool schema_is_true(const PGresult *rows, int column);

#endif
