/* A libpq program with the habits that psql does not have: pipeline mode, binary results,
 * single-row mode, large objects, PQcancel. Prints "ok <step>" a step; ends at the first thing that
 * is wrong. */
#include <libpq-fe.h>
#include <libpq/libpq-fs.h>

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

#define MANY 500
#define ROWS 20000

static const char *table;

static void done(const char *step)
{
    printf("ok %s\n", step);
    fflush(stdout);
}

static void expect(bool holds, const char *what, PGconn *connection)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, PQerrorMessage(connection));
    exit(1);
}

static PGconn *connect_or_exit(void)
{
    PGconn *connection = PQconnectdb(getenv("DATABASE_URL"));

    expect(PQstatus(connection) == CONNECTION_OK, "connect", connection);
    return connection;
}

/* `format` has one %s for the table's name, or none. */
static PGresult *run(PGconn *connection, const char *format)
{
    char sql[512];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(sql, sizeof sql, format, table);
#pragma GCC diagnostic pop
    return PQexec(connection, sql);
}

static void run_as(PGconn *connection, const char *format, const char *tag)
{
    PGresult *result = run(connection, format);

    expect(strcmp(PQcmdStatus(result), tag) == 0, format, connection);
    PQclear(result);
}

static void fail_as(PGconn *connection, PGresult *result, const char *sqlstate)
{
    const char *got = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    expect(got != NULL && strcmp(got, sqlstate) == 0, sqlstate, connection);
    PQclear(result);
}

static void check_prepared(PGconn *connection)
{
    const uint32_t four = 0x04000000; /* in network order */
    const char *values[] = {(const char *)&four};
    const int lengths[] = {4};
    const int formats[] = {1};
    PGresult *result = PQprepare(connection, "plus", "SELECT $1::int4 + 1", 1, NULL);

    expect(PQresultStatus(result) == PGRES_COMMAND_OK, "prepare", connection);
    PQclear(result);
    for (int i = 0; i < 2; i++) {
        result = PQexecPrepared(connection, "plus", 1, values, lengths, formats, 1);
        expect(PQntuples(result) == 1 && PQgetlength(result, 0, 0) == 4 &&
                   memcmp(PQgetvalue(result, 0, 0), "\0\0\0\5", 4) == 0,
               "binary result", connection);
        PQclear(result);
    }
    done("prepared");
}

static void check_electrify(PGconn *connection)
{
    run_as(connection, "BEGIN", "BEGIN");
    run_as(connection, "CREATE TABLE %s (id int PRIMARY KEY, value text)", "CREATE TABLE");
    run_as(connection, "/* why */ ALTER TABLE public.%s ENABLE ELECTRIC -- now", "ELECTRIC ENABLE");
    run_as(connection, "COMMIT", "COMMIT");
    done("electrify");
}

static void check_rollback(PGconn *connection)
{
    PGresult *result;

    run_as(connection, "BEGIN", "BEGIN");
    run_as(connection, "CREATE TABLE %s_gone (id int PRIMARY KEY)", "CREATE TABLE");
    run_as(connection, "SAVEPOINT here", "SAVEPOINT");
    run_as(connection, "ELECTRIC ENABLE %s_gone", "ELECTRIC ENABLE");
    run_as(connection, "ROLLBACK TO here", "ROLLBACK");
    run_as(connection, "ELECTRIC ENABLE %s_gone", "ELECTRIC ENABLE");
    expect(PQtransactionStatus(connection) == PQTRANS_INTRANS, "status in transaction", connection);
    run_as(connection, "ROLLBACK", "ROLLBACK");
    result = run(connection, "SELECT to_regclass('%s_gone') IS NULL");
    expect(strcmp(PQgetvalue(result, 0, 0), "t") == 0, "nothing stays", connection);
    PQclear(result);
    done("rollback");
}

static void check_refusal(PGconn *connection)
{
    run_as(connection, "BEGIN", "BEGIN");
    run_as(connection, "CREATE TABLE %s_bad (id int PRIMARY KEY, n int DEFAULT 1)", "CREATE TABLE");
    fail_as(connection, run(connection, "ALTER TABLE %s_bad ENABLE ELECTRIC"), "P0001");
    expect(PQtransactionStatus(connection) == PQTRANS_INERROR, "status after error", connection);
    fail_as(connection, run(connection, "SELECT 1"), "25P02");
    run_as(connection, "COMMIT", "ROLLBACK");
    done("refused");
}

static void check_recovery(PGconn *connection)
{
    PGresult *result = run(connection, "ALTER TABLE %s ENABLE ELECTRIC; SELEC 1");

    expect(strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42601") == 0, "42601", connection);
    PQclear(result);
    fail_as(connection, PQexecParams(connection, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0),
            "22012");
    expect(PQtransactionStatus(connection) == PQTRANS_IDLE, "idle after error", connection);
    run_as(connection, "", "");
    run_as(connection, ";", "");
    run_as(connection, "SELECT 1", "SELECT 1");
    done("recovery");
}

static void check_copy(PGconn *connection)
{
    char line[64];
    char *out;
    int rows = 0, length;

    PQclear(run(connection, "COPY %s FROM STDIN"));
    for (int i = 0; i < ROWS; i++) {
        length = snprintf(line, sizeof line, "%d\tvalue %d\n", i, i);
        expect(PQputCopyData(connection, line, length) == 1, "copy in", connection);
    }
    expect(PQputCopyEnd(connection, NULL) == 1, "end of copy", connection);
    PQclear(PQgetResult(connection));
    expect(PQgetResult(connection) == NULL, "one result", connection);
    PQclear(run(connection, "COPY (TABLE %s ORDER BY id) TO STDOUT"));
    while ((length = PQgetCopyData(connection, &out, 0)) > 0) {
        snprintf(line, sizeof line, "%d\tvalue %d\n", rows, rows);
        expect(strcmp(line, out) == 0, out, connection);
        PQfreemem(out);
        rows++;
    }
    expect(length == -1 && rows == ROWS, "copy out", connection);
    PQclear(PQgetResult(connection));
    expect(PQgetResult(connection) == NULL, "the end of copy out", connection);

    /* The client gives up in the middle. */
    PQclear(run(connection, "COPY %s FROM STDIN"));
    expect(PQputCopyEnd(connection, "changed my mind") == 1, "give up", connection);
    fail_as(connection, PQgetResult(connection), "57014");
    expect(PQgetResult(connection) == NULL, "one result", connection);
    done("copy");
}

static void take_result(PGconn *connection, ExecStatusType wanted)
{
    PGresult *result = PQgetResult(connection);

    expect(PQresultStatus(result) == wanted, PQresStatus(wanted), connection);
    PQclear(result);
    if (wanted != PGRES_PIPELINE_SYNC)
        expect(PQgetResult(connection) == NULL, "one result a statement", connection);
}

/* Two groups: one that works with a DDLX statement in it, one that fails in the middle. */
static void check_pipeline(PGconn *connection)
{
    char sql[128];

    expect(PQenterPipelineMode(connection) == 1, "pipeline mode", connection);
    for (int i = 0; i < MANY; i++)
        PQsendQueryParams(connection, "SELECT 1", 0, NULL, NULL, NULL, NULL, 0);
    snprintf(sql, sizeof sql, "CREATE TABLE %s_p (id int PRIMARY KEY)", table);
    PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0);
    snprintf(sql, sizeof sql, "ALTER TABLE %s_p ENABLE ELECTRIC", table);
    PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0);
    PQpipelineSync(connection);
    PQsendQueryParams(connection, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0);
    PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0);
    PQpipelineSync(connection);

    for (int i = 0; i < MANY; i++)
        take_result(connection, PGRES_TUPLES_OK);
    take_result(connection, PGRES_COMMAND_OK);
    take_result(connection, PGRES_COMMAND_OK);
    take_result(connection, PGRES_PIPELINE_SYNC);
    take_result(connection, PGRES_FATAL_ERROR);
    take_result(connection, PGRES_PIPELINE_ABORTED);
    take_result(connection, PGRES_PIPELINE_SYNC);
    expect(PQexitPipelineMode(connection) == 1, "leave pipeline mode", connection);
    done("pipeline");
}

static void check_large_object(PGconn *connection)
{
    char data[100000], back[100000];
    Oid object;
    int fd;

    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (char)(i * 7);
    run_as(connection, "BEGIN", "BEGIN");
    object = lo_creat(connection, INV_READ | INV_WRITE);
    fd = lo_open(connection, object, INV_READ | INV_WRITE);
    expect(lo_write(connection, fd, data, sizeof data) == (int)sizeof data, "lo_write", connection);
    expect(lo_lseek(connection, fd, 0, SEEK_SET) == 0, "lo_lseek", connection);
    expect(lo_read(connection, fd, back, sizeof back) == (int)sizeof back, "lo_read", connection);
    expect(memcmp(data, back, sizeof data) == 0, "large object", connection);
    expect(lo_unlink(connection, object) == 1, "lo_unlink", connection);
    run_as(connection, "COMMIT", "COMMIT");
    done("function call");
}

static void check_notify(PGconn *connection)
{
    PGconn *other = connect_or_exit();
    PGnotify *notification = NULL;

    run_as(other, "LISTEN %s", "LISTEN");
    run_as(connection, "NOTIFY %s, 'hello'", "NOTIFY");
    while (notification == NULL) {
        struct timeval limit = {.tv_sec = 5};
        fd_set readable;

        FD_ZERO(&readable);
        FD_SET(PQsocket(other), &readable);
        expect(select(PQsocket(other) + 1, &readable, NULL, NULL, &limit) == 1, "no notification",
               other);
        expect(PQconsumeInput(other) == 1, "read", other);
        notification = PQnotifies(other);
    }
    expect(strcmp(notification->extra, "hello") == 0, notification->extra, other);
    expect(notification->be_pid == PQbackendPID(connection), "pid of who notified", other);
    PQfreemem(notification);
    PQfinish(other);
    done("notify");
}

static void check_cancel(PGconn *connection)
{
    struct timespec pause = {.tv_nsec = 300 * 1000 * 1000};
    time_t began = time(NULL);
    char message[256] = "";
    PGcancel *cancel = PQgetCancel(connection);

    expect(PQsendQuery(connection, "SELECT pg_sleep(60)") == 1, "send", connection);
    nanosleep(&pause, NULL);
    expect(PQcancel(cancel, message, sizeof message) == 1, message, connection);
    fail_as(connection, PQgetResult(connection), "57014");
    expect(PQgetResult(connection) == NULL, "one result", connection);
    expect(time(NULL) - began < 5, "the cancel request took too long", connection);
    PQfreeCancel(cancel);
    run_as(connection, "SELECT 1", "SELECT 1");
    done("cancel");
}

static void check_single_rows(PGconn *connection)
{
    PGresult *result;
    int rows = 0;

    PQsendQuery(connection, "SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) AS i");
    expect(PQsetSingleRowMode(connection) == 1, "single-row mode", connection);
    while ((result = PQgetResult(connection)) != NULL) {
        rows += PQntuples(result);
        PQclear(result);
    }
    expect(rows == 20000, "rows", connection);
    done("large");
}

int main(void)
{
    PGconn *connection;

    table = getenv("TABLE");
    if (table == NULL || getenv("DATABASE_URL") == NULL)
        return 2;
    connection = connect_or_exit();
    expect(PQserverVersion(connection) >= 140000, "server version", connection);
    done("connect");
    check_prepared(connection);
    check_electrify(connection);
    check_rollback(connection);
    check_refusal(connection);
    check_recovery(connection);
    check_copy(connection);
    check_pipeline(connection);
    check_large_object(connection);
    check_notify(connection);
    check_cancel(connection);
    check_single_rows(connection);
    PQfinish(connection);
    return 0;
}
