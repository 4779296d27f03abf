/* Encoders of messages that a client sends (PostgreSQL documentation, chapter "Frontend/Backend
 * Protocol", "Message Formats"). */
#ifndef SERVER_PGWIRE_REQUEST_H
#define SERVER_PGWIRE_REQUEST_H

#include "common/buffer.h"

void pgwire_encode_parse(struct buffer *out, const char *statement, struct bytes text);
/* With one parameter as text, or none when its data is NULL; all results as text. */
void pgwire_encode_bind(struct buffer *out, const char *portal, const char *statement,
                        struct bytes parameter);
/* `what`: 'S' or 'P'. */
void pgwire_encode_describe(struct buffer *out, char what, const char *name);
void pgwire_encode_execute(struct buffer *out, const char *portal); /* all rows */
void pgwire_encode_close(struct buffer *out, char what, const char *name);
void pgwire_encode_flush(struct buffer *out);
void pgwire_encode_sync(struct buffer *out);
/* Without arguments; the result as text. */
void pgwire_encode_function_call(struct buffer *out, uint32_t function);

#endif
