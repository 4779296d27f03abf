/* Name resolution beside the loop: getaddrinfo() in a thread of its own, since it may block for as
 * long as it likes. Only for the client without libcurl, which brings its own. */
#ifndef CLIENT_RESOLVE_H
#define CLIENT_RESOLVE_H

#include <netdb.h>

#include "client/loop.h"

struct resolution;

/* Called once; `list` is the caller's (freeaddrinfo()), NULL when `reason` says why there is none.
 * The resolution is gone. */
typedef void resolve_done(void *owner, struct addrinfo *list, const char *reason);

/* NULL when the system has no thread for it. */
struct resolution *resolve_open(struct loop *loop, const char *host, unsigned port,
                                resolve_done *done, void *owner);
/* `done` will not be called. The thread ends when it can. */
void resolve_cancel(struct resolution *resolution);

#endif
