/* Encoders of a client's messages. */
#include "server/pgwire/request.h"

#include "server/pgwire/encode.h"
#include "server/pgwire/message.h"

void pgwire_encode_parse(struct buffer *out, const char *statement, struct bytes text)
{
    size_t mark = pgwire_begin(out, PGWIRE_PARSE);

    buffer_append_string(out, statement);
    buffer_append(out, text);
    buffer_append_u8(out, 0);
    buffer_append_u16(out, 0); /* types of parameters */
    pgwire_end(out, mark);
}

void pgwire_encode_bind(struct buffer *out, const char *portal, const char *statement,
                        struct bytes parameter)
{
    size_t mark = pgwire_begin(out, PGWIRE_BIND);

    buffer_append_string(out, portal);
    buffer_append_string(out, statement);
    buffer_append_u16(out, 0);                              /* formats of parameters */
    buffer_append_u16(out, parameter.data != NULL ? 1 : 0); /* parameters */
    if (parameter.data != NULL) {
        buffer_append_u32(out, (uint32_t)parameter.len);
        buffer_append(out, parameter);
    }
    buffer_append_u16(out, 0); /* formats of results */
    pgwire_end(out, mark);
}

static void encode_target(struct buffer *out, uint8_t type, char what, const char *name)
{
    size_t mark = pgwire_begin(out, type);

    buffer_append_u8(out, (uint8_t)what);
    buffer_append_string(out, name);
    pgwire_end(out, mark);
}

void pgwire_encode_describe(struct buffer *out, char what, const char *name)
{
    encode_target(out, PGWIRE_DESCRIBE, what, name);
}

void pgwire_encode_close(struct buffer *out, char what, const char *name)
{
    encode_target(out, PGWIRE_CLOSE, what, name);
}

void pgwire_encode_execute(struct buffer *out, const char *portal)
{
    size_t mark = pgwire_begin(out, PGWIRE_EXECUTE);

    buffer_append_string(out, portal);
    buffer_append_u32(out, 0);
    pgwire_end(out, mark);
}

void pgwire_encode_sync(struct buffer *out)
{
    pgwire_end(out, pgwire_begin(out, PGWIRE_SYNC));
}

void pgwire_encode_flush(struct buffer *out)
{
    pgwire_end(out, pgwire_begin(out, PGWIRE_FLUSH));
}

void pgwire_encode_function_call(struct buffer *out, uint32_t function)
{
    size_t mark = pgwire_begin(out, PGWIRE_FUNCTION_CALL);

    buffer_append_u32(out, function);
    buffer_append_u16(out, 0); /* formats of arguments */
    buffer_append_u16(out, 0); /* arguments */
    buffer_append_u16(out, 0); /* format of the result */
    pgwire_end(out, mark);
}
