/* Server → client: the plan decides about tags, reports of our own functions are cleaned, and runs
 * of everything else go out in one piece, DataRow and CopyData without being looked into. */
#include "server/proxy/session_state.h"

#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/pgwire/report.h"
#include "server/proxy/loss.h"

#include <string.h>

bool backend_at_boundary(const struct session *session)
{
    return session->server_pass == 0 && buffer_len(&session->server_input) == 0;
}

/* Postgres counts positions after conversion to its own encoding. Where one side is SQL_ASCII
 * nothing is converted, and the server's encoding, be it bytes, says what a character is. */
static enum encoding counting_encoding(const struct session *session)
{
    if (session->server_encoding == ENCODING_BYTES ||
        session->text_settings.encoding == ENCODING_BYTES)
        return session->server_encoding;
    return session->text_settings.encoding;
}

void backend_note_parameter(struct session *session, struct bytes name, struct bytes value)
{
    struct statement_settings *settings = &session->text_settings;

    if (bytes_equal_string(name, "client_encoding"))
        settings->encoding = encoding_of_name(value);
    else if (bytes_equal_string(name, "server_encoding"))
        session->server_encoding = encoding_of_name(value);
    else if (bytes_equal_string(name, "standard_conforming_strings"))
        settings->standard_conforming_strings = bytes_equal_string(value, "on");
    settings->characters = counting_encoding(session);
}

static void send_run(struct session *session, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        session->ops->send_client(session->host, bytes_of(from, (size_t)(to - from)));
}

/* Messages whose body is looked at must be here whole. */
static bool needs_body(const struct session *session, const struct pgwire_header *header)
{
    if (session->mode == SESSION_TRANSPARENT)
        return header->type == PGWIRE_ERROR_RESPONSE && header->length <= SESSION_REPORT_MAX;
    switch (header->type) {
    case PGWIRE_READY_FOR_QUERY:
    case PGWIRE_PARAMETER_STATUS:
        return header->length <= SESSION_MESSAGE_MAX;
    case PGWIRE_ERROR_RESPONSE:
    case PGWIRE_NOTICE_RESPONSE:
        return header->length <= SESSION_REPORT_MAX;
    case PGWIRE_COMMAND_COMPLETE:
    case PGWIRE_EMPTY_QUERY_RESPONSE:
    case PGWIRE_PORTAL_SUSPENDED:
        return header->length <= SESSION_TAG_MAX &&
               pipeline_wants(&session->pipeline, header->type);
    case PGWIRE_ROW_DESCRIPTION:
        return header->length <= SESSION_MESSAGE_MAX &&
               pipeline_wants(&session->pipeline, header->type);
    case PGWIRE_DATA_ROW:
    case PGWIRE_FUNCTION_CALL_RESPONSE:
        return header->length <= SESSION_TAG_MAX &&
               pipeline_wants(&session->pipeline, header->type);
    default:
        return false;
    }
}

/* Is a report_position: where a mistake is, whatever Postgres says. */
static uint32_t mistake_position(const void *context, uint32_t position)
{
    const struct rewrite *rewrite = context;

    (void)position;
    return rewrite->mistake.at + 1;
}

/* Whether Postgres complains of DDLX that we know more of. */
static bool is_about_mistake(const struct rewrite *rewrite, struct bytes body)
{
    const struct rewrite_mistake *mistake;
    uint32_t position = report_position_of(body);

    if (rewrite == NULL || rewrite->mistake.hint == NULL || position == 0 ||
        !bytes_equal_string(report_field(body, 'C'), "42601"))
        return false;
    mistake = &rewrite->mistake;
    position = rewrite_position(rewrite, position) - 1;
    return mistake->start <= position && position <= mistake->end;
}

static bool is_about_migration(struct bytes body)
{
    return bytes_starts_with(report_field(body, 'M'), "Migration affecting electrified table ");
}

static struct report_edit edit_of(const struct session *session, struct bytes body)
{
    static const char ddlx_hint[] = "ENABLE ELECTRIC is a statement of its own: ALTER TABLE name "
                                    "ENABLE ELECTRIC. In a DO block "
                                    "or a function, write CALL electric.enable('name').";
    const struct rewrite *subject = pipeline_subject(&session->pipeline);
    struct report_edit edit = {.ours = report_is_ours(body), .context = subject};

    if (is_about_mistake(subject, body)) {
        edit.message = subject->mistake.message;
        edit.hint = subject->mistake.hint;
        edit.map = mistake_position;
        return edit;
    }
    if (pipeline_mentions_ddlx(&session->pipeline) && report_is_about_ddlx(body))
        edit.hint = ddlx_hint;
    if (subject != NULL && subject->edit_count > 0)
        edit.map = rewrite_position;
    /* It shows the text that Postgres has got. */
    if (subject != NULL && subject->has_text && edit.ours && is_about_migration(body))
        edit.detail = buffer_peek(&subject->said);
    return edit;
}

/* In another shape if it needs one. */
static void send_report(struct session *session, const struct pgwire_message *message,
                        const struct report_edit *edit)
{
    struct buffer out;

    if (!edit->ours && edit->hint == NULL && edit->map == NULL) {
        session->ops->send_client(session->host, message->whole);
        return;
    }
    buffer_init(&out, message->whole.len + SESSION_MESSAGE_MAX);
    report_rewrite(&out, message, edit);
    session_send_client(session, &out);
}

/* An error that a function of ours has raised. */
static void note_refusal(const struct session *session, struct bytes body)
{
    struct bytes code = report_field(body, 'C');
    char sqlstate[6];

    if (code.len != sizeof sqlstate - 1)
        return;
    memcpy(sqlstate, code.data, code.len);
    sqlstate[code.len] = '\0';
    session->ops->refused(session->host, sqlstate);
}

static void handle_report(struct session *session, const struct pgwire_message *message)
{
    const struct report_edit edit = edit_of(session, message->body);

    send_report(session, message, &edit);
    if (message->type == PGWIRE_ERROR_RESPONSE) {
        buffer_truncate(&session->held, 0);
        if (edit.ours)
            note_refusal(session, message->body);
    }
    (void)pipeline_answer(&session->pipeline, message->type, message->body);
}

static void send_tag(struct session *session, const char *tag)
{
    struct buffer out;

    buffer_init(&out, SESSION_TAG_MAX);
    pgwire_encode_command_complete(&out, tag);
    session_send_client(session, &out);
}

static void note_parameter(struct session *session, struct bytes body)
{
    struct bytes name, value;

    if (pgwire_decode_parameter(body, &name, &value) == STATUS_OK)
        backend_note_parameter(session, name, value);
}

static bool is_report(uint8_t type)
{
    return type == PGWIRE_ERROR_RESPONSE || type == PGWIRE_NOTICE_RESPONSE;
}

static void release_held(struct session *session)
{
    if (buffer_len(&session->held) > 0)
        session->ops->send_client(session->host, buffer_peek(&session->held));
    buffer_truncate(&session->held, 0);
}

/* What the plan says of a message that is not a report; false: it is to be sent as it is. */
static bool carry_out(struct session *session, const struct pgwire_message *message,
                      const struct plan_answer *answer)
{
    switch (answer->verdict) {
    case PLAN_PASS:
        return false;
    case PLAN_HIDE:
        return true;
    case PLAN_RETAG:
        send_tag(session, answer->tag);
        return true;
    case PLAN_HOLD:
        buffer_append(&session->held, message->whole);
        return true;
    case PLAN_RELEASE:
        release_held(session);
        return true;
    case PLAN_RESUME:
        release_held(session);
        return false;
    }
    return false;
}

/* A migration may have been committed. */
static void note_idle(struct session *session)
{
    struct pipeline *pipeline = &session->pipeline;

    if (!pipeline->changed_schema || pipeline->status != 'I')
        return;
    pipeline->changed_schema = false;
    if (session->mode == SESSION_ELECTRIC)
        session->ops->migrated(session->host);
}

/* All that came before it is on its way to the client. */
static void tell_committing(struct session *session)
{
    struct outcome *outcome = &session->pipeline.outcome;

    if (outcome->news != 0)
        session->ops->committing(session->host, outcome->news);
    outcome->news = 0;
}

/* Handles a whole message; true when it (or what stands for it) needs no further sending. `run` is
 * where bytes not yet sent begin. */
static bool handle_whole(struct session *session, const struct pgwire_message *message,
                         const uint8_t *run)
{
    struct plan_answer answer;

    if (message->type == PGWIRE_PARAMETER_STATUS)
        note_parameter(session, message->body);
    if (message->type == PGWIRE_ERROR_RESPONSE && report_is_fatal(message->body)) {
        if (loss_leaves_doubt(session)) {
            send_run(session, run, message->whole.data);
            loss_begin(session, report_field(message->body, 'M'));
            return true;
        }
        session->server_fatal = true;
    }
    if (session->mode == SESSION_TRANSPARENT)
        return false;
    if (is_report(message->type)) {
        send_run(session, run, message->whole.data);
        handle_report(session, message);
        return true;
    }
    answer = pipeline_answer(&session->pipeline, message->type, message->body);
    if (message->type == PGWIRE_READY_FOR_QUERY) {
        note_idle(session);
        /* Nothing is kept longer, should the server not have said what was waited for. */
        if (answer.verdict == PLAN_PASS && buffer_len(&session->held) > 0)
            answer.verdict = PLAN_RESUME;
    }
    if (answer.verdict == PLAN_PASS)
        return false;
    send_run(session, run, message->whole.data);
    if (!carry_out(session, message, &answer))
        session->ops->send_client(session->host, message->whole);
    tell_committing(session);
    return true;
}

/* A message that is not looked into: passes or is hidden, piece by piece. */
static void handle_unseen(struct session *session, const struct pgwire_header *header,
                          const uint8_t **run, const uint8_t *at)
{
    struct plan_answer answer = {.verdict = PLAN_PASS};

    if (session->mode != SESSION_TRANSPARENT)
        answer = pipeline_answer(&session->pipeline, header->type, bytes_of(NULL, 0));
    session->server_pass = (size_t)header->length + 1;
    session->server_drop = answer.verdict == PLAN_HIDE || answer.verdict == PLAN_RELEASE;
    if (session->server_drop || buffer_len(&session->held) > 0) {
        send_run(session, *run, at);
        *run = at;
    }
    if (answer.verdict == PLAN_RELEASE || answer.verdict == PLAN_RESUME)
        release_held(session);
}

static void pass(struct session *session, struct bytes *in, const uint8_t **run)
{
    size_t count = session->server_pass < in->len ? session->server_pass : in->len;

    session->server_pass -= count;
    *in = bytes_skip(*in, count);
    if (session->server_drop)
        *run = in->data;
}

/* One message; false when more of it must be here first. */
static bool take_message(struct session *session, struct bytes *in, const uint8_t **run)
{
    struct pgwire_message message;
    struct pgwire_header header;
    enum status status = pgwire_peek(*in, &header);

    if (status == STATUS_MORE)
        return false;
    if (status != STATUS_OK) {
        session_close(session, "Postgres sent a malformed message");
        return false;
    }
    if (!needs_body(session, &header)) {
        handle_unseen(session, &header, run, in->data);
        return true;
    }
    if (pgwire_decode(in, &message) != STATUS_OK)
        return false;
    if (handle_whole(session, &message, *run))
        *run = in->data;
    return true;
}

void backend_process(struct session *session, struct bytes *in)
{
    const uint8_t *run = in->data;
    bool moving = true;

    while (moving && in->len > 0) {
        if (session->server_pass > 0)
            pass(session, in, &run);
        else
            moving = !session->doomed && session->state == SESSION_READY &&
                     take_message(session, in, &run);
    }
    send_run(session, run, in->data);
    if (session->doomed && session->server_pass == 0)
        session_fail(session, &session->doom);
}
