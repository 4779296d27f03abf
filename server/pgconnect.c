/* libpq's asynchronous connecting and querying, each in a poll loop with a deadline. */
#include "server/pgconnect.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "common/buffer.h"
#include "common/memory.h"
#include "server/options.h"

enum {
    KEYWORDS_MAX = 96, /* libpq 15 knows about 40 */
    OPTIONS_MAX = 64 * 1024,
    SLICE_MS = 100, /* how late giving up may be noticed */
};

/* Keywords and values for PQconnectStartParams(); a later one replaces an earlier one. */
struct keywords {
    const char *names[KEYWORDS_MAX + 1];
    const char *values[KEYWORDS_MAX + 1];
    size_t count;
};

uint64_t pg_clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Keywords */

static const char *get(const struct keywords *keywords, const char *name)
{
    for (size_t i = 0; i < keywords->count; i++)
        if (strcmp(keywords->names[i], name) == 0)
            return keywords->values[i];
    return NULL;
}

static void set(struct keywords *keywords, const char *name, const char *value)
{
    for (size_t i = 0; i < keywords->count; i++)
        if (strcmp(keywords->names[i], name) == 0) {
            keywords->values[i] = value;
            return;
        }
    if (keywords->count == KEYWORDS_MAX)
        return;
    keywords->names[keywords->count] = name;
    keywords->values[keywords->count++] = value;
}

static PQconninfoOption *take_url(struct keywords *keywords, const char *url)
{
    PQconninfoOption *parsed = PQconninfoParse(url, NULL);

    for (PQconninfoOption *option = parsed; option != NULL && option->keyword != NULL; option++)
        if (option->val != NULL)
            set(keywords, option->keyword, option->val);
    return parsed;
}

unsigned long pg_connect_timeout_ms(const struct server_settings *settings)
{
    struct keywords keywords = {.count = 0};
    PQconninfoOption *parsed = take_url(&keywords, settings->database_url);
    const char *value = get(&keywords, "connect_timeout");
    long seconds = value != NULL ? strtol(value, NULL, 10) : 0;

    PQconninfoFree(parsed);
    return seconds > 0 && seconds < 3600 ? (unsigned long)seconds * 1000 : PG_CONNECT_TIMEOUT_MS;
}

static void require_tls(struct keywords *keywords, const struct server_settings *settings)
{
    static const char *const clear_text[] = {"disable", "allow", "prefer"};
    const char *mode = get(keywords, "sslmode");

    if (mode == NULL)
        set(keywords, "sslmode", settings->require_ssl ? "require" : "prefer");
    else if (settings->require_ssl && settings->require_ssl_given)
        for (size_t i = 0; i < sizeof(clear_text) / sizeof(clear_text[0]); i++)
            if (strcmp(mode, clear_text[i]) == 0)
                set(keywords, "sslmode", "require");
}

/* In `options` white space separates, and a backslash makes it ordinary. */
static void append_option(struct buffer *out, const char *name, const char *value)
{
    (void)buffer_append_format(out, "%s-c ", buffer_len(out) > 0 ? " " : "");
    (void)buffer_append_format(out, "%s=", name);
    for (const char *at = value; *at != '\0'; at++) {
        if (isspace((unsigned char)*at) || *at == '\\')
            (void)buffer_append_u8(out, '\\');
        (void)buffer_append_u8(out, (uint8_t)*at);
    }
}

/* The URL's `options` with the client's settings behind them; application_name and client_encoding
 * are parameters of libpq's own. Owned by the caller. */
static char *merge_settings(struct keywords *keywords, const char *const *parameters)
{
    const char *given = get(keywords, "options");
    struct buffer options;
    char *merged;

    buffer_init(&options, OPTIONS_MAX);
    if (given != NULL)
        (void)buffer_append(&options, bytes_of_string(given));
    for (; parameters != NULL && parameters[0] != NULL; parameters += 2) {
        if (strcasecmp(parameters[0], "application_name") == 0)
            set(keywords, "application_name", parameters[1]);
        else if (strcasecmp(parameters[0], "client_encoding") == 0)
            set(keywords, "client_encoding", parameters[1]);
        else
            append_option(&options, parameters[0], parameters[1]);
    }
    merged = mem_copy_chars((const char *)buffer_peek(&options).data, buffer_len(&options));
    buffer_clear(&options);
    if (*merged != '\0')
        set(keywords, "options", merged);
    return merged;
}

/* The addresses of one host name, the preferred family first, as libpq wants several hosts. */
struct addresses {
    char *hosts, *numeric;
};

static void add_family(const struct addrinfo *found, bool ipv6, const char *host,
                       struct buffer *hosts, struct buffer *numeric)
{
    for (; found != NULL; found = found->ai_next) {
        char text[NI_MAXHOST];

        if ((found->ai_family == AF_INET6) != ipv6 ||
            getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), NULL, 0,
                        NI_NUMERICHOST) != 0)
            continue;
        (void)buffer_append_format(hosts, "%s%s", buffer_len(hosts) > 0 ? "," : "", host);
        (void)buffer_append_format(numeric, "%s%s", buffer_len(numeric) > 0 ? "," : "", text);
    }
}

/* Only for a plain name: lists, sockets and addresses stay as they are. */
static struct addresses prefer_family(struct keywords *keywords, bool ipv6)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    const char *host = get(keywords, "host");
    struct addresses addresses = {NULL, NULL};
    struct addrinfo *found = NULL;
    struct buffer hosts, numeric;

    if (host == NULL || *host == '\0' || *host == '/' || *host == '@' ||
        strchr(host, ',') != NULL || get(keywords, "hostaddr") != NULL ||
        getaddrinfo(host, NULL, &hints, &found) != 0)
        return addresses; /* libpq says what is wrong */
    buffer_init(&hosts, OPTIONS_MAX);
    buffer_init(&numeric, OPTIONS_MAX);
    add_family(found, ipv6, host, &hosts, &numeric);
    add_family(found, !ipv6, host, &hosts, &numeric);
    freeaddrinfo(found);
    if (buffer_len(&numeric) > 0) {
        addresses.hosts =
            mem_copy_chars((const char *)buffer_peek(&hosts).data, buffer_len(&hosts));
        addresses.numeric =
            mem_copy_chars((const char *)buffer_peek(&numeric).data, buffer_len(&numeric));
        set(keywords, "host", addresses.hosts);
        set(keywords, "hostaddr", addresses.numeric);
    }
    buffer_clear(&hosts);
    buffer_clear(&numeric);
    return addresses;
}

/* Errors */

/* With PQERRORS_VERBOSE a server's error reads "…: FATAL:  28P01: text", the severity translated.
 */
static const char *find_sqlstate(const char *message)
{
    for (const char *at = message; (at = strstr(at, ":  ")) != NULL; at += 3) {
        size_t len = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (len == 5 && at[8] == ':' && at[9] == ' ')
            return at + 3;
    }
    return NULL;
}

static void describe_unreachable(const char *message, struct error *error)
{
    (void)error_set(error, STATUS_UNAVAILABLE, "08001", "could not connect to Postgres: %.*s",
                    (int)strcspn(message, "\n"), message);
    if (strstr(message, "does not support SSL") != NULL)
        error_hint(error, "Turn on TLS in Postgres, or set DATABASE_REQUIRE_SSL=false on the "
                          "server if the network in between is trusted.");
    else
        error_hint(error, "Check that Postgres is running and that host and port of the server's "
                          "DATABASE_URL are right and reachable from it.");
}

static void describe_failure(PGconn *conn, struct error *error)
{
    const char *message = PQerrorMessage(conn);
    const char *found = find_sqlstate(message);
    char sqlstate[6] = "";

    if (found == NULL) {
        describe_unreachable(message, error);
        return;
    }
    memcpy(sqlstate, found, 5);
    (void)error_set(error, STATUS_UNAVAILABLE, sqlstate, "%.*s", (int)strcspn(found + 7, "\n"),
                    found + 7);
    if (strncmp(sqlstate, "28", 2) == 0)
        error_hint(error, "Postgres refused the server's own login: check user and password in "
                          "its DATABASE_URL.");
}

static void describe_impatience(const struct pg_patience *patience, struct error *error)
{
    if (patience->given_up != NULL && atomic_load(patience->given_up)) {
        (void)error_set(error, STATUS_CLOSED, "57014", "nobody waits for Postgres any more");
        return;
    }
    (void)error_set(error, STATUS_TIMEOUT, "08001",
                    "could not connect to Postgres: it did not answer in time");
    error_hint(error, "Check that host and port of the server's DATABASE_URL are right and that no "
                      "firewall drops the packets.");
}

/* Waiting */

/* False when patience has ended. */
static bool wait_for(int fd, short events, const struct pg_patience *patience)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        uint64_t now = pg_clock_ms();
        uint64_t left = patience->deadline_ms > now ? patience->deadline_ms - now : 0;

        if (left == 0 || (patience->given_up != NULL && atomic_load(patience->given_up)))
            return false;
        if (poll(&poll_fd, 1, left < SLICE_MS ? (int)left : SLICE_MS) != 0)
            return true;
    }
}

static bool finish_connecting(PGconn *conn, const struct pg_patience *patience, struct error *error)
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;

    while (state != PGRES_POLLING_OK) {
        if (state == PGRES_POLLING_FAILED || PQstatus(conn) == CONNECTION_BAD) {
            describe_failure(conn, error);
            return false;
        }
        if (!wait_for(PQsocket(conn), state == PGRES_POLLING_READING ? POLLIN : POLLOUT,
                      patience)) {
            describe_impatience(patience, error);
            return false;
        }
        state = PQconnectPoll(conn);
    }
    return true;
}

static void ignore_notice(void *argument, const PGresult *result)
{
    (void)argument;
    (void)result;
}

PGconn *pg_connect(const struct pg_target *target, const struct pg_patience *patience,
                   struct error *error)
{
    struct keywords keywords = {.count = 0};
    PQconninfoOption *parsed = take_url(&keywords, target->settings->database_url);
    struct addresses addresses;
    char *options;
    PGconn *conn;
    bool connected;

    /* GSSAPI would wrap the bytes in a way that nobody but libpq can undo. */
    set(&keywords, "gssencmode", "disable");
    require_tls(&keywords, target->settings);
    if (target->database != NULL)
        set(&keywords, "dbname", target->database);
    if (target->fallback_name != NULL)
        set(&keywords, "fallback_application_name", target->fallback_name);
    options = merge_settings(&keywords, target->parameters);
    addresses = prefer_family(&keywords, target->settings->upstream_ipv6);

    conn = PQconnectStartParams(keywords.names, keywords.values, 0);
    PQconninfoFree(parsed);
    free(options);
    free(addresses.hosts);
    free(addresses.numeric);
    if (conn == NULL) {
        (void)error_set(error, STATUS_SYSTEM, "53200", "out of memory");
        return NULL;
    }
    (void)PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeReceiver(conn, ignore_notice, NULL);
    connected = finish_connecting(conn, patience, error);
    if (connected)
        return conn;
    PQfinish(conn);
    return NULL;
}

static bool send_query(PGconn *conn, const char *sql, const struct pg_patience *patience,
                       struct error *error)
{
    int left;

    if (PQsetnonblocking(conn, 1) != 0 || !PQsendQuery(conn, sql)) {
        describe_failure(conn, error);
        return false;
    }
    while ((left = PQflush(conn)) > 0) {
        if (!wait_for(PQsocket(conn), POLLIN | POLLOUT, patience)) {
            describe_impatience(patience, error);
            return false;
        }
        if (!PQconsumeInput(conn))
            break;
    }
    if (left == 0)
        return true;
    describe_failure(conn, error);
    return false;
}

/* The next result; NULL when there are no more, or with `*failed`. */
static PGresult *next_result(PGconn *conn, const struct pg_patience *patience, bool *failed,
                             struct error *error)
{
    while (PQisBusy(conn)) {
        if (!wait_for(PQsocket(conn), POLLIN, patience)) {
            describe_impatience(patience, error);
            *failed = true;
            return NULL;
        }
        if (!PQconsumeInput(conn)) {
            describe_failure(conn, error);
            *failed = true;
            return NULL;
        }
    }
    return PQgetResult(conn);
}

static bool check_result(PGconn *conn, const PGresult *result, struct error *error)
{
    ExecStatusType status = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return true;
    if (sqlstate == NULL)
        describe_failure(conn, error);
    else
        (void)error_set(error, STATUS_INVALID, sqlstate, "%s",
                        PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    return false;
}

PGresult *pg_query(PGconn *conn, const char *sql, const struct pg_patience *patience,
                   struct error *error)
{
    PGresult *last = NULL, *result;
    bool failed = false;

    if (!send_query(conn, sql, patience, error))
        return NULL;
    /* Up to ReadyForQuery, so that nothing of this query is left to be read. */
    while ((result = next_result(conn, patience, &failed, error)) != NULL) {
        if (!failed && !check_result(conn, result, error))
            failed = true;
        PQclear(last);
        last = result;
    }
    if (!failed && last != NULL)
        return last;
    PQclear(last);
    return NULL;
}
