/* The live stream's events, shared by all who listen: each is rendered once a dialect and kept for
 * a while. Whoever is further behind reads pages from the ledger, together with others who stand at
 * the same place. Nobody has a queue. */
#ifndef SERVER_API_HUB_H
#define SERVER_API_HUB_H

#include "common/bytes.h"
#include "server/ledger_row.h"
#include "server/render/render.h"

#include <stdbool.h>
#include <sys/queue.h>

struct fetch;
struct hub;
struct ledger;
struct loop;
struct reader;

/* Text of one or more events, ready to be sent; counted references. */
struct hub_page {
    unsigned references;
    uint64_t first, last;
    size_t len;
    uint8_t bytes[];
};

void hub_page_release(struct hub_page *page);

/* One client; embed it. May leave within its own calls, but no other. */
struct hub_listener {
    enum render_dialect dialect;
    /* There may be more to take. */
    void (*on_news)(struct hub_listener *listener);
    /* The answer to hub_fetch(): the head at that time, and what follows, which is NULL when
     * nothing does; the callee releases it. */
    void (*on_fetched)(struct hub_listener *listener, const struct ledger_head *head,
                       struct hub_page *page);
    void (*on_fetch_failed)(struct hub_listener *listener, const struct error *error);
    /* What was sent before does not belong to what is in the ledger now. */
    void (*on_replaced)(struct hub_listener *listener, const struct ledger_head *head);
    /* Time for a sign of life. */
    void (*on_heartbeat)(struct hub_listener *listener);
    /* The server is shutting down. */
    void (*on_drain)(struct hub_listener *listener);
    /* The hub's */
    TAILQ_ENTRY(hub_listener) entry;
    TAILQ_ENTRY(hub_listener) fetch_entry;
    struct fetch *fetch;
};

struct hub *hub_new(struct loop *loop, struct reader *reader);
/* After reader_free(), while the loop still is. NULL-safe. */
void hub_stop(struct hub *hub);
/* Listeners have left. NULL-safe. */
void hub_free(struct hub *hub);
void hub_follow(struct hub *hub, struct ledger *ledger);
/* Whether there is a ledger to follow. */
bool hub_is_live(const struct hub *hub);
void hub_drain(struct hub *hub);
size_t hub_count(const struct hub *hub);

void hub_join(struct hub *hub, struct hub_listener *listener);
/* Also gives up what is being fetched for it. */
void hub_leave(struct hub *hub, struct hub_listener *listener);

/* The newest migration known here, which may be some moments behind; NULL while none is known. */
const struct ledger_head *hub_head(const struct hub *hub);
/* The page with what follows migration `after`, with a reference for the caller; NULL when it is
 * not kept here. */
struct hub_page *hub_take(struct hub *hub, enum render_dialect dialect, uint64_t after);
/* Reads what follows `after` from the ledger; one fetch a listener at a time. */
#define HUB_NEWEST UINT64_MAX /* only the head is wanted */
void hub_fetch(struct hub *hub, struct hub_listener *listener, uint64_t after);

#endif
