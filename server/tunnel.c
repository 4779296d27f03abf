/* All sessions of the tunnel: limits, memory, tombstones. */
#include "server/tunnel.h"

#include <stdlib.h>
#include <sys/random.h>

#include "common/log.h"
#include "common/memory.h"
#include "server/server.h"
#include "server/tunnel_state.h"

enum {
    PING_S = 20,
    STARTING_MAX = 64, /* detached before authentication */
    TOMBSTONES_MAX = 1000,
    UNREADY_ROOM = 200, /* sessions that MAX_SESSIONS does not count: not logged in, or ending */
};
#define MAX_FRAME (256u * 1024u)
#define WINDOW_MAX (64ul * 1024 * 1024)

int64_t tunnel_now(void)
{
    return (int64_t)loop_now_ms();
}

static uint64_t random_instance(void)
{
    uint64_t instance = 0;

    while (instance == 0)
        if (getrandom(&instance, sizeof(instance), 0) != (ssize_t)sizeof(instance))
            abort(); /* as where keys are made: there is no going on without */
    return instance;
}

static void on_sweep(struct loop_timer *timer)
{
    struct tunnel *tunnel = lws_container_of(timer, struct tunnel, sweep);

    registry_sweep(tunnel->registry, tunnel_now());
    tunnel_plan_sweep(tunnel);
}

void tunnel_plan_sweep(struct tunnel *tunnel)
{
    int64_t at = registry_deadline(tunnel->registry), now = tunnel_now();

    if (at == INT64_MAX)
        loop_timer_stop(&tunnel->sweep);
    else
        loop_timer_set(tunnel->server->loop, &tunnel->sweep,
                       at > now ? (unsigned long)(at - now) : 1);
}

static unsigned long clamp(unsigned long value, unsigned long low, unsigned long high)
{
    if (value < low)
        return low;
    return value < high ? value : high;
}

struct tunnel *tunnel_new(struct server *server)
{
    const struct server_settings *options = server->settings;
    const struct registry_limits limits = {
        .sessions = options->max_sessions + options->max_detached + UNREADY_ROOM,
        .detached = options->max_detached,
        .starting = STARTING_MAX,
        .tombstones = TOMBSTONES_MAX,
    };
    struct tunnel *tunnel = mem_new(sizeof(*tunnel));

    unsigned long window = options->tunnel_window;
    unsigned long retain_s = options->session_retain_ms / 1000;

    tunnel->server = server;
    tunnel->budget.limit = options->tunnel_memory;
    tunnel->settings = (struct endpoint_settings){
        .budget = &tunnel->budget,
        .window = (uint32_t)clamp(window, TUNNEL_WINDOW_MIN, WINDOW_MAX),
        .max_frame = MAX_FRAME,
        .ring_max = clamp(window, TUNNEL_WINDOW_MIN, WINDOW_MAX),
        .instance = random_instance(),
        .retain_s = (uint16_t)clamp(retain_s, 1, UINT16_MAX),
        .ping_s = PING_S,
    };
    tunnel->registry = registry_new(&limits);
    tunnel->sweep.on_expired = on_sweep;
    LIST_INIT(&tunnel->attachments);
    LIST_INIT(&tunnel->sessions);
    return tunnel;
}

void tunnel_prepare(struct tunnel *tunnel)
{
    tunnel->peers = tunnel_peers_new(tunnel->server, tunnel->settings.instance);
}

void tunnel_stop(struct tunnel *tunnel)
{
    struct attachment *attachment, *next;

    if (tunnel == NULL)
        return;
    loop_timer_stop(&tunnel->sweep);
    for (attachment = LIST_FIRST(&tunnel->attachments); attachment != NULL; attachment = next) {
        next = LIST_NEXT(attachment, link);
        attachment->ops->stop(attachment);
    }
    while (!LIST_EMPTY(&tunnel->sessions))
        tunnel_session_free(LIST_FIRST(&tunnel->sessions));
    tunnel_peers_free(tunnel->peers);
    tunnel->peers = NULL;
}

void tunnel_free(struct tunnel *tunnel)
{
    if (tunnel == NULL)
        return;
    registry_free(tunnel->registry);
    free(tunnel);
}

void tunnel_drain(struct tunnel *tunnel)
{
    struct attachment *attachment;

    registry_drain(tunnel->registry);
    for (attachment = LIST_FIRST(&tunnel->attachments); attachment != NULL;
         attachment = LIST_NEXT(attachment, link))
        attachment_go_away(attachment);
}

bool tunnel_is_drained(const struct tunnel *tunnel)
{
    const struct tunnel_session *session;

    for (session = LIST_FIRST(&tunnel->sessions); session != NULL;
         session = LIST_NEXT(session, link))
        if (tunnel_session_is_leaving(session))
            return false;
    return true;
}

size_t tunnel_detached_count(const struct tunnel *tunnel)
{
    struct registry_counts counts = registry_counts(tunnel->registry);

    return counts.detached + counts.starting;
}
