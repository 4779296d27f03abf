/* Counters, gauges and histograms, and how Prometheus reads them (exposition format 0.0.4). */
#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { REQUESTS_MAX = 128, REFUSALS_MAX = 64, BUCKETS_MAX = 10 };

/* Upper bounds in microseconds, the last one without. */
struct histogram {
    const char *name;
    const char *help;
    uint64_t bounds[BUCKETS_MAX];
    size_t count_of_bounds;
    uint64_t counts[BUCKETS_MAX + 1];
    uint64_t sum;
};

static struct metrics {
    uint64_t sessions[METRICS_ENTRANCES][METRICS_MODES][METRICS_STATES];
    uint64_t sessions_total[METRICS_ENTRANCES];
    uint64_t bytes_up, bytes_down;
    uint64_t statements[SESSION_STATEMENTS];
    uint64_t migrations;
    uint64_t upstream_failures;
    uint64_t counters[METRICS_COUNTERS];
    uint64_t carriers[METRICS_CARRIERS];
    struct {
        const char *path;
        int status;
        uint64_t count;
    } requests[REQUESTS_MAX];
    struct {
        char sqlstate[6];
        uint64_t count;
    } refusals[REFUSALS_MAX];
} table;

static struct histogram upstream_connect = {
    .name = "electric_upstream_connect_seconds",
    .help = "Time to connect a session to Postgres, logged in.",
    .bounds = {1000, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000},
    .count_of_bounds = 9,
};
static struct histogram loop_lag = {
    .name = "electric_event_loop_lag_seconds",
    .help = "How late a timer of the event loop was.",
    .bounds = {1000, 5000, 10000, 25000, 50000, 100000, 250000, 1000000},
    .count_of_bounds = 8,
};

static const char *const entrance_names[METRICS_ENTRANCES] = {"tcp", "websocket"};
static const char *const mode_names[METRICS_MODES] = {"unknown", "electric", "transparent",
                                                      "shadow", "introspection"};
static const char *const state_names[METRICS_STATES] = {"none", "logging_in", "connecting", "open",
                                                        "closing"};

/* Sessions */

static uint64_t *gauge_of(const struct metrics_session *session)
{
    return &table.sessions[session->entrance][session->mode][session->state];
}

static void leave_gauge(const struct metrics_session *session)
{
    if (session->state != METRICS_NONE)
        --*gauge_of(session);
}

static void join_gauge(const struct metrics_session *session)
{
    if (session->state != METRICS_NONE)
        ++*gauge_of(session);
}

void metrics_session_begin(struct metrics_session *session, enum session_entrance entrance)
{
    *session = (struct metrics_session){.state = METRICS_LOGGING_IN,
                                        .entrance = entrance == SESSION_WEBSOCKET ? 1 : 0};
    table.sessions_total[session->entrance]++;
    join_gauge(session);
}

void metrics_session_mode(struct metrics_session *session, enum session_mode mode)
{
    leave_gauge(session);
    session->mode = (unsigned)mode + 1 < METRICS_MODES ? (unsigned)mode + 1 : 0;
    join_gauge(session);
}

void metrics_session_enter(struct metrics_session *session, enum metrics_state state)
{
    leave_gauge(session);
    session->state = state;
    join_gauge(session);
}

/* Counters */

void metrics_bytes(bool up, size_t count)
{
    *(up ? &table.bytes_up : &table.bytes_down) += count;
}

void metrics_count(enum metrics_counter counter, uint64_t by)
{
    table.counters[counter] += by;
}

void metrics_attachment(enum metrics_carrier carrier)
{
    metrics_count(METRICS_TUNNEL_ATTACHMENTS, 1);
    table.carriers[carrier]++;
}

/* What finds no place of its own is counted with the last one, "other". */
void metrics_refusal(const char *sqlstate)
{
    size_t i = 0;

    while (i < REFUSALS_MAX - 1 && table.refusals[i].count > 0 &&
           strcmp(table.refusals[i].sqlstate, sqlstate) != 0)
        i++;
    if (table.refusals[i].count++ == 0)
        (void)snprintf(table.refusals[i].sqlstate, sizeof(table.refusals[i].sqlstate), "%s",
                       i < REFUSALS_MAX - 1 ? sqlstate : "other");
}

void metrics_statement(enum session_statement kind)
{
    table.statements[kind]++;
}

void metrics_migration(void)
{
    table.migrations++;
}

void metrics_upstream_failed(void)
{
    table.upstream_failures++;
}

void metrics_request(const char *path, int status)
{
    size_t i = 0;

    while (i < REQUESTS_MAX - 1 && table.requests[i].count > 0 &&
           (table.requests[i].path != path || table.requests[i].status != status))
        i++;
    table.requests[i].path = i < REQUESTS_MAX - 1 ? path : "other";
    table.requests[i].status = i < REQUESTS_MAX - 1 ? status : 0;
    table.requests[i].count++;
}

static void observe(struct histogram *histogram, uint64_t us)
{
    size_t i = 0;

    while (i < histogram->count_of_bounds && us > histogram->bounds[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += us;
}

void metrics_upstream_connected(uint64_t ms)
{
    observe(&upstream_connect, ms * 1000);
}

void metrics_loop_lag(uint64_t us)
{
    observe(&loop_lag, us);
}

/* Writing */

static void write_type(struct buffer *out, const char *name, const char *type, const char *help)
{
    (void)buffer_append_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_counter(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    write_type(out, name, "counter", help);
    (void)buffer_append_format(out, "%s %" PRIu64 "\n", name, value);
}

void metrics_write_gauge(struct buffer *out, const char *name, const char *help, double value)
{
    write_type(out, name, "gauge", help);
    (void)buffer_append_format(out, "%s %.15g\n", name, value);
}

static void write_histogram(struct buffer *out, const struct histogram *histogram)
{
    uint64_t total = 0;

    write_type(out, histogram->name, "histogram", histogram->help);
    for (size_t i = 0; i < histogram->count_of_bounds; i++) {
        total += histogram->counts[i];
        (void)buffer_append_format(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", histogram->name,
                                   (double)histogram->bounds[i] / 1e6, total);
    }
    total += histogram->counts[histogram->count_of_bounds];
    (void)buffer_append_format(
        out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.6f\n%s_count %" PRIu64 "\n",
        histogram->name, total, histogram->name, (double)histogram->sum / 1e6, histogram->name,
        total);
}

/* Only those that are; a scrape must not carry all combinations for ever. */
static void write_sessions(struct buffer *out)
{
    write_type(out, "electric_sessions", "gauge", "Clients of the migrations proxy.");
    for (size_t entrance = 0; entrance < METRICS_ENTRANCES; entrance++)
        for (size_t mode = 0; mode < METRICS_MODES; mode++)
            for (size_t state = METRICS_LOGGING_IN; state < METRICS_STATES; state++)
                if (table.sessions[entrance][mode][state] > 0)
                    (void)buffer_append_format(
                        out,
                        "electric_sessions{entrance=\"%s\",mode=\"%s\",state=\"%s\"} %" PRIu64 "\n",
                        entrance_names[entrance], mode_names[mode], state_names[state],
                        table.sessions[entrance][mode][state]);
    write_type(out, "electric_sessions_total", "counter", "Clients that have come in.");
    for (size_t entrance = 0; entrance < METRICS_ENTRANCES; entrance++)
        (void)buffer_append_format(out, "electric_sessions_total{entrance=\"%s\"} %" PRIu64 "\n",
                                   entrance_names[entrance], table.sessions_total[entrance]);
}

static void write_bytes(struct buffer *out)
{
    write_type(out, "electric_bytes_total", "counter", "Bytes of clients, up: towards Postgres.");
    (void)buffer_append_format(out,
                               "electric_bytes_total{direction=\"up\"} %" PRIu64 "\n"
                               "electric_bytes_total{direction=\"down\"} %" PRIu64 "\n",
                               table.bytes_up, table.bytes_down);
}

static void write_statements(struct buffer *out)
{
    static const char *const names[] = {
        [SESSION_STATEMENT_DDLX] = "ddlx",
        [SESSION_STATEMENT_SCHEMA] = "schema",
        [SESSION_STATEMENT_OTHER] = "other",
    };

    write_type(out, "electric_statements_total", "counter",
               "SQL texts of clients: with ELECTRIC statements, that may change tables, others.");
    for (size_t i = 0; i < SESSION_STATEMENTS; i++)
        (void)buffer_append_format(out, "electric_statements_total{class=\"%s\"} %" PRIu64 "\n",
                                   names[i], table.statements[i]);
}

static void write_refusals(struct buffer *out)
{
    write_type(out, "electric_refusals_total", "counter", "Errors of the proxy's own, by code.");
    for (size_t i = 0; i < REFUSALS_MAX && table.refusals[i].count > 0; i++)
        (void)buffer_append_format(out, "electric_refusals_total{sqlstate=\"%s\"} %" PRIu64 "\n",
                                   table.refusals[i].sqlstate, table.refusals[i].count);
}

static void write_requests(struct buffer *out)
{
    write_type(out, "electric_http_requests_total", "counter", "HTTP requests, by answer.");
    for (size_t i = 0; i < REQUESTS_MAX && table.requests[i].count > 0; i++)
        (void)buffer_append_format(
            out, "electric_http_requests_total{path=\"%s\",status=\"%d\"} %" PRIu64 "\n",
            table.requests[i].path, table.requests[i].status, table.requests[i].count);
}

static void write_tunnel(struct buffer *out)
{
    static const char *const carriers[METRICS_CARRIERS] = {
        [METRICS_CARRIER_WEBSOCKET] = "websocket",
        [METRICS_CARRIER_HTTP] = "http",
    };
    static const struct {
        const char *name, *help;
    } texts[METRICS_COUNTERS] = {
        [METRICS_TUNNEL_ATTACHMENTS] = {"electric_tunnel_attachments_total",
                                        "Carriers that sessions of the tunnel have had."},
        [METRICS_TUNNEL_RESUMES] = {"electric_tunnel_resumes_total",
                                    "Those of them that went on where another broke."},
        [METRICS_TUNNEL_EXPIRIES] = {"electric_tunnel_expiries_total",
                                     "Sessions given up because their client stayed away."},
        [METRICS_TUNNEL_RESENT_BYTES] = {"electric_tunnel_resent_bytes_total",
                                         "Bytes sent to clients again after a break."},
    };

    for (size_t i = 0; i < METRICS_COUNTERS; i++)
        write_counter(out, texts[i].name, texts[i].help, table.counters[i]);
    write_type(out, "electric_tunnel_carriers_total", "counter",
               "Carriers that sessions of the tunnel have had, by kind.");
    for (size_t i = 0; i < METRICS_CARRIERS; i++)
        (void)buffer_append_format(out, "electric_tunnel_carriers_total{kind=\"%s\"} %" PRIu64 "\n",
                                   carriers[i], table.carriers[i]);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* The second number of statm(5) is in pages. */
static unsigned long resident_pages(void)
{
    char line[128] = "", *second;
    FILE *statm = fopen("/proc/self/statm", "re");

    if (statm == NULL)
        return 0;
    if (fgets(line, sizeof(line), statm) == NULL)
        line[0] = '\0';
    (void)fclose(statm);
    second = strchr(line, ' ');
    return second != NULL ? strtoul(second, NULL, 10) : 0;
}

/* Under the names that all programs use. */
static void write_process(struct buffer *out)
{
    struct rusage usage;

    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        write_type(out, "process_cpu_seconds_total", "counter", "CPU time, user and system.");
        (void)buffer_append_format(out, "process_cpu_seconds_total %.6f\n",
                                   seconds(usage.ru_utime) + seconds(usage.ru_stime));
    }
    metrics_write_gauge(out, "process_resident_memory_bytes", "Resident memory.",
                        (double)resident_pages() * (double)sysconf(_SC_PAGESIZE));
}

void metrics_write(struct buffer *out)
{
    write_type(out, "electric_build_info", "gauge", "The program's version.");
    (void)buffer_append_format(out, "electric_build_info{version=\"%s\"} 1\n", ELECTRIC_VERSION);
    write_sessions(out);
    write_bytes(out);
    write_counter(out, "electric_migrations_captured_total",
                  "Migrations seen in the ledger since the start.", table.migrations);
    write_statements(out);
    write_refusals(out);
    write_histogram(out, &upstream_connect);
    write_counter(out, "electric_upstream_connect_failures_total",
                  "Sessions that could not be connected to Postgres.", table.upstream_failures);
    write_requests(out);
    write_tunnel(out);
    write_histogram(out, &loop_lag);
    write_process(out);
}
