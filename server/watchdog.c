/* Dead peers: one tick for all WebSockets instead of a timer for each, so that a message costs no
 * more than setting a flag. */
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/memory.h"
#include "server/websocket_state.h"

enum {
    TICK_S = 5,
    PING_AFTER_S = 20, /* of silence */
    DEAD_AFTER_S = 45,
    /* A peer that takes nothing cannot answer a ping that waits behind data; it lives as long as
     * its kernel answers window probes, which are at most two minutes apart. */
    DEAD_BLOCKED_S = 300,
    CLOSE_AFTER_S = 10, /* from our Close on */
};

struct websocket_watchdog {
    struct loop *loop;
    struct loop_timer timer;
    struct websocket *first;
};

static unsigned seconds_since_ack(const struct websocket *websocket)
{
    struct tcp_info info;
    socklen_t size = sizeof(info);

    if (getsockopt(websocket->watch.fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return 0;
    return info.tcpi_last_ack_recv / 1000;
}

static void look_after(struct websocket *websocket)
{
    bool blocked = buffer_len(&websocket->queue) > 0;

    /* While we do not read, its silence says nothing. */
    if (!websocket->close_sent && (websocket->heard || websocket->paused)) {
        websocket->heard = false;
        websocket->silent_s = 0;
        return;
    }
    if (websocket->silent_s < UINT8_MAX - TICK_S)
        websocket->silent_s = (unsigned char)(websocket->silent_s + TICK_S);
    if (websocket->close_sent && websocket->silent_s > CLOSE_AFTER_S)
        websocket_hang_up(websocket, "peer does not close");
    else if (websocket->silent_s >= DEAD_AFTER_S &&
             (!blocked || seconds_since_ack(websocket) >= DEAD_BLOCKED_S))
        websocket_hang_up(websocket, "peer is silent");
    else if (websocket->silent_s == PING_AFTER_S && !blocked && !websocket->close_sent &&
             !websocket->no_pings)
        websocket_write_frame(websocket, FRAME_PING, bytes_of(NULL, 0));
}

static void on_tick(struct loop_timer *timer)
{
    struct websocket_watchdog *watchdog = lws_container_of(timer, struct websocket_watchdog, timer);

    for (struct websocket *websocket = watchdog->first; websocket != NULL;
         websocket = websocket->next)
        if (!websocket->failed)
            look_after(websocket);
    loop_timer_set(watchdog->loop, timer, TICK_S * 1000);
}

struct websocket_watchdog *websocket_watchdog_new(struct loop *loop)
{
    struct websocket_watchdog *watchdog = mem_new(sizeof(*watchdog));

    watchdog->loop = loop;
    watchdog->timer.on_expired = on_tick;
    loop_timer_set(loop, &watchdog->timer, TICK_S * 1000);
    return watchdog;
}

void websocket_watchdog_stop(struct websocket_watchdog *watchdog)
{
    if (watchdog != NULL)
        loop_timer_stop(&watchdog->timer);
}

void websocket_watchdog_free(struct websocket_watchdog *watchdog)
{
    assert(watchdog == NULL || watchdog->first == NULL);
    free(watchdog);
}

void websocket_link(struct websocket_watchdog *watchdog, struct websocket *websocket)
{
    websocket->watchdog = watchdog;
    websocket->next = watchdog->first;
    if (websocket->next != NULL)
        websocket->next->previous = websocket;
    watchdog->first = websocket;
}

void websocket_unlink(struct websocket *websocket)
{
    if (websocket->next != NULL)
        websocket->next->previous = websocket->previous;
    if (websocket->previous != NULL)
        websocket->previous->next = websocket->next;
    else
        websocket->watchdog->first = websocket->next;
}
