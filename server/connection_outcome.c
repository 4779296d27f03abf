/* A connection that has lost one of its ends while a COMMIT is under way. Without its client it
 * waits for the answer; without Postgres it asks another connection what became of it. Both are
 * bounded, and neither cancels it. */
#include <inttypes.h>

#include "common/tunnel/tunnel_outcome.h"
#include "server/api/api.h"
#include "server/connection_state.h"
#include "server/proxy/upstream.h"

static struct outcome_subject subject_of(const struct connection *connection, uint64_t xid)
{
    const struct session_upstream *upstream = upstream_session(connection->upstream);

    return (struct outcome_subject){.xid = xid,
                                    .system = upstream->system,
                                    .timeline = upstream->timeline,
                                    .generation = upstream->generation};
}

void connection_on_committing(void *host, uint64_t xid)
{
    struct connection *connection = host;
    struct outcome_subject subject = subject_of(connection, xid);
    struct tunnel_txn txn = {.xid = xid,
                             .system = subject.system,
                             .timeline = subject.timeline,
                             .generation = subject.generation};

    if (connection->client == NULL || subject.system == 0)
        return;
    outcome_prove(control_cancel_key(connection->server->control), &subject, txn.proof);
    stream_committing(connection->client, &txn);
}

/* Without Postgres */

static void on_found(struct outcome_search *search, enum tunnel_outcome outcome)
{
    struct connection *connection = lws_container_of(search, struct connection, search);

    log_warn(&connection->log, "transaction %" PRIu64 " lost its connection in COMMIT: %s",
             search->subject.xid, tunnel_outcome_name(outcome));
    connection_enter(connection);
    session_outcome_told(connection->session, outcome);
    connection_leave(connection);
}

void connection_ask_outcome(void *host, uint64_t xid)
{
    struct connection *connection = host;
    struct outcome_subject subject = subject_of(connection, xid);

    connection->search.on_found = on_found;
    outcome_search(&connection->search, api_reader(connection->server->api),
                   connection->server->loop, &subject);
}

/* Without its client */

/* What is said to whoever comes back for it. */
static void conclude(struct connection *connection, enum tunnel_outcome outcome, uint64_t xid)
{
    struct stream *absent = connection->absent;

    connection->absent = NULL;
    loop_timer_stop(&connection->patience);
    if (xid != 0)
        log_info(&connection->log, "its client is given up; transaction %" PRIu64 ": %s", xid,
                 tunnel_outcome_name(outcome));
    else
        log_info(&connection->log, "its client is given up; transaction: %s",
                 tunnel_outcome_name(outcome));
    stream_outcome(absent, outcome, xid);
    stream_close(absent);
}

static void on_impatience(struct loop_timer *timer)
{
    struct connection *connection = lws_container_of(timer, struct connection, patience);
    uint64_t xid;
    enum tunnel_outcome outcome = session_outcome(connection->session, &xid);

    conclude(connection, outcome, xid);
    connection->closing = true;
    connection_settle(connection);
}

void connection_check_outcome(struct connection *connection)
{
    enum tunnel_outcome outcome;
    uint64_t xid;

    if (connection->absent == NULL ||
        (session_is_committing(connection->session) && !connection->closing))
        return;
    outcome = session_last_outcome(connection->session, &xid);
    conclude(connection, outcome, xid);
    /* What it runs behind that must not go on for nobody. */
    connection->terminated = true;
    connection->closing = true;
}

static void wait_for_answer(struct connection *connection)
{
    log_info(&connection->log, "its client is given up; waiting for the answer to COMMIT");
    if (connection->channel != NULL)
        stream_pause(connection->channel, false);
    connection->patience.on_expired = on_impatience;
    loop_timer_set(connection->server->loop, &connection->patience, OUTCOME_PATIENCE_MS);
}

void connection_note_endings(struct connection *connection)
{
    unsigned long endings = session_endings(connection->session);

    if (connection->endings != endings)
        connection->ended_at = connection->bytes_down;
    connection->endings = endings;
}

/* What the session has to say holds for whoever has its answers. The client may wait for one that
 * is on its way. */
static enum tunnel_outcome outcome_for_client(const struct connection *connection, uint64_t *xid)
{
    enum tunnel_outcome outcome = session_outcome(connection->session, xid);
    uint64_t missing = stream_undelivered(connection->client);

    if (missing > connection->bytes_down - connection->ended_at) {
        outcome = session_last_outcome(connection->session, xid);
        return *xid != 0 && session_has_ended_last(connection->session) ? outcome
                                                                        : TUNNEL_OUTCOME_UNKNOWN;
    }
    return missing > 0 && outcome == TUNNEL_OUTCOME_NONE ? TUNNEL_OUTCOME_UNKNOWN : outcome;
}

void connection_give_up(struct connection *connection, const char *reason)
{
    uint64_t xid;
    enum tunnel_outcome outcome = outcome_for_client(connection, &xid);

    connection_note(connection, reason);
    connection->absent = connection->client;
    connection->client = NULL;
    if (session_is_committing(connection->session) && !connection->closing) {
        wait_for_answer(connection);
        return;
    }
    conclude(connection, outcome, xid);
    connection->terminated = true;
}
