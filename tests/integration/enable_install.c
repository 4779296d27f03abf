/* Prepares a database exactly as electric-proxy does at start, for the tests of the schema
 * `electric`.
 *
 *   enable_install CONNINFO [capture]
 *
 * Prints what it found, one `key=value` a line, and exits 0; on failure prints status, SQLSTATE,
 * message and hint the same way and exits 1. */
#include <stdio.h>
#include <string.h>

#include "server/schema.h"

static int report_failure(enum status status, const struct error *error)
{
    printf("status=%s\nsqlstate=%s\nmessage=%s\nhint=%s\n", status_name(status), error->sqlstate,
           error->message, error->hint);
    return 1;
}

static void report_success(const struct schema_server *server,
                           const struct schema_settings *settings)
{
    static const char *const modes[] = {[SCHEMA_CAPTURE_OFF] = "off",
                                        [SCHEMA_CAPTURE_TRIGGERS] = "triggers",
                                        [SCHEMA_CAPTURE_FALLBACK] = "fallback"};

    printf("status=OK\nversion=%d\nstandby=%d\npooled=%d\ncancel_key=", server->version,
           server->standby, server->pooled);
    for (size_t i = 0; i < SCHEMA_CANCEL_KEY_SIZE; i++)
        printf("%02x", settings->cancel_key[i]);
    printf("\nproxied_token=%s\nmode=%s\nframework_tables=", settings->proxied_token,
           modes[settings->mode]);
    for (const char *name = settings->framework_tables; *name != '\0'; name += strlen(name) + 1)
        printf("%s%s", name == settings->framework_tables ? "" : ",", name);
    printf("\n");
}

int main(int argc, char **argv)
{
    struct schema_server server = {0};
    struct schema_settings settings = {.cancel_key = {0}};
    struct error error = {.sqlstate = ""};
    enum status status;
    PGconn *conn;
    bool capture = argc == 3 && strcmp(argv[2], "capture") == 0;

    if (argc != 2 && !capture) {
        fprintf(stderr, "usage: enable_install CONNINFO [capture]\n");
        return 2;
    }
    conn = PQconnectdb(argv[1]);
    if (PQstatus(conn) != CONNECTION_OK)
        status = error_set(&error, STATUS_UNAVAILABLE, "08001", "%s", PQerrorMessage(conn));
    else
        status = schema_prepare(conn, capture, &server, &settings, &error);
    PQfinish(conn);
    if (status != STATUS_OK)
        return report_failure(status, &error);
    report_success(&server, &settings);
    schema_clear_settings(&settings);
    return 0;
}
