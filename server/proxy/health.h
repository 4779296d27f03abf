/* Looks after the engine in Postgres: whether it is as it was installed, and whether the tables are
 * as the ledger says. At start and every few minutes, on a thread and a connection of its own, so
 * that nothing waits behind it. What is wrong goes to the log once, and once when it is gone. */
#ifndef SERVER_PROXY_HEALTH_H
#define SERVER_PROXY_HEALTH_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "server/schema.h"

struct health;
struct loop;
struct server_settings;

/* For people: what it is about, what is wrong, and what to do (may be ""). */
struct engine_problem {
    char *item;
    char *detail;
    char *hint;
};

/* What the last look at the engine has shown. A look that fails leaves the rest as it was and is a
 * problem itself, "check". */
struct engine_health {
    time_t checked_at;  /* 0: never; then the rest means nothing */
    int server_version; /* as PQserverVersion() */
    enum schema_mode mode;
    int64_t ledger_seq; /* 0: no migration yet */
    char ledger_version[64];
    struct engine_problem *problems;
    size_t problem_count;
};

/* Does nothing yet. NULL when the system gives no thread. */
struct health *health_new(struct loop *loop, const struct server_settings *settings);
/* The schema is installed: looks at once, then every settings->health_interval_ms (0: never
 * again). */
void health_start(struct health *health);
/* Gives up what is under way. NULL-safe. */
void health_free(struct health *health);

/* For the loop thread; valid until the next run of the loop. */
const struct engine_health *health_engine(const struct health *health);

#endif
