/* From the loss of Postgres in COMMIT to what the client is told. */
#include "server/proxy/loss.h"

#include "common/tunnel/tunnel_outcome.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum tunnel_outcome session_outcome(const struct session *session, uint64_t *xid)
{
    *xid = session->pipeline.outcome.xid;
    switch (session->state) {
    case SESSION_READY:
        return pipeline_outcome(&session->pipeline);
    case SESSION_IN_DOUBT:
        return TUNNEL_OUTCOME_IN_PROGRESS;
    case SESSION_CLOSING:
        return session->outcome;
    case SESSION_STARTUP:
    case SESSION_AUTHENTICATING:
    case SESSION_REJECTING:
    case SESSION_CONNECTING:
        break;
    }
    return TUNNEL_OUTCOME_NONE;
}

enum tunnel_outcome session_last_outcome(const struct session *session, uint64_t *xid)
{
    const struct outcome *outcome = &session->pipeline.outcome;

    if (outcome->under_way == 0) {
        *xid = outcome->last_xid;
        return outcome_answered(outcome);
    }
    *xid = outcome->xid;
    return session->state == SESSION_CLOSING ? session->outcome : TUNNEL_OUTCOME_UNKNOWN;
}

unsigned long session_endings(const struct session *session)
{
    return session->pipeline.outcome.endings;
}

bool session_has_ended_last(const struct session *session)
{
    return session->pipeline.outcome.is_latest;
}

bool session_is_committing(const struct session *session)
{
    return session->pipeline.outcome.under_way > 0;
}

bool session_is_in_doubt(const struct session *session)
{
    return session->state == SESSION_IN_DOUBT;
}

bool loss_leaves_doubt(const struct session *session)
{
    const struct outcome *outcome = &session->pipeline.outcome;
    enum tunnel_outcome unanswered = outcome_unanswered(outcome);

    return session->state == SESSION_READY && outcome->under_way > 0 &&
           outcome->ending == ENDING_COMMIT &&
           (unanswered == TUNNEL_OUTCOME_IN_PROGRESS || unanswered == TUNNEL_OUTCOME_UNKNOWN);
}

/* The message of a FATAL comes behind the answers to all that was done before. */
static enum tunnel_outcome judge(const struct session *session, bool fatal)
{
    if (fatal && !pipeline_has_reached_ending(&session->pipeline))
        return TUNNEL_OUTCOME_ROLLED_BACK;
    return outcome_unanswered(&session->pipeline.outcome);
}

void loss_begin(struct session *session, struct bytes reason)
{
    static const char lost[] = "the connection to Postgres was lost";
    uint64_t xid = session->pipeline.outcome.xid;
    size_t len = bytes_utf8_cut(reason, sizeof session->loss / 2);
    enum tunnel_outcome outcome = judge(session, reason.data != NULL);

    if (len == 0) {
        reason = bytes_of_string(lost);
        len = reason.len;
    }
    (void)snprintf(session->loss, sizeof session->loss, "%.*s during COMMIT", (int)len,
                   (const char *)reason.data);
    session->outcome = TUNNEL_OUTCOME_UNKNOWN;
    session_enter(session, SESSION_IN_DOUBT);
    if (outcome != TUNNEL_OUTCOME_IN_PROGRESS) {
        session_outcome_told(session, outcome);
        return;
    }
    len = strlen(session->loss);
    (void)snprintf(session->loss + len, sizeof session->loss - len, " of transaction %" PRIu64,
                   xid);
    session->ops->ask_outcome(session->host, xid);
}

void loss_add_doubt(struct error *error)
{
    (void)snprintf(error->sqlstate, sizeof error->sqlstate, "%s",
                   tunnel_outcome_sqlstate(TUNNEL_OUTCOME_UNKNOWN));
    error_hint(error, "%s", tunnel_outcome_hint(TUNNEL_OUTCOME_UNKNOWN));
}

void session_outcome_told(struct session *session, enum tunnel_outcome outcome)
{
    struct error error;

    if (session->state != SESSION_IN_DOUBT)
        return;
    session->outcome = outcome;
    error_set(&error, STATUS_CLOSED, tunnel_outcome_sqlstate(outcome), "%s: %s", session->loss,
              tunnel_outcome_text(outcome));
    error_hint(&error, "%s", tunnel_outcome_hint(outcome));
    session_fail(session, &error);
}
