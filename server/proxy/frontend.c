/* Client → server: every message goes upstream in its place; Query and Parse texts may be rewritten
 * on the way. Runs of messages that stay as they are go out in one piece. */
#include "server/proxy/session_state.h"

#include "common/memory.h"
#include "server/pgwire/decode.h"
#include "server/pgwire/encode.h"

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

/* A Query or Parse with another text, appended to `out`, which is empty. */
static void encode_rewritten(struct buffer *out, uint8_t type, const struct pgwire_parse *parse,
                             struct rewrite *rewrite)
{
    struct bytes text = rewrite_text(rewrite);
    size_t mark;

    buffer_init(out, text.len + parse->name.len + parse->rest.len + 16);
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

/* What becomes of a message at the front of the input. */
enum handling {
    HANDLE_PASS, /* goes upstream as it is */
    HANDLE_WAIT, /* more of it must be here first */
    HANDLE_SENT, /* went upstream in another shape */
    HANDLE_DEFER,
};

static enum handling handle_text(struct session *session, struct bytes in,
                                 const struct pgwire_header *header, const uint8_t *run)
{
    struct pgwire_parse parse = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    struct statement_settings settings = current_settings(session);
    struct rewrite *rewrite;
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
    rewrite = statement_examine(parse.text, &settings);
    note_text(session, header->type, &parse, rewrite,
              rewrite == NULL && statement_mentions_ddlx(parse.text));
    if (rewrite == NULL)
        return HANDLE_PASS;
    send_run(session, run, in.data);
    encode_rewritten(&out, header->type, &parse, rewrite);
    if (buffer_failed(&out))
        session_close(session, "out of memory");
    else
        session->ops->send_upstream(session->host, buffer_peek(&out));
    buffer_clear(&out);
    rewrite_release(rewrite);
    return HANDLE_SENT;
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

/* Describe, Execute, Close. */
static enum handling handle_named(struct session *session, struct bytes in,
                                  const struct pgwire_header *header)
{
    struct plan_message message = {.type = header->type};

    if (message_size(header) <= SESSION_MESSAGE_MAX) {
        if (in.len < message_size(header))
            return HANDLE_WAIT;
        decode_names(header, body_of(in, header), &message);
    }
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
    switch (header->type) {
    case PGWIRE_QUERY:
    case PGWIRE_PARSE:
        return handle_text(session, in, header, run);
    case PGWIRE_BIND:
        return handle_bind(session, in, header);
    case PGWIRE_DESCRIBE:
    case PGWIRE_EXECUTE:
    case PGWIRE_CLOSE:
        return handle_named(session, in, header);
    default:
        return handle_plain(session, header);
    }
}

static void start_job(struct session *session, const struct pgwire_header *header)
{
    session->job = mem_new(sizeof *session->job);
    session->job->settings = current_settings(session);
    session->client_defer = message_size(header);
}

static void pass(struct session *session, struct bytes *in)
{
    size_t count = session->client_pass < in->len ? session->client_pass : in->len;

    session->client_pass -= count;
    *in = bytes_skip(*in, count);
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
    switch (handle(session, *in, &header, *run)) {
    case HANDLE_PASS:
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
            pass(session, in);
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
    note_text(session, type, &parse, job->rewrite, job->mentions_ddlx);
    if (job->rewrite != NULL) {
        encode_rewritten(&session->outgoing, type, &parse, job->rewrite);
    } else {
        session->outgoing = job->message;
        buffer_init(&job->message, 0);
    }
    statement_job_free(job);
    if (buffer_failed(&session->outgoing))
        session_close(session, "out of memory");
    else
        frontend_pump(session);
}
