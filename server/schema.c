/* Checks the database at start, and installs the schema `electric` from the embedded SQL. */
#include "server/schema.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "server/sql/bundle.h"

#define OLDEST_VERSION 140000
#define PROBE_TIMEOUT_MS 10000

/* ASCII "electric" as a bigint: one lock in the database for all who install. */
#define LOCK_KEY "7308327773145295203"

/* Whatever the role or the database sets, the scripts mean the same. standard_conforming_strings
 * must come in a Query of its own: a Query is parsed as a whole before any of it runs. */
#define BEGIN_SCRIPT(mode)                           \
    "BEGIN ISOLATION LEVEL READ COMMITTED " mode ";" \
    "SET LOCAL search_path = pg_catalog, pg_temp;"   \
    "SET LOCAL standard_conforming_strings = on;"    \
    "SET LOCAL client_min_messages = error;"         \
    "SET LOCAL check_function_bodies = on;"          \
    "SET LOCAL default_tablespace = '';"             \
    "SET LOCAL lock_timeout = '30s';"                \
    "SET LOCAL statement_timeout = '60s'"

enum presence { SCHEMA_ABSENT, SCHEMA_FOREIGN, SCHEMA_NOT_OWNED, SCHEMA_OURS };

/* What is installed. */
struct state {
    enum presence presence;
    char owner[64];          /* the schema's, in whatever bytes the server keeps its names */
    size_t steps;            /* how many have run */
    char functions_hash[65]; /* of the functions installed */
};

/* -- talking to Postgres --------------------------------------------------------------------------
 */

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

/* Runs a script of one or more statements, dropping what it answers. */
static enum status run(PGconn *conn, const char *sql, const char *doing, struct error *error)
{
    PGresult *result = PQexec(conn, sql);
    enum status status = STATUS_OK;

    if (!is_success(result))
        status = failure(conn, result, doing, error);
    PQclear(result);
    return status;
}

/* Runs one statement with up to one parameter (`value` may be NULL); the caller clears `*rows`,
 * which is NULL after a failure. */
static enum status fetch(PGconn *conn, const char *sql, const char *value, const char *doing,
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

static void copy_field(char *to, size_t size, const PGresult *rows, int row, int column)
{
    const char *value = PQgetvalue(rows, row, column);
    size_t len = strnlen(value, size - 1);

    memcpy(to, value, len);
    to[len] = '\0';
}

static bool is_true(const PGresult *rows, int column)
{
    return PQgetvalue(rows, 0, column)[0] == 't';
}

/* -- the kind of server ---------------------------------------------------------------------------
 */

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
        fetch(conn,
              "SELECT pg_catalog.pg_backend_pid(),"
              " pg_catalog.current_setting('server_version_num'),"
              " pg_catalog.pg_is_in_recovery(),"
              " pg_catalog.set_config('electric.probe', $1::pg_catalog.text, false)",
              probe, checking, &rows, error);

    if (status != STATUS_OK)
        return status;
    copy_field(pid, 16, rows, 0, 0);
    server->version = (int)strtol(PQgetvalue(rows, 0, 1), NULL, 10);
    server->standby = is_true(rows, 2);
    PQclear(rows);
    return STATUS_OK;
}

/* Whether the next transaction finds backend and setting again; STATUS_USAGE when not. */
static enum status find_probe(PGconn *conn, const char *probe, const char *pid, struct error *error)
{
    PGresult *rows;
    bool same;
    enum status status = fetch(conn,
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
            copy_field(pid, 16, result, 0, 0);
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
        status = run(conn, "RESET electric.probe", checking, error);
    return status;
}

/* -- what is installed ----------------------------------------------------------------------------
 */

static const char reading[] = "read the schema electric";

/* Decides from the catalog alone, since nothing may be read from a schema that is not ours. */
static enum status read_presence(PGconn *conn, struct state *state, struct error *error)
{
    PGresult *rows;
    enum status status =
        fetch(conn,
              "SELECT n.nspowner = (SELECT oid FROM pg_roles WHERE rolname = current_user),"
              " pg_get_userbyid(n.nspowner),"
              " 2 = (SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
              "      WHERE c.relnamespace = n.oid AND c.relname = 'settings' AND c.relkind = 'r'"
              "      AND c.relowner = n.nspowner AND a.attname IN ('name', 'value')),"
              " EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'steps'"
              "         AND c.relkind = 'r' AND c.relowner = n.nspowner)"
              " FROM pg_namespace n WHERE n.nspname = 'electric'",
              NULL, reading, &rows, error);

    if (status != STATUS_OK)
        return status;
    if (PQntuples(rows) == 0) {
        state->presence = SCHEMA_ABSENT;
    } else {
        copy_field(state->owner, sizeof(state->owner), rows, 0, 1);
        if (!is_true(rows, 2) || !is_true(rows, 3))
            state->presence = SCHEMA_FOREIGN;
        else
            state->presence = is_true(rows, 0) ? SCHEMA_OURS : SCHEMA_NOT_OWNED;
    }
    PQclear(rows);
    return STATUS_OK;
}

static enum status read_progress(PGconn *conn, struct state *state, struct error *error)
{
    PGresult *rows;
    enum status status =
        fetch(conn,
              "SELECT (SELECT coalesce(max(number), 0) FROM electric.steps),"
              " (SELECT value::text FROM electric.settings WHERE name = 'functions'),"
              " coalesce((SELECT value::text FROM electric.settings WHERE name = 'product'), '')"
              "     = 'electric-tunnel'",
              NULL, reading, &rows, error);

    if (status != STATUS_OK)
        return status;
    state->steps = (size_t)strtoul(PQgetvalue(rows, 0, 0), NULL, 10);
    copy_field(state->functions_hash, sizeof(state->functions_hash), rows, 0, 1);
    if (!is_true(rows, 2))
        state->presence = SCHEMA_FOREIGN;
    PQclear(rows);
    return STATUS_OK;
}

/* Fails when the schema is there but not for us to use. Inside a transaction of BEGIN_SCRIPT. */
static enum status read_state(PGconn *conn, struct state *state, struct error *error)
{
    enum status status;

    *state = (struct state){.presence = SCHEMA_ABSENT};
    status = read_presence(conn, state, error);
    if (status == STATUS_OK && state->presence == SCHEMA_OURS)
        status = read_progress(conn, state, error);
    if (status != STATUS_OK)
        return status;

    if (state->presence == SCHEMA_FOREIGN) {
        error_set(error, STATUS_USAGE, "42P06",
                  "database \"%s\" has a schema \"electric\" that this program did not make",
                  PQdb(conn));
        error_hint(error,
                   "If nothing needs it, drop it; else rename it: ALTER SCHEMA electric RENAME TO "
                   "electric_old;");
        return STATUS_USAGE;
    }
    if (state->presence == SCHEMA_NOT_OWNED) {
        error_set(error, STATUS_DENIED, "42501",
                  "the schema electric belongs to role \"%s\", not to \"%s\"", state->owner,
                  PQuser(conn));
        error_hint(error, "Use role \"%s\" in DATABASE_URL.", state->owner);
        return STATUS_DENIED;
    }
    if (state->steps > sql_bundle.step_count) {
        error_set(error, STATUS_USAGE, "55000",
                  "the schema electric is at step %zu, but this program knows only %zu",
                  state->steps, sql_bundle.step_count);
        error_hint(error,
                   "A newer electric-proxy has upgraded it: run that version or a later one.");
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static bool is_current(const struct state *state)
{
    return state->presence == SCHEMA_OURS && state->steps == sql_bundle.step_count &&
           strcmp(state->functions_hash, sql_bundle.functions_hash) == 0;
}

/* -- installing -----------------------------------------------------------------------------------
 */

static void roll_back(PGconn *conn)
{
    PQclear(PQexec(conn, "ROLLBACK"));
}

static enum status run_script(PGconn *conn, const struct sql_script *script, struct error *error)
{
    char doing[64] = "install the schema electric, ";

    strncat(doing, script->name, sizeof(doing) - strlen(doing) - 1);
    return run(conn, script->text, doing, error);
}

static enum status run_steps(PGconn *conn, size_t done, struct error *error)
{
    for (size_t i = done; i < sql_bundle.step_count; i++) {
        PGresult *rows;
        enum status status = run_script(conn, &sql_bundle.steps[i], error);

        /* The number is the name's: 0001_settings. */
        if (status == STATUS_OK)
            status = fetch(conn,
                           "INSERT INTO electric.steps (number, name)"
                           " SELECT split_part($1::text, '_', 1)::integer, $1::text",
                           sql_bundle.steps[i].name, "record a step", &rows, error);
        if (status != STATUS_OK)
            return status;
        PQclear(rows);
    }
    return STATUS_OK;
}

static enum status run_functions(PGconn *conn, struct error *error)
{
    PGresult *rows;
    enum status status = STATUS_OK;

    for (size_t i = 0; status == STATUS_OK && i < sql_bundle.function_count; i++)
        status = run_script(conn, &sql_bundle.functions[i], error);
    if (status != STATUS_OK)
        return status;
    status = fetch(conn, "UPDATE electric.settings SET value = $1::text WHERE name = 'functions'",
                   sql_bundle.functions_hash, "record the functions", &rows, error);
    PQclear(rows);
    return status;
}

/* Inside the transaction, behind the lock: another server may have been faster. */
static enum status upgrade(PGconn *conn, struct error *error)
{
    struct state state;
    enum status status = run(conn, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")",
                             "wait for another server that installs the schema electric", error);

    if (status == STATUS_OK)
        status = read_state(conn, &state, error);
    if (status != STATUS_OK || is_current(&state))
        return status;
    status = run_steps(conn, state.steps, error);
    /* A step may need functions replaced even when their texts are the same. */
    return status == STATUS_OK ? run_functions(conn, error) : status;
}

/* A standby shows what its primary has installed; on its own it can install nothing. */
static enum status refuse_standby(PGconn *conn, struct error *error)
{
    PGresult *rows;
    bool standby;
    enum status status =
        fetch(conn, "SELECT pg_catalog.pg_is_in_recovery()", NULL, reading, &rows, error);

    if (status != STATUS_OK)
        return status;
    standby = is_true(rows, 0);
    PQclear(rows);
    if (!standby)
        return STATUS_OK;
    error_set(error, STATUS_UNAVAILABLE, "25006",
              "the database is a standby without a current schema electric");
    error_hint(error, "Point DATABASE_URL at the primary, or wait until this server is promoted.");
    return STATUS_UNAVAILABLE;
}

enum status schema_install(PGconn *conn, struct error *error)
{
    static const char beginning[] = "begin installing the schema electric";
    struct state state;
    enum status status = run(conn, BEGIN_SCRIPT("READ ONLY"), beginning, error);

    if (status == STATUS_OK)
        status = read_state(conn, &state, error);
    roll_back(conn);
    if (status != STATUS_OK || is_current(&state))
        return status;

    status = refuse_standby(conn, error);
    if (status != STATUS_OK)
        return status;
    status = run(conn, BEGIN_SCRIPT("READ WRITE"), beginning, error);
    if (status == STATUS_OK)
        status = upgrade(conn, error);
    if (status == STATUS_OK)
        status = run(conn, "COMMIT", "install the schema electric", error);
    if (status != STATUS_OK)
        roll_back(conn);
    return status;
}

/* -- settings -------------------------------------------------------------------------------------
 */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode_key(const char *hex, uint8_t key[SCHEMA_CANCEL_KEY_SIZE])
{
    if (strlen(hex) != (size_t)2 * SCHEMA_CANCEL_KEY_SIZE)
        return false;
    for (size_t i = 0; i < SCHEMA_CANCEL_KEY_SIZE; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

enum status schema_read_settings(PGconn *conn, struct schema_settings *settings,
                                 struct error *error)
{
    PGresult *rows;
    bool valid;
    enum status status = fetch(conn,
                               "SELECT value FROM electric.settings"
                               " WHERE name OPERATOR(pg_catalog.=) 'cancel_key'::pg_catalog.text",
                               NULL, "read the settings of the schema electric", &rows, error);

    if (status != STATUS_OK)
        return status;
    valid = PQntuples(rows) == 1 && decode_key(PQgetvalue(rows, 0, 0), settings->cancel_key);
    PQclear(rows);
    if (valid)
        return STATUS_OK;
    error_set(error, STATUS_USAGE, "55000",
              "the cancel_key in electric.settings is missing or damaged");
    error_hint(error, "It must be %d bytes in hex digits.", SCHEMA_CANCEL_KEY_SIZE);
    return STATUS_USAGE;
}

enum status schema_prepare(PGconn *conn, struct schema_server *server,
                           struct schema_settings *settings, struct error *error)
{
    enum status status = schema_check_server(conn, server, error);

    if (status != STATUS_OK)
        return status;
    status = schema_install(conn, error);
    if (status == STATUS_OK)
        status = schema_read_settings(conn, settings, error);
    return status;
}
