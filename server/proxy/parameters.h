/* The client's start-up parameters: which of them go upstream. */
#ifndef SERVER_PROXY_PARAMETERS_H
#define SERVER_PROXY_PARAMETERS_H

#include "common/status.h"
#include "server/pgwire/startup.h"

/* A NULL-terminated list name, value, name, value, …, owned; parameters_free() frees it. */
struct parameters {
    char **list;
    size_t count; /* strings, without the terminator */
};

/* Names and values, each with its NUL. */
#define PARAMETERS_SIZE_MAX (STARTUP_PACKET_MAX - 1000u)

/* What may be forwarded of `packet`: run-time settings that a tool may choose, given as parameters
 * of their own or as `-c name=value` in `options`. STATUS_DENIED names the first that may not, or
 * says that they are too long. The user, the database and protocol options (`_pq_.…`) are left out.
 */
enum status parameters_collect(struct parameters *parameters, const struct startup_packet *packet,
                               struct error *error);
void parameters_free(struct parameters *parameters);

#endif
