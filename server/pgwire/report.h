/* ErrorResponse and NoticeResponse of the server, read and cleaned on their way to the client. */
#ifndef SERVER_PGWIRE_REPORT_H
#define SERVER_PGWIRE_REPORT_H

#include "common/buffer.h"
#include "server/pgwire/message.h"

/* The value of a field; NULL data when it is absent or the body malformed. */
struct bytes report_field(struct bytes body, uint8_t code);

/* FATAL or PANIC: the server ends the session after it. Reads the field that is never translated.
 */
bool report_is_fatal(struct bytes body);

/* Whether the report was raised inside a function of schema `electric`. */
bool report_is_ours(struct bytes body);

/* A syntax error at the word ELECTRIC: DDLX where Postgres parses by itself, as in a DO block. */
bool report_is_about_ddlx(struct bytes body);

/* Where a 1-based character position in the text that was sent lies in the text the client wrote;
 * 0: nowhere the client could look at. */
typedef uint32_t report_position(const void *context, uint32_t position);

/* 1-based, in characters of the text that was sent; 0: there is none. */
uint32_t report_position_of(struct bytes body);

/* What is to change in a report. */
struct report_edit {
    bool ours;            /* leave out what shows our insides: where, file, line, routine, internal
                             position and query */
    const char *message;  /* instead of the server's; may be NULL */
    struct bytes detail;  /* the same; data NULL: the server's stays */
    const char *hint;     /* to be added where there is none; may be NULL */
    report_position *map; /* translates the position, one that maps to 0 is left out; may be NULL */
    const void *context;  /* for `map` */
};

/* Copies the message to `out`, edited. A malformed body is copied as it is. */
void report_rewrite(struct buffer *out, const struct pgwire_message *message,
                    const struct report_edit *edit);

#endif
