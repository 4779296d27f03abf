/* The server's reader of the ledger: sees every migration within moments of its commit, whichever
 * session or replica made it, in order of seq, without gaps.
 *
 * It is told by sessions of this server (ledger_poke), by other replicas (a notification), and
 * looks every second by itself. One connection, which reconnects by itself. */
#ifndef SERVER_LEDGER_H
#define SERVER_LEDGER_H

#include "server/ledger_row.h"

#include <stdbool.h>

struct ledger;
struct loop;
struct server_settings;
struct worker_pool;

/* Whoever wants to know; embed it. Must not go away within its own calls. */
struct ledger_listener {
    struct ledger_listener *next;
    /* In order, each once. `row` is valid for the call. */
    void (*on_migration)(struct ledger_listener *listener, const struct ledger_row *row);
    /* The ledger does not continue what was read before: another database stands there, restored
     * or made anew. */
    void (*on_replaced)(struct ledger_listener *listener, const struct ledger_head *head);
};

/* For a database whose schema is installed; begins at once, with what commits from now on. */
struct ledger *ledger_new(struct loop *loop, struct worker_pool *workers,
                          const struct server_settings *settings);
/* NULL-safe. */
void ledger_free(struct ledger *ledger);
void ledger_listen(struct ledger *ledger, struct ledger_listener *listener);

/* A migration may just have been committed through this server. Cheap, and may be called as often
 * as one likes. NULL-safe. */
void ledger_poke(struct ledger *ledger);

/* The newest migration read; NULL while none has been read. */
const struct ledger_head *ledger_head(const struct ledger *ledger);

#endif
