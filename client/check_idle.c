/* Which silence the path survives: connections that are upgraded, but on which nothing is said,
 * each for another while; then a ping shows whether it is still there. Only with a service that
 * speaks electric-tunnel.v1, since a WebSocket without it is kept alive by the service's own pings.
 */
#include <stdio.h>
#include <string.h>

#include "client/check_state.h"
#include "client/websocket.h"
#include "common/log.h"

/* Seconds; close to what edges are set to: 30, 55, 60, 90, 100, 300, 600, and in between. */
static const unsigned silences[] = {5,   10,  20,  28,  35,  50,  58,  65,  85,   95,  110,
                                    150, 200, 280, 310, 400, 580, 620, 900, 1800, 3600};
#define SILENCES (sizeof silences / sizeof silences[0])
#define PONG_WAIT 10000

struct probe {
    struct idle *idle;
    struct websocket *websocket;
    struct loop_timer timer;
    int64_t silence; /* milliseconds */
    bool pinged;
    bool open; /* or it was */
    bool over;
    bool survived;
};

struct idle {
    struct check *check;
    struct probe probes[SILENCES + 1];
    size_t count;
    size_t pending;
    bool agreed;
    struct error failure; /* of one that could not be opened; no message: none */
};

static struct loop *loop_of(const struct probe *probe)
{
    return probe->idle->check->loop;
}

static void finish(struct probe *probe, bool survived)
{
    if (probe->over)
        return;
    probe->over = true;
    probe->survived = survived;
    loop_timer_stop(loop_of(probe), &probe->timer);
    if (--probe->idle->pending == 0)
        loop_stop(loop_of(probe));
}

static void on_time(struct loop_timer *timer)
{
    struct probe *probe = timer->owner;

    if (probe->pinged) {
        finish(probe, false);
        return;
    }
    probe->pinged = true;
    websocket_ping(probe->websocket);
    loop_timer_set(loop_of(probe), timer, PONG_WAIT);
}

static void on_open(void *owner, const struct connect_result *result)
{
    struct probe *probe = owner;

    if (result->status != STATUS_OK)
        probe->idle->failure = *result->error;
    if (result->status != STATUS_OK || !result->agreed) {
        finish(probe, false);
        return;
    }
    probe->open = true;
    probe->idle->agreed = true;
    loop_timer_set(loop_of(probe), &probe->timer, probe->silence);
}

static void on_data(void *owner, struct bytes piece, bool last)
{
    (void)owner;
    (void)piece;
    (void)last;
}

/* A pong, since nobody says anything else. */
static void on_heard(void *owner)
{
    struct probe *probe = owner;

    if (probe->pinged)
        finish(probe, true);
}

static void on_room(void *owner)
{
    (void)owner;
}

static void on_end(void *owner, uint16_t code, const char *reason)
{
    struct probe *probe = owner;

    (void)code;
    (void)reason;
    finish(probe, false);
}

static const struct carrier_events events = {
    .on_open = on_open,
    .on_data = on_data,
    .on_heard = on_heard,
    .on_room = on_room,
    .on_end = on_end,
};

static void begin(struct idle *idle, int64_t silence)
{
    static const char session[] = "0000000000000000";
    const struct connect_request request = {.offer = true, .session = session};
    struct probe *probe = &idle->probes[idle->count++];

    probe->idle = idle;
    probe->silence = silence;
    probe->timer = (struct loop_timer){.on_time = on_time, .owner = probe};
    idle->pending++;
    probe->websocket = websocket_open(&idle->check->service.shared, &request, &events, probe);
}

static void tell(struct idle *idle)
{
    int64_t longest = 0;
    int64_t cut = 0; /* of the shortest that did not survive */
    struct error error;
    char detail[160];

    for (size_t i = 0; i < idle->count; i++) {
        const struct probe *probe = &idle->probes[i];

        if (probe->survived && probe->silence > longest)
            longest = probe->silence;
        else if (probe->open && !probe->survived && (cut == 0 || probe->silence < cut))
            cut = probe->silence;
    }
    if (!idle->agreed && idle->failure.message[0] != '\0') {
        check_note(idle->check, "idle", idle->failure.message, idle->failure.hint);
    } else if (!idle->agreed) {
        check_note(idle->check, "idle", "cannot be told: the service pings by itself", "");
    } else if (cut == 0) {
        snprintf(detail, sizeof detail, "%g s of silence are survived", (double)longest / 1000);
        check_pass(idle->check, "idle", -1, detail);
    } else if (longest > 0) {
        snprintf(detail, sizeof detail, "%g s of silence are survived, %g s are not",
                 (double)longest / 1000, (double)cut / 1000);
        check_note(idle->check, "idle", detail,
                   longest > 20000 ? "" : "Sessions are resumed when that happens.");
    } else {
        error_set(&error, STATUS_UNAVAILABLE, "08006", "not even %g s of silence are survived",
                  (double)cut / 1000);
        error_hint(&error, "Something on the way closes idle connections; raise its time limit.");
        check_fail(idle->check, "idle", -1, &error, STATUS_UNAVAILABLE);
    }
}

void check_idle(struct check *check)
{
    struct idle idle = {.check = check};
    int64_t most = (int64_t)check->settings->idle;

    if (check_uses_http(check)) {
        check_note(check, "idle", "not looked at: between HTTP requests nothing has to be kept",
                   "");
        return;
    }
    for (size_t i = 0; i < SILENCES && (int64_t)silences[i] * 1000 < most; i++)
        begin(&idle, (int64_t)silences[i] * 1000);
    begin(&idle, most);
    log_info(NULL, "measuring which silence is survived, up to %g s", (double)most / 1000);
    loop_run(check->loop);
    if (check->signal == 0)
        tell(&idle);
    for (size_t i = 0; i < idle.count; i++) {
        loop_timer_stop(check->loop, &idle.probes[i].timer);
        websocket_free(idle.probes[i].websocket);
    }
}
