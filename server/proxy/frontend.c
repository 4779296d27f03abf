/* Client → server: every message goes upstream in its place; Query and Parse texts may be rewritten
 * on the way. Runs of messages that stay as they are go out in one piece. */
#include "server/proxy/session_state.h"

#include "common/memory.h"
#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"
#include "server/proxy/hidden.h"

#include <stdint.h>

/* Sends the bytes from `from` up to the current position. */
static void send_run(struct session *session, const uint8_t *from, const uint8_t *to)
{
    if (to > from)
        session->ops->send_upstream(session->host, bytes_of(from, (size_t)(to - from)));
}

static size_t message_size(const struct pgwire_header *header)
{
    return (size_t)header->length + 1;
}

static struct bytes body_of(struct bytes in, const struct pgwire_header *header)
{
    return bytes_skip(bytes_first(in, message_size(header)), PGWIRE_HEADER_SIZE);
}

static struct statement_settings current_settings(const struct session *session)
{
    struct statement_settings settings = session->text_settings;

    settings.settled = pipeline_is_settled(&session->pipeline);
    return settings;
}

/* A Query or Parse with another text. */
static void encode_rewritten(struct buffer *out, uint8_t type, const struct pgwire_parse *parse,
                             struct rewrite *rewrite)
{
    struct bytes text = buffer_peek(&rewrite->text);
    size_t mark;

    mark = pgwire_begin(out, type);
    if (type == PGWIRE_PARSE) {
        buffer_append(out, parse->name);
        buffer_append_u8(out, 0);
    }
    buffer_append(out, text);
    buffer_append_u8(out, 0);
    buffer_append(out, parse->rest);
    pgwire_end(out, mark);
    rewrite_forget_text(rewrite);
}

/* For metrics. */
static void count_text(const struct session *session, const struct rewrite *rewrite)
{
    enum session_statement kind = SESSION_STATEMENT_OTHER;

    if (rewrite != NULL && rewrite->changes_schema)
        kind = rewrite->has_ddlx ? SESSION_STATEMENT_DDLX : SESSION_STATEMENT_SCHEMA;
    session->ops->statement(session->host, kind);
}

/* A Query behind extended messages without a Sync is skipped if one of these fails; messages in its
 * stead, with a Sync of their own, would not be. */
static enum statement_use use_of(const struct session *session, uint8_t type)
{
    if (type == PGWIRE_PARSE)
        return STATEMENT_PREPARE;
    return session->pipeline.open || session->pipeline.skipping ? STATEMENT_INSIDE
                                                                : STATEMENT_QUERY;
}

/* Query and Parse in one shape; false when malformed, which the server is left to say. */
static bool decode_text(uint8_t type, struct bytes body, struct pgwire_parse *parse)
{
    *parse = (struct pgwire_parse){{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (type == PGWIRE_PARSE)
        return pgwire_decode_parse(body, parse) == STATUS_OK;
    return pgwire_decode_query(body, &parse->text) == STATUS_OK;
}

struct bytes frontend_text(struct bytes message)
{
    struct pgwire_parse parse;

    decode_text(message.data[0], bytes_skip(message, PGWIRE_HEADER_SIZE), &parse);
    return parse.text;
}

static enum ending ending_of_query(uint8_t type, const struct rewrite *rewrite)
{
    return type == PGWIRE_QUERY && rewrite != NULL ? rewrite->ending : ENDING_NONE;
}

static void note_text(struct session *session, uint8_t type, const struct pgwire_parse *parse,
                      struct rewrite *rewrite, bool mentions_ddlx)
{
    pipeline_sent(&session->pipeline, &(struct plan_message){
                                          .type = type,
                                          .statement = parse->name,
                                          .rewrite = rewrite,
                                          .ending = ending_of_query(type, rewrite),
                                          .mentions_ddlx = mentions_ddlx,
                                      });
}

/* In a failed transaction Postgres refuses it anyway. */
static bool is_followed_query(const struct session *session, uint8_t type,
                              const struct rewrite *rewrite)
{
    return type == PGWIRE_QUERY && rewrite->follow != FOLLOW_NONE &&
           !(session->pipeline.count == 0 && session->pipeline.status == 'E');
}

/* What the ledger is told of a statement. Its bytes are characters in the client_encoding of the
 * time when it was sent; where that may be another one now, only those that mean the same in all.
 */
static void append_said(const struct session *session, struct buffer *out,
                        const struct rewrite *rewrite)
{
    struct bytes said = buffer_peek(&rewrite->said);
    bool same = rewrite->said_in == session->text_settings.encoding &&
                rewrite->said_in != ENCODING_AMBIGUOUS && pipeline_is_settled(&session->pipeline);

    for (size_t i = 0; i < said.len; i++)
        buffer_append_u8(out, same || said.data[i] < 0x80 ? said.data[i] : '?');
}

/* The statement that follows. `said` keeps its parameter. */
static struct hidden_call follow_call(const struct session *session, struct buffer *said,
                                      const struct rewrite *rewrite)
{
    struct hidden_call call = {.text = bytes_of_string("CALL electric.note_version()")};

    buffer_init(said, buffer_len(&rewrite->said));
    if (rewrite->follow == FOLLOW_NOTE)
        return call;
    call.text = bytes_of_string("CALL electric.capture()");
    if (buffer_len(&rewrite->said) > 0) {
        append_said(session, said, rewrite);
        call.text =
            bytes_of_string(rewrite->commits ? "CALL electric.capture_statement($1, true)"
                                             : "CALL electric.capture_statement($1, false)");
        call.value = buffer_peek(said);
    }
    return call;
}

/* What is sent instead of the message, entered into the plan; false: it goes as it is. */
static bool encode_text(struct session *session, struct buffer *out, uint8_t type,
                        const struct pgwire_parse *parse, struct rewrite *rewrite)
{
    struct hidden_call call;
    struct buffer said;

    if (rewrite == NULL || (!rewrite->has_text && !is_followed_query(session, type, rewrite)))
        return false;
    buffer_init(out, buffer_len(&rewrite->text) + parse->name.len + parse->text.len +
                         parse->rest.len + buffer_len(&rewrite->said) + HIDDEN_QUERY_SIZE);
    if (rewrite->has_text) {
        encode_rewritten(out, type, parse, rewrite);
        note_text(session, type, parse, rewrite, false);
    } else {
        call = follow_call(session, &said, rewrite);
        hidden_query(&session->pipeline, out, parse->text, rewrite, &call);
        buffer_clear(&said);
    }
    return true;
}

/* What becomes of a message at the front of the input. */
enum handling {
    HANDLE_PASS, /* goes upstream as it is */
    HANDLE_WAIT, /* more of it must be here first */
    HANDLE_HOLD, /* something else must have happened first */
    HANDLE_SENT, /* went upstream in another shape */
    HANDLE_DROP, /* goes nowhere */
    HANDLE_DEFER,
};

static void send_buffer(struct session *session, struct buffer *out)
{
    if (buffer_failed(out))
        session_close(session, "out of memory");
    else
        session->ops->send_upstream(session->host, buffer_peek(out));
    buffer_clear(out);
}

enum question { QUESTION_APART, QUESTION_OF_QUERY, QUESTION_WITHIN };

static void ask(struct session *session, const struct rewrite *rewrite, enum question question)
{
    struct hidden_call call = {.text = buffer_peek(&rewrite->check)};
    struct buffer out;

    buffer_init(&out, HIDDEN_CALL_SIZE + call.text.len);
    if (question == QUESTION_WITHIN)
        hidden_lead(&session->pipeline, &out, &call);
    else
        hidden_gate(&session->pipeline, &out, &call, question == QUESTION_OF_QUERY);
    send_buffer(session, &out);
}

static void interrupt(struct session *session)
{
    struct buffer out;

    buffer_init(&out, HIDDEN_CALL_SIZE);
    hidden_interrupt(&session->pipeline, &out);
    send_buffer(session, &out);
}

/* The message at the front waits until what is under way is answered. Not for what the client may
 * have to send first: the rows of a copy. */
static enum handling wait_for_idle(struct session *session)
{
    session->awaits_idle = pipeline_is_draining(&session->pipeline);
    return session->awaits_idle ? HANDLE_HOLD : HANDLE_PASS;
}

/* The answer to a question of ours, once it is there. */
static enum handling take_answer(struct session *session, bool of_query)
{
    struct pipeline *pipeline = &session->pipeline;
    enum plan_gate gate = pipeline->gate;

    if (wait_for_idle(session) == HANDLE_HOLD)
        return HANDLE_HOLD;
    pipeline->gate = GATE_NONE;
    if (gate == GATE_PASSED)
        return HANDLE_PASS;
    session->client_skips = !of_query;
    return HANDLE_DROP;
}

/* Some statements are run only after a question of ours is answered, which is asked when nothing
 * else is under way. HANDLE_PASS: the message may go on. */
static enum handling check_query(struct session *session, const struct rewrite *rewrite)
{
    struct pipeline *pipeline = &session->pipeline;

    if (pipeline->gate != GATE_NONE)
        return take_answer(session, true);
    if (rewrite == NULL || buffer_len(&rewrite->check) == 0)
        return HANDLE_PASS;
    if (wait_for_idle(session) == HANDLE_HOLD)
        return HANDLE_HOLD;
    if (pipeline->copying_in || pipeline->status != 'I')
        return HANDLE_PASS; /* Postgres will refuse it */
    ask(session, rewrite, QUESTION_OF_QUERY);
    return take_answer(session, true);
}

/* Asked when a portal is made, not when the statement is prepared: that may have been long ago, or
 * in a transaction. */
static enum handling check_bind(struct session *session, struct bytes statement,
                                const uint8_t **run, const uint8_t *at)
{
    struct pipeline *pipeline = &session->pipeline;
    const struct rewrite *rewrite;

    if (pipeline->gate != GATE_NONE)
        return take_answer(session, false);
    rewrite = pipeline_check(pipeline, statement);
    if (rewrite == NULL)
        return HANDLE_PASS;
    send_run(session, *run, at);
    *run = at;
    if (pipeline->open && pipeline->has_run) {
        /* Postgres will refuse it, or should. */
        ask(session, rewrite, QUESTION_WITHIN);
        return HANDLE_PASS;
    }
    if (pipeline->open)
        interrupt(session);
    if (wait_for_idle(session) == HANDLE_HOLD)
        return HANDLE_HOLD;
    if (pipeline->copying_in || pipeline->status != 'I')
        return HANDLE_PASS;
    ask(session, rewrite, QUESTION_APART);
    return take_answer(session, false);
}

typedef void question_writer(struct pipeline *pipeline, struct buffer *out);

/* Whose the COMMIT is that begins at `at`. Nothing waits for the answer. */
static void ask_whose(struct session *session, question_writer *write, const uint8_t **run,
                      const uint8_t *at)
{
    struct buffer out;

    send_run(session, *run, at);
    *run = at;
    buffer_init(&out, HIDDEN_CALL_SIZE);
    write(&session->pipeline, &out);
    send_buffer(session, &out);
}

/* A text that was looked at goes on its way; `at` is where its message begins. */
static enum handling send_text(struct session *session, uint8_t type,
                               const struct pgwire_parse *parse, struct rewrite *rewrite,
                               const uint8_t **run, const uint8_t *at)
{
    struct buffer out;

    count_text(session, rewrite);
    if (!session->pipeline.open &&
        pipeline_may_ask(&session->pipeline, ending_of_query(type, rewrite)))
        ask_whose(session, hidden_ask_apart, run, at);
    if (!encode_text(session, &out, type, parse, rewrite)) {
        note_text(session, type, parse, rewrite, statement_mentions_ddlx(rewrite, parse->text));
        return HANDLE_PASS;
    }
    send_run(session, *run, at);
    send_buffer(session, &out);
    return HANDLE_SENT;
}

static enum handling handle_text(struct session *session, struct bytes in,
                                 const struct pgwire_header *header, const uint8_t **run)
{
    struct plan_message unseen = {.type = header->type};
    struct statement_settings settings = current_settings(session);
    enum statement_use use = use_of(session, header->type);
    struct pgwire_parse parse;
    struct rewrite *rewrite;
    enum handling handling;

    if (message_size(header) > session->settings->query_max) {
        unseen.names_unknown = true;
        unseen.ending = header->type == PGWIRE_QUERY ? ENDING_PERHAPS : ENDING_NONE;
        pipeline_sent(&session->pipeline, &unseen);
        return HANDLE_PASS;
    }
    if (in.len < message_size(header))
        return HANDLE_WAIT;
    if (!decode_text(header->type, body_of(in, header), &parse)) {
        unseen.malformed = true;
        pipeline_sent(&session->pipeline, &unseen);
        return HANDLE_PASS;
    }
    session->awaits_idle = false;
    if (statement_is_unsettled(parse.text, use, &settings) && wait_for_idle(session) == HANDLE_HOLD)
        return HANDLE_HOLD;
    if (parse.text.len > STATEMENT_INLINE_MAX)
        return HANDLE_DEFER;
    rewrite = statement_examine(parse.text, use, &settings);
    handling = use == STATEMENT_QUERY ? check_query(session, rewrite) : HANDLE_PASS;
    if (handling == HANDLE_PASS)
        handling = send_text(session, header->type, &parse, rewrite, run, in.data);
    rewrite_release(rewrite);
    return handling;
}

static enum handling handle_bind(struct session *session, struct bytes in,
                                 const struct pgwire_header *header, const uint8_t **run)
{
    struct plan_message message = {.type = header->type};
    enum handling handling = HANDLE_PASS;
    struct pgwire_bind bind;

    if (pgwire_decode_bind(body_of(in, header), &bind) == STATUS_OK) {
        message.portal = bind.portal;
        message.statement = bind.statement;
        session->awaits_idle = false;
        handling = check_bind(session, bind.statement, run, in.data);
    } else if (in.len < message_size(header) && in.len < SESSION_MESSAGE_MAX) {
        return HANDLE_WAIT;
    } else {
        message.malformed = in.len >= message_size(header);
        message.names_unknown = !message.malformed;
    }
    if (handling == HANDLE_PASS)
        pipeline_sent(&session->pipeline, &message);
    return handling;
}

static void decode_names(const struct pgwire_header *header, struct bytes body,
                         struct plan_message *message)
{
    struct pgwire_target target;

    if (header->type == PGWIRE_EXECUTE) {
        message->malformed = pgwire_decode_execute(body, &message->portal) != STATUS_OK;
    } else if (pgwire_decode_target(body, &target) != STATUS_OK) {
        message->malformed = true;
    } else {
        message->what = target.what;
        if (target.what == 'S')
            message->statement = target.name;
        else
            message->portal = target.name;
    }
}

/* An Execute, and behind it what must follow its statement. */
static enum handling send_followed(struct session *session, const struct plan_message *message,
                                   const struct rewrite *rewrite, const uint8_t *run,
                                   const uint8_t *end)
{
    struct plan_message watched = *message;
    struct hidden_call call;
    struct buffer out, said;

    watched.marks = MARK_WATCHED;
    call = follow_call(session, &said, rewrite);
    pipeline_sent(&session->pipeline, &watched);
    buffer_init(&out, HIDDEN_CALL_SIZE + call.value.len);
    hidden_follow(&session->pipeline, &out, &call);
    buffer_clear(&said);
    send_run(session, run, end);
    send_buffer(session, &out);
    return HANDLE_SENT;
}

/* Describe, Execute, Close. */
static enum handling handle_named(struct session *session, struct bytes in,
                                  const struct pgwire_header *header, const uint8_t **run)
{
    struct plan_message message = {.type = header->type};
    const struct rewrite *rewrite = NULL;

    if (message_size(header) > session->settings->query_max) {
        message.names_unknown = true;
        message.ending = ENDING_PERHAPS;
    } else if (in.len < message_size(header)) {
        return HANDLE_WAIT;
    } else {
        decode_names(header, body_of(in, header), &message);
        if (header->type == PGWIRE_EXECUTE && !message.malformed) {
            rewrite = pipeline_follow(&session->pipeline, message.portal);
            message.ending = pipeline_ending(&session->pipeline, message.portal);
        }
    }
    if (pipeline_may_ask(&session->pipeline, message.ending))
        ask_whose(session, hidden_ask_within, run, in.data);
    if (rewrite != NULL)
        return send_followed(session, &message, rewrite, *run, in.data + message_size(header));
    pipeline_sent(&session->pipeline, &message);
    return HANDLE_PASS;
}

static enum handling handle_plain(struct session *session, const struct pgwire_header *header)
{
    pipeline_sent(&session->pipeline, &(struct plan_message){
                                          .type = header->type,
                                          .malformed = header->type == PGWIRE_FLUSH &&
                                                       header->length != PGWIRE_LENGTH_SIZE,
                                      });
    return HANDLE_PASS;
}

static enum handling handle(struct session *session, struct bytes in,
                            const struct pgwire_header *header, const uint8_t **run)
{
    if (header->type == PGWIRE_TERMINATE) {
        session->client_terminated = true;
        return HANDLE_PASS;
    }
    if (session->mode == SESSION_TRANSPARENT)
        return HANDLE_PASS;
    if (session->client_skips && header->type != PGWIRE_SYNC)
        return HANDLE_DROP;
    session->client_skips = false;
    switch (header->type) {
    case PGWIRE_QUERY:
    case PGWIRE_PARSE:
        return handle_text(session, in, header, run);
    case PGWIRE_BIND:
        return handle_bind(session, in, header, run);
    case PGWIRE_DESCRIBE:
    case PGWIRE_EXECUTE:
    case PGWIRE_CLOSE:
        return handle_named(session, in, header, run);
    default:
        return handle_plain(session, header);
    }
}

static void start_job(struct session *session, const struct pgwire_header *header)
{
    session->job = mem_new(sizeof *session->job);
    session->job->settings = current_settings(session);
    session->job->use = use_of(session, header->type);
    session->client_defer = message_size(header);
}

static void pass(struct session *session, struct bytes *in, const uint8_t **run)
{
    size_t count = session->client_pass < in->len ? session->client_pass : in->len;

    session->client_pass -= count;
    *in = bytes_skip(*in, count);
    if (session->client_drop)
        *run = in->data;
}

/* One message; `*run` is where the bytes not yet sent begin. False when nothing can move. */
static bool take_message(struct session *session, struct bytes *in, const uint8_t **run)
{
    struct pgwire_header header;
    enum status status = pgwire_peek(*in, &header);

    if (status == STATUS_MORE)
        return false;
    if (status != STATUS_OK) {
        session->client_pass = SIZE_MAX; /* the server will say what is wrong, and close */
        return true;
    }
    session->client_drop = false;
    switch (handle(session, *in, &header, run)) {
    case HANDLE_PASS:
        session->client_pass = message_size(&header);
        return true;
    case HANDLE_DROP:
        send_run(session, *run, in->data);
        *run = in->data;
        session->client_drop = true;
        session->client_pass = message_size(&header);
        return true;
    case HANDLE_SENT:
        *in = bytes_skip(*in, message_size(&header));
        *run = in->data;
        return true;
    case HANDLE_DEFER:
        start_job(session, &header);
        return false;
    case HANDLE_WAIT:
        session->client_wants = message_size(&header);
        break;
    case HANDLE_HOLD:
        break;
    }
    return false;
}

void frontend_pump(struct session *session)
{
    struct buffer *outgoing = &session->outgoing;

    while (buffer_len(outgoing) > 0 && !session->ops->upstream_is_full(session->host)) {
        struct bytes piece = bytes_first(buffer_peek(outgoing), SESSION_PIECE);
        session->ops->send_upstream(session->host, piece);
        buffer_consume(outgoing, piece.len);
    }
}

static void send_examined(struct session *session, struct statement_job *job, uint8_t type,
                          const struct pgwire_parse *parse)
{
    count_text(session, job->rewrite);
    if (!encode_text(session, &session->outgoing, type, parse, job->rewrite)) {
        note_text(session, type, parse, job->rewrite, job->mentions_ddlx);
        session->outgoing = job->message;
        buffer_init(&job->message, 0);
    }
    if (buffer_failed(&session->outgoing))
        session_close(session, "out of memory");
    else
        frontend_pump(session);
}

/* Goes on with a text that a worker has looked at; false when something else must happen first. */
static bool finish_job(struct session *session)
{
    struct statement_job *job = session->examined;
    enum handling handling = HANDLE_PASS;
    struct pgwire_parse parse;
    struct bytes message;

    session->awaits_idle = false;
    message = buffer_peek(&job->message);
    decode_text(message.data[0], bytes_skip(message, PGWIRE_HEADER_SIZE), &parse);
    if (job->use == STATEMENT_QUERY)
        handling = check_query(session, job->rewrite);
    if (handling == HANDLE_HOLD)
        return false;
    if (handling == HANDLE_PASS)
        send_examined(session, job, message.data[0], &parse);
    session->examined = NULL;
    statement_job_free(job);
    return true;
}

void frontend_job_done(struct session *session, struct statement_job *job)
{
    buffer_truncate(&job->message, job->message_len);
    session->examined = job;
    (void)finish_job(session);
}

void frontend_process(struct session *session, struct bytes *in)
{
    const uint8_t *run = in->data;
    bool moving = true;

    session->client_wants = 0;
    if (session->examined != NULL && (!finish_job(session) || buffer_len(&session->outgoing) > 0))
        return;
    while (moving && in->len > 0 && session->client_defer == 0) {
        if (session->client_pass > 0)
            pass(session, in, &run);
        else
            moving = !pipeline_is_full(&session->pipeline) && take_message(session, in, &run);
    }
    send_run(session, run, in->data);
}
