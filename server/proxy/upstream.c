/* Connects one session's Postgres on a worker, asks it one question, hands its socket over. */
#include "server/proxy/upstream.h"

#include <assert.h>
#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "server/options.h"
#include "server/outcome.h"
#include "server/pgconnect.h"
#include "server/proxy/companion.h"
#include "server/proxy/introspection.h"
#include "server/schema.h"
#include "server/worker.h"

/* What Postgres 14 to 18 report (GUC_REPORT); libpq keeps them but cannot list them. */
static const char *const reported[] = {
    "application_name",
    "client_encoding",
    "DateStyle",
    "default_transaction_read_only",
    "in_hot_standby",
    "integer_datetimes",
    "IntervalStyle",
    "is_superuser",
    "scram_iterations",
    "search_path",
    "server_encoding",
    "server_version",
    "session_authorization",
    "standard_conforming_strings",
    "TimeZone",
};
enum { REPORTED = sizeof(reported) / sizeof(reported[0]) };

/* Whether pg_current_xact_id_if_assigned(), which everybody may call unless somebody has revoked
 * that, can be called as whomever the client makes itself: a refusal would undo its transaction. */
#define XID_IS_PUBLIC_SQL                                                   \
    "coalesce(pg_catalog.has_function_privilege('public'::pg_catalog.name," \
    " 5060::pg_catalog.oid, 'EXECUTE') AND"                                 \
    " pg_catalog.has_schema_privilege('public'::pg_catalog.name, 'pg_catalog', 'USAGE'), false)"

enum upstream_state { UPSTREAM_CONNECTING, UPSTREAM_CONNECTED, UPSTREAM_FAILED, UPSTREAM_CLOSING };

struct upstream {
    struct worker_job job; /* first connecting, then finishing */
    struct worker_pool *workers;
    const struct server_settings *settings;
    enum upstream_state state; /* of the loop thread */
    atomic_bool given_up;
    enum session_mode mode;
    uint8_t key[UPSTREAM_CANCEL_KEY_SIZE];
    uint64_t deadline_ms;
    upstream_done *done;
    void *owner;
    /* The target, copied. */
    char *database;
    char *asked_database;
    char **wanted; /* run-time settings */
    /* The outcome; the worker's until the job is done. */
    PGconn *conn;
    struct error error;
    struct error notice; /* for the client; empty: none */
    struct session_upstream session;
    const char *parameters[2 * REPORTED + 1];
};

uint32_t upstream_secret(const uint8_t key[UPSTREAM_CANCEL_KEY_SIZE], uint32_t pid,
                         int64_t backend_start_us)
{
    uint8_t input[12], digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    for (int i = 0; i < 4; i++)
        input[i] = (uint8_t)(pid >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        input[4 + i] = (uint8_t)((uint64_t)backend_start_us >> (56 - 8 * i));
    if (HMAC(EVP_sha256(), key, UPSTREAM_CANCEL_KEY_SIZE, input, sizeof(input), digest, &len) ==
        NULL)
        abort(); /* no memory: as everywhere */
    return (uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 |
           digest[3];
}

/* On the worker */

/* Owned by the caller, to be freed by PQfreemem(); NULL when the name cannot be one of a database,
 * since it is not even text in the connection's encoding. */
static char *quote(PGconn *conn, const char *name)
{
    return name != NULL ? PQescapeLiteral(conn, name, strlen(name)) : NULL;
}

/* The backend itself is asked who it is: behind a session pooler BackendKeyData is the pooler's. */
static bool ask_backend(struct upstream *upstream, const struct pg_patience *patience)
{
    char *asked = quote(upstream->conn, upstream->asked_database);
    char *sql = mem_format("SELECT pid, " UPSTREAM_BACKEND_START_SQL ","
                           " EXISTS (SELECT FROM pg_catalog.pg_database"
                           " WHERE datname OPERATOR(pg_catalog.=) %s), " OUTCOME_PLACE_SQL
                           ", " XID_IS_PUBLIC_SQL " FROM pg_catalog.pg_stat_activity"
                           " WHERE pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()",
                           asked != NULL ? asked : "NULL");
    PGresult *result = pg_query(upstream->conn, sql, patience, &upstream->error);
    bool ok = result != NULL && PQntuples(result) == 1;

    if (ok) {
        upstream->session.pid = (uint32_t)strtoul(PQgetvalue(result, 0, 0), NULL, 10);
        upstream->session.secret = upstream_secret(upstream->key, upstream->session.pid,
                                                   strtoll(PQgetvalue(result, 0, 1), NULL, 10));
        upstream->session.asked_database_exists = PQgetvalue(result, 0, 2)[0] == 't';
        upstream->session.system = strtoull(PQgetvalue(result, 0, 3), NULL, 10);
        upstream->session.timeline = (uint32_t)strtoul(PQgetvalue(result, 0, 4), NULL, 16);
        upstream->session.generation = strtoull(PQgetvalue(result, 0, 5), NULL, 10);
        upstream->session.may_ask_xid = PQgetvalue(result, 0, 6)[0] == 't';
    } else if (result != NULL) {
        (void)error_set(&upstream->error, STATUS_UNAVAILABLE, "08006",
                        "Postgres does not know its own backend");
    }
    PQclear(result);
    free(sql);
    PQfreemem(asked);
    return ok;
}

static void collect_parameters(struct upstream *upstream)
{
    size_t count = 0;

    for (size_t i = 0; i < REPORTED; i++) {
        const char *value = PQparameterStatus(upstream->conn, reported[i]);

        if (value != NULL) {
            upstream->parameters[count++] = reported[i];
            upstream->parameters[count++] = value; /* libpq's, which reads no more */
        }
    }
    upstream->parameters[count] = NULL;
    upstream->session.parameters = upstream->parameters;
}

/* A scratch database is new and knows nothing of DDLX; what is replayed in it may use all of it,
 * and nobody captures it. */
static bool prepare_shadow(struct upstream *upstream)
{
    return upstream->mode != SESSION_SHADOW ||
           schema_install(upstream->conn, false, &upstream->error) == STATUS_OK;
}

/* What a tool that introspects sees is as new as its session. */
static bool prepare_introspection(struct upstream *upstream, const struct pg_patience *patience)
{
    if (upstream->mode != SESSION_INTROSPECTION)
        return true;
    if (!introspection_refresh(upstream->settings, patience, &upstream->notice, &upstream->error))
        return false;
    if (upstream->notice.message[0] != '\0')
        upstream->session.notice = &upstream->notice;
    return true;
}

static void run_connect(struct worker_job *job)
{
    struct upstream *upstream = (struct upstream *)job;
    const struct pg_target target = {
        .settings = upstream->settings,
        .database = upstream->database,
        .parameters = (const char *const *)upstream->wanted,
    };
    const struct pg_patience patience = {.deadline_ms = upstream->deadline_ms,
                                         .given_up = &upstream->given_up};

    if (!prepare_introspection(upstream, &patience))
        return;
    upstream->conn = pg_connect(&target, &patience, &upstream->error);
    if (upstream->conn == NULL)
        return;
    if (prepare_shadow(upstream) && ask_backend(upstream, &patience)) {
        collect_parameters(upstream);
        return;
    }
    PQfinish(upstream->conn);
    upstream->conn = NULL;
}

/* In blocking mode PQfinish() waits for ever for a peer that reads nothing. */
static void run_finish(struct worker_job *job)
{
    struct upstream *upstream = (struct upstream *)job;

    (void)PQsetnonblocking(upstream->conn, 1);
    PQfinish(upstream->conn);
    upstream->conn = NULL;
}

/* On the loop thread */

static void free_strings(char **list)
{
    for (char **string = list; string != NULL && *string != NULL; string++)
        free(*string);
    free(list);
}

static void free_upstream(struct upstream *upstream)
{
    free(upstream->database);
    free(upstream->asked_database);
    free_strings(upstream->wanted);
    OPENSSL_cleanse(upstream->key, sizeof(upstream->key));
    free(upstream);
}

static void finish_done(struct worker_job *job)
{
    struct upstream *upstream = (struct upstream *)job;

    /* A pool that shuts down gives waiting jobs back without running them. */
    if (upstream->conn != NULL)
        run_finish(job);
    free_upstream(upstream);
}

static void finish(struct upstream *upstream)
{
    upstream->state = UPSTREAM_CLOSING;
    if (upstream->conn == NULL) {
        free_upstream(upstream);
        return;
    }
    upstream->job = (struct worker_job){.run = run_finish, .done = finish_done};
    worker_pool_submit(upstream->workers, &upstream->job);
}

static void connect_done(struct worker_job *job)
{
    struct upstream *upstream = (struct upstream *)job;

    if (upstream->state == UPSTREAM_CLOSING) {
        finish(upstream);
        return;
    }
    if (upstream->conn == NULL && upstream->error.sqlstate[0] == '\0')
        (void)error_set(&upstream->error, STATUS_CLOSED, "57P01", "the server is shutting down");
    upstream->state = upstream->conn != NULL ? UPSTREAM_CONNECTED : UPSTREAM_FAILED;
    upstream->done(upstream->owner, upstream->conn != NULL ? NULL : &upstream->error);
}

/* Settings of ours in front of the client's, which may differ from them, and behind, where they
 * win; ours are name, value, name, value, …, NULL. */
static char **copy_settings(const char *const *preset, const char *const *list,
                            const char *const *imposed)
{
    const char *const *const parts[] = {preset, list, imposed};
    size_t count = 0;
    char **copy = NULL;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        for (const char *const *at = parts[i]; at != NULL && *at != NULL; at++) {
            copy = mem_resize(copy, (count + 2) * sizeof(*copy));
            copy[count++] = mem_copy_string(*at);
            copy[count] = NULL;
        }
    return copy;
}

static char **wanted_settings(const struct session_target *target, const char *token)
{
    const char *const mark[] = {"electric.proxied", token, NULL};
    /* Against accidents: whatever is changed in what tools are shown is lost. */
    static const char *const read_only[] = {"default_transaction_read_only", "on", NULL};
    static const char *const where[] = {"search_path", "public", NULL};

    switch (target->mode) {
    case SESSION_INTROSPECTION:
        return copy_settings(where, target->parameters, read_only);
    case SESSION_TRANSPARENT:
        return copy_settings(NULL, target->parameters, NULL);
    case SESSION_ELECTRIC:
    case SESSION_SHADOW:
        break;
    }
    return copy_settings(NULL, target->parameters, token != NULL ? mark : NULL);
}

/* Owned by the caller; NULL: the one of DATABASE_URL. */
static char *wanted_database(const struct session_target *target,
                             const struct server_settings *settings)
{
    char companion[COMPANION_NAME_SIZE];
    char *database;

    if (target->mode != SESSION_INTROSPECTION)
        return target->database != NULL ? mem_copy_string(target->database) : NULL;
    database = server_settings_database(settings);
    companion_name(database, companion);
    free(database);
    return mem_copy_string(companion);
}

struct upstream *upstream_open(struct worker_pool *workers, const struct server_settings *settings,
                               const uint8_t key[UPSTREAM_CANCEL_KEY_SIZE], const char *token,
                               const struct session_target *target, upstream_done *done,
                               void *owner)
{
    struct upstream *upstream = mem_new(sizeof(*upstream));

    upstream->job = (struct worker_job){.run = run_connect, .done = connect_done};
    upstream->workers = workers;
    upstream->settings = settings;
    upstream->done = done;
    upstream->owner = owner;
    memcpy(upstream->key, key, sizeof(upstream->key));
    /* From now, not from when a worker is free: every client gets its answer in time. */
    upstream->deadline_ms = pg_clock_ms() + pg_connect_timeout_ms(settings);
    if (target->mode == SESSION_INTROSPECTION)
        upstream->deadline_ms += INTROSPECTION_TIMEOUT_MS;
    upstream->database = wanted_database(target, settings);
    upstream->asked_database =
        target->asked_database != NULL ? mem_copy_string(target->asked_database) : NULL;
    upstream->wanted = wanted_settings(target, token);
    upstream->mode = target->mode;
    worker_pool_submit(workers, &upstream->job);
    return upstream;
}

const struct session_upstream *upstream_session(const struct upstream *upstream)
{
    assert(upstream->state == UPSTREAM_CONNECTED);
    return &upstream->session;
}

int upstream_socket(const struct upstream *upstream)
{
    return PQsocket(upstream->conn);
}

SSL *upstream_ssl(const struct upstream *upstream)
{
    return PQsslStruct(upstream->conn, "OpenSSL");
}

void upstream_close(struct upstream *upstream)
{
    if (upstream->state == UPSTREAM_CONNECTING) {
        atomic_store(&upstream->given_up, true);
        upstream->state = UPSTREAM_CLOSING; /* the job is still the worker's */
        return;
    }
    finish(upstream);
}
