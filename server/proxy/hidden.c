/* Statements of the proxy's own. */
#include "server/proxy/hidden.h"

#include "server/pgwire/message.h"
#include "server/pgwire/request.h"

/* Of statements and portals. */
#define RESERVED "_electric"

static void plan(struct pipeline *pipeline, uint8_t type, unsigned marks, struct rewrite *rewrite)
{
    pipeline_sent(pipeline,
                  &(struct plan_message){.type = type, .marks = marks, .rewrite = rewrite});
}

static void plan_close(struct pipeline *pipeline, char what, unsigned marks)
{
    pipeline_sent(pipeline, &(struct plan_message){
                                .type = PGWIRE_CLOSE, .what = (uint8_t)what, .marks = marks});
}

static void close_reserved(struct pipeline *pipeline, struct buffer *out, char what, unsigned marks)
{
    pgwire_encode_close(out, what, RESERVED);
    pipeline_sent(pipeline, &(struct plan_message){.type = PGWIRE_CLOSE,
                                                   .what = (uint8_t)what,
                                                   .marks = marks,
                                                   .statement = bytes_of_string(RESERVED),
                                                   .portal = bytes_of_string(RESERVED)});
}

/* One statement from Parse to Close. What a failed one left behind goes first. */
static void run(struct pipeline *pipeline, struct buffer *out, struct bytes text, unsigned marks,
                unsigned execute_marks)
{
    struct plan_message message = {.marks = marks,
                                   .statement = bytes_of_string(RESERVED),
                                   .portal = bytes_of_string(RESERVED)};

    close_reserved(pipeline, out, 'S', marks);
    pgwire_encode_parse(out, RESERVED, text);
    message.type = PGWIRE_PARSE;
    pipeline_sent(pipeline, &message);
    pgwire_encode_bind(out, RESERVED, RESERVED);
    message.type = PGWIRE_BIND;
    pipeline_sent(pipeline, &message);
    pgwire_encode_execute(out, RESERVED);
    message.type = PGWIRE_EXECUTE;
    message.marks = marks | execute_marks;
    pipeline_sent(pipeline, &message);
    close_reserved(pipeline, out, 'P', marks);
    close_reserved(pipeline, out, 'S', marks);
}

void hidden_follow(struct pipeline *pipeline, struct buffer *out, enum statement_follow follow)
{
    run(pipeline, out, bytes_of_string(statement_follow_text(follow)), MARK_HIDDEN, MARK_RELEASES);
}

void hidden_query(struct pipeline *pipeline, struct buffer *out, struct bytes text,
                  struct rewrite *rewrite)
{
    pgwire_encode_parse(out, "", text);
    plan(pipeline, PGWIRE_PARSE, MARK_HIDDEN, rewrite);
    pgwire_encode_bind(out, "", "");
    plan(pipeline, PGWIRE_BIND, MARK_HIDDEN, NULL);
    pgwire_encode_describe(out, 'P', "");
    plan(pipeline, PGWIRE_DESCRIBE, MARK_HIDE_NO_DATA, NULL);
    pgwire_encode_execute(out, "");
    plan(pipeline, PGWIRE_EXECUTE, MARK_WATCHED, NULL);
    run(pipeline, out, bytes_of_string(statement_follow_text(rewrite->follow)), MARK_HIDDEN, 0);
    pgwire_encode_close(out, 'P', "");
    plan_close(pipeline, 'P', MARK_HIDDEN);
    pgwire_encode_close(out, 'S', "");
    plan_close(pipeline, 'S', MARK_HIDDEN);
    pgwire_encode_sync(out);
    /* A Query answers when its transaction is committed, so the tag waits for that too. */
    plan(pipeline, PGWIRE_SYNC, MARK_RELEASES, NULL);
}

void hidden_gate(struct pipeline *pipeline, struct buffer *out, struct bytes call, bool for_query)
{
    unsigned marks = MARK_HIDDEN | MARK_GATE | (for_query ? MARK_GATE_QUERY : 0u);

    pipeline->gate = GATE_ASKED;
    run(pipeline, out, call, marks, 0);
    pgwire_encode_sync(out);
    plan(pipeline, PGWIRE_SYNC, marks, NULL);
}
