/* CANCEL: by the control connection, which checks the key; in relay mode by a CancelRequest to the
 * destination, which does. */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "server/cancel_request.h"
#include "server/proxy/control.h"
#include "server/server.h"
#include "server/tunnel_state.h"

struct tunnel_canceller {
    struct server *server;
    struct control_waiter waiter;
    bool busy;   /* one is worked off */
    bool wanted; /* and this one is next */
    uint32_t pid;
    size_t key_len;
    uint8_t key[TUNNEL_CANCEL_KEY_MAX];
};

static void start(struct tunnel_canceller *canceller)
{
    struct server *server = canceller->server;
    struct bytes key = bytes_of(canceller->key, canceller->key_len);

    canceller->wanted = false;
    if (server->control != NULL)
        canceller->busy = control_cancel(server->control, canceller->pid, key, &canceller->waiter);
    else
        canceller->busy =
            cancel_requests_send(server->cancel_requests, canceller->pid, key, &canceller->waiter);
}

static void on_answer(struct control_waiter *waiter)
{
    struct tunnel_canceller *canceller = lws_container_of(waiter, struct tunnel_canceller, waiter);

    canceller->busy = false;
    if (canceller->wanted)
        start(canceller);
}

void tunnel_cancel(struct tunnel_canceller **canceller, struct server *server,
                   const struct tunnel_cancel *cancel)
{
    struct tunnel_canceller *mine = *canceller;

    if (mine == NULL) {
        mine = mem_new(sizeof(*mine));
        mine->server = server;
        mine->waiter.on_answer = on_answer;
        *canceller = mine;
    }
    mine->pid = cancel->pid;
    mine->key_len = bytes_first(cancel->key, sizeof(mine->key)).len;
    memcpy(mine->key, cancel->key.data, mine->key_len);
    mine->wanted = true;
    if (!mine->busy)
        start(mine);
}

void tunnel_canceller_free(struct tunnel_canceller *canceller)
{
    if (canceller == NULL)
        return;
    if (canceller->server->control != NULL)
        control_forget(canceller->server->control, &canceller->waiter);
    else if (canceller->server->cancel_requests != NULL)
        cancel_requests_forget(canceller->server->cancel_requests, &canceller->waiter);
    mem_free_secret(canceller, sizeof(*canceller));
}
