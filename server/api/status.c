/* GET /api/status with credentials, as JSON: what an operator wants to know at a glance. */
#include <jansson.h>
#include <stdlib.h>
#include <time.h>

#include "server/api/hub.h"
#include "server/api/inquiry.h"
#include "server/proxy/control.h"
#include "server/proxy/health.h"

#define STATUS_SQL                                                                                \
    "SELECT current_setting('server_version'), current_database(), h.seq, h.version,"             \
    " encode(h.hash, 'hex'), to_char(m.at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')," \
    " (SELECT count(*) FROM electric.electrified),"                                               \
    " (SELECT value FROM electric.settings WHERE name = 'mode')"                                  \
    " FROM electric.head h LEFT JOIN electric.migrations m ON m.seq = h.seq"

enum column {
    COLUMN_SERVER_VERSION,
    COLUMN_DATABASE,
    COLUMN_SEQ,
    COLUMN_VERSION,
    COLUMN_HASH,
    COLUMN_AT,
    COLUMN_TABLES,
    COLUMN_MODE,
};

static json_t *text(const PGresult *rows, enum column column)
{
    return PQgetisnull(rows, 0, (int)column) ? json_null()
                                             : json_string(PQgetvalue(rows, 0, (int)column));
}

static json_t *number(const PGresult *rows, enum column column)
{
    return json_integer(strtoll(PQgetvalue(rows, 0, (int)column), NULL, 10));
}

static void add_facts(json_t *status, const PGresult *rows)
{
    (void)json_object_set_new(status, "postgres",
                              json_pack("{s:o, s:o}", "version", text(rows, COLUMN_SERVER_VERSION),
                                        "database", text(rows, COLUMN_DATABASE)));
    (void)json_object_set_new(status, "ledger",
                              json_pack("{s:o, s:o, s:o, s:o}", "seq", number(rows, COLUMN_SEQ),
                                        "version", text(rows, COLUMN_VERSION), "hash",
                                        text(rows, COLUMN_HASH), "at", text(rows, COLUMN_AT)));
    (void)json_object_set_new(status, "tables", number(rows, COLUMN_TABLES));
}

static json_t *problems_of(const struct engine_health *engine)
{
    json_t *problems = json_array();

    for (size_t i = 0; i < engine->problem_count; i++) {
        const struct engine_problem *problem = &engine->problems[i];

        (void)json_array_append_new(problems,
                                    json_pack("{s:s, s:s, s:s}", "item", problem->item, "detail",
                                              problem->detail, "hint", problem->hint));
    }
    return problems;
}

/* What the engine's own checks say, which run every few minutes. */
static void add_capture(json_t *status, const PGresult *rows, const struct engine_health *engine)
{
    char at[32] = "";
    struct tm tm;
    json_t *checked_at;

    if (engine->checked_at != 0 && gmtime_r(&engine->checked_at, &tm) != NULL)
        (void)strftime(at, sizeof(at), "%Y-%m-%dT%H:%M:%SZ", &tm);
    checked_at = *at != '\0' ? json_string(at) : json_null();
    (void)json_object_set_new(status, "capture",
                              json_pack("{s:o, s:o, s:o}", "mode", text(rows, COLUMN_MODE),
                                        "checked_at", checked_at, "problems", problems_of(engine)));
}

static json_t *own_status(const struct server *server, const struct api *api, const char *state)
{
    return json_pack("{s:s, s:s, s:{s:I, s:I, s:I, s:I}}", "status", state, "version",
                     ELECTRIC_VERSION, "connections", "sessions",
                     (json_int_t)server->admitted_count, "logging_in",
                     (json_int_t)server->unready_count, "http", (json_int_t)server->http_count,
                     "streams", (json_int_t)hub_count(api->hub));
}

static void send_status(struct exchange *exchange, int code, json_t *status)
{
    char *body = json_dumps(status, JSON_INDENT(2));
    const struct reply reply = {
        .status = code,
        .type = "application/json",
        .headers = code == 503 ? "Retry-After: 5\r\n" : NULL,
        .body = body != NULL ? body : "{}",
    };

    exchange_reply(exchange, &reply);
    free(body);
    json_decref(status);
}

static void answer(struct inquiry *inquiry, const PGresult *rows, const struct error *error)
{
    const struct server *server = inquiry->api->server;
    const struct error *obstacle = control_obstacle(server->control);
    json_t *status;

    if (obstacle != NULL)
        error = obstacle;
    if (error != NULL) {
        status = own_status(server, inquiry->api, "down");
        (void)json_object_set_new(status, "error",
                                  json_pack("{s:s, s:s, s:s}", "code", error->sqlstate, "message",
                                            error->message, "hint", error->hint));
    } else {
        status = own_status(server, inquiry->api, server->draining ? "draining" : "up");
        add_facts(status, rows);
        add_capture(status, rows, control_engine(server->control));
    }
    send_status(inquiry->exchange, error != NULL || server->draining ? 503 : 200, status);
}

void api_status(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    inquiry_start(api, wsi, exchange, STATUS_SQL, answer);
}
