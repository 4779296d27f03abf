/* A session is lost for good: why, and what became of the COMMIT that was not answered. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/v1_state.h"
#include "common/tunnel/tunnel_outcome.h"

static void tell(struct v1 *v1, enum tunnel_outcome outcome)
{
    struct error error;

    doubt_describe(v1_doubt(v1), outcome, v1->end, &error);
    v1_tell_end(v1, &error);
    loop_defer(v1->tunnel.shared->loop, &v1->work);
}

static void on_found(void *owner, enum tunnel_outcome outcome)
{
    struct v1 *v1 = owner;
    size_t len = strlen(v1->end);

    v1->search = NULL;
    log_info(&v1->tunnel.log, "transaction %" PRIu64 ": %s", v1->txn.xid,
             tunnel_outcome_name(outcome));
    snprintf(v1->end + len, sizeof v1->end - len, "; transaction %" PRIu64 ": %s", v1->txn.xid,
             tunnel_outcome_name(outcome));
    tell(v1, outcome);
}

/* The local side waits for the answer to this COMMIT. */
static bool is_in_question(const struct v1 *v1)
{
    return v1->txn.xid != 0 && !v1->orphan && v1_doubt(v1) == DOUBT_OUTCOME &&
           v1->tunnel.events->ready_at != NULL &&
           v1->tunnel.events->ready_at(v1->tunnel.owner) <= v1->txn.offset;
}

static void find_out(struct v1 *v1, enum tunnel_outcome outcome)
{
    if (v1->search != NULL || v1->end_told)
        return;
    if (!doubt_remains(v1_doubt(v1), outcome) || !is_in_question(v1)) {
        tell(v1, outcome);
        return;
    }
    log_info(&v1->tunnel.log, "lost in COMMIT: %s; asking what became of transaction %" PRIu64,
             v1->end, v1->txn.xid);
    v1->search = outcome_search_start(v1->tunnel.shared->loop, v1->tunnel.shared->connector,
                                      &v1->txn, &v1->cookies, on_found, v1);
}

void v1_give_up(struct v1 *v1, const char *reason)
{
    snprintf(v1->end, sizeof v1->end, "%s", reason);
    v1_abort(v1, reason);
    v1_drop_attachments(v1);
    find_out(v1, TUNNEL_OUTCOME_UNKNOWN);
}

/* The server cannot know whether the answer it sent has come. If it has, nothing was done since. */
static enum tunnel_outcome outcome_of(const struct v1 *v1, const struct tunnel_reset *end)
{
    bool has_come = end->xid != 0 && end->xid == v1->txn.xid &&
                    v1->tunnel.events->ready_at(v1->tunnel.owner) > v1->txn.offset;

    return has_come ? TUNNEL_OUTCOME_NONE : (enum tunnel_outcome)end->outcome;
}

void v1_lose(struct v1 *v1, const struct tunnel_reset *end)
{
    size_t len = bytes_utf8_cut(end->text, 120);

    if (v1->search != NULL)
        return;
    snprintf(v1->end, sizeof v1->end, "%s%s%.*s", tunnel_end_text(end->reason), len > 0 ? ": " : "",
             (int)len, (const char *)end->text.data);
    find_out(v1, outcome_of(v1, end));
}
