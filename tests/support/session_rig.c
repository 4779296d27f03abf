/* A session, its client and its server. */
#include "tests/support/session_rig.h"

#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/pgwire/startup.h"
#include "server/proxy/statement.h"

#include <check.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session_rig host;
struct session *session;
bool byte_by_byte;

static void on_send_client(void *context, struct bytes data)
{
    (void)context;
    ck_assert(buffer_append(&host.client, data));
}

static void on_send_upstream(void *context, struct bytes data)
{
    (void)context;
    ck_assert(buffer_append(&host.upstream, data));
}

static bool on_upstream_is_full(void *context)
{
    (void)context;
    return host.upstream_full;
}

static void on_finish_upstream(void *context)
{
    (void)context;
    host.finished = true;
}

static void on_pause_client(void *context, bool paused)
{
    (void)context;
    host.paused = paused;
}

static void on_connect(void *context, const struct session_target *target)
{
    (void)context;
    host.connecting = true;
    snprintf(host.asked, sizeof host.asked, "%s",
             target->asked_database != NULL ? target->asked_database : "");
    snprintf(host.database, sizeof host.database, "%s",
             target->database != NULL ? target->database : "");
    host.parameters[0] = '\0';
    for (const char *const *at = target->parameters; *at != NULL; at++) {
        strcat(host.parameters, *at);
        strcat(host.parameters, ";");
    }
}

static void on_cancel(void *context, uint32_t pid, struct bytes key)
{
    (void)context;
    ck_assert_uint_eq(key.len, 4);
    host.cancelled = pid;
}

static void on_defer(void *context, struct statement_job *job)
{
    (void)context;
    host.job = job;
}

static void on_set_timer(void *context, unsigned long ms)
{
    (void)context;
    host.timer = ms;
}

static unsigned long on_authenticated(void *context, bool success)
{
    (void)context;
    return success ? 0 : SESSION_RIG_DELAY_MS;
}

static void on_start_tls(void *context)
{
    (void)context;
    host.tls = true;
}

static size_t on_channel_binding(void *context, uint8_t *out)
{
    (void)context;
    (void)out;
    return 0;
}

static void on_close(void *context, const char *reason)
{
    (void)context;
    snprintf(host.closed, sizeof host.closed, "%s", reason);
}

static void on_migrated(void *context)
{
    (void)context;
    host.migrated++;
}

static void on_committing(void *context, uint64_t xid)
{
    (void)context;
    host.committing = xid;
}

static void on_ask_outcome(void *context, uint64_t xid)
{
    (void)context;
    host.in_question = xid;
}

static void on_refused(void *context, const char *sqlstate)
{
    (void)context;
    snprintf(host.refused, sizeof host.refused, "%s", sqlstate);
}

static void on_statement(void *context, enum session_statement kind)
{
    (void)context;
    host.statements[kind]++;
}

static const struct session_host host_ops = {
    .send_client = on_send_client,
    .send_upstream = on_send_upstream,
    .upstream_is_full = on_upstream_is_full,
    .finish_upstream = on_finish_upstream,
    .pause_client = on_pause_client,
    .connect = on_connect,
    .cancel = on_cancel,
    .defer = on_defer,
    .set_timer = on_set_timer,
    .committing = on_committing,
    .ask_outcome = on_ask_outcome,
    .migrated = on_migrated,
    .refused = on_refused,
    .statement = on_statement,
    .start_tls = on_start_tls,
    .channel_binding = on_channel_binding,
    .authenticated = on_authenticated,
    .close = on_close,
};

struct session_settings settings = {
    .md5_password = "secret",
    .database = "main",
    .shadow_databases = "prisma_migrate_shadow_db*",
    .auth_timeout_ms = 10000,
    .query_max = 64 * 1024 * 1024,
};

void begin(void)
{
    memset(&host, 0, sizeof host);
    buffer_init(&host.client, 256u * 1024 * 1024);
    buffer_init(&host.upstream, 256u * 1024 * 1024);
    session = session_new(&settings, &host_ops, &host, 1, "test", SESSION_TCP);
    session_start(session);
}

void end(void)
{
    session_free(session);
    buffer_clear(&host.client);
    buffer_clear(&host.upstream);
}

typedef void feed(struct session *session, struct bytes data);

static void deliver(feed *feed_session, struct bytes data)
{
    if (!byte_by_byte) {
        feed_session(session, data);
        return;
    }
    for (size_t i = 0; i < data.len; i++)
        feed_session(session, bytes_of(data.data + i, 1));
}

void from_client(struct bytes data)
{
    deliver(session_client_bytes, data);
}

void from_server(struct bytes data)
{
    deliver(session_upstream_bytes, data);
}

void from_client_message(uint8_t type, struct bytes body)
{
    struct buffer out;
    size_t mark;

    buffer_init(&out, 64u * 1024 * 1024);
    mark = pgwire_begin(&out, type);
    buffer_append(&out, body);
    pgwire_end(&out, mark);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
}

void send_query(const char *sql)
{
    from_client_message(PGWIRE_QUERY, bytes_of(sql, strlen(sql) + 1));
}

static void md5_hex(const void *data, size_t len, char hex[33])
{
    unsigned char digest[16];

    ck_assert_int_eq(EVP_Digest(data, len, digest, NULL, EVP_md5(), NULL), 1);
    for (int i = 0; i < 16; i++)
        snprintf(hex + i * 2, 3, "%02x", digest[i]);
}

void answer_md5(const char *password, const char *user)
{
    struct bytes sent = buffer_peek(&host.client);
    char inner[128], hex[33], answer[64] = "md5";

    ck_assert_uint_eq(sent.len, 13);
    snprintf(inner, sizeof inner, "%s%s", password, user);
    md5_hex(inner, strlen(inner), hex);
    memcpy(inner, hex, 32);
    memcpy(inner + 32, sent.data + 9, 4);
    md5_hex(inner, 36, answer + 3);
    buffer_clear(&host.client);
    from_client_message(PGWIRE_PASSWORD, bytes_of(answer, strlen(answer) + 1));
}

void start(const char *parameters, size_t len)
{
    struct buffer out;

    buffer_init(&out, STARTUP_PACKET_MAX);
    buffer_append_u32(&out, (uint32_t)(8 + len + 1));
    buffer_append_u32(&out, 3u << 16);
    buffer_append(&out, bytes_of(parameters, len));
    buffer_append_u8(&out, 0);
    from_client(buffer_peek(&out));
    buffer_clear(&out);
}

void upstream_ready_with(bool asked_exists)
{
    static const char *const parameters[] = {"client_encoding", "UTF8",
                                             "standard_conforming_strings", "on", NULL};

    ck_assert(host.connecting);
    session_upstream_ready(session, &(struct session_upstream){
                                        .pid = 77,
                                        .secret = 0x01020304,
                                        .parameters = parameters,
                                        .asked_database_exists = asked_exists,
                                        .may_ask_xid = true,
                                    });
}

void begin_ready(void)
{
    begin();
    START("user\0me\0database\0main\0");
    answer_md5("secret", "me");
    upstream_ready_with(false);
    ck_assert_str_eq(session_state_name(session), "ready");
    buffer_clear(&host.client);
}

void client_got(struct bytes expected)
{
    struct bytes got = buffer_peek(&host.client);

    ck_assert_msg(bytes_equal(got, expected), "got %zu bytes: %.*s", got.len, (int)got.len,
                  got.data);
    buffer_clear(&host.client);
}

void upstream_got(struct bytes expected)
{
    struct bytes got = buffer_peek(&host.upstream);

    ck_assert_msg(bytes_equal(got, expected), "got %zu bytes: %.*s", got.len, (int)got.len,
                  got.data);
    buffer_clear(&host.upstream);
}

bool client_got_text(const char *text)
{
    struct bytes got = buffer_peek(&host.client);

    return got.len > 0 && memmem(got.data, got.len, text, strlen(text)) != NULL;
}
