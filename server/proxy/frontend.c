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

static enum statement_use use_of(uint8_t type)
{
    return type == PGWIRE_QUERY ? STATEMENT_QUERY : STATEMENT_PREPARE;
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

static void note_text(struct session *session, uint8_t type, const struct pgwire_parse *parse,
                      struct rewrite *rewrite, bool mentions_ddlx)
{
    pipeline_sent(&session->pipeline, &(struct plan_message){
                                          .type = type,
                                          .statement = parse->name,
                                          .rewrite = rewrite,
                                          .mentions_ddlx = mentions_ddlx,
                                      });
}

/* A Query whose only statement must be followed goes upstream in another shape. Not behind extended
 * messages without a Sync: if these fail, a Query is skipped, but a Sync of ours would not be. */
static bool becomes_extended(const struct session *session, uint8_t type,
                             const struct rewrite *rewrite)
{
    return type == PGWIRE_QUERY && rewrite->follow != FOLLOW_NONE && !session->pipeline.open &&
           !session->pipeline.skipping;
}

/* What is sent instead of the message, entered into the plan; false: it goes as it is. */
static bool encode_text(struct session *session, struct buffer *out, uint8_t type,
                        const struct pgwire_parse *parse, struct rewrite *rewrite)
{
    if (rewrite == NULL || (!rewrite->has_text && !becomes_extended(session, type, rewrite)))
        return false;
    buffer_init(out, buffer_len(&rewrite->text) + parse->name.len + parse->text.len +
                         parse->rest.len + HIDDEN_QUERY_SIZE);
    if (rewrite->has_text) {
        encode_rewritten(out, type, parse, rewrite);
        note_text(session, type, parse, rewrite, false);
    } else {
        hidden_query(&session->pipeline, out, parse->text, rewrite);
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

static void ask(struct session *session, struct rewrite *rewrite, bool for_query)
{
    struct buffer out;

    buffer_init(&out, HIDDEN_GATE_SIZE + buffer_len(&rewrite->check));
    hidden_gate(&session->pipeline, &out, buffer_peek(&rewrite->check), for_query);
    send_buffer(session, &out);
}

/* Some texts go on only after a question of ours is answered, which is asked when nothing else is
 * under way. HANDLE_PASS: the text may go on. */
static enum handling handle_check(struct session *session, uint8_t type, struct rewrite *rewrite)
{
    struct pipeline *pipeline = &session->pipeline;
    enum plan_gate gate = pipeline->gate;

    session->awaits_idle = false;
    if (rewrite == NULL || buffer_len(&rewrite->check) == 0)
        return HANDLE_PASS;
    if (gate == GATE_NONE && (pipeline->open || (pipeline->count == 0 && pipeline->status != 'I')))
        return HANDLE_PASS; /* in a transaction: Postgres will refuse it */
    session->awaits_idle = gate == GATE_NONE || pipeline->count > 0;
    if (gate == GATE_NONE && pipeline->count == 0)
        ask(session, rewrite, type == PGWIRE_QUERY);
    if (session->awaits_idle)
        return HANDLE_HOLD;
    pipeline->gate = GATE_NONE;
    if (gate == GATE_PASSED)
        return HANDLE_PASS;
    session->client_skips = type == PGWIRE_PARSE;
    return HANDLE_DROP;
}

static enum handling handle_text(struct session *session, struct bytes in,
                                 const struct pgwire_header *header, const uint8_t *run)
{
    struct pgwire_parse parse = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct statement_settings settings = current_settings(session);
    struct rewrite *rewrite;
    enum handling handling;
    struct buffer out;

    if (message_size(header) > session->settings->query_max) {
        note_text(session, header->type, &parse, NULL, false);
        return HANDLE_PASS;
    }
    if (in.len < message_size(header))
        return HANDLE_WAIT;
    if (!decode_text(header->type, body_of(in, header), &parse)) {
        note_text(session, header->type, &parse, NULL, false);
        return HANDLE_PASS;
    }
    if (parse.text.len > STATEMENT_INLINE_MAX)
        return HANDLE_DEFER;
    rewrite = statement_examine(parse.text, use_of(header->type), &settings);
    handling = handle_check(session, header->type, rewrite);
    if (handling == HANDLE_PASS && encode_text(session, &out, header->type, &parse, rewrite)) {
        send_run(session, run, in.data);
        send_buffer(session, &out);
        handling = HANDLE_SENT;
    } else if (handling == HANDLE_PASS) {
        note_text(session, header->type, &parse, rewrite,
                  statement_mentions_ddlx(rewrite, parse.text));
    }
    rewrite_release(rewrite);
    return handling;
}

static enum handling handle_bind(struct session *session, struct bytes in,
                                 const struct pgwire_header *header)
{
    struct plan_message message = {.type = header->type};
    struct pgwire_bind bind;

    if (pgwire_decode_bind(body_of(in, header), &bind) == STATUS_OK) {
        message.portal = bind.portal;
        message.statement = bind.statement;
    } else if (in.len < message_size(header) && in.len < SESSION_MESSAGE_MAX) {
        return HANDLE_WAIT;
    }
    pipeline_sent(&session->pipeline, &message);
    return HANDLE_PASS;
}

static void decode_names(const struct pgwire_header *header, struct bytes body,
                         struct plan_message *message)
{
    struct pgwire_target target;

    if (header->type == PGWIRE_EXECUTE) {
        pgwire_decode_execute(body, &message->portal);
    } else if (pgwire_decode_target(body, &target) == STATUS_OK) {
        message->what = target.what;
        if (target.what == 'S')
            message->statement = target.name;
        else
            message->portal = target.name;
    }
}

/* An Execute, and behind it what must follow its statement. */
static enum handling send_followed(struct session *session, const struct plan_message *message,
                                   enum statement_follow follow, const uint8_t *run,
                                   const uint8_t *end)
{
    struct plan_message watched = *message;
    struct buffer out;

    watched.marks = MARK_WATCHED;
    pipeline_sent(&session->pipeline, &watched);
    buffer_init(&out, HIDDEN_FOLLOW_SIZE);
    hidden_follow(&session->pipeline, &out, follow);
    send_run(session, run, end);
    send_buffer(session, &out);
    return HANDLE_SENT;
}

/* Describe, Execute, Close. */
static enum handling handle_named(struct session *session, struct bytes in,
                                  const struct pgwire_header *header, const uint8_t *run)
{
    struct plan_message message = {.type = header->type};
    enum statement_follow follow = FOLLOW_NONE;

    if (message_size(header) <= SESSION_MESSAGE_MAX) {
        if (in.len < message_size(header))
            return HANDLE_WAIT;
        decode_names(header, body_of(in, header), &message);
        if (header->type == PGWIRE_EXECUTE)
            follow = pipeline_follow(&session->pipeline, message.portal);
    }
    if (follow != FOLLOW_NONE)
        return send_followed(session, &message, follow, run, in.data + message_size(header));
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
                            const struct pgwire_header *header, const uint8_t *run)
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
        return handle_bind(session, in, header);
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
    session->job->use = use_of(header->type);
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
    switch (handle(session, *in, &header, *run)) {
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

void frontend_process(struct session *session, struct bytes *in)
{
    const uint8_t *run = in->data;
    bool moving = true;

    session->client_wants = 0;
    while (moving && in->len > 0 && session->client_defer == 0) {
        if (session->client_pass > 0)
            pass(session, in, &run);
        else
            moving = !pipeline_is_full(&session->pipeline) && take_message(session, in, &run);
    }
    send_run(session, run, in->data);
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

void frontend_job_done(struct session *session, struct statement_job *job)
{
    struct pgwire_parse parse;
    struct bytes message;
    uint8_t type;

    buffer_truncate(&job->message, job->message_len);
    message = buffer_peek(&job->message);
    type = message.data[0];
    decode_text(type, bytes_skip(message, PGWIRE_HEADER_SIZE), &parse);
    if (!encode_text(session, &session->outgoing, type, &parse, job->rewrite)) {
        note_text(session, type, &parse, job->rewrite, job->mentions_ddlx);
        session->outgoing = job->message;
        buffer_init(&job->message, 0);
    }
    statement_job_free(job);
    if (buffer_failed(&session->outgoing))
        session_close(session, "out of memory");
    else
        frontend_pump(session);
}
