/* One connection, one thread, one job at a time: prepare, check, cancel. */
#include "server/proxy/control.h"

#include <libpq-fe.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/loop.h"
#include "server/options.h"
#include "server/pgconnect.h"
#include "server/proxy/health.h"
#include "server/proxy/upstream.h"
#include "server/schema.h"
#include "server/worker.h"

enum {
    RETRY_FIRST_MS = 250, /* between attempts to prepare, doubled up to … */
    RETRY_LAST_MS = 5000,
    FRESH_MS = 1000,
    ANSWER_WITHIN_MS = 1500, /* a waiter for health, whatever Postgres does */
    QUERY_TIMEOUT_MS = 5000,
    STOPS_MAX = 1024,         /* at a drain's deadline there may be one for each session */
    CLIENT_CANCELS_MAX = 100, /* of clients, who may be anybody */
    CANCELS_MAX = STOPS_MAX + CLIENT_CANCELS_MAX,
    WRONG_PER_SECOND = 10,
};
#define CONTROL_STACK (8UL * 1024 * 1024)

static const struct log_context log_as = {.role = "control"};

struct cancel {
    uint32_t pid;
    uint32_t secret;
    bool well_formed;
    bool trusted; /* not a client's: never counted as wrong */
    bool done;
    bool wrong; /* the outcome */
    struct control_waiter *waiter;
};

struct control {
    struct worker_job job;
    struct worker_pool *thread;
    struct loop *loop;
    struct loop_watch done_watch;
    const struct server_settings *settings;
    const struct control_events *events;
    void *owner;

    /* The worker's while `busy`. */
    PGconn *conn;
    struct cancel running[CANCELS_MAX];
    size_t running_count;
    struct schema_settings schema;
    struct schema_server server;
    enum status status;
    struct error error; /* of the last job; empty: all is well */
    bool schema_ready;

    /* The loop thread's. */
    bool busy;
    bool prepared;
    bool hopeless;
    bool cut_off;
    bool check_wanted;
    uint64_t checked_at; /* 0: never */
    struct error health;
    struct control_waiter *waiters; /* for health */
    struct cancel queue[CANCELS_MAX];
    size_t queue_count;
    size_t untrusted_count; /* of the queue */
    unsigned wrong;         /* secrets, in the second that began at wrong_since */
    uint64_t wrong_since;
    unsigned long retry_ms;
    struct loop_timer retry;
    struct loop_timer impatience;
    struct health *engine;

    /* To cut off a job at the end: its socket, shut down from the loop thread. */
    pthread_mutex_t lock;
    int socket;
    atomic_bool given_up;
};

static void submit_if_needed(struct control *control);

/* On the thread */

static void set_socket(struct control *control, int fd)
{
    (void)pthread_mutex_lock(&control->lock);
    control->socket = fd;
    (void)pthread_mutex_unlock(&control->lock);
}

static void disconnect(struct control *control)
{
    if (control->conn == NULL)
        return;
    set_socket(control, -1);
    (void)PQsetnonblocking(control->conn, 1);
    PQfinish(control->conn);
    control->conn = NULL;
}

static bool connect_control(struct control *control)
{
    const struct pg_target target = {.settings = control->settings,
                                     .fallback_name = "electric-proxy"};
    const struct pg_patience patience = {.deadline_ms = pg_clock_ms() +
                                                        pg_connect_timeout_ms(control->settings),
                                         .given_up = &control->given_up};

    if (control->conn != NULL && PQstatus(control->conn) == CONNECTION_OK)
        return true;
    disconnect(control);
    control->conn = pg_connect(&target, &patience, &control->error);
    if (control->conn == NULL) {
        control->status = STATUS_UNAVAILABLE;
        return false;
    }
    set_socket(control, PQsocket(control->conn));
    return true;
}

static bool prepare(struct control *control)
{
    if (control->schema_ready)
        return true;
    (void)PQsetnonblocking(control->conn, 0);
    control->status = schema_prepare(control->conn, control->settings->capture, &control->server,
                                     &control->schema, &control->error);
    control->schema_ready = control->status == STATUS_OK;
    if (!control->schema_ready)
        disconnect(control);
    return control->schema_ready;
}

static PGresult *query(struct control *control, const char *sql)
{
    const struct pg_patience patience = {.deadline_ms = pg_clock_ms() + QUERY_TIMEOUT_MS,
                                         .given_up = &control->given_up};
    PGresult *result = pg_query(control->conn, sql, &patience, &control->error);

    if (result == NULL) {
        control->status = STATUS_UNAVAILABLE;
        disconnect(control);
    }
    return result;
}

static bool is_secret(const struct control *control, const struct cancel *cancel,
                      int64_t backend_start_us)
{
    uint32_t right = upstream_secret(control->schema.cancel_key, cancel->pid, backend_start_us);

    return cancel->well_formed && CRYPTO_memcmp(&right, &cancel->secret, sizeof(right)) == 0;
}

/* A pid may be another backend's by now, so the statement that cancels looks again. The outcome is
 * known unless the connection is lost. */
static void cancel_backend(struct control *control, struct cancel *cancel)
{
    char *sql = mem_format("SELECT " UPSTREAM_BACKEND_START_SQL " FROM pg_catalog.pg_stat_activity"
                           " WHERE pid OPERATOR(pg_catalog.=) %u AND backend_start IS NOT NULL",
                           cancel->pid);
    PGresult *result = query(control, sql);
    bool found = result != NULL && PQntuples(result) == 1;
    /* The same work for a pid that does not exist. */
    int64_t start = found ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : 0;
    bool right = is_secret(control, cancel, start) && found;

    PQclear(result);
    free(sql);
    cancel->done = result != NULL && !right;
    cancel->wrong = cancel->done;
    if (!right)
        return;
    sql = mem_format("SELECT pg_catalog.pg_cancel_backend(pid) FROM pg_catalog.pg_stat_activity"
                     " WHERE pid OPERATOR(pg_catalog.=) %u AND " UPSTREAM_BACKEND_START_SQL
                     " OPERATOR(pg_catalog.=) %lld",
                     cancel->pid, (long long)start);
    result = query(control, sql);
    cancel->done = result != NULL;
    PQclear(result);
    free(sql);
}

static void do_work(struct control *control)
{
    for (size_t i = 0; i < control->running_count && control->conn != NULL; i++)
        if (!control->running[i].done)
            cancel_backend(control, &control->running[i]);
    if (control->running_count == 0)
        PQclear(query(control, "SELECT"));
}

static void run(struct worker_job *job)
{
    struct control *control = (struct control *)job;

    /* A connection that died unnoticed is no verdict: once more on a new one. */
    for (int attempt = 0; attempt < 2; attempt++) {
        control->status = STATUS_OK;
        control->error = (struct error){.sqlstate = ""};
        if (!connect_control(control) || !prepare(control))
            return;
        do_work(control);
        if (control->conn != NULL)
            return;
    }
}

/* On the loop thread */

static void answer(struct control_waiter *waiter)
{
    if (waiter != NULL)
        waiter->on_answer(waiter);
}

static void answer_all(struct control *control)
{
    struct control_waiter *waiter = control->waiters;

    control->waiters = NULL;
    loop_timer_stop(&control->impatience);
    while (waiter != NULL) {
        struct control_waiter *next = waiter->next;

        answer(waiter);
        waiter = next;
    }
}

static void on_impatience(struct loop_timer *timer)
{
    struct control *control = lws_container_of(timer, struct control, impatience);

    (void)error_set(&control->health, STATUS_TIMEOUT, "08001", "Postgres does not answer");
    answer_all(control);
}

static void count_wrong(struct control *control, const struct cancel *cancel)
{
    uint64_t now = loop_now_ms();

    if (now - control->wrong_since >= 1000) {
        control->wrong_since = now;
        control->wrong = 0;
    }
    if (control->wrong++ == 0)
        log_warn(&log_as, "a cancel request for backend %u had a wrong secret", cancel->pid);
}

/* How many secrets may turn out wrong before this second is over. */
static unsigned guesses_left(const struct control *control)
{
    if (loop_now_ms() - control->wrong_since >= 1000)
        return WRONG_PER_SECOND;
    return control->wrong < WRONG_PER_SECOND ? WRONG_PER_SECOND - control->wrong : 0;
}

/* Those that must not be judged any more. To wait would only fill the queue with guesses. */
static void drop_untrusted(struct control *control)
{
    struct control_waiter *dropped[CLIENT_CANCELS_MAX];
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < control->queue_count; i++)
        if (control->queue[i].trusted)
            control->queue[kept++] = control->queue[i];
        else
            dropped[count++] = control->queue[i].waiter;
    control->queue_count = kept;
    control->untrusted_count = 0;
    if (count > 0)
        log_warn(&log_as, "%zu cancel requests dropped: too many wrong secrets", count);
    for (size_t i = 0; i < count; i++)
        answer(dropped[i]);
}

static void finish_cancels(struct control *control)
{
    size_t count = control->running_count;

    control->running_count = 0;
    for (size_t i = 0; i < count; i++) {
        if (control->running[i].wrong && !control->running[i].trusted)
            count_wrong(control, &control->running[i]);
        answer(control->running[i].waiter);
    }
    if (guesses_left(control) == 0)
        drop_untrusted(control);
}

static void note_health(struct control *control)
{
    control->checked_at = loop_now_ms();
    control->health = control->error;
    answer_all(control);
}

static void retry_later(struct control *control)
{
    bool first = control->retry_ms == 0;

    control->retry_ms = first ? RETRY_FIRST_MS : control->retry_ms * 2;
    if (control->retry_ms > RETRY_LAST_MS)
        control->retry_ms = RETRY_LAST_MS;
    if (first)
        log_warn(&log_as, "%s; trying again until it works", control->error.message);
    loop_timer_set(control->loop, &control->retry, control->retry_ms);
}

static void on_job_done(struct worker_job *job)
{
    struct control *control = (struct control *)job;
    bool was_prepared = control->prepared;

    control->busy = false;
    if (control->cut_off)
        return;
    control->check_wanted = false;
    control->prepared = control->schema_ready;
    finish_cancels(control);
    note_health(control);
    if (control->prepared && !was_prepared) {
        health_start(control->engine);
        control->events->on_prepared(control->owner);
    } else if (!control->prepared &&
               (control->status == STATUS_USAGE || control->status == STATUS_DENIED)) {
        control->hopeless = true;
        control->events->on_hopeless(control->owner, &control->error);
        return;
    } else if (!control->prepared) {
        retry_later(control);
    }
    submit_if_needed(control);
}

/* No more of the clients' than may be wrong: which are is known only afterwards. */
static void take_cancels(struct control *control)
{
    unsigned guesses = guesses_left(control);
    size_t taken = 0, kept = 0;

    for (size_t i = 0; i < control->queue_count; i++) {
        const struct cancel *cancel = &control->queue[i];

        if (!cancel->trusted && guesses == 0) {
            control->queue[kept++] = *cancel;
            continue;
        }
        control->running[taken++] = *cancel;
        if (!cancel->trusted) {
            guesses--;
            control->untrusted_count--;
        }
    }
    control->running_count = taken;
    control->queue_count = kept;
}

static void submit(struct control *control)
{
    if (control->prepared)
        take_cancels(control);
    control->busy = true;
    control->job = (struct worker_job){.run = run, .done = on_job_done};
    worker_pool_submit(control->thread, &control->job);
}

static void submit_if_needed(struct control *control)
{
    if (control->busy || control->hopeless || control->cut_off)
        return;
    if ((control->queue_count > 0 && control->prepared) || control->check_wanted)
        submit(control);
}

static void on_retry(struct loop_timer *timer)
{
    struct control *control = lws_container_of(timer, struct control, retry);

    control->check_wanted = true;
    submit_if_needed(control);
}

static void on_thread_done(struct loop_watch *watch, uint32_t events)
{
    (void)events;
    worker_pool_collect(lws_container_of(watch, struct control, done_watch)->thread);
}

struct control *control_new(struct loop *loop, const struct server_settings *settings,
                            const struct control_events *events, void *owner)
{
    struct control *control = mem_new(sizeof(*control));

    control->loop = loop;
    control->settings = settings;
    control->events = events;
    control->owner = owner;
    control->socket = -1;
    control->retry.on_expired = on_retry;
    control->impatience.on_expired = on_impatience;
    (void)pthread_mutex_init(&control->lock, NULL);
    (void)error_set(&control->health, STATUS_UNAVAILABLE, "57P03",
                    "the migrations proxy is starting up");
    control->engine = health_new(loop, settings);
    control->thread = worker_pool_new(1, CONTROL_STACK);
    if (control->engine != NULL && control->thread != NULL) {
        control->done_watch =
            (struct loop_watch){.on_ready = on_thread_done, .fd = worker_pool_fd(control->thread)};
        if (loop_watch_add(loop, &control->done_watch, EPOLLIN)) {
            submit(control);
            return control;
        }
    }
    control_free(control);
    return NULL;
}

/* schema_prepare() waits without a deadline of ours; an end of its socket ends it. */
static void cut_off(struct control *control)
{
    control->cut_off = true;
    atomic_store(&control->given_up, true);
    (void)pthread_mutex_lock(&control->lock);
    if (control->busy && control->socket >= 0)
        (void)shutdown(control->socket, SHUT_RDWR);
    (void)pthread_mutex_unlock(&control->lock);
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    cut_off(control);
    health_free(control->engine);
    if (control->thread != NULL)
        loop_watch_remove(control->loop, &control->done_watch);
    worker_pool_free(control->thread);
    disconnect(control);
    loop_timer_stop(&control->retry);
    loop_timer_stop(&control->impatience);
    (void)pthread_mutex_destroy(&control->lock);
    schema_clear_settings(&control->schema);
    mem_free_secret(control, sizeof(*control));
}

const struct error *control_obstacle(const struct control *control)
{
    return control->prepared ? NULL : &control->health;
}

const uint8_t *control_cancel_key(const struct control *control)
{
    return control->schema.cancel_key;
}

const char *control_proxied_token(const struct control *control)
{
    return control->settings->capture ? control->schema.proxied_token : NULL;
}

enum schema_mode control_capture_mode(const struct control *control)
{
    return control->settings->capture ? control->schema.mode : SCHEMA_CAPTURE_OFF;
}

const char *control_framework_tables(const struct control *control)
{
    return control->schema.framework_tables;
}

const struct engine_health *control_engine(const struct control *control)
{
    return health_engine(control->engine);
}

const struct error *control_health(const struct control *control)
{
    return control->health.sqlstate[0] == '\0' ? NULL : &control->health;
}

bool control_check(struct control *control, struct control_waiter *waiter)
{
    if (control->checked_at != 0 && loop_now_ms() - control->checked_at < FRESH_MS)
        return true;
    waiter->next = control->waiters;
    if (control->waiters == NULL)
        loop_timer_set(control->loop, &control->impatience, ANSWER_WITHIN_MS);
    control->waiters = waiter;
    control->check_wanted = true;
    submit_if_needed(control);
    return false;
}

static bool enqueue(struct control *control, const struct cancel *cancel)
{
    size_t untrusted = control->untrusted_count;

    if (!control->prepared ||
        (cancel->trusted ? control->queue_count - untrusted == STOPS_MAX
                         : untrusted == CLIENT_CANCELS_MAX || guesses_left(control) == 0))
        return false;
    control->queue[control->queue_count++] = *cancel;
    control->untrusted_count += !cancel->trusted;
    submit_if_needed(control);
    return true;
}

bool control_cancel(struct control *control, uint32_t pid, struct bytes key,
                    struct control_waiter *waiter)
{
    struct cancel cancel = {.pid = pid, .waiter = waiter};

    cancel.well_formed = key.len == 4 && bytes_take_u32(&key, &cancel.secret);
    return enqueue(control, &cancel);
}

bool control_stop(struct control *control, uint32_t pid, uint32_t secret,
                  struct control_waiter *waiter)
{
    const struct cancel cancel = {
        .pid = pid, .secret = secret, .well_formed = true, .trusted = true, .waiter = waiter};

    return enqueue(control, &cancel);
}

void control_forget(struct control *control, struct control_waiter *waiter)
{
    for (struct control_waiter **at = &control->waiters; *at != NULL; at = &(*at)->next)
        if (*at == waiter) {
            *at = waiter->next;
            break;
        }
    for (size_t i = 0; i < control->queue_count; i++)
        if (control->queue[i].waiter == waiter)
            control->queue[i].waiter = NULL;
    for (size_t i = 0; i < control->running_count; i++)
        if (control->running[i].waiter == waiter)
            control->running[i].waiter = NULL;
}
