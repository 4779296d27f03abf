/* Statements for the schema `electric`, with failures told apart by their SQLSTATE. */
#include "server/schema_query.h"

#include <string.h>

/* Errors that pass by themselves: connection, resources, conflicts, operators, and a primary that
 * has just become a standby. */
static bool is_transient(const char *sqlstate)
{
    static const char *const prefixes[] = {"08", "25006", "40", "53", "55P03", "57", "58"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (strncmp(sqlstate, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    }
    return false;
}

static enum status status_of(const char *sqlstate)
{
    if (is_transient(sqlstate))
        return STATUS_UNAVAILABLE;
    return strcmp(sqlstate, "42501") == 0 ? STATUS_DENIED : STATUS_USAGE;
}

/* libpq ends its texts with a line feed; ours are one line. */
static int length_of_line(const char *text)
{
    return (int)strcspn(text, "\n");
}

static enum status connection_failure(PGconn *conn, const char *doing, struct error *error)
{
    const char *message = PQerrorMessage(conn);

    return error_set(error, STATUS_UNAVAILABLE, "08006", "could not %s: %.*s", doing,
                     length_of_line(message), message);
}

/* Describes a failed result; `doing` completes "could not …". */
static enum status failure(PGconn *conn, const PGresult *result, const char *doing,
                           struct error *error)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    enum status status;

    if (sqlstate == NULL || message == NULL)
        return connection_failure(conn, doing, error);
    status = status_of(sqlstate);
    error_set(error, status, sqlstate, "%s %s: %s",
              status == STATUS_UNAVAILABLE ? "could not" : "cannot", doing, message);
    if (status == STATUS_DENIED)
        error_hint(error, "The role of DATABASE_URL (%s) needs CREATE on database %s.",
                   PQuser(conn), PQdb(conn));
    return status;
}

static bool is_success(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

enum status schema_run(PGconn *conn, const char *sql, const char *doing, struct error *error)
{
    PGresult *result = PQexec(conn, sql);
    enum status status = STATUS_OK;

    if (!is_success(result))
        status = failure(conn, result, doing, error);
    PQclear(result);
    return status;
}

enum status schema_fetch(PGconn *conn, const char *sql, const char *value, const char *doing,
                         PGresult **rows, struct error *error)
{
    PGresult *result = PQexecParams(conn, sql, value != NULL, NULL, &value, NULL, NULL, 0);
    enum status status = STATUS_OK;

    *rows = result;
    if (!is_success(result)) {
        status = failure(conn, result, doing, error);
        PQclear(result);
        *rows = NULL;
    }
    return status;
}

void schema_copy_field(char *to, size_t size, const PGresult *rows, int row, int column)
{
    const char *value = PQgetvalue(rows, row, column);
    size_t len = strnlen(value, size - 1);

    memcpy(to, value, len);
    to[len] = '\0';
}

bool schema_is_true(const PGresult *rows, int column)
{
    return PQgetvalue(rows, 0, column)[0] == 't';
}
