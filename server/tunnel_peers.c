/* Advisory locks on instance numbers. */
#include "server/tunnel_peers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/loop.h"
#include "server/pgclient.h"
#include "server/server.h"

enum {
    ANSWER_MS = 3000,
    PATIENCE_MS = 4000, /* of a question, connecting included */
    RETRY_MS = 1000,
    QUESTIONS_MAX = 1000, /* beyond that nobody can tell */
};

#define LOCK_SQL "SELECT pg_catalog.pg_try_advisory_lock($1::pg_catalog.int8)"
/* A key of 64 bits stands in two columns of 32 (PostgreSQL documentation, "pg_locks"). */
#define LIVES_SQL                                                                          \
    "SELECT 1 FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d"                    \
    " ON d.oid OPERATOR(pg_catalog.=) l.database"                                          \
    " WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' AND l.granted"                    \
    " AND l.objsubid OPERATOR(pg_catalog.=) 1"                                             \
    " AND d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()"                  \
    " AND ((l.classid::pg_catalog.int8 OPERATOR(pg_catalog.<<) 32) OPERATOR(pg_catalog.|)" \
    " l.objid::pg_catalog.int8) OPERATOR(pg_catalog.=) $1::pg_catalog.int8"

TAILQ_HEAD(peer_questions, peer_question);

struct tunnel_peers {
    struct loop *loop;
    struct pgclient *client;
    struct loop_timer timer; /* the next attempt to connect, or the end of patience */
    uint64_t own;
    bool locked;                 /* ours is held */
    bool asking;                 /* Postgres is being asked about … */
    uint64_t asked;              /* … this instance */
    struct peer_questions queue; /* the first has waited longest */
    unsigned count;
};

static void ask(struct tunnel_peers *peers, const char *sql, uint64_t instance)
{
    char key[24];
    const char *const values[] = {key};

    (void)snprintf(key, sizeof(key), "%" PRId64, (int64_t)instance);
    pgclient_ask(peers->client, sql, 1, values, ANSWER_MS);
}

static void answer(struct tunnel_peers *peers, struct peer_question *question, bool lives)
{
    tunnel_peers_forget(peers, question);
    question->on_answer(question, lives);
}

static void answer_all(struct tunnel_peers *peers)
{
    while (!TAILQ_EMPTY(&peers->queue))
        answer(peers, TAILQ_FIRST(&peers->queue), true);
}

static void answer_asked(struct tunnel_peers *peers, bool lives)
{
    struct peer_question *question, *next;

    for (question = TAILQ_FIRST(&peers->queue); question != NULL; question = next) {
        next = TAILQ_NEXT(question, link);
        if (question->instance == peers->asked)
            answer(peers, question, lives);
    }
}

static void ask_next(struct tunnel_peers *peers)
{
    struct peer_question *first = TAILQ_FIRST(&peers->queue);

    if (!peers->locked || peers->asking || first == NULL || !pgclient_is_idle(peers->client))
        return;
    peers->asking = true;
    peers->asked = first->instance;
    ask(peers, LIVES_SQL, first->instance);
}

static void on_connected(void *owner)
{
    struct tunnel_peers *peers = owner;

    peers->locked = peers->asking = false;
    ask(peers, LOCK_SQL, peers->own);
}

static void on_result(void *owner, PGresult *result)
{
    struct tunnel_peers *peers = owner;
    struct error error;
    bool failed = pgclient_is_error(result, &error);
    bool lives = failed || PQntuples(result) > 0;

    PQclear(result);
    if (failed)
        log_debug(NULL, "peers: %s", error.message);
    if (peers->asking)
        answer_asked(peers, lives);
    peers->locked = true;
    peers->asking = false;
    ask_next(peers);
}

static void on_failed(void *owner, const struct error *error)
{
    struct tunnel_peers *peers = owner;

    log_debug(NULL, "peers: %s", error->message);
    peers->locked = peers->asking = false;
    answer_all(peers);
    loop_timer_set(peers->loop, &peers->timer, RETRY_MS);
}

static void on_timer(struct loop_timer *timer)
{
    struct tunnel_peers *peers = lws_container_of(timer, struct tunnel_peers, timer);

    answer_all(peers);
    if (pgclient_is_closed(peers->client))
        pgclient_connect(peers->client);
}

struct tunnel_peers *tunnel_peers_new(struct server *server, uint64_t own_instance)
{
    static const struct pgclient_events events = {
        .on_connected = on_connected, .on_result = on_result, .on_failed = on_failed};
    struct tunnel_peers *peers = mem_new(sizeof(*peers));

    peers->loop = server->loop;
    peers->own = own_instance;
    peers->timer.on_expired = on_timer;
    TAILQ_INIT(&peers->queue);
    peers->client = pgclient_new(server->loop, server->workers, server->settings, &events, peers);
    pgclient_connect(peers->client);
    return peers;
}

void tunnel_peers_free(struct tunnel_peers *peers)
{
    if (peers == NULL)
        return;
    loop_timer_stop(&peers->timer);
    pgclient_free(peers->client);
    free(peers);
}

void tunnel_peers_ask(struct tunnel_peers *peers, struct peer_question *question)
{
    bool first = TAILQ_EMPTY(&peers->queue);

    TAILQ_INSERT_TAIL(&peers->queue, question, link);
    question->waiting = true;
    peers->count++;
    /* While it is closed the timer is about the next attempt, which must not be put off. */
    if (peers->count > QUESTIONS_MAX)
        loop_timer_set(peers->loop, &peers->timer, 0);
    else if (first && !pgclient_is_closed(peers->client))
        loop_timer_set(peers->loop, &peers->timer, PATIENCE_MS);
    ask_next(peers);
}

void tunnel_peers_forget(struct tunnel_peers *peers, struct peer_question *question)
{
    if (!question->waiting)
        return;
    TAILQ_REMOVE(&peers->queue, question, link);
    question->waiting = false;
    peers->count--;
}
