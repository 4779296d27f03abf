/* Connections made ahead of need, in the order in which their making began. */
#include "client/spares.h"

#include <stddef.h>

#include "client/backoff.h"

void spares_init(struct spares *spares, unsigned wanted)
{
    *spares = (struct spares){.wanted = wanted, .failed_at = INT64_MIN, .retry_at = INT64_MIN};
}

static bool is_ready(const struct spare *spare)
{
    return spare->ready_at != SPARES_NEVER;
}

static bool is_usable(const struct spare *spare, int64_t now)
{
    return now < spare->ready_at + SPARES_AGE_MAX && now < spare->heard_at + SPARES_SILENT_MAX;
}

static bool is_useless(const struct spare *spare, int64_t now)
{
    return !is_usable(spare, now);
}

static bool is_old(const struct spare *spare, int64_t now)
{
    return now >= spare->refresh_at;
}

static int64_t ping_at(const struct spare *spare)
{
    int64_t last = spare->heard_at > spare->pinged_at ? spare->heard_at : spare->pinged_at;

    return last + SPARES_PING_AFTER;
}

static bool is_silent(const struct spare *spare, int64_t now)
{
    return now >= ping_at(spare);
}

static bool has_settled(const struct spare *spare, int64_t now)
{
    return now >= spare->ready_at + SPARES_SETTLED;
}

static void forget(struct spares *spares, const struct spare *spare)
{
    for (struct spare **at = &spares->first; *at != NULL; at = &(*at)->next) {
        if (*at == spare) {
            *at = spare->next;
            return;
        }
    }
}

/* ---- how many ----------------------------------------------------------------------------------
 */

struct counts {
    unsigned coming;
    unsigned ready;
    unsigned lasting; /* of those: need no successor yet */
};

static struct counts count(const struct spares *spares, int64_t now)
{
    struct counts counts = {0};

    for (const struct spare *spare = spares->first; spare != NULL; spare = spare->next) {
        counts.coming += !is_ready(spare);
        counts.ready += is_ready(spare);
        counts.lasting += is_ready(spare) && !is_old(spare, now);
    }
    return counts;
}

/* A service that fails is tried by one at a time. */
static bool is_one_missing(const struct spares *spares, const struct counts *counts)
{
    return counts->lasting + counts->coming < spares->wanted &&
           (spares->failures == 0 || counts->coming == 0);
}

/* ---- what to do --------------------------------------------------------------------------------
 */

/* The first that is there and fits. */
static struct spare *find(const struct spares *spares, int64_t now,
                          bool (*fits)(const struct spare *, int64_t))
{
    struct spare *spare = spares->first;

    while (spare != NULL && !(is_ready(spare) && fits(spare, now)))
        spare = spare->next;
    return spare;
}

enum spares_step spares_next(struct spares *spares, int64_t now, struct spare **spare)
{
    struct counts counts = count(spares, now);

    *spare = find(spares, now, is_useless);
    if (*spare == NULL && counts.ready > spares->wanted)
        *spare = find(spares, now, is_old);
    if (*spare != NULL) {
        forget(spares, *spare);
        return SPARES_DROP;
    }
    *spare = find(spares, now, is_silent);
    if (*spare != NULL) {
        (*spare)->pinged_at = now;
        return SPARES_PING;
    }
    if (find(spares, now, has_settled) != NULL)
        spares->failures = 0;
    return is_one_missing(spares, &counts) && now >= spares->retry_at ? SPARES_MAKE : SPARES_WAIT;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t spares_deadline(const struct spares *spares, int64_t now)
{
    struct counts counts = count(spares, now);
    int64_t at = is_one_missing(spares, &counts) ? spares->retry_at : SPARES_NEVER;

    for (const struct spare *spare = spares->first; spare != NULL; spare = spare->next) {
        if (!is_ready(spare))
            continue;
        at = earlier(at, ping_at(spare));
        at = earlier(at, spare->heard_at + SPARES_SILENT_MAX);
        at = earlier(at, spare->ready_at + SPARES_AGE_MAX);
        if (!is_old(spare, now))
            at = earlier(at, spare->refresh_at);
    }
    return at;
}

/* ---- what happens ------------------------------------------------------------------------------
 */

void spares_add(struct spares *spares, struct spare *spare, int64_t now)
{
    struct spare **last = &spares->first;

    while (*last != NULL)
        last = &(*last)->next;
    *spare = (struct spare){.began_at = now, .ready_at = SPARES_NEVER};
    *last = spare;
}

void spares_ready(struct spare *spare, int64_t now, uint32_t random)
{
    spare->ready_at = now;
    spare->heard_at = now;
    spare->pinged_at = now;
    spare->refresh_at =
        now + SPARES_REFRESH_MIN + random % (SPARES_REFRESH_MAX - SPARES_REFRESH_MIN + 1);
}

void spares_heard(struct spare *spare, int64_t now)
{
    spare->heard_at = now;
}

void spares_lost(struct spares *spares, struct spare *spare, int64_t now, uint32_t random)
{
    bool had_settled = is_ready(spare) && has_settled(spare, now);

    forget(spares, spare);
    /* Many that fail at once are one failure. */
    if (had_settled || spare->began_at <= spares->failed_at)
        return;
    spares->failed_at = now;
    spares->retry_at = now + backoff_delay(++spares->failures, SPARES_BACKOFF_MAX, random);
}

void spares_pause(struct spares *spares, int64_t until)
{
    spares->failures = 0;
    spares->retry_at = until;
}

struct spare *spares_take(struct spares *spares, int64_t now)
{
    struct spare *spare = find(spares, now, is_usable);

    if (spare == NULL)
        return NULL;
    forget(spares, spare);
    spares->failures = 0;
    spares->retry_at = now;
    return spare;
}
