/* Start-up, login and one statement, as far as they get. */
#include "client/pgprobe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "client/scram.h"
#include "common/memory.h"
#include "common/printable.h"

enum {
    PROTOCOL_3_0 = 3 << 16,
    OUTPUT_MAX = 16384,
    MESSAGE_MAX = 65536, /* longer ones are none that a server sends before a query */
    HEADER_LEN = 5,
};

/* Authentication requests. */
enum { AUTH_OK = 0, AUTH_CLEARTEXT = 3, AUTH_MD5 = 5, AUTH_SASL = 10, AUTH_CONTINUE, AUTH_FINAL };

/* What was said of the password. Each comes once: a server that asks again and again could keep us
 * computing. */
enum password_step { PASSWORD_NONE, PASSWORD_SASL_BEGUN, PASSWORD_SASL_PROVEN, PASSWORD_GIVEN };

/* Fails in any case: no such table can be. Plain Postgres calls it a syntax error. */
#define DDLX "ALTER TABLE \"electric-tunnel check\" ENABLE ELECTRIC"
#define SYNTAX_ERROR "42601"

struct pgprobe {
    enum pgprobe_stage stage;
    const char *user;
    const char *password;
    enum pgprobe_goal goal;
    bool sent_query;
    enum password_step step;
    struct scram *scram;
    struct buffer in;
    struct buffer out;
    struct pgprobe_result result;
};

/* ---- what it says ------------------------------------------------------------------------------
 */

/* Where the length stands that finish_message() fills in. */
static size_t begin_message(struct pgprobe *probe, char type)
{
    size_t at;

    if (type != '\0')
        buffer_append_u8(&probe->out, (uint8_t)type);
    at = buffer_len(&probe->out);
    buffer_append_u32(&probe->out, 0);
    return at;
}

static void finish_message(struct pgprobe *probe, size_t at)
{
    buffer_patch_u32(&probe->out, at, (uint32_t)(buffer_len(&probe->out) - at));
}

static void say_startup(struct pgprobe *probe, const char *database)
{
    size_t at = begin_message(probe, '\0');

    buffer_append_u32(&probe->out, PROTOCOL_3_0);
    buffer_append_string(&probe->out, "user");
    buffer_append_string(&probe->out, probe->user);
    buffer_append_string(&probe->out, "database");
    buffer_append_string(&probe->out, database);
    buffer_append_string(&probe->out, "application_name");
    buffer_append_string(&probe->out, "electric-tunnel");
    buffer_append_u8(&probe->out, 0);
    finish_message(probe, at);
}

static void say_text(struct pgprobe *probe, char type, const char *text)
{
    size_t at = begin_message(probe, type);

    buffer_append_string(&probe->out, text);
    finish_message(probe, at);
}

static void leave(struct pgprobe *probe)
{
    if (probe->stage == PGPROBE_OVER)
        return;
    probe->stage = PGPROBE_OVER;
    finish_message(probe, begin_message(probe, 'X'));
}

static void fail(struct pgprobe *probe, enum status status, const struct error *error)
{
    probe->result.failure = status;
    probe->result.error = *error;
    leave(probe);
}

static void fail_login(struct pgprobe *probe, const char *reason, const char *hint)
{
    struct error error;

    error_set(&error, STATUS_INVALID, "08P01", "%s", reason);
    error_hint(&error, "%s", hint);
    fail(probe, STATUS_INVALID, &error);
}

static void fail_foreign(struct pgprobe *probe)
{
    fail_login(probe, "what answers does not speak like Postgres",
               "Check what the service connects to.");
}

/* ---- passwords ---------------------------------------------------------------------------------
 */

static void md5_hex(struct bytes first, struct bytes second, char out[33])
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};

    if (EVP_DigestInit_ex(context, EVP_md5(), NULL) == 1) {
        EVP_DigestUpdate(context, first.data, first.len);
        EVP_DigestUpdate(context, second.data, second.len);
        EVP_DigestFinal_ex(context, digest, NULL);
    }
    EVP_MD_CTX_free(context);
    for (int i = 0; i < 16; i++)
        snprintf(out + (size_t)i * 2, 3, "%02x", digest[i]);
}

static void answer_md5(struct pgprobe *probe, struct bytes salt)
{
    char inner[33];
    char answer[36] = "md5";

    md5_hex(bytes_of_string(probe->password), bytes_of_string(probe->user), inner);
    md5_hex(bytes_of_string(inner), salt, answer + 3);
    say_text(probe, 'p', answer);
    probe->step = PASSWORD_GIVEN;
}

static bool offers_scram(struct bytes mechanisms)
{
    struct bytes name;

    while (bytes_take_string(&mechanisms, &name) && name.len > 0)
        if (bytes_equal_string(name, "SCRAM-SHA-256"))
            return true;
    return false;
}

static void begin_scram(struct pgprobe *probe)
{
    size_t at = begin_message(probe, 'p');
    struct buffer first;

    buffer_init(&first, OUTPUT_MAX);
    probe->step = PASSWORD_SASL_BEGUN;
    probe->scram = scram_new(probe->password);
    scram_begin(probe->scram, &first);
    buffer_append_string(&probe->out, "SCRAM-SHA-256");
    buffer_append_u32(&probe->out, (uint32_t)buffer_len(&first));
    buffer_append(&probe->out, buffer_peek(&first));
    buffer_clear(&first);
    finish_message(probe, at);
}

static void continue_scram(struct pgprobe *probe, struct bytes challenge)
{
    size_t before = buffer_len(&probe->out);
    size_t at = begin_message(probe, 'p');
    struct error error;
    enum status status = scram_answer(probe->scram, challenge, &probe->out, &error);

    if (status == STATUS_OK) {
        finish_message(probe, at);
        probe->step = PASSWORD_SASL_PROVEN;
        return;
    }
    buffer_truncate(&probe->out, before);
    fail(probe, status, &error);
}

static void finish_scram(struct pgprobe *probe, struct bytes body)
{
    struct error error;
    enum status status = scram_verify(probe->scram, body, &error);

    if (status == STATUS_OK)
        probe->step = PASSWORD_GIVEN;
    else
        fail(probe, status, &error);
}

/* ---- what it hears -----------------------------------------------------------------------------
 */

static void on_password_wanted(struct pgprobe *probe, uint32_t how, struct bytes body)
{
    if (probe->password == NULL) {
        probe->result.password_asked = true;
        leave(probe);
        return;
    }
    if (probe->step != PASSWORD_NONE)
        fail_foreign(probe);
    else if (how == AUTH_MD5 && body.len == 4)
        answer_md5(probe, body);
    else if (how == AUTH_SASL && offers_scram(body))
        begin_scram(probe);
    else
        fail_login(probe, "it asks for the password in a way that is not tried here",
                   "Log in with psql to see whether it can be done.");
}

/* Whoever began the exchange has to show that it knows the password, too. */
static void on_let_in(struct pgprobe *probe)
{
    if (probe->step == PASSWORD_SASL_BEGUN || probe->step == PASSWORD_SASL_PROVEN)
        fail_login(probe, "it lets us in without proving that it knows the password",
                   "It may not be the Postgres you mean; check what the service connects to.");
    else
        probe->result.logged_in = true;
}

static void on_authentication(struct pgprobe *probe, struct bytes body)
{
    uint32_t how = 0;

    if (!bytes_take_u32(&body, &how)) {
        fail_foreign(probe);
        return;
    }
    probe->result.answered = true;
    probe->stage = PGPROBE_LOGGING_IN;
    if (probe->goal == PGPROBE_ANSWER)
        leave(probe);
    else if (how == AUTH_OK)
        on_let_in(probe);
    else if (how == AUTH_CONTINUE && probe->step == PASSWORD_SASL_BEGUN)
        continue_scram(probe, body);
    else if (how == AUTH_FINAL && probe->step == PASSWORD_SASL_PROVEN)
        finish_scram(probe, body);
    else
        on_password_wanted(probe, how, body);
}

/* Printable, since it goes to a terminal. */
static void copy_text(struct bytes text, char *out, size_t size)
{
    size_t len = bytes_utf8_cut(text, size - 1);

    if (len > 0)
        memcpy(out, text.data, len);
    out[len] = '\0';
    printable_make(out);
}

static void on_parameter(struct pgprobe *probe, struct bytes body)
{
    struct bytes name;
    struct bytes value;

    if (bytes_take_string(&body, &name) && bytes_take_string(&body, &value) &&
        bytes_equal_string(name, "server_version"))
        copy_text(value, probe->result.version, sizeof probe->result.version);
}

static void read_error(struct bytes body, struct error *error)
{
    struct bytes value;
    uint8_t field;

    memset(error, 0, sizeof *error);
    while (bytes_take_u8(&body, &field) && field != 0 && bytes_take_string(&body, &value)) {
        if (field == 'C')
            copy_text(value, error->sqlstate, sizeof error->sqlstate);
        else if (field == 'M')
            copy_text(value, error->message, sizeof error->message);
        else if (field == 'H')
            copy_text(value, error->hint, sizeof error->hint);
    }
}

/* Classes of SQLSTATE: Postgres documentation, appendix "PostgreSQL Error Codes". */
static bool has_class(const struct error *error, const char *prefix)
{
    return strncmp(error->sqlstate, prefix, 2) == 0;
}

static void on_error(struct pgprobe *probe, struct bytes body)
{
    struct error error;
    bool is_postgres;

    read_error(body, &error);
    if (error.message[0] == '\0')
        snprintf(error.message, sizeof error.message, "it refuses without saying why");
    /* The others come from the tunnel, or say that there is nobody. */
    is_postgres = !has_class(&error, "08") && !has_class(&error, "57");
    if (is_postgres && probe->sent_query) {
        probe->result.asked = true;
        probe->result.ddlx = strcmp(error.sqlstate, SYNTAX_ERROR) != 0;
        return;
    }
    probe->result.answered |= is_postgres;
    fail(probe, has_class(&error, "28") ? STATUS_DENIED : STATUS_UNAVAILABLE, &error);
}

static void on_ready(struct pgprobe *probe)
{
    if (probe->result.asked && probe->goal == PGPROBE_STAY) {
        probe->stage = PGPROBE_OVER;
        return;
    }
    if (probe->result.asked) {
        leave(probe);
        return;
    }
    /* Nobody is ready before the login, nor without a word about a statement. */
    if (!probe->result.logged_in || probe->sent_query) {
        fail_foreign(probe);
        return;
    }
    probe->stage = PGPROBE_ASKING;
    probe->sent_query = true;
    say_text(probe, 'Q', DDLX);
}

static void on_message(struct pgprobe *probe, uint8_t type, struct bytes body)
{
    switch (type) {
    case 'R':
        on_authentication(probe, body);
        break;
    case 'S':
        on_parameter(probe, body);
        break;
    case 'E':
        on_error(probe, body);
        break;
    case 'Z':
        on_ready(probe);
        break;
    case 'K': /* BackendKeyData */
    case 'N': /* NoticeResponse */
    case 'C': /* CommandComplete */
    case 'v': /* NegotiateProtocolVersion */
        break;
    default:
        fail_foreign(probe);
    }
}

/* False when there is no whole message. */
static bool take_message(struct pgprobe *probe)
{
    struct bytes in = buffer_peek(&probe->in);
    struct bytes body;
    uint8_t type;
    uint32_t len;

    if (!bytes_take_u8(&in, &type) || !bytes_take_u32(&in, &len))
        return false;
    if (len < 4 || len > MESSAGE_MAX) {
        fail_foreign(probe);
        return false;
    }
    if (!bytes_take(&in, len - 4, &body))
        return false;
    on_message(probe, type, body);
    buffer_consume(&probe->in, HEADER_LEN + body.len);
    return true;
}

void pgprobe_input(struct pgprobe *probe, struct bytes in)
{
    while (in.len > 0 && probe->stage != PGPROBE_OVER) {
        struct bytes piece = bytes_first(in, buffer_room(&probe->in));

        buffer_append(&probe->in, piece);
        in = bytes_skip(in, piece.len);
        while (probe->stage != PGPROBE_OVER && take_message(probe))
            continue;
    }
}

/* ---- making and freeing ------------------------------------------------------------------------
 */

struct pgprobe *pgprobe_new(const char *user, const char *database, const char *password,
                            enum pgprobe_goal goal)
{
    struct pgprobe *probe = mem_new(sizeof *probe);

    probe->user = user;
    probe->password = password;
    probe->goal = goal;
    buffer_init(&probe->in, HEADER_LEN + MESSAGE_MAX);
    buffer_init(&probe->out, OUTPUT_MAX);
    say_startup(probe, database);
    return probe;
}

void pgprobe_free(struct pgprobe *probe)
{
    if (probe == NULL)
        return;
    scram_free(probe->scram);
    buffer_clear(&probe->in);
    buffer_clear(&probe->out);
    free(probe);
}

struct buffer *pgprobe_output(struct pgprobe *probe)
{
    return &probe->out;
}

enum pgprobe_stage pgprobe_stage(const struct pgprobe *probe)
{
    return probe->stage;
}

const struct pgprobe_result *pgprobe_result(const struct pgprobe *probe)
{
    return &probe->result;
}
