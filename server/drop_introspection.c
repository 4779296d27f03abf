/* The command drop-introspection. */
#include "server/drop_introspection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "server/options.h"
#include "server/pgconnect.h"
#include "server/proxy/companion.h"
#include "server/proxy/introspection.h"

/* The exit codes of sysexits.h that electric-tunnel has, too. */
enum { EXIT_OTHER = 1, EXIT_UNREACHABLE = 69, EXIT_NOT_ALLOWED = 77 };

static int fail(const struct error *error)
{
    fprintf(stderr, "electric-proxy: %s\n", error->message);
    if (error->hint[0] != '\0')
        fprintf(stderr, "electric-proxy: %s\n", error->hint);
    if (strncmp(error->sqlstate, "08", 2) == 0)
        return EXIT_UNREACHABLE;
    if (strncmp(error->sqlstate, "28", 2) == 0 || strcmp(error->sqlstate, "42501") == 0)
        return EXIT_NOT_ALLOWED;
    return EXIT_OTHER;
}

int drop_introspection(const struct server_settings *settings)
{
    const struct pg_patience patience = {
        .deadline_ms = pg_clock_ms() + pg_connect_timeout_ms(settings) + INTROSPECTION_TIMEOUT_MS,
    };
    char *database = server_settings_database(settings);
    char companion[COMPANION_NAME_SIZE];
    struct error error = {0};

    companion_name(database, companion);
    free(database);
    switch (introspection_drop(settings, &patience, &error)) {
    case INTROSPECTION_DROPPED:
        printf("dropped database \"%s\"\n", companion);
        return 0;
    case INTROSPECTION_ABSENT:
        printf("there is no database \"%s\"\n", companion);
        return 0;
    case INTROSPECTION_KEPT:
        break;
    }
    return fail(&error);
}
