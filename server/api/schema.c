/* GET /api/schema: the electrified schema as clients may know it, put together by Postgres from
 * what was captured last, in the words of the ledger's operations. */
#include "server/api/etag.h"
#include "server/api/inquiry.h"

#define ENTRIES(ops) \
    "(SELECT coalesce(jsonb_agg(o - 'op'), '[]') FROM jsonb_array_elements(" ops ") AS o)"

#define SCHEMA_SQL                                                                                \
    "WITH facts AS (SELECT t.nsp, t.name, coalesce(t.snapshot, electric.snapshot(t.relid)) AS s"  \
    "               FROM electric.tables t)"                                                      \
    "SELECT jsonb_pretty(jsonb_build_object("                                                     \
    "'version', h.version, 'seq', h.seq,"                                                         \
    "'tables', (SELECT coalesce(jsonb_agg(o - 'op' - 'table' || jsonb_build_object('name', "      \
    "o->'table')"                                                                                 \
    "                                     ORDER BY f.nsp COLLATE \"C\", f.name COLLATE \"C\"), "  \
    "'[]')"                                                                                       \
    "           FROM facts f, jsonb_array_elements(electric.create_table_ops(f.s)) AS o"          \
    "           WHERE o->>'op' = 'create_table'),"                                                \
    "'enums', (SELECT coalesce(jsonb_agg(DISTINCT jsonb_build_object('schema', c->'type_schema'," \
    "                                    'name', c->'type', 'labels', c->'labels')), '[]')"       \
    "          FROM facts f, jsonb_array_elements(f.s->'columns') AS c WHERE c->>'kind' = 'e'),"  \
    "'grants', " ENTRIES(                                                                         \
        "(SELECT electric.grant_ops('grant', array_agg(g)) FROM electric.grants "                 \
        "g)") ","                                                                                 \
              "'assignments', (SELECT "                                                           \
              "coalesce(jsonb_agg((electric.assignment_op('assign', a)->0) - 'op'"                \
              "                       ORDER BY a.nsp, a.table_name, "                             \
              "a.user_column, a.role, a.role_column), '[]')"                                      \
              "                FROM electric.assignments a)))"                                    \
              " FROM electric.head h"

static void answer(struct inquiry *inquiry, const PGresult *rows, const struct error *error)
{
    struct reply reply = {.status = 200, .type = "application/json", .body = ""};
    char tag[ETAG_SIZE], headers[128];
    struct bytes body;

    if (rows == NULL) {
        api_refuse_unavailable(inquiry->exchange, error);
        return;
    }
    body = bytes_of(PQgetvalue(rows, 0, 0), (size_t)PQgetlength(rows, 0, 0));
    etag_make(body, tag);
    (void)snprintf(headers, sizeof(headers), "ETag: %s\r\nCache-Control: private, no-cache\r\n",
                   tag);
    reply.headers = headers;
    if (etag_is_known(inquiry->if_none_match, tag))
        reply.status = 304;
    exchange_reply_body(inquiry->exchange, &reply, body);
}

void api_schema(struct api *api, struct lws *wsi, struct exchange *exchange)
{
    inquiry_start(api, wsi, exchange, SCHEMA_SQL, answer);
}
