/* The option table of electric-proxy, and what no single row can check. */
#include "server/options.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/url.h"

#define FIELD(name) offsetof(struct server_settings, name)
/* Descriptors beside those of sessions and HTTP: a hundred clients that have not logged in, a
 * hundred cancels that wait, listeners, epoll, log, workers, control connection. */
#define OTHER_DESCRIPTORS 264
/* The client's socket, and the pair behind its gate. */
#define DESCRIPTORS_PER_REQUEST 3

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
static const char *const password_methods[] = {"scram-sha-256", "md5", NULL};
static const char *const api_auth_methods[] = {"password", "none", NULL};

static bool parse_port(const char *text, unsigned *port)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value > 65535)
        return false;
    *port = (unsigned)value;
    return true;
}

static bool parse_pg_proxy_port(const char *value, bool *tunnel, bool *tcp, unsigned *port)
{
    *port = 65432;
    *tunnel = strncmp(value, "http", 4) == 0;
    *tcp = strcmp(value, "http-only") != 0;
    if (strcmp(value, "http") == 0 || strcmp(value, "http-only") == 0)
        return true;
    if (strncmp(value, "http:", 5) == 0)
        value += 5;
    return parse_port(value, port);
}

static bool check_pg_proxy_port(const char *value, struct error *error)
{
    bool tunnel, tcp;
    unsigned port;

    if (parse_pg_proxy_port(value, &tunnel, &tcp, &port))
        return true;
    (void)error_set(error, STATUS_USAGE, "22023",
                    "\"%s\" is none of \"http\", \"http-only\", a port, or \"http:\" and a port",
                    value);
    return false;
}

/* libpq's own words quote what it could not read, which may be a part of the password: only what is
 * said of a query parameter's name is passed on. */
/* As libpq reads it when it connects: numbers, or nothing, for each host. */
static bool is_port_list(const char *text)
{
    for (;;) {
        size_t digits = strspn(text, "0123456789");
        unsigned long port = digits > 0 && digits < 6 ? strtoul(text, NULL, 10) : 0;

        if (digits > 0 && (port == 0 || port > UINT16_MAX))
            return false;
        text += digits;
        if (*text != ',')
            return *text == '\0';
        text++;
    }
}

static bool has_good_ports(const PQconninfoOption *parsed)
{
    for (; parsed->keyword != NULL; parsed++)
        if (strcmp(parsed->keyword, "port") == 0)
            return parsed->val == NULL || is_port_list(parsed->val);
    return true;
}

/* Behind a "?" that stands in a password, there is an "@" still. */
static bool may_be_quoted(const char *url)
{
    const char *query = strchr(url, '?');

    return query == NULL || strchr(query, '@') == NULL;
}

/* What is quoted must not be a piece of a password that was not encoded. */
static bool check_database_url(const char *value, struct error *error)
{
    static const char about_name[] = "invalid URI query parameter:";
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(value, &why);
    bool good = parsed != NULL && has_good_ports(parsed);

    if (parsed != NULL && !good)
        (void)error_set(error, STATUS_USAGE, "22023",
                        "the port is no number from 1 to 65535; special characters in the user and "
                        "the password must be percent-encoded");
    else if (parsed == NULL && why != NULL && may_be_quoted(value) &&
             strncmp(why, about_name, sizeof about_name - 1) == 0)
        (void)error_set(error, STATUS_USAGE, "22023", "%.*s", (int)strcspn(why, "\n"), why);
    else if (parsed == NULL)
        (void)error_set(error, STATUS_USAGE, "22023",
                        "not a connection URI that libpq understands; special characters in the "
                        "user and the password must be percent-encoded");
    PQfreemem(why);
    PQconninfoFree(parsed);
    return good;
}

static bool check_relay(const char *value, struct error *error)
{
    char *host = NULL;
    uint16_t port;
    enum status status = url_split_host_port(value, &host, &port, error);

    free(host);
    return status == STATUS_OK;
}

static bool check_networks(const char *value, struct error *error)
{
    struct networks networks;
    enum status status = networks_parse(&networks, value, error);

    if (status == STATUS_OK)
        networks_clear(&networks);
    return status == STATUS_OK;
}

static const struct option_spec rows[] = {
    {.heading = "Postgres",
     .variable = "DATABASE_URL",
     .type = OPTION_SECRET,
     .offset = FIELD(database_url),
     .check = check_database_url,
     .value_name = "URL",
     .help = "Postgres to migrate, a libpq URI with any of libpq's parameters; required unless "
             "relaying"},
    {.flag = "require-ssl",
     .variable = "DATABASE_REQUIRE_SSL",
     .type = OPTION_BOOL,
     .preset = "true",
     .offset = FIELD(require_ssl),
     .help = "refuse clear text to Postgres; false prefers TLS; the URL's sslmode counts where "
             "this is not set"},
    {.flag = "database-ipv6",
     .variable = "DATABASE_USE_IPV6",
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(upstream_ipv6),
     .help = "prefer IPv6 addresses of the Postgres host"},
    {.flag = "shadow-databases",
     .variable = "SHADOW_DATABASES",
     .type = OPTION_STRING,
     .preset = "prisma_migrate_shadow_db*",
     .offset = FIELD(shadow_databases),
     .value_name = "NAMES",
     .help = "scratch databases that clients may name, comma-separated; a trailing * matches any "
             "rest"},
    {.flag = "capture",
     .variable = "CAPTURE",
     .type = OPTION_BOOL,
     .preset = "true",
     .offset = FIELD(capture),
     .help = "capture changes of electrified tables and refuse those that clients could not "
             "follow"},
    {.flag = "health-interval",
     .variable = "HEALTH_INTERVAL",
     .type = OPTION_SECONDS,
     .preset = "300s",
     .offset = FIELD(health_interval_ms),
     .help = "time between two looks for changes that were made beside the proxy; off looks only "
             "at the start"},
    {.heading = "Who may come in",
     .variable = "PG_PROXY_PASSWORD",
     .type = OPTION_SECRET,
     .offset = FIELD(password),
     .help = "password that migration tools log in with; required unless relaying"},
    {.flag = "password-method",
     .variable = "PG_PROXY_AUTH",
     .type = OPTION_CHOICE,
     .preset = "scram-sha-256",
     .offset = FIELD(password_method),
     .choices = password_methods,
     .help = "how clients prove the password; md5 only for clients that know nothing better"},
    {.heading = "Where it listens",
     .flag = "http-port",
     .variable = "HTTP_PORT",
     .fallback = "PORT",
     .type = OPTION_PORT,
     .preset = "5133",
     .offset = FIELD(http_port),
     .help = "port for HTTP and the tunnel"},
    {.flag = "pg-proxy-port",
     .variable = "PG_PROXY_PORT",
     .type = OPTION_STRING,
     .preset = "http",
     .offset = FIELD(pg_proxy_port),
     .check = check_pg_proxy_port,
     .value_name = "PORT",
     .help = "http: tunnel, and TCP on 65432; N: TCP only; http:N: both; http-only: tunnel only"},
    {.flag = "listen",
     .variable = "LISTEN_ADDRESS",
     .type = OPTION_STRING,
     .offset = FIELD(listen),
     .value_name = "ADDRESS",
     .help = "addresses to listen on, comma-separated; without it all of both families"},
    {.flag = "ipv6",
     .variable = "ELECTRIC_USE_IPV6",
     .type = OPTION_BOOL,
     .preset = "true",
     .offset = FIELD(listen_ipv6),
     .help = "listen on IPv6 too"},
    {.heading = "The tunnel and the API",
     .variable = "ELECTRIC_TUNNEL_TOKEN",
     .type = OPTION_SECRET,
     .offset = FIELD(tunnel_token),
     .help = "when set, the tunnel needs it as Authorization: Bearer"},
    {.flag = "http-tls-cert",
     .variable = "HTTP_TLS_CERT",
     .type = OPTION_STRING,
     .offset = FIELD(http_tls_cert),
     .value_name = "FILE",
     .help = "certificate of the HTTP port and its chain, PEM: it then speaks TLS; SIGHUP reads it "
             "again"},
    {.flag = "http-tls-key",
     .variable = "HTTP_TLS_KEY",
     .type = OPTION_STRING,
     .offset = FIELD(http_tls_key),
     .value_name = "FILE",
     .help = "its private key, PEM, not encrypted"},
    {.flag = "http-tls-client-ca",
     .variable = "HTTP_TLS_CLIENT_CA",
     .type = OPTION_STRING,
     .offset = FIELD(http_tls_client_ca),
     .value_name = "FILE",
     .help = "authorities whose certificates clients must show for /proxy, /api and /metrics, PEM"},
    {.flag = "pg-proxy-tls-cert",
     .variable = "PG_PROXY_TLS_CERT",
     .type = OPTION_STRING,
     .offset = FIELD(tcp_tls_cert),
     .value_name = "FILE",
     .help = "certificate of the TCP port and its chain, PEM: it then offers TLS; SIGHUP reads it "
             "again"},
    {.flag = "pg-proxy-tls-key",
     .variable = "PG_PROXY_TLS_KEY",
     .type = OPTION_STRING,
     .offset = FIELD(tcp_tls_key),
     .value_name = "FILE",
     .help = "its private key, PEM, not encrypted"},
    {.flag = "pg-proxy-tls-required",
     .variable = "PG_PROXY_TLS_REQUIRED",
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(tcp_tls_required),
     .help = "refuse clients without TLS on the TCP port"},
    {.flag = "trusted-proxies",
     .variable = "TRUSTED_PROXIES",
     .type = OPTION_STRING,
     .offset = FIELD(trusted_proxies),
     .check = check_networks,
     .value_name = "NETWORKS",
     .help = "addresses and blocks (10.0.0.0/8) of the proxies in front, comma-separated: their "
             "X-Forwarded-For is believed, for limits per address and the log"},
    {.flag = "allowed-origins",
     .variable = "ALLOWED_ORIGINS",
     .type = OPTION_STRING,
     .offset = FIELD(allowed_origins),
     .value_name = "ORIGINS",
     .help = "origins of web pages that may open the tunnel, comma-separated; others are refused"},
    {.flag = "api-auth",
     .variable = "API_AUTH",
     .type = OPTION_CHOICE,
     .preset = "password",
     .offset = FIELD(api_auth),
     .choices = api_auth_methods,
     .help = "who may read /api and /metrics: whoever knows PG_PROXY_PASSWORD or API_TOKEN, or "
             "everybody, which the generate command of older clients needs"},
    {.variable = "API_TOKEN",
     .type = OPTION_SECRET,
     .offset = FIELD(api_token),
     .help =
         "when set, Authorization: Bearer with it opens /api and /metrics, beside the password"},
    {.heading = "Relay",
     .flag = "relay",
     .variable = "RELAY",
     .type = OPTION_STRING,
     .offset = FIELD(relay),
     .check = check_relay,
     .value_name = "HOST:PORT",
     .help = "relay mode: tunnel to this one TCP address instead of proxying migrations"},
    {.flag = "relay-without-auth",
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(relay_without_auth),
     .help = "relay for anyone who reaches the port, without ELECTRIC_TUNNEL_TOKEN"},
    {.heading = "Limits",
     .flag = "max-sessions",
     .variable = "MAX_SESSIONS",
     .type = OPTION_COUNT,
     .preset = "500",
     .offset = FIELD(max_sessions),
     .min = 1,
     .max = 100000,
     .help = "clients at once"},
    {.flag = "max-detached",
     .variable = "MAX_DETACHED",
     .type = OPTION_COUNT,
     .preset = "200",
     .offset = FIELD(max_detached),
     .min = 1,
     .max = 100000,
     .help = "sessions at once whose client is away"},
    {.flag = "session-retain",
     .variable = "SESSION_RETAIN",
     .type = OPTION_SECONDS,
     .preset = "120s",
     .offset = FIELD(session_retain_ms),
     .help = "how long a session waits for a client that is away"},
    {.flag = "tunnel-max-age",
     .variable = "TUNNEL_MAX_AGE",
     .type = OPTION_SECONDS,
     .preset = "off",
     .offset = FIELD(tunnel_max_age_ms),
     .help =
         "age at which the network cuts WebSockets; clients are told to make a new one in time"},
    {.flag = "tunnel-window",
     .variable = "TUNNEL_WINDOW",
     .type = OPTION_SIZE,
     .preset = "4MiB",
     .offset = FIELD(tunnel_window),
     .help = "bytes each way that a session keeps until the other end has them"},
    {.flag = "tunnel-memory",
     .variable = "TUNNEL_MEMORY",
     .type = OPTION_SIZE,
     .preset = "256MiB",
     .offset = FIELD(tunnel_memory),
     .help = "the same of all sessions together"},
    {.flag = "max-http",
     .variable = "MAX_HTTP",
     .type = OPTION_COUNT,
     .preset = "1000",
     .offset = FIELD(max_http),
     .min = 1,
     .max = 100000,
     .help = "connections to the HTTP port at once, tunnels included"},
    {.flag = "auth-timeout",
     .variable = "AUTH_TIMEOUT",
     .type = OPTION_SECONDS,
     .preset = "10s",
     .offset = FIELD(auth_timeout_ms),
     .help = "time a client has to log in"},
    {.flag = "drain-timeout",
     .variable = "DRAIN_TIMEOUT",
     .type = OPTION_SECONDS,
     .preset = "30s",
     .offset = FIELD(drain_timeout_ms),
     .help = "time that sessions have to finish after SIGTERM"},
    {.flag = "ready-fd",
     .type = OPTION_COUNT,
     .offset = FIELD(ready_fd),
     .max = 1 << 20,
     .help = "write a line to this file descriptor once clients can be served, and close it"},
    {.heading = "Log",
     .flag = "log-level",
     .variable = "LOG_LEVEL",
     .type = OPTION_CHOICE,
     .preset = "info",
     .offset = FIELD(log_level),
     .choices = log_levels,
     .help = "how much is logged"},
    {.flag = "log-format",
     .variable = "LOG_FORMAT",
     .type = OPTION_CHOICE,
     .preset = "text",
     .offset = FIELD(log_format),
     .choices = log_formats,
     .help = "lines for people or for machines"},
    {0},
};

static const struct option_command commands[] = {
    {.name = "drop-introspection",
     .help = "remove the database that tools are shown which introspect as user prisma, and exit"},
    {.name = NULL},
};

static const struct option_note notes[] = {
    {"Signals", "SIGTERM",
     "new sessions are refused, running ones have the drain timeout to finish"},
    {"Exit status", "0", "ended by SIGTERM or SIGINT"},
    {NULL, "1", "something failed while it ran"},
    {NULL, "2", "wrong settings, all of which are named; or the database cannot be used"},
    {NULL, NULL, NULL},
};

const struct option_table server_option_table = {
    .program = "electric-proxy",
    .section = 8,
    .summary = "Postgres migrations through a WebSocket or a TCP port",
    .synopsis = "  electric-proxy\n"
                "  electric-proxy --relay HOST:PORT\n"
                "  electric-proxy drop-introspection\n",
    .see_also = "electric-tunnel(1), postgres(1)",
    .commands = commands,
    .notes = notes,
    .description = "The migrations proxy: Postgres migrations through a WebSocket or a TCP port, "
                   "with the ELECTRIC statements.",
    .examples = "  DATABASE_URL=postgresql://me@db/app PG_PROXY_PASSWORD=… electric-proxy\n"
                "  ELECTRIC_TUNNEL_TOKEN=… electric-proxy --relay 127.0.0.1:5432\n",
    .rows = rows,
};

/* Problems of several options together */

/* Lines, as options_read() gives them. */
static void complain(FILE *complaints, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(FILE *complaints, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vfprintf(complaints, format, arguments);
    va_end(arguments);
    fputc('\n', complaints);
}

static bool is_set(const char *value)
{
    return value != NULL && *value != '\0';
}

static void check_relay_mode(const struct server_settings *settings, FILE *complaints)
{
    if (is_set(settings->database_url))
        complain(complaints, "RELAY and DATABASE_URL exclude each other: a relay has no database");
    if (is_set(settings->password))
        complain(complaints, "RELAY and PG_PROXY_PASSWORD exclude each other: a relay checks no "
                             "password, its destination does");
    if (!is_set(settings->tunnel_token) && !is_set(settings->http_tls_client_ca) &&
        !settings->relay_without_auth)
        complain(complaints, "RELAY needs ELECTRIC_TUNNEL_TOKEN or HTTP_TLS_CLIENT_CA, or "
                             "--relay-without-auth when everyone who reaches the port may use it");
    if (!settings->tunnel)
        complain(complaints, "RELAY needs the tunnel, which PG_PROXY_PORT=%s turns off",
                 settings->pg_proxy_port);
}

static void check_database(const struct server_settings *settings, FILE *complaints)
{
    if (!is_set(settings->database_url))
        complain(complaints, "DATABASE_URL is missing: the Postgres to migrate, for example "
                             "postgresql://user:password@host:5432/app");
}

static void check_proxy_mode(const struct server_settings *settings, FILE *complaints)
{
    check_database(settings, complaints);
    if (!is_set(settings->password))
        complain(complaints,
                 "PG_PROXY_PASSWORD is missing: the password that migration tools log in with");
    if (settings->relay_without_auth)
        complain(complaints, "--relay-without-auth needs --relay");
    if (settings->tcp && settings->tcp_port == settings->http_port && settings->http_port != 0)
        complain(complaints, "HTTP_PORT and PG_PROXY_PORT are both %u", settings->http_port);
}

static bool check_pair(const char *variable, const char *certificate, const char *key,
                       FILE *complaints)
{
    if (is_set(certificate) == is_set(key))
        return is_set(certificate);
    complain(complaints, "%s_CERT and %s_KEY belong together: %s_%s is missing", variable, variable,
             variable, is_set(certificate) ? "KEY" : "CERT");
    return false;
}

static void check_files(enum tls_use use, const char *variable, const struct tls_files *files,
                        FILE *complaints)
{
    struct error error;
    struct tls *tls;

    if (!check_pair(variable, files->certificate, files->key, complaints))
        return;
    tls = tls_new(use, files, &error);
    if (tls == NULL)
        complain(complaints, "%s: %s", variable, error.message);
    tls_free(tls);
}

static void check_tls(const struct server_settings *settings, FILE *complaints)
{
    const struct tls_files http = server_settings_http_tls(settings);
    const struct tls_files postgres = server_settings_postgres_tls(settings);

    check_files(TLS_HTTP, "HTTP_TLS", &http, complaints);
    check_files(TLS_POSTGRES, "PG_PROXY_TLS", &postgres, complaints);
    if (http.client_ca != NULL && http.certificate == NULL)
        complain(complaints, "HTTP_TLS_CLIENT_CA needs HTTP_TLS_CERT and HTTP_TLS_KEY");
    if (settings->tcp_tls_required && postgres.certificate == NULL)
        complain(complaints, "PG_PROXY_TLS_REQUIRED needs PG_PROXY_TLS_CERT and PG_PROXY_TLS_KEY");
}

static void check_descriptors(const struct server_settings *settings, FILE *complaints)
{
    struct rlimit limit;
    rlim_t needed = settings->max_sessions * 2 + settings->max_http * DESCRIPTORS_PER_REQUEST +
                    OTHER_DESCRIPTORS;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_max < needed) {
        complain(complaints,
                 "MAX_SESSIONS and MAX_HTTP need %llu file descriptors, and the hard limit is %llu",
                 (unsigned long long)needed, (unsigned long long)limit.rlim_max);
        return;
    }
    /* Up to what is needed and no further: libwebsockets keeps tables of the limit's size. */
    limit.rlim_cur = needed;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void derive(struct server_settings *settings, FILE *complaints)
{
    struct error error;

    /* A failure has been complained of by the table's own check. */
    (void)networks_parse(&settings->trusted_networks, settings->trusted_proxies, &error);
    if (settings->pg_proxy_port == NULL)
        return;
    (void)parse_pg_proxy_port(settings->pg_proxy_port, &settings->tunnel, &settings->tcp,
                              &settings->tcp_port);
    settings->require_ssl_given =
        strcmp(options_source(&server_option_table, "DATABASE_REQUIRE_SSL"), "default") != 0;
    if (settings->drop_introspection) {
        check_database(settings, complaints);
        return;
    }
    if (is_set(settings->relay)) {
        (void)url_split_host_port(settings->relay, &settings->relay_host, &settings->relay_port,
                                  &error);
        settings->tcp = false;
        check_relay_mode(settings, complaints);
    } else {
        check_proxy_mode(settings, complaints);
    }
    check_tls(settings, complaints);
    if (settings->ready_fd != 0 && fcntl((int)settings->ready_fd, F_GETFD) < 0)
        complain(complaints, "--ready-fd: that descriptor is not open");
    check_descriptors(settings, complaints);
}

enum status server_settings_read(int argc, char **argv, struct server_settings *settings,
                                 char **problems)
{
    char *text = NULL, *first = NULL;
    size_t size = 0;
    int positional = argc;
    FILE *complaints = open_memstream(&text, &size);

    *problems = NULL;
    (void)options_read(&server_option_table, argc, argv, settings, &positional, &first);
    if (first != NULL)
        fputs(first, complaints);
    if (positional == argc - 1 && strcmp(argv[positional], "drop-introspection") == 0)
        settings->drop_introspection = true;
    else if (positional < argc)
        complain(complaints, "\"%s\": options begin with --", argv[positional]);
    derive(settings, complaints);
    (void)fclose(complaints);
    free(first);
    if (size == 0) {
        free(text);
        return STATUS_OK;
    }
    *problems = text;
    return STATUS_USAGE;
}

void server_settings_clear(struct server_settings *settings)
{
    free(settings->relay_host);
    settings->relay_host = NULL;
    networks_clear(&settings->trusted_networks);
    options_clear(&server_option_table, settings);
}

static const char *given(const char *value)
{
    return is_set(value) ? value : NULL;
}

struct tls_files server_settings_http_tls(const struct server_settings *settings)
{
    return (struct tls_files){
        .certificate = given(settings->http_tls_cert),
        .key = given(settings->http_tls_key),
        .client_ca = given(settings->http_tls_client_ca),
    };
}

struct tls_files server_settings_postgres_tls(const struct server_settings *settings)
{
    return (struct tls_files){
        .certificate = given(settings->tcp_tls_cert),
        .key = given(settings->tcp_tls_key),
    };
}

char *server_settings_database(const struct server_settings *settings)
{
    PQconninfoOption *parsed = PQconninfoParse(settings->database_url, NULL);
    const char *name = NULL, *user = NULL;
    char *copy;

    for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++) {
        if (strcmp(option->keyword, "dbname") == 0)
            name = option->val;
        else if (strcmp(option->keyword, "user") == 0)
            user = option->val;
    }
    /* As libpq: no database means the user's name. */
    copy = mem_copy_string(is_set(name) ? name : is_set(user) ? user : "postgres");
    PQconninfoFree(parsed);
    return copy;
}
