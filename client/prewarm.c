/* Keeps connections in stock; when to make and to replace them is decided in spares.c. */
#include "client/prewarm.h"

#include <stdlib.h>

#include "client/spares.h"
#include "client/v1.h"
#include "client/websocket.h"
#include "common/memory.h"

/* How long a service that does not agree to the protocol is left alone. */
#define PAUSE 600000

struct prewarm {
    struct tunnel_shared *shared;
    struct spares spares;
    struct stock *first; /* all of them */
    struct loop_timer timer;
    struct loop_task work;
};

/* One connection. */
struct stock {
    struct spare spare; /* first */
    struct stock *previous;
    struct stock *next;
    struct prewarm *prewarm;
    struct websocket *websocket;
    struct cookies cookies;
    struct tunnel_id id;
    struct tunnel_key key;
    char route[17];
};

static struct stock *stock_of(struct spare *spare)
{
    return (struct stock *)spare;
}

static int64_t now_of(const struct prewarm *prewarm)
{
    return loop_elapsed(prewarm->shared->loop);
}

/* ---- one connection ----------------------------------------------------------------------------
 */

/* Its WebSocket, if it still has one, ends with it. */
static void stock_free(struct stock *stock)
{
    if (stock->previous != NULL)
        stock->previous->next = stock->next;
    else
        stock->prewarm->first = stock->next;
    if (stock->next != NULL)
        stock->next->previous = stock->previous;
    if (stock->websocket != NULL)
        carrier_close(&stock->websocket->carrier);
    cookies_clear(&stock->cookies);
    mem_free_secret(stock, sizeof *stock);
}

static void lose(struct stock *stock, const char *reason)
{
    struct prewarm *prewarm = stock->prewarm;

    log_debug(NULL, "prewarmed connection %s is lost: %s", stock->route, reason);
    spares_lost(&prewarm->spares, &stock->spare, now_of(prewarm), tunnel_random(prewarm->shared));
    stock_free(stock);
    loop_defer(prewarm->shared->loop, &prewarm->work);
}

static void on_open(void *owner, const struct connect_result *result)
{
    struct stock *stock = owner;
    struct prewarm *prewarm = stock->prewarm;

    if (result->status != STATUS_OK) {
        lose(stock, result->error->message);
        return;
    }
    if (!result->agreed) {
        lose(stock, "the service cannot resume sessions");
        spares_pause(&prewarm->spares, now_of(prewarm) + PAUSE);
        return;
    }
    log_debug(NULL, "prewarmed connection %s is ready", stock->route);
    spares_ready(&stock->spare, now_of(prewarm), tunnel_random(prewarm->shared));
    loop_defer(prewarm->shared->loop, &prewarm->work);
}

static void on_data(void *owner, struct bytes piece, bool last)
{
    (void)piece, (void)last;
    lose(owner, "the service spoke first");
}

static void on_heard(void *owner)
{
    struct stock *stock = owner;

    spares_heard(&stock->spare, now_of(stock->prewarm));
}

static void on_room(void *owner)
{
    (void)owner;
}

static void on_end(void *owner, uint16_t code, const char *reason)
{
    (void)code;
    lose(owner, reason);
}

static const struct carrier_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_heard = on_heard,
    .on_room = on_room,
    .on_end = on_end,
};

static void make(struct prewarm *prewarm)
{
    struct stock *stock = mem_new(sizeof *stock);
    const struct connect_request request = {
        .offer = true,
        .may_retract = prewarm->shared->may_be_raw,
        .session = stock->route,
        .cookies = &stock->cookies,
    };

    stock->prewarm = prewarm;
    stock->next = prewarm->first;
    if (stock->next != NULL)
        stock->next->previous = stock;
    prewarm->first = stock;
    v1_make_id(&stock->id, &stock->key);
    tunnel_id_route(&stock->id, stock->route);
    spares_add(&prewarm->spares, &stock->spare, now_of(prewarm));
    stock->websocket = websocket_open(prewarm->shared, &request, &events, stock);
}

/* ---- all of them -------------------------------------------------------------------------------
 */

static void plan(struct prewarm *prewarm)
{
    int64_t now = now_of(prewarm);
    int64_t at = spares_deadline(&prewarm->spares, now);

    if (at == SPARES_NEVER)
        loop_timer_stop(prewarm->shared->loop, &prewarm->timer);
    else
        loop_timer_set(prewarm->shared->loop, &prewarm->timer, at > now ? at - now : 0);
}

static void work(struct prewarm *prewarm)
{
    struct spare *spare;

    for (;;) {
        switch (spares_next(&prewarm->spares, now_of(prewarm), &spare)) {
        case SPARES_WAIT:
            plan(prewarm);
            return;
        case SPARES_MAKE:
            make(prewarm);
            break;
        case SPARES_PING:
            websocket_ping(stock_of(spare)->websocket);
            break;
        case SPARES_DROP:
            stock_free(stock_of(spare));
            break;
        }
    }
}

static void on_timer(struct loop_timer *timer)
{
    work(timer->owner);
}

static void on_work(struct loop_task *task)
{
    work(task->owner);
}

struct prewarm *prewarm_new(struct tunnel_shared *shared, unsigned count)
{
    struct prewarm *prewarm = mem_new(sizeof *prewarm);

    prewarm->shared = shared;
    prewarm->timer = (struct loop_timer){.on_time = on_timer, .owner = prewarm};
    prewarm->work = (struct loop_task){.run = on_work, .owner = prewarm};
    spares_init(&prewarm->spares, count);
    loop_defer(shared->loop, &prewarm->work);
    return prewarm;
}

void prewarm_free(struct prewarm *prewarm)
{
    if (prewarm == NULL)
        return;
    while (prewarm->first != NULL)
        stock_free(prewarm->first);
    loop_timer_stop(prewarm->shared->loop, &prewarm->timer);
    loop_task_cancel(prewarm->shared->loop, &prewarm->work);
    free(prewarm);
}

bool prewarm_take(struct prewarm *prewarm, struct prewarmed *prewarmed,
                  const struct carrier_events *taker, void *owner)
{
    struct spare *spare = prewarm == NULL ? NULL : spares_take(&prewarm->spares, now_of(prewarm));
    struct stock *stock;

    if (spare == NULL)
        return false;
    stock = stock_of(spare);
    websocket_hand_over(stock->websocket, taker, owner);
    *prewarmed = (struct prewarmed){
        .carrier = &stock->websocket->carrier,
        .cookies = stock->cookies,
        .id = stock->id,
        .key = stock->key,
    };
    stock->websocket = NULL;
    stock->cookies = (struct cookies){.count = 0};
    stock_free(stock);
    loop_defer(prewarm->shared->loop, &prewarm->work);
    return true;
}
