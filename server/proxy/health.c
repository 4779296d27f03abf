/* One job at a time on a thread of its own: connect, ask, disconnect. */
#include "server/proxy/health.h"

#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/loop.h"
#include "server/options.h"
#include "server/pgconnect.h"
#include "server/worker.h"

enum {
    QUERY_TIMEOUT_MS = 70000, /* longer than the statement_timeout below, which says more */
    UNSETTLED_MS = 10000,     /* until the next look while old transactions are open, … */
    FAILED_MS = 30000,        /* … and after one that failed */
    PROBLEMS_MAX = 100,
};
#define HEALTH_STACK (8UL * 1024 * 1024)

/* A role or a database may set all of these to anything. */
#define SETUP_SQL                                           \
    "SET search_path = pg_catalog, pg_temp;"                \
    "SET default_transaction_isolation = 'read committed';" \
    "SET default_transaction_read_only = off;"              \
    "SET client_min_messages = error;"                      \
    "SET lock_timeout = '5s';"                              \
    "SET statement_timeout = '60s'"
#define HEALTH_SQL "SELECT true, item, detail, hint FROM electric.health() WHERE NOT ok"
#define SWEEP_SQL "SELECT problem, item, detail, hint FROM electric.sweep_report()"
/* `settled`: all transactions that were open when capture was switched on have been seen. */
#define STATE_SQL                                                                          \
    "SELECT max(value) FILTER (WHERE name = 'mode'), (SELECT seq FROM electric.head),"     \
    " (SELECT version FROM electric.head),"                                                \
    " coalesce(bool_and(value = '') FILTER (WHERE name = 'open_before'), true) AS settled" \
    " FROM electric.settings"

static const struct log_context log_as = {.role = "engine"};

/* What one look brings. */
struct findings {
    struct engine_health engine;   /* owns its problems */
    struct engine_problem *events; /* no problems, only to be told */
    size_t event_count;
    bool complete; /* all was answered */
    bool settled;
};

struct health {
    struct worker_job job;
    struct worker_pool *thread;
    struct loop *loop;
    struct loop_watch done_watch;
    struct loop_timer timer;
    const struct server_settings *settings;
    atomic_bool given_up;
    struct findings found;       /* the worker's while it runs */
    struct engine_health engine; /* the loop thread's */
};

/* Lists of problems */

static void add(struct engine_problem **list, size_t *count, const char *item, const char *detail,
                const char *hint)
{
    if (*count == PROBLEMS_MAX)
        return;
    *list = mem_resize(*list, (*count + 1) * sizeof(**list));
    (*list)[(*count)++] = (struct engine_problem){.item = mem_copy_string(item),
                                                  .detail = mem_copy_string(detail),
                                                  .hint = mem_copy_string(hint)};
}

static void clear(struct engine_problem **list, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*list)[i].item);
        free((*list)[i].detail);
        free((*list)[i].hint);
    }
    free(*list);
    *list = NULL;
    *count = 0;
}

static void clear_findings(struct findings *found)
{
    clear(&found->engine.problems, &found->engine.problem_count);
    clear(&found->events, &found->event_count);
}

static bool has(const struct engine_health *engine, const struct engine_problem *problem)
{
    for (size_t i = 0; i < engine->problem_count; i++)
        if (strcmp(engine->problems[i].item, problem->item) == 0 &&
            strcmp(engine->problems[i].detail, problem->detail) == 0)
            return true;
    return false;
}

/* On the thread */

static void note_failure(struct findings *found, const struct error *error)
{
    add(&found->engine.problems, &found->engine.problem_count, "check", error->message,
        error->hint);
}

static PGresult *ask(struct health *health, PGconn *conn, const char *sql)
{
    const struct pg_patience patience = {.deadline_ms = pg_clock_ms() + QUERY_TIMEOUT_MS,
                                         .given_up = &health->given_up};
    struct error error = {.sqlstate = ""};
    PGresult *rows = pg_query(conn, sql, &patience, &error);

    if (rows == NULL)
        note_failure(&health->found, &error);
    return rows;
}

/* Columns: whether it is a problem, item, detail, hint. */
static bool collect(struct health *health, PGconn *conn, const char *sql)
{
    struct findings *found = &health->found;
    PGresult *rows = ask(health, conn, sql);

    if (rows == NULL)
        return false;
    for (int i = 0; i < PQntuples(rows); i++) {
        bool problem = PQgetvalue(rows, i, 0)[0] == 't';

        add(problem ? &found->engine.problems : &found->events,
            problem ? &found->engine.problem_count : &found->event_count, PQgetvalue(rows, i, 1),
            PQgetvalue(rows, i, 2), PQgetvalue(rows, i, 3));
    }
    PQclear(rows);
    return true;
}

static bool read_state(struct health *health, PGconn *conn)
{
    struct engine_health *engine = &health->found.engine;
    PGresult *rows = ask(health, conn, STATE_SQL);

    if (rows == NULL)
        return false;
    engine->server_version = PQserverVersion(conn);
    (void)schema_decode_mode(PQgetvalue(rows, 0, 0), &engine->mode);
    engine->ledger_seq = strtoll(PQgetvalue(rows, 0, 1), NULL, 10);
    (void)strncat(engine->ledger_version, PQgetvalue(rows, 0, 2),
                  sizeof(engine->ledger_version) - 1);
    health->found.settled = PQgetvalue(rows, 0, 3)[0] == 't';
    PQclear(rows);
    return true;
}

/* The head comes last, with what the sweep has added. */
static bool look(struct health *health, PGconn *conn)
{
    PGresult *done = ask(health, conn, SETUP_SQL);

    PQclear(done);
    return done != NULL && collect(health, conn, HEALTH_SQL) && collect(health, conn, SWEEP_SQL) &&
           read_state(health, conn);
}

static void run(struct worker_job *job)
{
    struct health *health = (struct health *)job;
    const struct pg_target target = {.settings = health->settings,
                                     .fallback_name = "electric-proxy"};
    const struct pg_patience patience = {.deadline_ms = pg_clock_ms() +
                                                        pg_connect_timeout_ms(health->settings),
                                         .given_up = &health->given_up};
    struct error error = {.sqlstate = ""};
    PGconn *conn = pg_connect(&target, &patience, &error);

    if (conn == NULL) {
        note_failure(&health->found, &error);
        return;
    }
    health->found.complete = look(health, conn);
    (void)PQsetnonblocking(conn, 1);
    PQfinish(conn);
}

/* On the loop thread */

static void say(const struct engine_problem *problem)
{
    log_warn(&log_as, "%s: %s%s%s", problem->item, problem->detail,
             problem->hint[0] == '\0' ? "" : ". ", problem->hint);
}

static void tell(const struct health *health)
{
    const struct findings *found = &health->found;

    for (size_t i = 0; i < found->event_count; i++)
        say(&found->events[i]);
    for (size_t i = 0; i < found->engine.problem_count; i++)
        if (!has(&health->engine, &found->engine.problems[i]))
            say(&found->engine.problems[i]);
    for (size_t i = 0; i < health->engine.problem_count; i++)
        if (!has(&found->engine, &health->engine.problems[i]))
            log_info(&log_as, "%s: no longer: %s", health->engine.problems[i].item,
                     health->engine.problems[i].detail);
}

/* What an incomplete look has not seen is as it was. */
static void complete(struct health *health)
{
    struct engine_health *engine = &health->found.engine;
    const struct engine_health *before = &health->engine;

    engine->checked_at = health->found.complete ? time(NULL) : before->checked_at;
    if (health->found.complete)
        return;
    engine->mode = before->mode;
    engine->server_version = before->server_version;
    engine->ledger_seq = before->ledger_seq;
    memcpy(engine->ledger_version, before->ledger_version, sizeof(engine->ledger_version));
    for (size_t i = 0; i < before->problem_count; i++)
        if (strcmp(before->problems[i].item, "check") != 0 && !has(engine, &before->problems[i]))
            add(&engine->problems, &engine->problem_count, before->problems[i].item,
                before->problems[i].detail, before->problems[i].hint);
}

static unsigned long pause_ms(const struct health *health)
{
    unsigned long interval = health->settings->health_interval_ms;
    unsigned long wanted = !health->found.complete  ? FAILED_MS
                           : !health->found.settled ? UNSETTLED_MS
                                                    : interval;

    return wanted < interval ? wanted : interval;
}

static void on_job_done(struct worker_job *job)
{
    struct health *health = (struct health *)job;

    if (atomic_load(&health->given_up))
        return;
    complete(health);
    tell(health);
    clear(&health->engine.problems, &health->engine.problem_count);
    health->engine = health->found.engine;
    health->found.engine.problems = NULL;
    health->found.engine.problem_count = 0;
    if (health->settings->health_interval_ms > 0)
        loop_timer_set(health->loop, &health->timer, pause_ms(health));
}

void health_start(struct health *health)
{
    clear_findings(&health->found);
    health->found = (struct findings){.complete = false};
    health->job = (struct worker_job){.run = run, .done = on_job_done};
    worker_pool_submit(health->thread, &health->job);
}

static void on_timer(struct loop_timer *timer)
{
    health_start(lws_container_of(timer, struct health, timer));
}

static void on_thread_done(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    worker_pool_collect(lws_container_of(watch, struct health, done_watch)->thread);
}

struct health *health_new(struct loop *loop, const struct server_settings *settings)
{
    struct health *health = mem_new(sizeof(*health));

    health->loop = loop;
    health->settings = settings;
    health->timer.on_expired = on_timer;
    health->thread = worker_pool_new(1, HEALTH_STACK);
    if (health->thread != NULL) {
        health->done_watch =
            (struct loop_watch){.on_ready = on_thread_done, .fd = worker_pool_fd(health->thread)};
        if (loop_watch_add(loop, &health->done_watch, EPOLLIN))
            return health;
    }
    health_free(health);
    return NULL;
}

void health_free(struct health *health)
{
    if (health == NULL)
        return;
    atomic_store(&health->given_up, true);
    loop_timer_stop(&health->timer);
    if (health->thread != NULL)
        loop_watch_remove(health->loop, &health->done_watch);
    worker_pool_free(health->thread);
    clear_findings(&health->found);
    clear(&health->engine.problems, &health->engine.problem_count);
    free(health);
}

const struct engine_health *health_engine(const struct health *health)
{
    return &health->engine;
}
