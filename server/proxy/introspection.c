/* Keeps the companion database like the electrified tables. */
#include "server/proxy/introspection.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/buffer.h"
#include "common/log.h"
#include "common/memory.h"
#include "server/options.h"
#include "server/proxy/companion.h"
#include "server/render/render.h"
#include "server/sql/bundle.h"

/* ASCII "companio" as a bigint: whoever looks after the companion database has this lock, in the
 * database that it belongs to. */
#define LOCK_KEY "7165065861608139119"
/* How the comment of a companion database begins. What it was made of follows: the digest of the
 * statements. One without it is somebody else's. */
#define MARK "Made by electric-proxy for tools that introspect, and replaced without notice; state "
enum { STATE_SIZE = 2 * 32 + 1, SCRIPT_MAX = 64 * 1024 * 1024 };

static const struct log_context log_as = {.role = "introspection"};

/* Whatever the role or the database sets. Waiting ends by itself, since Postgres goes on with a
 * statement whose client has gone. */
static const char *const own_settings[] = {
    "search_path",
    "pg_catalog, pg_temp",
    "client_encoding",
    "UTF8",
    "standard_conforming_strings",
    "on",
    "default_transaction_read_only",
    "off",
    "default_transaction_isolation",
    "read committed",
    "default_tablespace",
    "",
    "lock_timeout",
    "10s",
    "statement_timeout",
    "30s",
    "synchronous_commit", /* what a crash takes is made again */
    "off",
    NULL,
};

struct refresh {
    const struct server_settings *settings;
    const struct pg_patience *patience;
    struct error *error;
    char companion[COMPANION_NAME_SIZE];
    PGconn *main; /* in the database that it belongs to, with the lock */
    /* The names in SQL; libpq's. */
    char *identifier, *literal;
    /* What is there. */
    bool exists, marked;
    char *comment;
    /* What should be. */
    struct buffer statements;
    char state[STATE_SIZE];
};

/* -- connections ------------------------------------------------------------------------------- */

static PGconn *connect_to(const struct refresh *refresh, const char *database)
{
    const struct pg_target target = {.settings = refresh->settings,
                                     .database = database,
                                     .parameters = own_settings,
                                     .fallback_name = "electric-proxy"};

    return pg_connect(&target, refresh->patience, refresh->error);
}

static PGresult *query(const struct refresh *refresh, PGconn *conn, const char *sql)
{
    return pg_query(conn, sql, refresh->patience, refresh->error);
}

static bool run(const struct refresh *refresh, PGconn *conn, const char *sql)
{
    PGresult *result = query(refresh, conn, sql);

    PQclear(result);
    return result != NULL;
}

/* libpq waits for ever for a peer that reads nothing, unless told not to. */
static void disconnect(PGconn *conn)
{
    if (conn != NULL)
        (void)PQsetnonblocking(conn, 1);
    PQfinish(conn);
}

static bool failed_with(const struct refresh *refresh, const char *sqlstate)
{
    return strcmp(refresh->error->sqlstate, sqlstate) == 0;
}

/* True with `*locked` false: somebody else has it for too long. */
static bool lock(const struct refresh *refresh, bool *locked)
{
    *locked = run(refresh, refresh->main, "SELECT pg_advisory_lock(" LOCK_KEY ")");
    return *locked || failed_with(refresh, "55P03");
}

static bool quote_names(struct refresh *refresh)
{
    size_t len = strlen(refresh->companion);

    refresh->identifier = PQescapeIdentifier(refresh->main, refresh->companion, len);
    refresh->literal = PQescapeLiteral(refresh->main, refresh->companion, len);
    if (refresh->identifier != NULL && refresh->literal != NULL)
        return true;
    (void)error_set(refresh->error, STATUS_INVALID, "22021",
                    "the name of database \"%s\" is no text", refresh->companion);
    return false;
}

static void begin(struct refresh *refresh)
{
    char *database = server_settings_database(refresh->settings);

    companion_name(database, refresh->companion);
    free(database);
    buffer_init(&refresh->statements, SCRIPT_MAX);
}

static void end(struct refresh *refresh)
{
    PQfreemem(refresh->identifier);
    PQfreemem(refresh->literal);
    free(refresh->comment);
    buffer_clear(&refresh->statements);
    disconnect(refresh->main);
}

/* -- what is there, and what should be --------------------------------------------------------- */

static bool digest(struct bytes text, char state[STATE_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (EVP_Digest(text.data, text.len, hash, &len, EVP_sha256(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < len; i++) {
        state[2 * i] = digits[hash[i] >> 4];
        state[2 * i + 1] = digits[hash[i] & 15];
    }
    state[2 * len] = '\0';
    return true;
}

static bool render(struct refresh *refresh, const char *ops)
{
    const struct render_migration schema = {.version = "", .ops = bytes_of_string(ops)};

    if (render_migration(&schema, RENDER_POSTGRES, &refresh->statements, NULL, refresh->error) !=
        STATUS_OK)
        return false;
    if (digest(buffer_peek(&refresh->statements), refresh->state))
        return true;
    (void)error_set(refresh->error, STATUS_SYSTEM, "XX000", "the system cannot compute SHA-256");
    return false;
}

static bool read_comment(struct refresh *refresh)
{
    char *sql = mem_format("SELECT shobj_description(oid, 'pg_database') FROM pg_database"
                           " WHERE datname = %s",
                           refresh->literal);
    PGresult *rows = query(refresh, refresh->main, sql);
    bool ok = rows != NULL;

    if (ok && PQntuples(rows) == 1) {
        refresh->exists = true;
        refresh->comment = mem_copy_string(PQgetvalue(rows, 0, 0));
        refresh->marked = strncmp(refresh->comment, MARK, sizeof(MARK) - 1) == 0;
    }
    PQclear(rows);
    free(sql);
    return ok;
}

static bool read_schema(struct refresh *refresh)
{
    PGresult *rows = query(refresh, refresh->main, "SELECT electric.schema_ops()");
    bool ok = false;

    if (rows != NULL && PQgetisnull(rows, 0, 0)) {
        (void)error_set(refresh->error, STATUS_DENIED, "55000",
                        "introspection needs the capture of schema changes, which is off");
        error_hint(refresh->error, "Start electric-proxy with CAPTURE=true.");
    } else if (rows != NULL) {
        ok = render(refresh, PQgetvalue(rows, 0, 0));
    }
    PQclear(rows);
    return ok;
}

static bool is_current(const struct refresh *refresh)
{
    return refresh->marked && strcmp(refresh->comment + sizeof(MARK) - 1, refresh->state) == 0;
}

/* -- making it --------------------------------------------------------------------------------- */

/* The statement that makes a database which compares and sorts text as this one does. Columns that
 * not every Postgres has are read as JSON. */
#define CREATE_STATEMENT                                                                          \
    "SELECT format('CREATE DATABASE %%I TEMPLATE template0 ENCODING %%L LC_COLLATE %%L"           \
    " LC_CTYPE %%L', %s::text, pg_encoding_to_char(d.encoding), d.datcollate, d.datctype)"        \
    " || CASE j->>'datlocprovider' WHEN 'c' THEN ' LOCALE_PROVIDER libc'"                         \
    " WHEN 'i' THEN ' LOCALE_PROVIDER icu ICU_LOCALE '"                                           \
    " || quote_literal(coalesce(j->>'datlocale', j->>'daticulocale'))"                            \
    " || coalesce(' ICU_RULES ' || quote_literal(j->>'daticurules'), '')"                         \
    " WHEN 'b' THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ' || quote_literal(j->>'datlocale')" \
    " ELSE '' END"                                                                                \
    " FROM pg_database d, to_jsonb(d) j WHERE d.datname = current_database()"

static void hint_at_right(const struct refresh *refresh)
{
    char *role =
        PQescapeIdentifier(refresh->main, PQuser(refresh->main), strlen(PQuser(refresh->main)));

    error_hint(refresh->error,
               "Run ALTER ROLE %s CREATEDB; or, as a superuser, CREATE DATABASE %s OWNER %s "
               "TEMPLATE template0;",
               role, refresh->identifier, role);
    PQfreemem(role);
}

static bool create(const struct refresh *refresh)
{
    char *sql = mem_format(CREATE_STATEMENT, refresh->literal);
    PGresult *rows = query(refresh, refresh->main, sql);
    bool ok = rows != NULL && run(refresh, refresh->main, PQgetvalue(rows, 0, 0));

    if (!ok && failed_with(refresh, "42501"))
        hint_at_right(refresh);
    if (ok)
        log_info(&log_as, "created database \"%s\"", refresh->companion);
    PQclear(rows);
    free(sql);
    return ok;
}

/* A database that is empty may become the companion one: whoever made it was interrupted, or has
 * made it for us. What is in others is not ours to drop. */
static bool may_adopt(const struct refresh *refresh, PGconn *conn)
{
    PGresult *rows = query(refresh, conn,
                           "SELECT FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'"
                           " UNION ALL SELECT FROM pg_proc WHERE oid >= 16384"
                           " UNION ALL SELECT FROM pg_namespace"
                           " WHERE oid >= 16384 AND nspname !~ '^pg_' LIMIT 1");
    bool is_empty = rows != NULL && PQntuples(rows) == 0;

    if (rows != NULL && !is_empty) {
        (void)error_set(refresh->error, STATUS_DENIED, "42P04",
                        "database \"%s\" was not made by electric-proxy", refresh->companion);
        error_hint(refresh->error,
                   "Introspection needs a database of this name: rename the one that is there, or "
                   "drop it if nothing needs it.");
    }
    PQclear(rows);
    return is_empty;
}

static bool write_script(const struct refresh *refresh, struct buffer *script)
{
    buffer_init(script, SCRIPT_MAX + 64 * 1024);
    (void)buffer_append_format(script, "BEGIN;\n%s", sql_bundle.clear_companion->text);
    (void)buffer_append(script, buffer_peek(&refresh->statements));
    /* A new one is nobody else's to look at. */
    if (!refresh->marked)
        (void)buffer_append_format(script, "\nREVOKE ALL ON DATABASE %s FROM PUBLIC;\n",
                                   refresh->identifier);
    (void)buffer_append_format(script, "\nCOMMENT ON DATABASE %s IS '" MARK "%s';\nCOMMIT",
                               refresh->identifier, refresh->state);
    if (buffer_append_u8(script, '\0'))
        return true;
    (void)error_set(refresh->error, STATUS_FULL, "54000",
                    "the electrified tables are too many for introspection");
    return false;
}

static bool rebuild(const struct refresh *refresh)
{
    PGconn *conn = connect_to(refresh, refresh->companion);
    struct buffer script;
    bool ok = conn != NULL && (refresh->marked || may_adopt(refresh, conn));

    if (ok) {
        ok = write_script(refresh, &script) &&
             run(refresh, conn, (const char *)buffer_peek(&script).data);
        buffer_clear(&script);
        if (!ok && failed_with(refresh, "42501"))
            error_hint(refresh->error,
                       "The database must belong to the role of DATABASE_URL: change its owner, or "
                       "drop it; it is then made anew.");
    }
    if (ok)
        log_info(&log_as, "brought database \"%s\" up to date", refresh->companion);
    disconnect(conn);
    return ok;
}

/* -- the two commands -------------------------------------------------------------------------- */

/* What passes by itself: somebody has a lock, or it is a standby, which its primary will update. */
static bool is_busy(const struct refresh *refresh)
{
    return failed_with(refresh, "55P03") || failed_with(refresh, "57014") ||
           failed_with(refresh, "25006");
}

static bool bring_up_to_date(struct refresh *refresh, struct error *notice)
{
    bool locked;

    if (!lock(refresh, &locked) || !read_schema(refresh) || !read_comment(refresh))
        return false;
    if (is_current(refresh))
        return true;
    if (locked && (refresh->exists || create(refresh)) && rebuild(refresh))
        return true;
    if (!locked)
        (void)error_set(refresh->error, STATUS_UNAVAILABLE, "55P03",
                        "another session is changing the database for introspection");
    if (!refresh->marked || !is_busy(refresh))
        return false;
    (void)error_set(notice, STATUS_OK, "00000", "these may not be the newest tables: %s",
                    refresh->error->message);
    error_hint(notice, "Connect again when other sessions of user \"prisma\" have ended.");
    log_warn(&log_as, "database \"%s\" stays as it is: %s", refresh->companion,
             refresh->error->message);
    return true;
}

bool introspection_refresh(const struct server_settings *settings,
                           const struct pg_patience *patience, struct error *notice,
                           struct error *error)
{
    struct refresh refresh = {.settings = settings, .patience = patience, .error = error};
    bool ok;

    begin(&refresh);
    refresh.main = connect_to(&refresh, NULL);
    ok = refresh.main != NULL && quote_names(&refresh) && bring_up_to_date(&refresh, notice);
    end(&refresh);
    return ok;
}

/* NULL with an error. A database that is gone cannot be connected to: any other will do. */
static PGconn *connect_somewhere(const struct refresh *refresh)
{
    static const char *const others[] = {"postgres", "template1"};
    PGconn *conn = connect_to(refresh, NULL);

    for (size_t i = 0; conn == NULL && i < sizeof(others) / sizeof(others[0]); i++)
        if (failed_with(refresh, "3D000"))
            conn = connect_to(refresh, others[i]);
    return conn;
}

static bool drop(struct refresh *refresh)
{
    char *sql = mem_format("DROP DATABASE %s", refresh->identifier);
    bool ok = run(refresh, refresh->main, sql);

    free(sql);
    if (!ok && failed_with(refresh, "55006"))
        error_hint(refresh->error, "Try again when the sessions of user \"prisma\" have ended.");
    return ok;
}

enum introspection_drop introspection_drop(const struct server_settings *settings,
                                           const struct pg_patience *patience, struct error *error)
{
    struct refresh refresh = {.settings = settings, .patience = patience, .error = error};
    enum introspection_drop outcome = INTROSPECTION_KEPT;
    bool locked;

    begin(&refresh);
    refresh.main = connect_somewhere(&refresh);
    if (refresh.main == NULL || !quote_names(&refresh) || !lock(&refresh, &locked) ||
        !read_comment(&refresh))
        goto end;
    if (!refresh.exists)
        outcome = INTROSPECTION_ABSENT;
    else if (!refresh.marked)
        (void)error_set(error, STATUS_DENIED, "42P04",
                        "database \"%s\" was not made by electric-proxy", refresh.companion);
    else if (drop(&refresh))
        outcome = INTROSPECTION_DROPPED;
end:
    end(&refresh);
    return outcome;
}
