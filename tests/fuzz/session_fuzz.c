/* A whole session: a client and a server that say anything. Input: pieces, each behind two bytes:
 * who speaks, and how much. Login is by a password that the corpus cannot know, so most runs begin
 * in a session that is ready. */
#include "server/proxy/session.h"
#include "server/proxy/session_state.h"

#include <stdlib.h>

static struct statement_job *deferred;
static bool closed;

static void on_bytes(void *host, struct bytes data)
{
    size_t *sent = host;

    *sent += data.len;
}

static bool on_full(void *host)
{
    (void)host;
    return false;
}

static void on_event(void *host)
{
    (void)host;
}

static void on_pause(void *host, bool paused)
{
    (void)host;
    (void)paused;
}

static void on_connect(void *host, const struct session_target *target)
{
    (void)host;
    (void)target;
}

static void on_cancel(void *host, uint32_t pid, struct bytes key)
{
    (void)host;
    (void)pid;
    (void)key;
}

static void on_defer(void *host, struct statement_job *job)
{
    (void)host;
    deferred = job;
}

static void on_timer(void *host, unsigned long ms)
{
    (void)host;
    (void)ms;
}

static void on_close(void *host, const char *reason)
{
    (void)host;
    (void)reason;
    closed = true;
}

static const struct session_host host_ops = {
    .send_client = on_bytes,
    .send_upstream = on_bytes,
    .upstream_is_full = on_full,
    .finish_upstream = on_event,
    .pause_client = on_pause,
    .connect = on_connect,
    .cancel = on_cancel,
    .defer = on_defer,
    .set_timer = on_timer,
    .migrated = on_event,
    .authenticated = on_pause,
    .close = on_close,
};

static const struct session_settings settings = {
    .md5_password = "secret",
    .database = "main",
    .shadow_databases = "shadow*",
    .auth_timeout_ms = 1000,
    .query_max = 1024 * 1024,
    .fallback = true,
    .framework_tables = "schema_migrations\0",
};

static void make_ready(struct session *session)
{
    static const char *const parameters[] = {"client_encoding", "UTF8",
                                             "standard_conforming_strings", "on", NULL};

    session->user = calloc(1, 2);
    session->parameters.list = calloc(1, sizeof(char *));
    session_enter(session, SESSION_CONNECTING);
    session_upstream_ready(session, &(struct session_upstream){.parameters = parameters});
}

static void run_deferred(struct session *session)
{
    struct statement_job *job = deferred;

    if (job == NULL)
        return;
    deferred = NULL;
    statement_job_run(job);
    session_job_done(session, job);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    size_t sent = 0;
    struct session *session =
        session_new(&settings, &host_ops, &sent, 1, "fuzz", SESSION_TCP, false);
    uint8_t speaker, len;

    closed = false;
    deferred = NULL;
    session_start(session);
    if (size > 0 && (data[0] & 0x80) == 0)
        make_ready(session);
    while (!closed && bytes_take_u8(&in, &speaker) && bytes_take_u8(&in, &len)) {
        struct bytes piece = bytes_first(in, len);
        in = bytes_skip(in, piece.len);
        if ((speaker & 1) == 0)
            session_client_bytes(session, piece);
        else
            session_upstream_bytes(session, piece);
        run_deferred(session);
    }
    if (!closed)
        session_upstream_end(session);
    session_free(session);
    return 0;
}
