/* Telling what is known. */
#include "client/doubt.h"

#include "common/tunnel/tunnel_outcome.h"

bool doubt_remains(enum doubt doubt, enum tunnel_outcome outcome)
{
    switch (outcome) {
    case TUNNEL_OUTCOME_NONE:
    case TUNNEL_OUTCOME_COMMITTED:
    case TUNNEL_OUTCOME_ROLLED_BACK:
        return false;
    case TUNNEL_OUTCOME_IN_PROGRESS:
    case TUNNEL_OUTCOME_UNKNOWN:
        break;
    }
    return doubt == DOUBT_OUTCOME;
}

static const char *what_is_known(enum doubt doubt, enum tunnel_outcome outcome)
{
    if (outcome == TUNNEL_OUTCOME_COMMITTED || outcome == TUNNEL_OUTCOME_ROLLED_BACK)
        return tunnel_outcome_hint(outcome);
    if (outcome == TUNNEL_OUTCOME_NONE)
        return "No transaction was open; connect again.";
    if (outcome == TUNNEL_OUTCOME_IN_PROGRESS && doubt == DOUBT_OUTCOME)
        return tunnel_outcome_hint(outcome);
    switch (doubt) {
    case DOUBT_STARTING:
    case DOUBT_IDLE:
        return "No transaction was open; connect again.";
    case DOUBT_IN_TRANSACTION:
        return "The open transaction is rolled back; connect again and repeat it.";
    case DOUBT_OUTCOME:
        break;
    }
    return "Whether the last statement took effect is not known; look before repeating it.";
}

void doubt_describe(enum doubt doubt, enum tunnel_outcome outcome, const char *reason,
                    struct error *error)
{
    /* To whoever sees 08006 repeating is safe, so what was committed does not get it, either. */
    bool may_be_done = doubt_remains(doubt, outcome) || outcome == TUNNEL_OUTCOME_COMMITTED;

    error_set(error, STATUS_CLOSED, may_be_done ? "08007" : "08006", "the session was lost: %s",
              reason);
    error_hint(error, "%s", what_is_known(doubt, outcome));
}
