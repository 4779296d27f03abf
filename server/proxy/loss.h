/* Postgres is lost while it owes the client an answer to COMMIT: nobody is told to repeat what was
 * done. The session then is `in doubt` until somebody has found out. */
#ifndef SERVER_PROXY_LOSS_H
#define SERVER_PROXY_LOSS_H

#include "server/proxy/session_state.h"

/* Whether this is such a loss. Else there is nothing that needs finding out. */
bool loss_leaves_doubt(const struct session *session);
/* It is not Postgres that ends the session, but it is one all the same. */
void loss_add_doubt(struct error *error);
/* The connection has ended, or `reason`, the message of a FATAL, came in its place; NULL data:
 * none. Only if it leaves doubt. */
void loss_begin(struct session *session, struct bytes reason);

#endif
