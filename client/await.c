/* Attempts, one after the other, each through a tunnel of its own. */
#include "client/await.h"

#include <stdlib.h>
#include <string.h>

#include "client/backoff.h"
#include "client/pgprobe.h"
#include "common/log.h"
#include "common/memory.h"

/* For an answer to one attempt. */
#define ATTEMPT_WAIT 20000
/* Between two attempts, at the most. */
#define RETRY_MAX 2000
/* For the service to end a session that we have left. */
#define LEAVE_WAIT 5000
/* Any of a server's; what it says of it then does not matter. */
#define SOME_NAME "postgres"

struct await {
    struct await_settings settings;
    await_done *done; /* NULL: was called */
    void *owner;
    struct log_context log;
    struct tunnel *tunnel; /* NULL between attempts */
    struct pgprobe *probe;
    bool up;    /* the tunnel is */
    bool ended; /* it has no more to tell */
    struct loop_task judge;
    struct loop_timer attempt;
    struct loop_timer pause;
    struct loop_timer deadline;
    struct error cause; /* why the tunnel ended; no message: it ended in order */
    unsigned failures;
    struct error last; /* why the latest attempt failed */
};

static void begin(struct await *await);

/* ---- the end -----------------------------------------------------------------------------------
 */

static void leave(struct await *await)
{
    loop_timer_stop(await->settings.loop, &await->attempt);
    tunnel_free(await->tunnel);
    pgprobe_free(await->probe);
    await->tunnel = NULL;
    await->probe = NULL;
}

static void finish(struct await *await, const struct error *error)
{
    await_done *done = await->done;

    await->done = NULL;
    loop_timer_stop(await->settings.loop, &await->deadline);
    loop_timer_stop(await->settings.loop, &await->pause);
    done(await->owner, error);
}

/* Too late. What went wrong last is what there is to mend. */
static void on_deadline(struct loop_timer *timer)
{
    struct await *await = timer->owner;
    double seconds = (double)await->settings.timeout / 1000.0;
    const char *display = gateway_display(await->settings.gateway);
    struct error error;

    leave(await);
    if (await->failures == 0) {
        error_set(&error, STATUS_TIMEOUT, "08001", "%s did not answer within %g s", display,
                  seconds);
        error_hint(&error, "Look at its log, or give it more time with --ready-timeout.");
    } else {
        error_set(&error, STATUS_TIMEOUT, "08001", "not ready within %g s: %s", seconds,
                  await->last.message);
        error_hint(&error, "%s", await->last.hint);
    }
    finish(await, &error);
}

/* ---- judging an attempt ------------------------------------------------------------------------
 */

static bool has_class(const struct error *error, const char *prefix)
{
    return strncmp(error->sqlstate, prefix, 2) == 0;
}

/* Whether it may pass with time. Of Postgres's own errors: it starts or stops, has no connection
 * left, or whoever stands in front does not reach it (Postgres documentation, "PostgreSQL Error
 * Codes"). */
static bool may_pass(const struct error *error, bool is_postgres)
{
    if (error->status == STATUS_DENIED || error->status == STATUS_INVALID ||
        error->status == STATUS_USAGE)
        return false;
    return !is_postgres || has_class(error, "57") || has_class(error, "53") ||
           has_class(error, "08");
}

static void retry(struct await *await)
{
    uint32_t random = 0;

    frame_keys_next(&gateway_service(await->settings.gateway)->keys, (uint8_t *)&random);
    if (await->failures++ == 0)
        log_warn(NULL, "not ready yet: %s; trying for %g s", await->last.message,
                 (double)await->settings.timeout / 1000.0);
    else
        log_debug(NULL, "not ready yet: %s", await->last.message);
    loop_timer_set(await->settings.loop, &await->pause,
                   backoff_delay(await->failures, RETRY_MAX, random));
}

static void fail(struct await *await, const struct error *error, bool is_postgres)
{
    await->last = *error;
    leave(await);
    if (may_pass(error, is_postgres))
        retry(await);
    else
        finish(await, &await->last);
}

/* An answer about a user or a database that we made up is an answer all the same. */
static bool is_about_guess(const struct await *await, const struct error *error)
{
    return (await->settings.user == NULL || await->settings.database == NULL) &&
           (has_class(error, "28") || has_class(error, "3D"));
}

/* It answered. The session ends in order beside what is done now. */
static void succeed(struct await *await)
{
    log_debug(NULL, "Postgres answers through the tunnel");
    loop_timer_set(await->settings.loop, &await->attempt, LEAVE_WAIT);
    finish(await, NULL);
}

static void judge_answer(struct await *await)
{
    const struct pgprobe_result *result = pgprobe_result(await->probe);

    if (result->failure == STATUS_OK || is_about_guess(await, &result->error)) {
        succeed(await);
    } else {
        struct error error = result->error;

        error.status = result->failure;
        fail(await, &error, true);
    }
}

static void judge_silence(struct await *await)
{
    struct error error = await->cause;

    if (error.message[0] == '\0') {
        error_set(&error, STATUS_UNAVAILABLE, "08006", "%s ended the session without an answer",
                  gateway_display(await->settings.gateway));
        error_hint(&error, "What it connects to may be down; look at its log.");
    }
    fail(await, &error, false);
}

/* A tunnel is not freed by its own event. */
static void on_judge(struct loop_task *task)
{
    struct await *await = task->owner;

    if (await->done == NULL) {
        if (await->ended)
            leave(await);
    } else if (pgprobe_stage(await->probe) == PGPROBE_OVER) {
        judge_answer(await);
    } else if (await->ended) {
        judge_silence(await);
    }
}

static void on_attempt_over(struct loop_timer *timer)
{
    struct await *await = timer->owner;
    struct error error;

    if (await->done == NULL) {
        leave(await);
        return;
    }
    error_set(&error, STATUS_TIMEOUT, "08001", "%s did not answer within %d s",
              gateway_display(await->settings.gateway), ATTEMPT_WAIT / 1000);
    error_hint(&error, "Look at its log, and at Postgres behind it.");
    fail(await, &error, false);
}

/* ---- the tunnel's events -----------------------------------------------------------------------
 */

/* A start-up and a Terminate: no tunnel is full of so little. */
static void say(struct await *await)
{
    struct buffer *out = pgprobe_output(await->probe);
    struct bytes bytes = buffer_peek(out);
    size_t room;
    uint8_t *into;

    if (!await->up || await->ended || bytes.len == 0)
        return;
    into = tunnel_reserve(await->tunnel, &room);
    bytes = bytes_first(bytes, room);
    if (bytes.len > 0)
        memcpy(into, bytes.data, bytes.len);
    buffer_consume(out, bytes.len);
    tunnel_commit(await->tunnel, bytes.len);
}

static void on_up(void *owner)
{
    struct await *await = owner;

    await->up = true;
    say(await);
}

static void on_data(void *owner, const struct iovec *slices, int count)
{
    struct await *await = owner;

    if (pgprobe_stage(await->probe) == PGPROBE_OVER)
        return;
    for (int i = 0; i < count; i++)
        pgprobe_input(await->probe, bytes_of(slices[i].iov_base, slices[i].iov_len));
    say(await);
    if (pgprobe_stage(await->probe) != PGPROBE_OVER)
        return;
    if (!await->ended)
        tunnel_finish(await->tunnel);
    loop_defer(await->settings.loop, &await->judge);
}

static void on_room(void *owner)
{
    say(owner);
}

static void on_end(void *owner, const struct error *error)
{
    struct await *await = owner;

    await->ended = true;
    if (error != NULL)
        await->cause = *error;
    loop_defer(await->settings.loop, &await->judge);
}

static void on_replaced(void *owner, struct tunnel *replacement);

static enum doubt doubt(void *owner)
{
    (void)owner;
    return DOUBT_STARTING;
}

static const struct tunnel_events events = {
    .on_up = on_up,
    .on_data = on_data,
    .on_room = on_room,
    .on_end = on_end,
    .on_replaced = on_replaced,
    .doubt = doubt,
};

static void on_replaced(void *owner, struct tunnel *replacement)
{
    struct await *await = owner;

    await->tunnel = replacement;
    tunnel_own(replacement, &events, await, &await->log);
}

/* ---- attempts ----------------------------------------------------------------------------------
 */

static void begin(struct await *await)
{
    const struct await_settings *settings = &await->settings;
    struct service *service = gateway_service(settings->gateway);
    const char *user = settings->user != NULL ? settings->user : SOME_NAME;

    await->up = false;
    await->ended = false;
    await->cause.message[0] = '\0';
    await->probe = pgprobe_new(user, settings->database != NULL ? settings->database : user, NULL,
                               PGPROBE_ANSWER);
    await->tunnel = tunnel_open(service->type, &service->shared);
    tunnel_own(await->tunnel, &events, await, &await->log);
    loop_timer_set(settings->loop, &await->attempt, ATTEMPT_WAIT);
}

static void on_pause_over(struct loop_timer *timer)
{
    begin(timer->owner);
}

struct await *await_new(const struct await_settings *settings, await_done *done, void *owner)
{
    struct await *await = mem_new(sizeof *await);

    await->settings = *settings;
    await->done = done;
    await->owner = owner;
    await->log = (struct log_context){.role = "readiness"};
    await->judge = (struct loop_task){.run = on_judge, .owner = await};
    await->attempt = (struct loop_timer){.on_time = on_attempt_over, .owner = await};
    await->pause = (struct loop_timer){.on_time = on_pause_over, .owner = await};
    await->deadline = (struct loop_timer){.on_time = on_deadline, .owner = await};
    loop_timer_set(settings->loop, &await->deadline, (int64_t)settings->timeout);
    begin(await);
    return await;
}

void await_free(struct await *await)
{
    if (await == NULL)
        return;
    leave(await);
    loop_task_cancel(await->settings.loop, &await->judge);
    loop_timer_stop(await->settings.loop, &await->pause);
    loop_timer_stop(await->settings.loop, &await->deadline);
    free(await);
}
