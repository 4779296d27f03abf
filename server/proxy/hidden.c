/* Statements of the proxy's own. */
#include "server/proxy/hidden.h"

#include "server/pgwire/message.h"
#include "server/pgwire/request.h"

/* The object identifier of pg_current_xact_id_if_assigned(), the same since it exists. */
#define XACT_ID_IF_ASSIGNED 5060u

static void plan(struct pipeline *pipeline, uint8_t type, unsigned marks, struct rewrite *rewrite)
{
    pipeline_sent(pipeline,
                  &(struct plan_message){.type = type, .marks = marks, .rewrite = rewrite});
}

static void close_reserved(struct pipeline *pipeline, struct buffer *out, char what, unsigned marks)
{
    pgwire_encode_close(out, what, pipeline->reserved);
    plan(pipeline, PGWIRE_CLOSE, marks, NULL);
}

/* The statement goes before it runs, so that a failure leaves nothing behind that the client could
 * see; but one that could not even be bound does, and goes when the next comes. */
static void run(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call,
                unsigned marks, unsigned execute_marks)
{
    const char *reserved = pipeline->reserved;

    close_reserved(pipeline, out, 'S', marks);
    pgwire_encode_parse(out, reserved, call->text);
    plan(pipeline, PGWIRE_PARSE, marks, NULL);
    pgwire_encode_bind(out, reserved, reserved, call->value);
    plan(pipeline, PGWIRE_BIND, marks, NULL);
    close_reserved(pipeline, out, 'S', marks);
    pgwire_encode_execute(out, reserved);
    plan(pipeline, PGWIRE_EXECUTE, marks | execute_marks, NULL);
    close_reserved(pipeline, out, 'P', marks);
}

void hidden_follow(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call)
{
    run(pipeline, out, call, MARK_HIDDEN, MARK_RELEASES);
}

void hidden_lead(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call)
{
    run(pipeline, out, call, MARK_HIDDEN, 0);
}

/* Like a Query it leaves no unnamed statement behind, and no portal where all went well. */
void hidden_query(struct pipeline *pipeline, struct buffer *out, struct bytes text,
                  struct rewrite *rewrite, const struct hidden_call *call)
{
    pgwire_encode_parse(out, "", text);
    plan(pipeline, PGWIRE_PARSE, MARK_HIDDEN, rewrite);
    pgwire_encode_bind(out, "", "", bytes_of(NULL, 0));
    plan(pipeline, PGWIRE_BIND, MARK_HIDDEN, rewrite);
    pgwire_encode_close(out, 'S', "");
    plan(pipeline, PGWIRE_CLOSE, MARK_HIDDEN, NULL);
    pgwire_encode_describe(out, 'P', "");
    plan(pipeline, PGWIRE_DESCRIBE, MARK_DESCRIBES, rewrite);
    pgwire_encode_execute(out, "");
    plan(pipeline, PGWIRE_EXECUTE, MARK_WATCHED, rewrite);
    run(pipeline, out, call, MARK_HIDDEN, 0);
    pgwire_encode_close(out, 'P', "");
    plan(pipeline, PGWIRE_CLOSE, MARK_HIDDEN, NULL);
    pgwire_encode_sync(out);
    /* A Query answers when its transaction is committed, so the tag waits for that too. */
    plan(pipeline, PGWIRE_SYNC, MARK_RELEASES, NULL);
}

/* As a function call: no text is parsed, planned, logged or counted, and no name is needed. */
void hidden_ask_apart(struct pipeline *pipeline, struct buffer *out)
{
    pgwire_encode_function_call(out, XACT_ID_IF_ASSIGNED);
    plan(pipeline, PGWIRE_FUNCTION_CALL, MARK_HIDDEN | MARK_ASKS, NULL);
}

/* A function call that failed would not have Postgres skip what comes behind it. */
void hidden_ask_within(struct pipeline *pipeline, struct buffer *out)
{
    static const char text[] = "SELECT pg_catalog.pg_current_xact_id_if_assigned()";
    const struct hidden_call call = {.text = bytes_of_string(text)};

    run(pipeline, out, &call, MARK_HIDDEN, MARK_ASKS);
    pgwire_encode_flush(out);
}

void hidden_gate(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call,
                 bool for_query)
{
    unsigned marks = MARK_HIDDEN | MARK_GATE | (for_query ? MARK_GATE_QUERY : 0u);

    pipeline->gate = GATE_ASKED;
    run(pipeline, out, call, marks, 0);
    pgwire_encode_sync(out);
    plan(pipeline, PGWIRE_SYNC, marks, NULL);
}

void hidden_interrupt(struct pipeline *pipeline, struct buffer *out)
{
    pgwire_encode_sync(out);
    plan(pipeline, PGWIRE_SYNC, MARK_HIDDEN | MARK_INTRUDES, NULL);
}
