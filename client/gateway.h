/* Everything between local sockets and the service: what tunnels share, and the connections that
 * are being forwarded. Who listens is the command's business. */
#ifndef CLIENT_GATEWAY_H
#define CLIENT_GATEWAY_H

#include "client/options.h"
#include "client/service.h"

struct forwards;
struct gateway;

/* NULL: a setting is of no use, described in `error`. Both are borrowed. */
struct gateway *gateway_new(const struct client_settings *settings, struct loop *loop,
                            struct error *error);
/* Ends every connection at once; one that can still be told why is told that we stop. NULL-safe. */
void gateway_free(struct gateway *gateway);

/* Forwards a local connection; a listener_accepted. With settings->same_user, another user's is
 * refused. */
void gateway_accept(void *gateway, int fd);

/* Calls `on_empty` at the end of each turn of the loop in which the last local connection ended. */
void gateway_when_empty(struct gateway *gateway, void (*on_empty)(void *owner), void *owner);
bool gateway_is_empty(const struct gateway *gateway);

/* For tunnels of one's own. */
struct service *gateway_service(struct gateway *gateway);
/* The service's URL for people. */
const char *gateway_display(const struct gateway *gateway);

#endif
