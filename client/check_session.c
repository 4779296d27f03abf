/* A Postgres session through the tunnel: does it carry, does Postgres answer, may we log in, and is
 * a migrations proxy there? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/check_state.h"
#include "client/database_url.h"
#include "client/pgload.h"
#include "client/pgprobe.h"
#include "common/memory.h"

struct session {
    struct check *check;
    struct tunnel *tunnel;
    struct pgprobe *probe;
    struct loop_timer deadline;
    enum pgprobe_stage stage; /* that is told */
    int64_t began_at;         /* hop_now(), of that stage */
    bool raw;
    bool up;
    bool over;
    bool loading; /* the probe has left the session to `load` */
    struct pgload load;
    struct database_identity identity;
};

static struct loop *loop_of(const struct session *session)
{
    return session->check->loop;
}

static void finish(struct session *session)
{
    session->over = true;
    loop_timer_stop(loop_of(session), &session->deadline);
    loop_stop(loop_of(session));
}

static int64_t lap(struct session *session)
{
    int64_t now = hop_now();
    int64_t took = now - session->began_at;

    session->began_at = now;
    return took;
}

static void patience(struct session *session)
{
    loop_timer_set(loop_of(session), &session->deadline,
                   2 * (int64_t)session->check->settings->connect_timeout);
}

/* ---- what is told ------------------------------------------------------------------------------
 */

static const char *current_hop(const struct session *session)
{
    if (!session->up)
        return "tunnel";
    switch (session->stage) {
    case PGPROBE_STARTING:
        return "Postgres";
    case PGPROBE_LOGGING_IN:
        return "login";
    case PGPROBE_ASKING:
    case PGPROBE_OVER:
        break;
    }
    return session->loading ? "bandwidth" : "statements";
}

static void fail(struct session *session, const struct error *error, enum status status)
{
    if (!check_session_failed(session->check))
        check_fail(session->check, current_hop(session), lap(session), error, status);
    finish(session);
}

static void tell_login(struct session *session, const struct pgprobe_result *result)
{
    char detail[240];

    snprintf(detail, sizeof detail, "as user \"%s\" to database \"%s\"%s%s", session->identity.user,
             session->identity.database, result->version[0] != '\0' ? "; Postgres " : "",
             result->version);
    check_pass(session->check, "login", lap(session), detail);
}

static void tell_statements(struct session *session, const struct pgprobe_result *result)
{
    if (result->ddlx)
        check_pass(session->check, "statements", lap(session),
                   "ENABLE ELECTRIC and the like are understood");
    else
        check_note(session->check, "statements",
                   "ENABLE ELECTRIC and the like are not understood: a plain Postgres, not a "
                   "migrations proxy",
                   "If there should be one: is the service run with --relay, or is the user "
                   "\"transparent\"?");
}

/* The stages behind it are told of, up to where the probe is. */
static void tell_progress(struct session *session)
{
    const struct pgprobe_result *result = pgprobe_result(session->probe);

    if (session->stage == PGPROBE_STARTING && result->answered) {
        check_pass(session->check, "Postgres", lap(session),
                   result->password_asked ? "answers, and asks for a password" : "answers");
        session->stage = PGPROBE_LOGGING_IN;
        patience(session);
    }
    if (session->stage == PGPROBE_LOGGING_IN && pgprobe_stage(session->probe) == PGPROBE_ASKING) {
        tell_login(session, result);
        session->stage = PGPROBE_ASKING;
        patience(session);
    }
    if (session->stage == PGPROBE_ASKING && result->asked) {
        tell_statements(session, result);
        session->stage = PGPROBE_OVER;
    }
}

/* ---- bandwidth ---------------------------------------------------------------------------------
 */

#define LOAD_TIME 3000000 /* of each direction, microseconds */

static void begin_load(struct session *session)
{
    session->loading = true;
    pgload_init(&session->load, LOAD_TIME, hop_now());
    patience(session);
}

static void tell_load(struct session *session)
{
    static const struct error refused = {
        .sqlstate = "08P01",
        .message = "Postgres refused the statements that were to be measured",
        .hint = "Look at its log.",
    };
    char detail[120];

    if (session->load.stage == PGLOAD_FAILED) {
        check_fail(session->check, "bandwidth", lap(session), &refused, STATUS_UNAVAILABLE);
    } else {
        snprintf(detail, sizeof detail, "%.1f MB/s up, %.1f MB/s down", session->load.up / 1e6,
                 session->load.down / 1e6);
        check_pass(session->check, "bandwidth", lap(session), detail);
    }
    finish(session);
}

static void conclude(struct session *session)
{
    const struct pgprobe_result *result = pgprobe_result(session->probe);

    if (result->failure != STATUS_OK) {
        struct error error = result->error;

        if (result->failure == STATUS_DENIED && error.hint[0] == '\0')
            error_hint(&error, "Check the password; electric-proxy's is in its PG_PROXY_PASSWORD.");
        fail(session, &error, result->failure);
    } else if (result->password_asked)
        check_note(session->check, "login", "not tried, without a password",
                   "Set DATABASE_URL, or PGUSER, PGPASSWORD and PGDATABASE.");
    else if (session->check->settings->bandwidth) {
        begin_load(session);
        return;
    }
    finish(session);
}

/* ---- the tunnel --------------------------------------------------------------------------------
 */

/* What is to be said next, `len` bytes at most. */
static size_t say(struct session *session, uint8_t *place, size_t len)
{
    struct buffer *out = pgprobe_output(session->probe);
    struct bytes piece = bytes_first(buffer_peek(out), len);

    if (session->loading)
        return pgload_output(&session->load, place, len, hop_now());
    if (piece.len > 0)
        memcpy(place, piece.data, piece.len);
    buffer_consume(out, piece.len);
    return piece.len;
}

static bool has_to_say(struct session *session)
{
    return session->loading ? pgload_has_output(&session->load, hop_now())
                            : buffer_len(pgprobe_output(session->probe)) > 0;
}

static void push(struct session *session)
{
    bool room = session->up;

    while (room && has_to_say(session)) {
        size_t len = 0;
        uint8_t *place = tunnel_reserve(session->tunnel, &len);

        if (len == 0)
            return;
        room = tunnel_commit(session->tunnel, say(session, place, len));
    }
}

static const char *describe_tunnel(const struct session *session)
{
    if (session->raw)
        return "raw: a broken connection ends its session";
    return check_uses_http(session->check)
               ? "electric-tunnel.v1 over HTTP requests: sessions survive broken connections"
               : "electric-tunnel.v1: sessions survive broken connections";
}

static void on_up(void *owner)
{
    struct session *session = owner;

    if (session->up)
        return;
    session->up = true;
    check_session_up(session->check);
    check_pass(session->check, "tunnel", lap(session), describe_tunnel(session));
    patience(session);
    push(session);
}

static void hear(struct session *session, struct bytes in)
{
    if (session->loading) {
        pgload_input(&session->load, in, hop_now());
        patience(session);
        if (session->load.stage >= PGLOAD_OVER)
            tell_load(session);
        return;
    }
    pgprobe_input(session->probe, in);
    tell_progress(session);
    if (pgprobe_stage(session->probe) == PGPROBE_OVER)
        conclude(session);
}

static void on_data(void *owner, const struct iovec *slices, int count)
{
    struct session *session = owner;
    bool over = session->over;

    for (int i = 0; i < count && !session->over; i++)
        hear(session, bytes_of(slices[i].iov_base, slices[i].iov_len));
    /* Saying goodbye may bring the session's end, which is no news then. */
    if (!over)
        push(session);
}

static void on_room(void *owner)
{
    push(owner);
}

static void on_end(void *owner, const struct error *error)
{
    struct session *session = owner;
    struct error told;

    if (session->over)
        return;
    error_set(&told, STATUS_UNAVAILABLE, "08006", "%s",
              error != NULL ? error->message : "the session ended without an answer");
    /* What a Postgres client would be told about transactions is of no use here. */
    error_hint(&told, "%s",
               session->up     ? "What the service connects to may be down; look at its log."
               : error != NULL ? error->hint
                               : "");
    fail(session, &told, STATUS_UNAVAILABLE);
}

static enum doubt on_doubt(void *owner)
{
    (void)owner;
    return DOUBT_STARTING;
}

static void on_replaced(void *owner, struct tunnel *replacement);

static const struct tunnel_events events = {
    .on_up = on_up,
    .on_data = on_data,
    .on_room = on_room,
    .on_end = on_end,
    .on_replaced = on_replaced,
    .doubt = on_doubt,
};

static void own(struct session *session, struct tunnel *tunnel)
{
    static const struct log_context log = {.role = "check"};

    session->tunnel = tunnel;
    tunnel_own(tunnel, &events, session, &log);
}

static void on_replaced(void *owner, struct tunnel *replacement)
{
    struct session *session = owner;

    session->raw = true;
    own(session, replacement);
}

static void on_deadline(struct loop_timer *timer)
{
    struct session *session = timer->owner;
    struct error error;

    error_set(&error, STATUS_TIMEOUT, "08006", "no answer within %g s",
              2 * (double)session->check->settings->connect_timeout / 1000);
    error_hint(&error, session->stage == PGPROBE_STARTING
                           ? "Something on the way may hold WebSocket messages back, or the "
                             "service cannot reach Postgres; look at its log."
                           : "The service may be overloaded; look at its log.");
    fail(session, &error, STATUS_TIMEOUT);
}

/* ---- all of it ---------------------------------------------------------------------------------
 */

void check_session(struct check *check)
{
    struct session session = {
        .check = check,
        .raw = check->settings->protocol == CLIENT_PROTOCOL_RAW,
        .began_at = hop_now(),
        .deadline = {.on_time = on_deadline},
    };

    session.deadline.owner = &session;
    session.identity = database_identity_known(check->settings->database_url);
    if (session.identity.user == NULL)
        session.identity.user = mem_copy_string("postgres");
    if (session.identity.database == NULL)
        session.identity.database = mem_copy_string(session.identity.user);
    session.probe =
        pgprobe_new(session.identity.user, session.identity.database, session.identity.password,
                    check->settings->bandwidth ? PGPROBE_STAY : PGPROBE_LOGIN);
    own(&session, tunnel_open(check->service.type, &check->service.shared));
    patience(&session);
    loop_run(check->loop);
    loop_timer_stop(check->loop, &session.deadline);
    tunnel_free(session.tunnel);
    pgprobe_free(session.probe);
    database_identity_clear(&session.identity);
}
