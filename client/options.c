/* The option table of electric-tunnel, and what no single row can check. */
#include "client/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/env_file.h"
#include "client/header_lines.h"
#include "common/memory.h"

#define FIELD(name) offsetof(struct client_settings, name)
#define ALL (FOR_FORWARD | FOR_EXEC | FOR_CHECK)

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const log_formats[] = {"text", "json", NULL};
/* In the order of enum client_protocol. */
static const char *const protocols[] = {"auto", "v1", "raw", NULL};
/* In the order of enum client_transport. */
static const char *const transports[] = {"auto", "websocket", "http", NULL};
static const char *const outputs[] = {"text", "json", NULL};

static bool check_service(const char *value, struct error *error)
{
    struct url url;

    if (url_parse(value, &url, error) != STATUS_OK)
        return false;
    url_clear(&url);
    return true;
}

/* It becomes an HTTP header. */
static bool check_token(const char *value, struct error *error)
{
    for (const char *at = value; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f) {
            error_set(error, STATUS_USAGE, "22023",
                      "a token is one word of printable ASCII characters");
            return false;
        }
    }
    return true;
}

static const struct option_spec rows[] = {
    {.heading = "Where to",
     .flag = "service",
     .letter = 's',
     .variable = "ELECTRIC_SERVICE",
     .fallback = "ELECTRIC_URL",
     .type = OPTION_STRING,
     .preset = "http://localhost:5133",
     .offset = FIELD(service_text),
     .check = check_service,
     .value_name = "URL",
     .help = "where the service is: http, https, ws or wss; user:password@ in it is sent as Basic "
             "authorization"},
    {.heading = "Where from",
     .flag = "local-port",
     .type = OPTION_PORT,
     .preset = "65432",
     .offset = FIELD(local_port),
     .commands = FOR_FORWARD,
     .help = "port that Postgres clients connect to; 0 picks a free one and says which"},
    {.flag = "local-port",
     .type = OPTION_PORT,
     .preset = "0",
     .offset = FIELD(local_port),
     .commands = FOR_EXEC,
     .help = "port for the command, given to it in PGPORT and ELECTRIC_TUNNEL_PORT; 0 picks a free "
             "one"},
    {.flag = "database-url-file",
     .variable = "DATABASE_URL",
     .type = OPTION_SECRET,
     .offset = FIELD(database_url),
     .commands = FOR_EXEC,
     .help = "connection string that the command gets as DATABASE_URL, with host and port of the "
             "tunnel and sslmode=disable"},
    {.flag = "database-url-file",
     .variable = "DATABASE_URL",
     .type = OPTION_SECRET,
     .offset = FIELD(database_url),
     .commands = FOR_CHECK,
     .help = "connection string with the user, the password and the database to log in with; else "
             "PGUSER, PGPASSWORD and PGDATABASE"},
    {.flag = "ready-timeout",
     .type = OPTION_SECONDS,
     .preset = "60s",
     .offset = FIELD(ready_timeout),
     .commands = FOR_EXEC,
     .help = "how long to wait until Postgres answers through the tunnel"},
    {.flag = "listen",
     .type = OPTION_STRING,
     .offset = FIELD(listen),
     .value_name = "ADDRESS|PATH",
     .commands = FOR_FORWARD,
     .help = "listen on this address, or make a unix socket in this directory; default: 127.0.0.1 "
             "and ::1"},
    {.flag = "same-user",
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(same_user),
     .commands = FOR_FORWARD,
     .help = "refuse connections of other users of this machine (and those from elsewhere)"},
    {.heading = "Who we are and whom we trust",
     .flag = "token-file",
     .variable = "ELECTRIC_TUNNEL_TOKEN",
     .type = OPTION_SECRET,
     .offset = FIELD(token),
     .check = check_token,
     .help = "token for the service, sent as Bearer authorization"},
    {.flag = "header-file",
     .variable = "ELECTRIC_TUNNEL_HEADERS",
     .type = OPTION_SECRET,
     .offset = FIELD(headers),
     .check = header_lines_check,
     .help =
         "headers to send to the service, a line \"Name: value\" each, for what stands in front "
         "of it"},
    {.flag = "env-file",
     .type = OPTION_STRING,
     .offset = FIELD(env_file),
     .value_name = "FILE",
     .help = "read variables from this file, one NAME=VALUE a line; those of the environment win"},
    {.flag = "cacert",
     .type = OPTION_STRING,
     .offset = FIELD(ca_file),
     .value_name = "FILE",
     .help = "trust these authorities, too (PEM)"},
    {.flag = "cert",
     .type = OPTION_STRING,
     .offset = FIELD(certificate),
     .value_name = "FILE",
     .help = "our certificate, for services that ask for one (PEM, with its chain)"},
    {.flag = "key",
     .type = OPTION_STRING,
     .offset = FIELD(key),
     .value_name = "FILE",
     .help = "its private key (PEM), unless it is in the file of the certificate"},
    {.heading = "The tunnel",
     .flag = "protocol",
     .type = OPTION_CHOICE,
     .preset = "auto",
     .offset = FIELD(protocol),
     .choices = protocols,
     .help = "v1 keeps sessions over broken connections; raw is what every service speaks; auto "
             "finds out"},
    {.flag = "prewarm",
     .type = OPTION_COUNT,
     .preset = "0",
     .offset = FIELD(prewarm),
     .max = 32,
     .commands = FOR_FORWARD,
     .help = "keep so many connections to the service open ahead of need, so that a session begins "
             "without waiting for the network"},
    {.flag = "transport",
     .type = OPTION_CHOICE,
     .preset = "auto",
     .offset = FIELD(transport),
     .choices = transports,
     .help = "what carries sessions: WebSockets, or HTTP requests for networks that block those; "
             "auto finds out"},
    {.flag = "tunnel-memory",
     .variable = "TUNNEL_MEMORY",
     .type = OPTION_SIZE,
     .preset = "64MiB",
     .offset = FIELD(tunnel_memory),
     .help = "what all sessions together may keep in memory to send it again or until it is read"},
    {.flag = "connect-timeout",
     .type = OPTION_SECONDS,
     .preset = "10s",
     .offset = FIELD(connect_timeout),
     .help = "how long each step of connecting to the service may take"},
    {.heading = "What it says",
     .flag = "ready-fd",
     .type = OPTION_COUNT,
     .offset = FIELD(ready_fd),
     .max = 1 << 20,
     .commands = FOR_FORWARD,
     .help = "write a line to this file descriptor once listening, and close it"},
    {.flag = "output",
     .type = OPTION_CHOICE,
     .preset = "text",
     .offset = FIELD(output),
     .choices = outputs,
     .commands = FOR_FORWARD | FOR_CHECK,
     .help = "json prints one line on standard output: where it listens, or what was found"},
    {.flag = "bandwidth",
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(bandwidth),
     .commands = FOR_CHECK,
     .help = "also measure how many bytes a second pass, for 3 s each way; needs a password"},
    {.flag = "idle",
     .type = OPTION_SECONDS,
     .preset = "off",
     .offset = FIELD(idle),
     .commands = FOR_CHECK,
     .help = "also find out which silence the path survives, up to this one; takes that long"},
    {.flag = "quiet",
     .letter = 'q',
     .type = OPTION_BOOL,
     .preset = "false",
     .offset = FIELD(quiet),
     .commands = FOR_FORWARD,
     .help = "say nothing but warnings and errors"},
    {.flag = "log-level",
     .variable = "LOG_LEVEL",
     .type = OPTION_CHOICE,
     .preset = "info",
     .offset = FIELD(log_level),
     .choices = log_levels,
     .commands = ALL & ~FOR_EXEC,
     .help = "how much to say on standard error"},
    /* LOG_LEVEL and LOG_FORMAT are the command's there. */
    {.flag = "log-level",
     .type = OPTION_CHOICE,
     .preset = "warn",
     .offset = FIELD(log_level),
     .choices = log_levels,
     .commands = FOR_EXEC,
     .help = "how much to say on standard error"},
    {.flag = "log-format",
     .variable = "LOG_FORMAT",
     .type = OPTION_CHOICE,
     .preset = "text",
     .offset = FIELD(log_format),
     .choices = log_formats,
     .commands = ALL & ~FOR_EXEC,
     .help = "lines for people or for machines"},
    {.flag = "log-format",
     .type = OPTION_CHOICE,
     .preset = "text",
     .offset = FIELD(log_format),
     .choices = log_formats,
     .commands = FOR_EXEC,
     .help = "lines for people or for machines"},
    {.flag = NULL},
};

/* In the order of their bits, and of client/main.c. */
static const struct option_command commands[] = {
    {.name = "forward",
     .help = "listen and forward until stopped (also without a command)",
     .table = &forward_option_table},
    {.name = "exec",
     .help = "run a command with a tunnel, and end with its exit code",
     .table = &exec_option_table,
     .runs_another = true},
    {.name = "check",
     .help = "say how far the way to Postgres goes, and what to do where it ends",
     .table = &check_option_table},
    {.name = NULL},
};

static const struct option_note notes[] = {
    {"Variables of others", "https_proxy",
     "proxy for https and wss services, http:// or socks5h://; else HTTPS_PROXY, all_proxy, "
     "ALL_PROXY"},
    {NULL, "http_proxy", "proxy for http and ws services; else all_proxy, ALL_PROXY"},
    {NULL, "no_proxy", "hosts to be reached without a proxy, comma-separated; else NO_PROXY"},
    {NULL, "NETRC",
     "where passwords are looked for when there is neither a token nor a user in the service's "
     "URL; "
     "else ~/.netrc"},
    {NULL, "SSL_CERT_FILE", "authorities to trust instead of the system's (PEM)"},
    {"Exit status", "2", "wrong options"},
    {NULL, "69", "the service could not be reached"},
    {NULL, "73", "cannot listen"},
    {NULL, "74", "what was found could not be written to standard output"},
    {NULL, "77", "not authorised"},
    {NULL, "126, 127", "exec: the command cannot be run, or was not found"},
    {NULL, "130, 143", "ended by SIGINT, by SIGTERM"},
    {NULL, NULL, NULL},
};

const struct option_table client_option_table = {
    .program = "electric-tunnel",
    .section = 1,
    .summary = "Postgres through networks that only speak HTTP",
    .description = "Brings Postgres behind electric-proxy to this machine, through networks that "
                   "only speak HTTP, over one WebSocket a connection.",
    .see_also = "psql(1), electric-proxy(8)",
    .rows = rows,
    .commands = commands,
    .notes = notes,
};

const struct option_table forward_option_table = {
    .program = "electric-tunnel",
    .synopsis = "  electric-tunnel [--service URL] [--local-port PORT]\n",
    .description = "Forwards a local port to Postgres behind electric-proxy, through networks that "
                   "only speak HTTP. Connect any Postgres tool to the local port.",
    .examples =
        "  electric-tunnel --service https://app.example.com\n"
        "  psql -h localhost -p 65432 -U postgres\n"
        "\n"
        "  https_proxy=http://proxy.example.com:3128 electric-tunnel -s https://app.example.com\n"
        "  electric-tunnel -s https://app.example.com --local-port 0 --output json\n"
        "  electric-tunnel -s https://app.example.com --listen /tmp\n"
        "  psql -h /tmp -p 65432 -U postgres\n",
    .rows = rows,
    .command = FOR_FORWARD,
    .commands = commands,
    .notes = notes,
};

const struct option_table exec_option_table = {
    .program = "electric-tunnel",
    .synopsis = "  electric-tunnel exec [OPTIONS] -- COMMAND [ARGUMENT…]\n",
    .description =
        "Runs a command with a tunnel: listens on a port and a unix socket for this user only, "
        "waits until Postgres answers, runs the command with PGHOST, PGPORT and DATABASE_URL "
        "pointed at the tunnel, and ends with the command's exit code.",
    .examples = "  electric-tunnel exec -s https://app.example.com -- npx prisma migrate deploy\n"
                "  electric-tunnel exec -s https://app.example.com --env-file .env -- bin/rails "
                "db:migrate\n"
                "  electric-tunnel exec -s https://app.example.com -- psql -U postgres app\n"
                "  electric-tunnel exec -s https://app.example.com -- sh -c \\\n"
                "    'flyway -url=\"jdbc:postgresql://$PGHOST:$PGPORT/app\" migrate'\n",
    .rows = rows,
    .command = FOR_EXEC,
    .commands = commands,
    .notes = notes,
};

const struct option_table check_option_table = {
    .program = "electric-tunnel",
    .synopsis = "  electric-tunnel check [--service URL]\n",
    .description =
        "Walks the way to Postgres hop by hop: name, TCP, proxy, TLS, upgrade, tunnel, Postgres, "
        "login, statements. Says how long each took; where it ends, why, and what to do. Logs in "
        "when a password is given, and changes nothing.",
    .examples = "  electric-tunnel check --service https://app.example.com\n"
                "  PGPASSWORD=secret electric-tunnel check -s https://app.example.com --idle 2m\n"
                "  electric-tunnel check -s https://app.example.com --output json\n",
    .rows = rows,
    .command = FOR_CHECK,
    .commands = commands,
    .notes = notes,
};

/* ---- what the table cannot check ---------------------------------------------------------------
 */

/* Where the argument at `i` may hold a service's URL: behind the flag, or all of it. The scheme may
 * be missing there. NULL: it holds none. */
static char *find_service(char **argv, int i)
{
    static const char flag[] = "--service";
    static const char letter[] = "-s";
    size_t len = sizeof flag - 1;

    if (i > 1 && (strcmp(argv[i - 1], flag) == 0 || strcmp(argv[i - 1], letter) == 0))
        return argv[i];
    if (strncmp(argv[i], flag, len) == 0 && argv[i][len] == '=')
        return argv[i] + len + 1;
    return strncmp(argv[i], letter, 2) == 0 ? argv[i] + 2 : NULL;
}

/* Overwrites user and password of the URLs among the arguments, which any user of this machine may
 * read. */
static void hide_credentials(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        char *scheme = strstr(argv[i], "://");
        char *begin = scheme != NULL ? scheme + 3 : find_service(argv, i);
        char *end = begin == NULL ? NULL : begin + strcspn(begin, "/?#");

        while (end != NULL && end > begin && end[-1] != '@')
            end--;
        if (end != NULL && end > begin)
            memset(begin, '*', (size_t)(end - begin) - 1);
    }
}

static char *join_problem(char *problems, const char *line)
{
    char *joined = mem_format("%s%s\n", problems == NULL ? "" : problems, line);

    free(problems);
    return joined;
}

static char *check_together(const struct option_table *table,
                            const struct client_settings *settings, char *problems)
{
    if (settings->key != NULL && settings->certificate == NULL)
        problems = join_problem(problems, "--key: there is no --cert it belongs to");
    if (settings->prewarm > 0 && settings->protocol == CLIENT_PROTOCOL_RAW)
        problems = join_problem(problems,
                                "--prewarm: raw mode has no use for it; use --protocol auto or v1");
    if (settings->prewarm > 0 && settings->transport == CLIENT_TRANSPORT_HTTP)
        problems = join_problem(problems, "--prewarm: --transport http has no use for it");
    if (settings->protocol == CLIENT_PROTOCOL_RAW && settings->transport == CLIENT_TRANSPORT_HTTP)
        problems =
            join_problem(problems, "--transport: http carries sessions of --protocol v1 only");
    if (settings->connect_timeout == 0)
        problems = join_problem(problems,
                                "--connect-timeout: a hung network needs an end; give a duration");
    if (table->command == FOR_EXEC && settings->ready_timeout == 0)
        problems =
            join_problem(problems, "--ready-timeout: a service that is down needs an end; give a "
                                   "duration");
    if (settings->ready_fd != 0 && fcntl((int)settings->ready_fd, F_GETFD) < 0)
        problems = join_problem(problems, "--ready-fd: that descriptor is not open");
    return problems;
}

/* An Authorization that is given twice would have one of the two ignored. */
static char *check_authorization(const struct client_settings *settings, char *problems)
{
    const char *other = settings->token != NULL          ? "a token"
                        : settings->service.user != NULL ? "a user in the service's URL"
                                                         : NULL;
    char *line;

    if (settings->headers == NULL || other == NULL ||
        !header_lines_has(settings->headers, "Authorization"))
        return problems;
    line = mem_format("ELECTRIC_TUNNEL_HEADERS: there are Authorization and %s; keep one", other);
    problems = join_problem(problems, line);
    free(line);
    return problems;
}

/* Before the environment is asked for anything. */
static char *load_env_file(const struct option_table *table, int argc, char **argv, char *problems)
{
    const char *path = options_given(table, argc, argv, "env-file");
    struct error error;
    char *line;

    if (path == NULL || env_file_load(path, &error) == STATUS_OK)
        return problems;
    line = mem_format("--env-file: %s", error.message);
    problems = join_problem(problems, line);
    free(line);
    return problems;
}

/* What stands behind the options. */
static char *take_arguments(const struct option_table *table, char **arguments,
                            struct client_settings *settings, char *problems)
{
    char *line;

    if (table->command == FOR_EXEC) {
        settings->command = arguments;
        return *arguments != NULL ? problems : join_problem(problems, "there is no command to run");
    }
    if (*arguments == NULL)
        return problems;
    line = mem_format("unexpected argument \"%s\"", *arguments);
    problems = join_problem(problems, line);
    free(line);
    return problems;
}

enum status client_settings_read(const struct option_table *table, int argc, char **argv,
                                 struct client_settings *settings, char **problems)
{
    char *file_problems = load_env_file(table, argc, argv, NULL);
    int positional;
    struct error error;

    settings->table = table;
    options_read(table, argc, argv, settings, &positional, problems);
    if (file_problems != NULL) {
        *problems = join_problem(*problems, file_problems);
        free(file_problems);
    }
    *problems = take_arguments(table, argv + positional, settings, *problems);
    *problems = check_together(table, settings, *problems);
    if (*problems == NULL &&
        url_parse(settings->service_text, &settings->service, &error) != STATUS_OK)
        *problems = join_problem(*problems, error.message);
    if (*problems == NULL)
        *problems = check_authorization(settings, NULL);
    /* The arguments of a command to be run are its own. */
    hide_credentials(positional, argv);
    if (table->command == FOR_EXEC)
        settings->same_user = true;
    return *problems == NULL ? STATUS_OK : STATUS_USAGE;
}

void client_settings_clear(struct client_settings *settings)
{
    url_clear(&settings->service);
    options_clear(&client_option_table, settings);
}
