/* What is at the other end of DATABASE_URL: a Postgres that is new enough, and not a transaction
 * pooler. */
#include "server/schema.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "server/schema_query.h"

#define OLDEST_VERSION 140000
#define PROBE_TIMEOUT_MS 10000

static const char checking[] = "check the database server";

static enum status refuse_pooler(struct error *error)
{
    error_set(
        error, STATUS_USAGE, "0A000",
        "DATABASE_URL leads to a connection pooler that hands each transaction to another backend");
    error_hint(error,
               "Use the address of Postgres itself, or a pool in session mode: migrations need "
               "sessions of their own.");
    return STATUS_USAGE;
}

/* A setting of the session that a later transaction must find again. */
static enum status plant_probe(PGconn *conn, const char *probe, struct schema_server *server,
                               char pid[16], struct error *error)
{
    PGresult *rows;
    enum status status =
        schema_fetch(conn,
                     "SELECT pg_catalog.pg_backend_pid(),"
                     " pg_catalog.current_setting('server_version_num'),"
                     " pg_catalog.pg_is_in_recovery(),"
                     " pg_catalog.set_config('electric.probe', $1::pg_catalog.text, false)",
                     probe, checking, &rows, error);

    if (status != STATUS_OK)
        return status;
    schema_copy_field(pid, 16, rows, 0, 0);
    server->version = (int)strtol(PQgetvalue(rows, 0, 1), NULL, 10);
    server->standby = schema_is_true(rows, 2);
    PQclear(rows);
    return STATUS_OK;
}

/* Whether the next transaction finds backend and setting again; STATUS_USAGE when not. */
static enum status find_probe(PGconn *conn, const char *probe, const char *pid, struct error *error)
{
    PGresult *rows;
    bool same;
    enum status status = schema_fetch(conn,
                                      "SELECT pg_catalog.pg_backend_pid(),"
                                      " pg_catalog.current_setting('electric.probe', true)",
                                      NULL, checking, &rows, error);

    if (status != STATUS_OK)
        return status;
    same = strcmp(PQgetvalue(rows, 0, 0), pid) == 0 && strcmp(PQgetvalue(rows, 0, 1), probe) == 0;
    PQclear(rows);
    return same ? STATUS_OK : refuse_pooler(error);
}

/* Another connection to where `conn` leads; the caller finishes it, whatever its state. */
static PGconn *connect_again(PGconn *conn)
{
    PQconninfoOption *options = PQconninfo(conn);
    const char *keywords[64] = {NULL};
    const char *values[64] = {NULL};
    size_t count = 0;
    PGconn *second;

    for (PQconninfoOption *option = options; option != NULL && option->keyword != NULL; option++) {
        const char *value = option->val;

        /* Of several hosts the one that answered. */
        if (strcmp(option->keyword, "host") == 0)
            value = PQhost(conn);
        else if (strcmp(option->keyword, "port") == 0)
            value = PQport(conn);
        else if (strcmp(option->keyword, "hostaddr") == 0)
            value = NULL;
        else if (strcmp(option->keyword, "connect_timeout") == 0)
            value = "10";
        if (value != NULL && *value != '\0' && count < 63) {
            keywords[count] = option->keyword;
            values[count++] = value;
        }
    }
    second = PQconnectdbParams(keywords, values, 0);
    PQconninfoFree(options);
    return second;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the answer to what was sent; false when it does not come in time. A pool without a free
 * backend keeps its clients waiting for minutes. */
static bool wait_for_answer(PGconn *conn)
{
    int64_t deadline = now_ms() + PROBE_TIMEOUT_MS;

    while (PQisBusy(conn)) {
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
        int64_t left = deadline - now_ms();

        if (left <= 0)
            return false;
        poll(&fd, 1, (int)left);
        if (!PQconsumeInput(conn))
            return false;
    }
    return true;
}

/* Begins a transaction on `conn`, which pins its backend, and writes that backend's pid. */
static bool pin_backend(PGconn *conn, char pid[16])
{
    bool pinned = false;
    PGresult *result;

    if (PQstatus(conn) != CONNECTION_OK ||
        !PQsendQuery(conn, "BEGIN; SELECT pg_catalog.pg_backend_pid()"))
        return false;
    while (wait_for_answer(conn) && (result = PQgetResult(conn)) != NULL) {
        if (PQresultStatus(result) == PGRES_TUPLES_OK) {
            schema_copy_field(pid, 16, result, 0, 0);
            pinned = true;
        }
        PQclear(result);
    }
    return pinned;
}

/* The pid announced at start-up was not the backend's: a pooler stands in between. While nobody
 * else is there, a transaction pooler gives us the same backend again and again; so a second
 * connection takes one, and then ours must still be ours. */
static enum status examine_pooler(PGconn *conn, const char *probe, const char *pid,
                                  struct error *error)
{
    char other[16];
    PGconn *second = connect_again(conn);
    enum status status;

    if (!pin_backend(second, other)) {
        status = error_set(error, STATUS_UNAVAILABLE, "53300",
                           "could not get a second connection from the connection pooler");
        error_hint(error, "Use the address of Postgres itself, or give the pool more connections.");
    } else if (strcmp(other, pid) == 0) {
        status = refuse_pooler(error);
    } else {
        status = find_probe(conn, probe, pid, error);
    }
    PQfinish(second);
    return status;
}

static void make_probe(char probe[17])
{
    unsigned char random[8] = {0};

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        memcpy(random, &(int64_t){now_ms()}, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++) {
        probe[2 * i] = "0123456789abcdef"[random[i] >> 4];
        probe[2 * i + 1] = "0123456789abcdef"[random[i] & 15];
    }
    probe[16] = '\0';
}

static enum status check_version(int version, struct error *error)
{
    if (version >= OLDEST_VERSION)
        return STATUS_OK;
    error_set(error, STATUS_USAGE, "0A000", "Postgres %d is too old: 14 or newer is needed",
              version / 10000);
    error_hint(error, "Upgrade the server that DATABASE_URL names.");
    return STATUS_USAGE;
}

enum status schema_check_server(PGconn *conn, struct schema_server *server, struct error *error)
{
    char probe[17];
    char pid[16];
    enum status status;

    *server = (struct schema_server){.version = PQserverVersion(conn)};
    status = check_version(server->version, error);
    if (status != STATUS_OK)
        return status;

    make_probe(probe);
    status = plant_probe(conn, probe, server, pid, error);
    if (status == STATUS_OK)
        status = check_version(server->version, error);
    if (status == STATUS_OK)
        status = find_probe(conn, probe, pid, error);
    if (status == STATUS_OK && strtol(pid, NULL, 10) != PQbackendPID(conn)) {
        server->pooled = true;
        status = examine_pooler(conn, probe, pid, error);
    }
    if (status == STATUS_OK)
        status = schema_run(conn, "RESET electric.probe", checking, error);
    return status;
}
