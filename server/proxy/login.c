/* A session's first part: the start-up packets, authentication, and the client's welcome once
 * upstream is ready. */
#include "server/proxy/session_state.h"

#include "common/memory.h"
#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/pgwire/startup.h"
#include "server/proxy/companion.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* More protocol options (`_pq_.…`) than anyone has invented. */
#define PROTOCOL_OPTIONS_MAX 64

static void violation(struct session *session, const char *message)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "08P01", "%s", message);
    session_fail(session, &error);
}

static void refuse_version(struct session *session, const struct startup_packet *packet)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "0A000",
              "unsupported frontend protocol %u.%u: server supports 3.0 to 3.0", packet->major,
              packet->minor);
    session_fail(session, &error);
}

static bool offers_tls(const struct session *session)
{
    return session->settings->tls && session->entrance == SESSION_TCP && !session->tls;
}

/* SSLRequest and GSSENCRequest. Each may be asked once; the latter is never granted. */
static void answer_encryption(struct session *session, const struct startup_packet *packet,
                              bool *asked, struct bytes rest)
{
    static const uint8_t no = 'N', yes = 'S';

    if (*asked) {
        refuse_version(session, packet);
    } else if (rest.len > 0) {
        /* Whoever sends more before it knows the answer may be an attacker who injects clear text
         * into what the client takes for encrypted (CVE-2021-23222). */
        violation(session, packet->kind == STARTUP_SSL_REQUEST
                               ? "received unencrypted data after SSL request"
                               : "received unencrypted data after GSSAPI encryption request");
    } else if (packet->kind == STARTUP_SSL_REQUEST && offers_tls(session)) {
        session->ops->send_client(session->host, bytes_of(&yes, 1));
        session_began_tls(session);
        session->ops->start_tls(session->host);
    } else {
        *asked = true;
        session->ops->send_client(session->host, bytes_of(&no, 1));
    }
}

static void negotiate_version(struct session *session, const struct startup_packet *packet)
{
    struct bytes unknown[PROTOCOL_OPTIONS_MAX];
    struct bytes rest = packet->parameters;
    struct startup_parameter parameter;
    struct buffer out;
    size_t count = 0;

    while (count < PROTOCOL_OPTIONS_MAX && startup_next_parameter(&rest, &parameter))
        if (bytes_starts_with(parameter.name, "_pq_."))
            unknown[count++] = parameter.name;
    if (packet->minor == 0 && count == 0)
        return;
    buffer_init(&out, STARTUP_PACKET_MAX * 2);
    pgwire_encode_negotiate_version(&out, 0, unknown, count);
    session_send_client(session, &out);
}

static void request_password(struct session *session)
{
    uint8_t binding[SESSION_BINDING_MAX];
    struct buffer data, out;

    buffer_init(&data, SESSION_MESSAGE_MAX);
    buffer_init(&out, SESSION_MESSAGE_MAX);
    if (session->settings->md5_password != NULL) {
        if (getrandom(session->md5_salt, sizeof session->md5_salt, 0) !=
            (ssize_t)sizeof session->md5_salt) {
            session_close(session, "the system gives no random bytes");
            return;
        }
        session->login_step = LOGIN_MD5;
        pgwire_encode_authentication(&out, PGWIRE_AUTH_MD5,
                                     bytes_of(session->md5_salt, sizeof session->md5_salt));
    } else {
        session->exchange = auth_exchange_new(
            session->settings->verifier,
            bytes_of(binding, session->ops->channel_binding(session->host, binding)));
        session->login_step = LOGIN_SASL_INITIAL;
        auth_append_mechanisms(session->exchange, &data);
        pgwire_encode_authentication(&out, PGWIRE_AUTH_SASL, buffer_peek(&data));
    }
    session_enter(session, SESSION_AUTHENTICATING);
    session_send_client(session, &out);
    buffer_clear(&data);
}

static bool matches_shadow(const struct session *session, const char *database)
{
    char *patterns = mem_copy_string(session->settings->shadow_databases);
    char *rest = patterns;
    char *pattern;
    bool found = false;

    while (!found && (pattern = strsep(&rest, ", ")) != NULL)
        found = *pattern != '\0' && fnmatch(pattern, database, 0) == 0;
    free(patterns);
    return found;
}

static enum session_mode choose_mode(const struct session *session)
{
    const char *database = session->database != NULL ? session->database : session->user;

    if (session->settings->shadow_databases != NULL && matches_shadow(session, database))
        return SESSION_SHADOW;
    if (strcmp(session->user, "transparent") == 0)
        return SESSION_TRANSPARENT;
    if (strcmp(session->user, "prisma") == 0)
        return SESSION_INTROSPECTION;
    return SESSION_ELECTRIC;
}

static char *copy_parameter(const struct startup_packet *packet, const char *name)
{
    struct bytes value = startup_parameter(packet, name);

    return value.len > 0 ? mem_copy_chars((const char *)value.data, value.len) : NULL;
}

static void begin_login(struct session *session, const struct startup_packet *packet)
{
    struct error error = {.sqlstate = ""};

    negotiate_version(session, packet);
    if (session->doomed) {
        session_fail(session, &session->doom);
        return;
    }
    if (session->settings->tls_required && session->entrance == SESSION_TCP && !session->tls) {
        error_set(&error, STATUS_DENIED, "28000",
                  "the migrations proxy takes no clients without "
                  "TLS");
        error_hint(&error, "Connect with sslmode=require or stricter.");
        session_fail(session, &error);
        return;
    }
    session->user = copy_parameter(packet, "user");
    session->database = copy_parameter(packet, "database");
    if (session->user == NULL) {
        error_set(&error, STATUS_INVALID, "28000",
                  "no PostgreSQL user name specified in startup packet");
        session_fail(session, &error);
        return;
    }
    session->mode = choose_mode(session);
    if (parameters_collect(&session->parameters, packet, &error) != STATUS_OK) {
        session_fail(session, &error);
        return;
    }
    request_password(session);
}

static void startup_packet(struct session *session, struct bytes *in)
{
    struct startup_packet packet;
    enum status status = startup_decode(in, &packet);

    if (status == STATUS_MORE)
        return;
    if (status != STATUS_OK) {
        session_close(session, "not a Postgres client");
        return;
    }
    switch (packet.kind) {
    case STARTUP_SSL_REQUEST:
        answer_encryption(session, &packet, &session->asked_ssl, *in);
        break;
    case STARTUP_GSSENC_REQUEST:
        answer_encryption(session, &packet, &session->asked_gssenc, *in);
        break;
    case STARTUP_CANCEL_REQUEST:
        session->ops->cancel(session->host, packet.pid, packet.secret);
        session_close(session, "cancel request");
        break;
    case STARTUP_MESSAGE:
        begin_login(session, &packet);
        break;
    case STARTUP_MALFORMED:
        violation(session, "invalid startup packet layout: expected terminator as last byte");
        break;
    case STARTUP_OTHER_VERSION:
        refuse_version(session, &packet);
        break;
    }
}

/* The database of DATABASE_URL goes by the name of "postgres", too. Tools that introspect may name
 * the database that they are shown, since some ask the catalog for the name they were given. */
static bool is_served(const struct session *session, const char *database)
{
    const char *served = session->settings->database;
    char companion[COMPANION_NAME_SIZE];

    if (strcmp(database, served) == 0 || strcmp(database, "postgres") == 0)
        return true;
    companion_name(served, companion);
    return session->mode == SESSION_INTROSPECTION && strcmp(database, companion) == 0;
}

/* The database to ask for: the one of DATABASE_URL unless the client wants a shadow database. Any
 * other name is looked up, since a client that means another database must not get this one. */
static void connect_upstream(struct session *session)
{
    const char *asked = session->database != NULL ? session->database : session->user;
    struct session_target target = {
        .mode = session->mode,
        .user = session->user,
        .parameters = (const char *const *)session->parameters.list,
    };

    if (session->mode == SESSION_SHADOW)
        target.database = asked;
    else if (!is_served(session, asked))
        target.asked_database = asked;
    /* From here on the client is known; what it pipelines is bounded like any message. */
    buffer_set_capacity(&session->client_input,
                        session->settings->query_max + 2 * SESSION_REPORT_MAX);
    session_enter(session, SESSION_CONNECTING);
    session->ops->set_timer(session->host, 0);
    session->ops->connect(session->host, &target);
}

static void login_succeeded(struct session *session, struct buffer *final)
{
    struct buffer out;

    (void)session->ops->authenticated(session->host, true);
    if (buffer_len(final) > 0) {
        buffer_init(&out, SESSION_MESSAGE_MAX);
        pgwire_encode_authentication(&out, PGWIRE_AUTH_SASL_FINAL, buffer_peek(final));
        session_send_client(session, &out);
    }
    connect_upstream(session);
}

/* A wrong password is answered late, so that guessing is slow. */
static void login_failed(struct session *session)
{
    unsigned long delay_ms = session->ops->authenticated(session->host, false);

    session_enter(session, SESSION_REJECTING);
    session->ops->set_timer(session->host, delay_ms);
}

void login_reject(struct session *session)
{
    struct error error;

    error_set(&error, STATUS_DENIED, "28P01", "password authentication failed for user \"%s\"",
              session->user);
    session_fail(session, &error);
}

static void login_judged(struct session *session, enum status status, struct buffer *final,
                         const struct error *error)
{
    if (status == STATUS_OK)
        login_succeeded(session, final);
    else if (status == STATUS_DENIED)
        login_failed(session);
    else
        session_fail(session, error);
}

static void continue_sasl(struct session *session, struct buffer *challenge)
{
    struct buffer out;

    buffer_init(&out, SESSION_MESSAGE_MAX);
    pgwire_encode_authentication(&out, PGWIRE_AUTH_SASL_CONTINUE, buffer_peek(challenge));
    session->login_step = LOGIN_SASL_RESPONSE;
    session_send_client(session, &out);
}

static void check_md5(struct session *session, struct bytes body, struct buffer *none)
{
    struct error error = {.sqlstate = ""};
    struct bytes answer;
    enum status status = STATUS_DENIED;

    if (bytes_take_string(&body, &answer) &&
        auth_check_md5(session->settings->md5_password, bytes_of_string(session->user),
                       session->md5_salt, answer))
        status = STATUS_OK;
    login_judged(session, status, none, &error);
}

static void password_message(struct session *session, struct bytes body)
{
    struct error error = {.sqlstate = "08P01"};
    struct buffer answer;
    enum status status;

    buffer_init(&answer, SESSION_MESSAGE_MAX);
    switch (session->login_step) {
    case LOGIN_MD5:
        check_md5(session, body, &answer);
        break;
    case LOGIN_SASL_INITIAL:
        status = auth_start(session->exchange, body, &answer, &error);
        if (status == STATUS_OK)
            continue_sasl(session, &answer);
        else
            login_judged(session, status, &answer, &error);
        break;
    case LOGIN_SASL_RESPONSE:
        status = auth_finish(session->exchange, body, &answer, &error);
        login_judged(session, status, &answer, &error);
        break;
    }
    buffer_clear(&answer);
}

static void authentication_message(struct session *session, struct bytes *in)
{
    struct pgwire_message message;
    struct pgwire_header header;
    enum status status = pgwire_peek(*in, &header);

    if (status == STATUS_MORE)
        return;
    /* Whoever only asks whether anybody is there leaves when it should say its password. */
    if (status == STATUS_OK && header.type == PGWIRE_TERMINATE) {
        session_close(session, "client disconnected");
        return;
    }
    if (status != STATUS_OK || header.type != PGWIRE_PASSWORD ||
        header.length > SESSION_MESSAGE_MAX / 4) {
        violation(session, "expected a password response");
        return;
    }
    if (pgwire_decode(in, &message) == STATUS_OK)
        password_message(session, message.body);
}

void login_process(struct session *session, struct bytes *in)
{
    if (session->state == SESSION_STARTUP)
        startup_packet(session, in);
    else
        authentication_message(session, in);
}

static void refuse_database(struct session *session)
{
    struct error error;

    error_set(&error, STATUS_DENIED, "3D000", "the migrations proxy serves database \"%s\"",
              session->settings->database);
    error_hint(&error,
               "Name that database in the connection string, or connect to \"%s\" directly.",
               session->database != NULL ? session->database : session->user);
    session_fail(session, &error);
}

static void append_database_notice(const struct session *session, struct buffer *out)
{
    struct error notice;

    error_set(&notice, STATUS_OK, "00000",
              "database \"%s\" does not exist: the migrations proxy serves database \"%s\"",
              session->database, session->settings->database);
    pgwire_encode_notice(out, "NOTICE", &notice);
}

void login_connected(struct session *session, const struct session_upstream *upstream)
{
    const char *const *parameter;
    struct buffer out;

    if (upstream->asked_database_exists) {
        refuse_database(session);
        return;
    }
    buffer_init(&out, SESSION_REPORT_MAX);
    pgwire_encode_authentication(&out, PGWIRE_AUTH_OK, bytes_of(NULL, 0));
    for (parameter = upstream->parameters; parameter[0] != NULL; parameter += 2) {
        pgwire_encode_parameter_status(&out, parameter[0], parameter[1]);
        backend_note_parameter(session, bytes_of_string(parameter[0]),
                               bytes_of_string(parameter[1]));
    }
    if (session->mode == SESSION_ELECTRIC) {
        session->text_settings.endings = session->pipeline.outcome.watched = true;
        session->pipeline.outcome.asks = upstream->may_ask_xid;
        session->text_settings.fallback = session->settings->fallback;
        session->text_settings.framework_tables = session->settings->framework_tables;
    }
    pipeline_reserve(&session->pipeline, upstream->secret);
    pgwire_encode_backend_key_data(&out, upstream->pid, upstream->secret);
    if (session->mode != SESSION_SHADOW && session->database != NULL &&
        !is_served(session, session->database))
        append_database_notice(session, &out);
    if (upstream->notice != NULL)
        pgwire_encode_notice(&out, "NOTICE", upstream->notice);
    pgwire_encode_ready_for_query(&out, 'I');

    auth_exchange_free(session->exchange);
    session->exchange = NULL;
    parameters_free(&session->parameters);
    session_enter(session, SESSION_READY);
    session_send_client(session, &out);
}
