/* What a command finds in its environment. */
#include "client/command_environment.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/url.h"

/* Ours to know only. */
static const char *const secrets[] = {"ELECTRIC_TUNNEL_TOKEN",   "ELECTRIC_TUNNEL_TOKEN_FILE",
                                      "ELECTRIC_TUNNEL_HEADERS", "ELECTRIC_TUNNEL_HEADERS_FILE",
                                      "DATABASE_URL_FILE",       NULL};
/* URLs that may hold credentials for the service. */
static const char *const services[] = {"ELECTRIC_SERVICE", "ELECTRIC_URL", NULL};
/* Libpq would connect to another place, or refuse to do so without encryption (Postgres
 * documentation, "Environment Variables"). Those that begin with PGSSL likewise. */
static const char *const diversions[] = {
    "PGHOSTADDR",   "PGSERVICE", "PGREQUIRESSL", "PGCHANNELBINDING", "PGREQUIREPEER",
    "PGGSSENCMODE", NULL};
/* Set anew. */
static const char *const replaced[] = {
    "DATABASE_URL", "PGHOST", "PGPORT", "ELECTRIC_TUNNEL_PORT", "ELECTRIC_TUNNEL_SOCKET_DIR", NULL};

static bool has_name(const char *variable, const char *name)
{
    size_t len = strlen(name);

    return strncmp(variable, name, len) == 0 && variable[len] == '=';
}

static bool is_among(const char *variable, const char *const *names)
{
    for (; *names != NULL; names++)
        if (has_name(variable, *names))
            return true;
    return false;
}

/* "NAME=URL" without user and password; NULL when that cannot be told apart. */
static char *without_credentials(const char *variable)
{
    const char *value = strchr(variable, '=') + 1;
    struct url url;
    char *shown;
    char *copy;

    if (strchr(value, '@') == NULL)
        return mem_copy_string(variable);
    if (url_parse(value, &url, NULL) != STATUS_OK)
        return NULL;
    shown = url_display(&url);
    copy = mem_format("%.*s=%s", (int)(value - variable - 1), variable, shown);
    free(shown);
    url_clear(&url);
    return copy;
}

/* What becomes of a variable; NULL: the command does not get it. */
static char *pass_on(const char *variable)
{
    if (has_name(variable, "PGSERVICE"))
        log_warn(NULL, "PGSERVICE is not passed on to the command, since it would lead around the "
                       "tunnel; use PGUSER and PGDATABASE");
    if (is_among(variable, secrets) || is_among(variable, diversions) ||
        is_among(variable, replaced) || strncmp(variable, "PGSSL", 5) == 0)
        return NULL;
    return is_among(variable, services) ? without_credentials(variable) : mem_copy_string(variable);
}

char **command_environment_new(char *const *environment, const char *database_url,
                               const struct tunnel_place *place)
{
    size_t count = 0;
    size_t used = 0;
    char **made;

    while (environment[count] != NULL)
        count++;
    made = mem_new_array(count + 7, sizeof *made);
    for (size_t i = 0; i < count; i++)
        if ((made[used] = pass_on(environment[i])) != NULL)
            used++;
    if (database_url != NULL)
        made[used++] = mem_format("DATABASE_URL=%s", database_url);
    made[used++] = mem_format("PGHOST=%s", place->host);
    made[used++] = mem_format("PGPORT=%u", place->port);
    made[used++] = mem_copy_string("PGSSLMODE=disable");
    made[used++] = mem_format("ELECTRIC_TUNNEL_PORT=%u", place->port);
    if (place->directory != NULL)
        made[used++] = mem_format("ELECTRIC_TUNNEL_SOCKET_DIR=%s", place->directory);
    return made;
}

void command_environment_free(char **environment)
{
    if (environment == NULL)
        return;
    for (char **variable = environment; *variable != NULL; variable++)
        mem_free_secret(*variable, strlen(*variable));
    free(environment);
}
