/* Asks the service what became of a transaction whose server was lost in COMMIT. Any server of the
 * same database can tell. */
#ifndef CLIENT_OUTCOME_H
#define CLIENT_OUTCOME_H

#include "client/connect.h"
#include "common/tunnel/tunnel_frame.h"

struct outcome_search;

/* Called once; then the search is gone. IN_PROGRESS or UNKNOWN after 30 s without an answer. */
typedef void outcome_found(void *owner, enum tunnel_outcome outcome);

/* Never calls `found` before it returns. `txn` is copied, `cookies` borrowed. */
struct outcome_search *outcome_search_start(struct loop *loop, struct connector *connector,
                                            const struct tunnel_txn *txn, struct cookies *cookies,
                                            outcome_found *found, void *owner);
/* `found` will not be called. NULL-safe. */
void outcome_search_stop(struct outcome_search *search);

/* The answer's body: what it says; false while that has not come, or is none. */
bool outcome_read(struct bytes body, enum tunnel_outcome *outcome);

#endif
