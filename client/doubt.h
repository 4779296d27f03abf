/* What is known of a session's transactions when the session is lost, and how to say it. No I/O. */
#ifndef CLIENT_DOUBT_H
#define CLIENT_DOUBT_H

#include <stdbool.h>

#include "common/status.h"
#include "common/tunnel/tunnel_frame.h"

/* What the local side knows of its own transactions. */
enum doubt {
    DOUBT_STARTING,       /* it has asked for nothing yet, except for a session */
    DOUBT_IDLE,           /* everything was answered, and no transaction is open */
    DOUBT_IN_TRANSACTION, /* everything was answered; what is open will not be committed */
    DOUBT_OUTCOME,        /* something was asked that may have been done */
};

/* Whether it remains unknown what became of what was asked, given what the service says. */
bool doubt_remains(enum doubt doubt, enum tunnel_outcome outcome);

/* Describes the loss: `reason` (lower case, no full stop), and what is known. SQLSTATE 08006, or
 * 08007 when a transaction may have been committed. `outcome` is TUNNEL_OUTCOME_UNKNOWN when the
 * service said nothing. */
void doubt_describe(enum doubt doubt, enum tunnel_outcome outcome, const char *reason,
                    struct error *error);

#endif
