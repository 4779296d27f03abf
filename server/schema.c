/* Installs the schema `electric` from the embedded SQL, and reads its settings. */
#include "server/schema.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "server/schema_query.h"
#include "server/sql/bundle.h"

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
    "SET LOCAL default_table_access_method = heap;"  \
    "SET LOCAL lock_timeout = '5s';"                 \
    "SET LOCAL statement_timeout = '20s'"

enum presence { SCHEMA_ABSENT, SCHEMA_FOREIGN, SCHEMA_NOT_OWNED, SCHEMA_OURS };

/* What is installed. */
struct state {
    enum presence presence;
    char owner[64];          /* the schema's, in whatever bytes the server keeps its names */
    size_t steps;            /* how many have run */
    char functions_hash[65]; /* of the functions installed */
    enum schema_mode mode;
    bool granted; /* everybody may call what they must: a dump may come without its privileges */
};

/* -- what is installed ----------------------------------------------------------------------------
 */

static const char reading[] = "read the schema electric";

bool schema_decode_mode(const char *name, enum schema_mode *mode)
{
    static const char *const names[] = {[SCHEMA_CAPTURE_OFF] = "off",
                                        [SCHEMA_CAPTURE_TRIGGERS] = "triggers",
                                        [SCHEMA_CAPTURE_FALLBACK] = "fallback"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) {
            *mode = (enum schema_mode)i;
            return true;
        }
    return false;
}

/* Decides from the catalog alone, since nothing may be read from a schema that is not ours. */
static enum status read_presence(PGconn *conn, struct state *state, struct error *error)
{
    PGresult *rows;
    enum status status = schema_fetch(
        conn,
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
        schema_copy_field(state->owner, sizeof(state->owner), rows, 0, 1);
        if (!schema_is_true(rows, 2) || !schema_is_true(rows, 3))
            state->presence = SCHEMA_FOREIGN;
        else
            state->presence = schema_is_true(rows, 0) ? SCHEMA_OURS : SCHEMA_NOT_OWNED;
    }
    PQclear(rows);
    return STATUS_OK;
}

static enum status read_progress(PGconn *conn, struct state *state, struct error *error)
{
    PGresult *rows;
    enum status status = schema_fetch(
        conn,
        "SELECT (SELECT coalesce(max(number), 0) FROM electric.steps),"
        " (SELECT value::text FROM electric.settings WHERE name = 'functions'),"
        " coalesce((SELECT value::text FROM electric.settings WHERE name = 'product'), '')"
        "     = 'electric-tunnel',"
        " (SELECT value::text FROM electric.settings WHERE name = 'mode'),"
        " coalesce(has_schema_privilege('public', 'electric', 'USAGE') AND has_function_privilege("
        "  'public', to_regprocedure('electric.note_version()')::oid, 'EXECUTE'), false)",
        NULL, reading, &rows, error);

    if (status != STATUS_OK)
        return status;
    state->steps = (size_t)strtoul(PQgetvalue(rows, 0, 0), NULL, 10);
    schema_copy_field(state->functions_hash, sizeof(state->functions_hash), rows, 0, 1);
    if (!schema_is_true(rows, 2))
        state->presence = SCHEMA_FOREIGN;
    (void)schema_decode_mode(PQgetvalue(rows, 0, 3), &state->mode);
    state->granted = schema_is_true(rows, 4);
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
    return state->presence == SCHEMA_OURS && state->granted &&
           state->steps == sql_bundle.step_count &&
           strcmp(state->functions_hash, sql_bundle.functions_hash) == 0;
}

/* Whether nothing is to be done. What somebody has dropped or disabled is put back, and what was
 * forbidden before is tried again; a standby can do neither. */
static enum status check_capture(PGconn *conn, const struct state *state, bool capture, bool *done,
                                 struct error *error)
{
    PGresult *rows;
    enum status status;

    *done = capture == (state->mode != SCHEMA_CAPTURE_OFF);
    if (!*done || !capture)
        return STATUS_OK;
    status = schema_fetch(conn,
                          "SELECT pg_is_in_recovery() OR EXISTS (SELECT FROM electric.settings"
                          " WHERE name = 'mode' AND value = 'triggers')"
                          " AND electric.idle_triggers() IS NULL",
                          NULL, reading, &rows, error);
    if (status == STATUS_OK)
        *done = schema_is_true(rows, 0);
    PQclear(rows);
    return status;
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
    return schema_run(conn, script->text, doing, error);
}

static enum status run_steps(PGconn *conn, size_t done, struct error *error)
{
    for (size_t i = done; i < sql_bundle.step_count; i++) {
        PGresult *rows;
        enum status status = run_script(conn, &sql_bundle.steps[i], error);

        /* The number is the name's: 0001_settings. */
        if (status == STATUS_OK)
            status = schema_fetch(conn,
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
    status =
        schema_fetch(conn, "UPDATE electric.settings SET value = $1::text WHERE name = 'functions'",
                     sql_bundle.functions_hash, "record the functions", &rows, error);
    PQclear(rows);
    return status;
}

/* Inside the transaction, behind the lock: another server may have been faster. */
static enum status upgrade(PGconn *conn, bool capture, struct error *error)
{
    struct state state;
    enum status status =
        schema_run(conn, "SELECT pg_advisory_xact_lock(" LOCK_KEY ")",
                   "wait for another server that installs the schema electric", error);

    if (status == STATUS_OK)
        status = read_state(conn, &state, error);
    if (status == STATUS_OK && !is_current(&state)) {
        /* The first of the functions keeps event triggers still while steps change their tables. */
        status = run_script(conn, &sql_bundle.functions[0], error);
        if (status == STATUS_OK)
            status = run_steps(conn, state.steps, error);
        /* A step may need functions replaced even when their texts are the same. */
        if (status == STATUS_OK)
            status = run_functions(conn, error);
    }
    if (status != STATUS_OK)
        return status;
    return schema_run(
        conn, capture ? "SELECT electric.set_capture(true)" : "SELECT electric.set_capture(false)",
        capture ? "switch capture on" : "switch capture off", error);
}

/* A standby shows what its primary has installed; on its own it can install nothing. */
static enum status refuse_standby(PGconn *conn, struct error *error)
{
    PGresult *rows;
    bool standby;
    enum status status =
        schema_fetch(conn, "SELECT pg_catalog.pg_is_in_recovery()", NULL, reading, &rows, error);

    if (status != STATUS_OK)
        return status;
    standby = schema_is_true(rows, 0);
    PQclear(rows);
    if (!standby)
        return STATUS_OK;
    error_set(error, STATUS_UNAVAILABLE, "25006",
              "the database is a standby without a current schema electric");
    error_hint(error, "Point DATABASE_URL at the primary, or wait until this server is promoted.");
    return STATUS_UNAVAILABLE;
}

enum status schema_install(PGconn *conn, bool capture, struct error *error)
{
    static const char beginning[] = "begin installing the schema electric";
    struct state state;
    bool done = false;
    enum status status = schema_run(conn, BEGIN_SCRIPT("READ ONLY"), beginning, error);

    if (status == STATUS_OK)
        status = read_state(conn, &state, error);
    if (status == STATUS_OK && is_current(&state))
        status = check_capture(conn, &state, capture, &done, error);
    roll_back(conn);
    if (status != STATUS_OK || done)
        return status;

    status = refuse_standby(conn, error);
    if (status != STATUS_OK)
        return status;
    status = schema_run(conn, BEGIN_SCRIPT("READ WRITE"), beginning, error);
    if (status == STATUS_OK)
        status = upgrade(conn, capture, error);
    if (status == STATUS_OK)
        status = schema_run(conn, "COMMIT", "install the schema electric", error);
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

/* It will stand in a start-up option, where spaces and backslashes mean something. */
static bool copy_token(const char *hex, char token[SCHEMA_TOKEN_SIZE + 1])
{
    if (strlen(hex) != SCHEMA_TOKEN_SIZE || strspn(hex, "0123456789abcdef") != SCHEMA_TOKEN_SIZE)
        return false;
    memcpy(token, hex, SCHEMA_TOKEN_SIZE + 1);
    return true;
}

static enum status refuse_setting(const char *name, int digits, struct error *error)
{
    error_set(error, STATUS_USAGE, "55000", "the %s in electric.settings is missing or damaged",
              name);
    error_hint(error, "It must be %d hex digits.", digits);
    return STATUS_USAGE;
}

/* One row always comes; what is missing is NULL in it, which reads as "". */
static enum status decode_settings(const PGresult *rows, struct schema_settings *settings,
                                   struct error *error)
{
    if (!decode_key(PQgetvalue(rows, 0, 0), settings->cancel_key))
        return refuse_setting("cancel_key", 2 * SCHEMA_CANCEL_KEY_SIZE, error);
    if (!copy_token(PQgetvalue(rows, 0, 1), settings->proxied_token))
        return refuse_setting("proxied_token", SCHEMA_TOKEN_SIZE, error);
    if (!schema_decode_mode(PQgetvalue(rows, 0, 2), &settings->mode)) {
        error_set(error, STATUS_USAGE, "55000",
                  "the mode in electric.settings is missing or damaged");
        error_hint(error, "It must be off, triggers or fallback.");
        return STATUS_USAGE;
    }
    return STATUS_OK;
}

static char *list_names(const PGresult *rows)
{
    size_t size = 1;
    char *list, *end;

    for (int i = 0; i < PQntuples(rows); i++)
        size += strlen(PQgetvalue(rows, i, 0)) + 1;
    list = end = mem_new(size);
    for (int i = 0; i < PQntuples(rows); i++)
        end = stpcpy(end, PQgetvalue(rows, i, 0)) + 1;
    return list;
}

static enum status read_frameworks(PGconn *conn, struct schema_settings *settings,
                                   struct error *error)
{
    PGresult *rows;
    enum status status =
        schema_fetch(conn,
                     "SELECT DISTINCT pg_catalog.lower(table_name COLLATE pg_catalog.\"C\")"
                     " FROM electric.frameworks WHERE table_name OPERATOR(pg_catalog.<>) ''",
                     NULL, "read the frameworks of the schema electric", &rows, error);

    if (status == STATUS_OK)
        settings->framework_tables = list_names(rows);
    PQclear(rows);
    return status;
}

#define SETTING(name)                               \
    "(SELECT value FROM electric.settings"          \
    " WHERE name OPERATOR(pg_catalog.=) '" name "'" \
    "::pg_catalog.text)"

enum status schema_read_settings(PGconn *conn, struct schema_settings *settings,
                                 struct error *error)
{
    PGresult *rows;
    enum status status;

    schema_clear_settings(settings);
    status = schema_fetch(
        conn, "SELECT " SETTING("cancel_key") ", " SETTING("proxied_token") ", " SETTING("mode"),
        NULL, "read the settings of the schema electric", &rows, error);
    if (status == STATUS_OK)
        status = decode_settings(rows, settings, error);
    PQclear(rows);
    if (status == STATUS_OK)
        status = read_frameworks(conn, settings, error);
    if (status != STATUS_OK)
        schema_clear_settings(settings);
    return status;
}

void schema_clear_settings(struct schema_settings *settings)
{
    free(settings->framework_tables);
    explicit_bzero(settings, sizeof(*settings));
}

enum status schema_prepare(PGconn *conn, bool capture, struct schema_server *server,
                           struct schema_settings *settings, struct error *error)
{
    enum status status = schema_check_server(conn, server, error);

    if (status != STATUS_OK)
        return status;
    status = schema_install(conn, capture, error);
    /* A restored database has other oids than those noted in it; does nothing otherwise.
     * Where nothing is captured only enabling and disabling need them, and they look for
     * themselves.
     */
    if (status == STATUS_OK && capture && !server->standby)
        status = schema_run(conn, "CALL electric.rebase()", "rebase the schema electric", error);
    if (status == STATUS_OK)
        status = schema_read_settings(conn, settings, error);
    return status;
}
