/* A session's states and how it moves between them. */
#include "server/proxy/session_state.h"

#include "common/memory.h"
#include "server/pgwire/encode.h"
#include "server/proxy/loss.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {
    [SESSION_STARTUP] = "startup",     [SESSION_AUTHENTICATING] = "authenticating",
    [SESSION_REJECTING] = "rejecting", [SESSION_CONNECTING] = "connecting",
    [SESSION_READY] = "ready",         [SESSION_IN_DOUBT] = "in doubt",
    [SESSION_CLOSING] = "closing",
};

static const char *const mode_names[] = {
    [SESSION_ELECTRIC] = "electric",
    [SESSION_TRANSPARENT] = "transparent",
    [SESSION_SHADOW] = "shadow",
    [SESSION_INTROSPECTION] = "introspection",
};

const char *session_mode_name(enum session_mode mode)
{
    return mode_names[mode];
}

const char *session_state_name(const struct session *session)
{
    return state_names[session->state];
}

enum session_mode session_mode(const struct session *session)
{
    return session->mode;
}

struct session *session_new(const struct session_settings *settings,
                            const struct session_host *host_ops, void *host, unsigned long long id,
                            const char *peer, enum session_entrance entrance)
{
    struct session *session = mem_new(sizeof *session);

    session->settings = settings;
    session->ops = host_ops;
    session->host = host;
    session->peer = mem_copy_string(peer);
    session->log = (struct log_context){.role = "session", .id = id, .peer = session->peer};
    session->entrance = entrance;
    session->text_settings.encoding = ENCODING_AMBIGUOUS;
    session->server_encoding = ENCODING_UTF8;
    buffer_init(&session->client_input, LOGIN_INPUT_MAX);
    buffer_init(&session->outgoing, SIZE_MAX); /* takes over what was bounded before */
    /* The longest report, and one read behind it. */
    buffer_init(&session->server_input, SESSION_REPORT_MAX * 2);
    buffer_init(&session->held, SESSION_HELD_MAX);
    pipeline_init(&session->pipeline);
    return session;
}

void session_began_tls(struct session *session)
{
    session->tls = true;
    session->asked_ssl = true; /* it cannot be asked for any more */
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    statement_job_free(session->job);
    statement_job_free(session->examined);
    pipeline_clear(&session->pipeline);
    buffer_clear(&session->client_input);
    buffer_clear(&session->outgoing);
    buffer_clear(&session->server_input);
    buffer_clear(&session->held);
    parameters_free(&session->parameters);
    auth_exchange_free(session->exchange);
    free(session->user);
    free(session->database);
    free(session->peer);
    free(session);
}

void session_enter(struct session *session, enum session_state state)
{
    log_debug(&session->log, "%s -> %s", state_names[session->state], state_names[state]);
    session->state = state;
}

void session_start(struct session *session)
{
    session->ops->set_timer(session->host, session->settings->auth_timeout_ms);
}

void session_send_client(struct session *session, struct buffer *out)
{
    bool whole = !buffer_failed(out);

    if (whole)
        session->ops->send_client(session->host, buffer_peek(out));
    buffer_clear(out);
    if (!whole)
        session_close(session, "out of memory");
}

void session_close(struct session *session, const char *reason)
{
    if (session->state == SESSION_CLOSING)
        return;
    if (session->state == SESSION_READY)
        session->outcome = pipeline_outcome(&session->pipeline);
    session_enter(session, SESSION_CLOSING);
    session->ops->set_timer(session->host, 0);
    session->ops->close(session->host, reason);
}

void session_fail(struct session *session, const struct error *error)
{
    struct buffer out;

    session->ops->refused(session->host, error->sqlstate);
    buffer_init(&out, SESSION_MESSAGE_MAX);
    pgwire_encode_error(&out, "FATAL", error);
    session_send_client(session, &out);
    session_close(session, error->message);
}

static void pause_client(struct session *session, bool paused)
{
    if (session->client_paused == paused)
        return;
    session->client_paused = paused;
    session->ops->pause_client(session->host, paused);
}

/* Gives the front of `in` to whoever understands it now, until nothing moves any more. */
static void process(struct session *session, struct bytes *in)
{
    size_t before;

    do {
        before = in->len;
        if (session->state <= SESSION_AUTHENTICATING)
            login_process(session, in);
        else if (session->state == SESSION_READY)
            frontend_process(session, in);
    } while (in->len > 0 && in->len < before);
}

/* The message at the front of client_input goes to a worker; what stands behind it stays. */
static void defer(struct session *session)
{
    struct statement_job *job = session->job;
    struct bytes rest = bytes_skip(buffer_peek(&session->client_input), session->client_defer);

    job->message = session->client_input;
    buffer_init(&session->client_input, job->message.capacity);
    buffer_append(&session->client_input, rest);
    job->message_len = session->client_defer;
    job->text = frontend_text(bytes_first(buffer_peek(&job->message), job->message_len));
    session->client_defer = 0;
    session->ops->defer(session->host, job);
}

static bool is_waiting(const struct session *session)
{
    return session->job != NULL || buffer_len(&session->outgoing) > 0 ||
           session->state == SESSION_CONNECTING || pipeline_is_full(&session->pipeline) ||
           (session->awaits_idle && pipeline_is_draining(&session->pipeline));
}

static void after_client(struct session *session)
{
    if (session->state == SESSION_CLOSING) {
        buffer_clear(&session->client_input);
        return;
    }
    if (session->client_defer > 0)
        defer(session);
    pause_client(session, is_waiting(session));
}

void session_feed(struct session *session)
{
    struct bytes in = buffer_peek(&session->client_input);
    size_t len = in.len;

    process(session, &in);
    buffer_consume(&session->client_input, len - in.len);
    after_client(session);
}

static void too_much(struct session *session)
{
    struct error error;

    error_set(&error, STATUS_FULL, "08P01", "a message is too long");
    session_fail(session, &error);
}

/* Keeps what cannot be processed yet. A message that is waited for gets its room at once: growing
 * by doubling would copy a large one several times. */
static bool keep_client_input(struct session *session, struct bytes data)
{
    size_t queued = buffer_len(&session->client_input);
    size_t room;

    if (data.len > 0 && session->client_wants > queued)
        (void)buffer_reserve(&session->client_input, session->client_wants - queued, &room);
    return buffer_append(&session->client_input, data);
}

void session_client_bytes(struct session *session, struct bytes data)
{
    if (session->state == SESSION_CLOSING || session->state == SESSION_REJECTING ||
        session->state == SESSION_IN_DOUBT)
        return;
    if (buffer_len(&session->client_input) > 0 || is_waiting(session)) {
        if (!keep_client_input(session, data))
            too_much(session);
        else if (!is_waiting(session))
            session_feed(session);
        return;
    }
    process(session, &data);
    if (session->state != SESSION_CLOSING && !keep_client_input(session, data)) {
        too_much(session);
        return;
    }
    after_client(session);
}

void session_client_end(struct session *session)
{
    if (session->state != SESSION_READY) {
        session_close(session, "client disconnected");
        return;
    }
    session->client_terminated = true;
    if (!is_waiting(session))
        session->ops->finish_upstream(session->host);
    else
        session->client_ended = true;
}

/* Something the client waited for is over: goes on with what it has sent since. */
static void proceed(struct session *session)
{
    if (is_waiting(session) || session->state == SESSION_CLOSING)
        return;
    session_feed(session);
    if (session->client_ended && !is_waiting(session) && session->state == SESSION_READY)
        session->ops->finish_upstream(session->host);
}

void session_upstream_ready(struct session *session, const struct session_upstream *upstream)
{
    if (session->state != SESSION_CONNECTING)
        return;
    login_connected(session, upstream);
    proceed(session);
}

void session_upstream_failed(struct session *session, const struct error *error)
{
    if (session->state != SESSION_CLOSING)
        session_fail(session, error);
}

static void process_server_input(struct session *session)
{
    struct bytes in = buffer_peek(&session->server_input);
    size_t len = in.len;

    backend_process(session, &in);
    buffer_consume(&session->server_input, len - in.len);
}

void session_upstream_bytes(struct session *session, struct bytes data)
{
    bool was_waiting = session->awaits_idle || pipeline_is_full(&session->pipeline);
    bool kept;

    if (session->state != SESSION_READY)
        return;
    if (buffer_len(&session->server_input) > 0) {
        kept = buffer_append(&session->server_input, data);
        process_server_input(session);
    } else {
        backend_process(session, &data);
        kept = buffer_append(&session->server_input, data);
    }
    if (!kept)
        session_close(session, "Postgres sent more than a message can hold");
    if (was_waiting)
        proceed(session);
}

void session_upstream_drained(struct session *session)
{
    if (buffer_len(&session->outgoing) == 0)
        return;
    frontend_pump(session);
    proceed(session);
}

void session_upstream_end(struct session *session)
{
    struct error error;

    if (session->state == SESSION_CLOSING || session->state == SESSION_IN_DOUBT)
        return;
    if (loss_leaves_doubt(session) && backend_at_boundary(session)) {
        loss_begin(session, bytes_of(NULL, 0));
        return;
    }
    if (session->client_terminated) {
        session_close(session, "client disconnected");
        return;
    }
    if (session->server_fatal || !backend_at_boundary(session)) {
        session_close(session, "Postgres closed the connection");
        return;
    }
    error_set(&error, STATUS_CLOSED, "08006", "the connection to Postgres was lost");
    error_hint(&error, "Connect again; if it happens again, look into the log of Postgres.");
    if (pipeline_outcome(&session->pipeline) == TUNNEL_OUTCOME_UNKNOWN)
        loss_add_doubt(&error);
    session_fail(session, &error);
}

void session_timer(struct session *session)
{
    struct error error;

    switch (session->state) {
    case SESSION_STARTUP:
        session_close(session, "no start-up packet in time");
        break;
    case SESSION_AUTHENTICATING:
        error_set(&error, STATUS_TIMEOUT, "57014", "canceling authentication due to timeout");
        session_fail(session, &error);
        break;
    case SESSION_REJECTING:
        login_reject(session);
        break;
    case SESSION_READY:
        if (session->doomed)
            session_close(session, session->doom.message);
        break;
    case SESSION_CONNECTING:
    case SESSION_IN_DOUBT:
    case SESSION_CLOSING:
        break;
    }
}

void session_job_done(struct session *session, struct statement_job *job)
{
    if (session->state == SESSION_CLOSING)
        return; /* session_free() frees the job */
    session->job = NULL;
    frontend_job_done(session, job);
    proceed(session);
}

void session_terminate(struct session *session, const struct error *cause)
{
    struct error doubtful = *cause;
    const struct error *error = &doubtful;

    if (loss_leaves_doubt(session))
        loss_add_doubt(&doubtful);
    if (session->state == SESSION_STARTUP) {
        /* A Postgres client reads an error only once it has sent its StartupMessage. */
        session->doom = *error;
        session->doomed = true;
    } else if (session->state == SESSION_READY && !backend_at_boundary(session)) {
        session->doom = *error;
        session->doomed = true;
        session->ops->set_timer(session->host, SESSION_DOOM_MS);
    } else if (session->state == SESSION_IN_DOUBT) {
        session_outcome_told(session, TUNNEL_OUTCOME_UNKNOWN);
    } else if (session->state != SESSION_CLOSING) {
        session_fail(session, error);
    }
}
