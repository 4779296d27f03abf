/* Waiting until Postgres answers through the tunnel: starts a session up, as far as the first
 * answer, again and again until one comes or it is clear that none will. */
#ifndef CLIENT_AWAIT_H
#define CLIENT_AWAIT_H

#include "client/gateway.h"

struct await;

/* All borrowed until await_free(). */
struct await_settings {
    struct gateway *gateway;
    struct loop *loop;
    /* Whom to start up as. NULL: not known; then an answer that speaks of user or database is as
     * good as any other. */
    const char *user;
    const char *database;
    unsigned long timeout; /* milliseconds, for all of it */
};

/* Called once; `error` NULL: it answered. STATUS_DENIED in it: not authorised. */
typedef void await_done(void *owner, const struct error *error);

/* Never calls `done` before it returns. */
struct await *await_new(const struct await_settings *settings, await_done *done, void *owner);
/* Also of one that is not done. NULL-safe; before the gateway. */
void await_free(struct await *await);

#endif
