/* The environment of a command that is run with a tunnel: our own, pointed at the tunnel and
 * without our secrets. */
#ifndef CLIENT_COMMAND_ENVIRONMENT_H
#define CLIENT_COMMAND_ENVIRONMENT_H

/* Where the tunnel is. */
struct tunnel_place {
    const char *host; /* an address */
    unsigned port;
    const char *directory; /* of the unix socket; NULL: there is none */
};

/* `environment` changed so, ending with NULL; command_environment_free() frees it. `database_url`:
 * DATABASE_URL for the command, NULL: none. */
char **command_environment_new(char *const *environment, const char *database_url,
                               const struct tunnel_place *place);
void command_environment_free(char **environment);

#endif
