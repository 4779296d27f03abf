/* A whole session. Input: pieces, each behind two bytes: who speaks, and how much.
 *
 *   0  the client, anything
 *   1  the server, anything
 *   2  the server as Postgres would: each byte says how it answers the next message
 *   3  the client, one message: its type, then what is in it
 *
 * Login is by a password that the corpus cannot know, so most runs begin in a session that is
 * ready. While the server keeps to the protocol, so must what the client sees. */
#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/pgwire/request.h"
#include "server/proxy/session.h"
#include "server/proxy/session_state.h"

#include <stdlib.h>
#include <string.h>

#define TRAFFIC_MAX ((size_t)16 * 1024 * 1024)

static struct statement_job *deferred;
static bool closed;

/* One direction, as whole messages. */
struct traffic {
    struct buffer bytes;
    size_t syncs; /* messages that are answered by ReadyForQuery */
    size_t readies;
    bool broken;
};

static struct traffic client, upstream, shown;

/* How Postgres reads. */
static struct {
    bool skipping;
    bool copying;
    bool copying_for_query;
    bool ended; /* something came among the rows of a copy */
} model;

static void on_client(void *host, struct bytes data)
{
    (void)host;
    buffer_append(&shown.bytes, data);
}

static void on_upstream(void *host, struct bytes data)
{
    (void)host;
    buffer_append(&upstream.bytes, data);
}

static bool on_full(void *host)
{
    (void)host;
    return false;
}

static void on_statement(void *host, enum session_statement kind)
{
    (void)host;
    (void)kind;
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

static void on_transaction(void *host, uint64_t xid)
{
    (void)host;
    (void)xid;
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

static size_t on_binding(void *host, uint8_t *out)
{
    (void)host;
    (void)out;
    return 0;
}

static unsigned long on_authenticated(void *host, bool success)
{
    (void)host;
    (void)success;
    return 1000;
}

static const struct session_host host_ops = {
    .send_client = on_client,
    .send_upstream = on_upstream,
    .upstream_is_full = on_full,
    .finish_upstream = on_event,
    .pause_client = on_pause,
    .connect = on_connect,
    .cancel = on_cancel,
    .defer = on_defer,
    .set_timer = on_timer,
    .committing = on_transaction,
    .ask_outcome = on_transaction,
    .migrated = on_event,
    .refused = on_close,
    .statement = on_statement,
    .start_tls = on_event,
    .channel_binding = on_binding,
    .authenticated = on_authenticated,
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
    session_upstream_ready(
        session, &(struct session_upstream){.parameters = parameters, .may_ask_xid = true});
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

static bool take_message(struct traffic *traffic, struct pgwire_message *message)
{
    struct bytes rest = buffer_peek(&traffic->bytes);
    enum status status = pgwire_decode(&rest, message);

    traffic->broken = traffic->broken || (status != STATUS_OK && status != STATUS_MORE);
    return status == STATUS_OK;
}

static void forget_message(struct traffic *traffic, const struct pgwire_message *message)
{
    buffer_consume(&traffic->bytes, message->whole.len);
}

static void count_messages(struct traffic *traffic)
{
    struct pgwire_message message;

    while (take_message(traffic, &message)) {
        if (message.type == PGWIRE_QUERY || message.type == PGWIRE_SYNC ||
            message.type == PGWIRE_FUNCTION_CALL)
            traffic->syncs++;
        if (message.type == PGWIRE_READY_FOR_QUERY)
            traffic->readies++;
        forget_message(traffic, &message);
    }
}

static void client_says(struct session *session, struct bytes data)
{
    buffer_append(&client.bytes, data);
    session_client_bytes(session, data);
}

static void say_empty(struct buffer *out, uint8_t type)
{
    pgwire_end(out, pgwire_begin(out, type));
}

static void say_error(struct buffer *out)
{
    static const char body[] = "SERROR\0VERROR\0C42601\0MM\0P3\0";
    size_t mark = pgwire_begin(out, PGWIRE_ERROR_RESPONSE);

    buffer_append(out, bytes_of(body, sizeof body));
    pgwire_end(out, mark);
}

/* An answer of the kind that `choice` says to what runs statements; false: it is not the last. */
static bool say_result(struct buffer *out, unsigned choice, bool of_query)
{
    switch (choice % 8) {
    case 0:
        say_empty(out, PGWIRE_COPY_IN_RESPONSE);
        model.copying = true;
        model.copying_for_query = of_query;
        return false;
    case 1:
        say_empty(out, PGWIRE_DATA_ROW);
        break;
    case 2:
        say_empty(out, of_query ? PGWIRE_ROW_DESCRIPTION : PGWIRE_PORTAL_SUSPENDED);
        if (!of_query)
            return true;
        break;
    case 3:
        say_empty(out, PGWIRE_EMPTY_QUERY_RESPONSE);
        return true;
    case 4:
        say_empty(out, PGWIRE_NOTICE_RESPONSE);
        break;
    default:
        break;
    }
    pgwire_encode_command_complete(out, choice % 2 != 0 ? "CALL" : "ALTER TABLE");
    return true;
}

static void answer_query(struct buffer *out, unsigned choice)
{
    for (unsigned count = choice / 16 + 1; count > 0; count--)
        if (!say_result(out, choice + count, true))
            return;
    pgwire_encode_ready_for_query(out, "IT"[choice / 8 % 2]);
}

static void fail(struct buffer *out, bool extended)
{
    model.copying = false;
    say_error(out);
    if (extended)
        model.skipping = true;
    else
        pgwire_encode_ready_for_query(out, 'I');
}

static void answer_in_copy(struct buffer *out, uint8_t type)
{
    switch (type) {
    case PGWIRE_COPY_DATA:
    case PGWIRE_FLUSH:
    case PGWIRE_SYNC:
        return;
    case PGWIRE_COPY_DONE:
        model.copying = false;
        pgwire_encode_command_complete(out, "COPY 1");
        if (model.copying_for_query)
            pgwire_encode_ready_for_query(out, 'I');
        return;
    case PGWIRE_COPY_FAIL:
        fail(out, !model.copying_for_query);
        return;
    default:
        model.ended = true;
    }
}

static void answer_message(struct buffer *out, uint8_t type, unsigned choice)
{
    if (model.copying) {
        answer_in_copy(out, type);
        return;
    }
    if (model.skipping && type != PGWIRE_SYNC)
        return;
    model.skipping = false;
    if (choice >= 0xe0 && type != PGWIRE_COPY_DATA && type != PGWIRE_FLUSH &&
        type != PGWIRE_COPY_DONE && type != PGWIRE_COPY_FAIL) {
        fail(out, type != PGWIRE_QUERY && type != PGWIRE_SYNC && type != PGWIRE_FUNCTION_CALL);
        return;
    }
    switch (type) {
    case PGWIRE_QUERY:
        answer_query(out, choice);
        break;
    case PGWIRE_FUNCTION_CALL:
    case PGWIRE_SYNC:
        pgwire_encode_ready_for_query(out, "IIT"[choice % 3]);
        break;
    case PGWIRE_PARSE:
        say_empty(out, PGWIRE_PARSE_COMPLETE);
        break;
    case PGWIRE_BIND:
        say_empty(out, PGWIRE_BIND_COMPLETE);
        break;
    case PGWIRE_CLOSE:
        say_empty(out, PGWIRE_CLOSE_COMPLETE);
        break;
    case PGWIRE_DESCRIBE:
        say_empty(out, choice % 2 != 0 ? PGWIRE_NO_DATA : PGWIRE_ROW_DESCRIPTION);
        break;
    case PGWIRE_EXECUTE:
        say_result(out, choice, false);
        break;
    default:
        break;
    }
}

static void answer_as_postgres(struct session *session, struct bytes choices)
{
    struct pgwire_message message;
    struct buffer out;
    uint8_t choice;

    while (!closed && !model.ended && bytes_take_u8(&choices, &choice) &&
           take_message(&upstream, &message)) {
        buffer_init(&out, TRAFFIC_MAX);
        answer_message(&out, message.type, choice);
        forget_message(&upstream, &message);
        if (buffer_len(&out) > 0)
            session_upstream_bytes(session, buffer_peek(&out));
        buffer_clear(&out);
    }
}

/* `what`: the type, a name of one letter or two, a text. */
static void say_message(struct session *session, struct bytes what)
{
    static const char types[] = "QPBDECSHdcf";
    char name[2] = "", other[2] = "";
    struct buffer out;
    uint8_t type, letter;
    size_t mark;

    if (!bytes_take_u8(&what, &type))
        return;
    type = (uint8_t)types[type % (sizeof types - 1)];
    buffer_init(&out, TRAFFIC_MAX);
    if (strchr("PBDEC", type) != NULL && bytes_take_u8(&what, &letter)) {
        name[0] = "\0abc"[letter % 4];
        other[0] = "\0abc"[letter / 4 % 4];
    }
    switch (type) {
    case PGWIRE_PARSE:
        pgwire_encode_parse(&out, name, what);
        break;
    case PGWIRE_BIND:
        pgwire_encode_bind(&out, other, name, bytes_of(NULL, 0));
        break;
    case PGWIRE_DESCRIBE:
        pgwire_encode_describe(&out, other[0] != '\0' ? 'S' : 'P', name);
        break;
    case PGWIRE_CLOSE:
        pgwire_encode_close(&out, other[0] != '\0' ? 'S' : 'P', name);
        break;
    case PGWIRE_EXECUTE:
        pgwire_encode_execute(&out, name);
        break;
    case PGWIRE_QUERY:
        mark = pgwire_begin(&out, type);
        buffer_append(&out, what);
        buffer_append_u8(&out, 0);
        pgwire_end(&out, mark);
        break;
    default:
        say_empty(&out, type);
    }
    client_says(session, buffer_peek(&out));
    buffer_clear(&out);
}

/* Every message was answered: nothing is kept back, and nobody waits. */
static void check_quiet(struct session *session)
{
    struct pgwire_message message;

    count_messages(&client);
    count_messages(&shown);
    if (closed || client.broken || upstream.broken || session->client_skips)
        return;
    if (shown.broken || shown.readies > client.syncs)
        abort();
    if (take_message(&upstream, &message) || buffer_len(&upstream.bytes) > 0 || model.copying ||
        model.ended || session->job != NULL)
        return;
    if (buffer_len(&session->held) > 0 || (session->awaits_idle && session->pipeline.count > 0))
        abort();
}

static void clear(struct traffic *traffic)
{
    buffer_clear(&traffic->bytes);
    *traffic = (struct traffic){0};
    buffer_init(&traffic->bytes, TRAFFIC_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    struct session *session = session_new(&settings, &host_ops, NULL, 1, "fuzz", SESSION_TCP);
    bool orderly = size > 0 && (data[0] & 0x80) == 0;
    uint8_t speaker, len;

    closed = false;
    deferred = NULL;
    memset(&model, 0, sizeof model);
    clear(&client);
    clear(&upstream);
    clear(&shown);
    session_start(session);
    if (orderly)
        make_ready(session);
    buffer_truncate(&shown.bytes, 0);
    while (!closed && bytes_take_u8(&in, &speaker) && bytes_take_u8(&in, &len)) {
        struct bytes piece = bytes_first(in, len);
        in = bytes_skip(in, piece.len);
        switch (speaker % 4) {
        case 0:
            client_says(session, piece);
            break;
        case 1:
            session_upstream_bytes(session, piece);
            orderly = false;
            break;
        case 2:
            answer_as_postgres(session, piece);
            break;
        default:
            say_message(session, piece);
        }
        run_deferred(session);
        if (orderly)
            check_quiet(session);
    }
    if (!closed)
        session_upstream_end(session);
    session_free(session);
    clear(&client);
    clear(&upstream);
    clear(&shown);
    return 0;
}
