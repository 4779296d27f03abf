/* Bytes → Postgres messages. Pure functions: no state, no allocation; results borrow from the
 * input, which is moved only on success. */
#ifndef SERVER_PGWIRE_DECODE_H
#define SERVER_PGWIRE_DECODE_H

#include "common/status.h"
#include "server/pgwire/message.h"

/* What the first five bytes say. */
struct pgwire_header {
    uint8_t type;
    uint32_t length; /* of the length field and the body: at least 4 */
};

/* STATUS_MORE below five bytes; STATUS_INVALID: a length below four or above PGWIRE_MESSAGE_MAX.
 * `in` is not moved. */
enum status pgwire_peek(struct bytes in, struct pgwire_header *header);

/* A whole message. Lengths are judged before the body is waited for, so that a hostile one cannot
 * make the caller buffer gigabytes. */
enum status pgwire_decode(struct bytes *in, struct pgwire_message *message);

/* Bodies; STATUS_INVALID unless the body is used up exactly where it has a fixed shape. */
struct pgwire_parse {
    struct bytes name;
    struct bytes text;
    struct bytes rest; /* parameter types, as they are */
};
enum status pgwire_decode_parse(struct bytes body, struct pgwire_parse *parse);

struct pgwire_bind {
    struct bytes portal;
    struct bytes statement;
};
/* Looks at the names only, so `body` may be cut short behind them (STATUS_MORE before that). */
enum status pgwire_decode_bind(struct bytes body, struct pgwire_bind *bind);

/* Describe and Close: what is 'S' or 'P'. */
struct pgwire_target {
    uint8_t what;
    struct bytes name;
};
enum status pgwire_decode_target(struct bytes body, struct pgwire_target *target);

/* Execute: the portal's name; the row limit is skipped. */
enum status pgwire_decode_execute(struct bytes body, struct bytes *portal);
/* Query: the text, without its NUL, which must be the last byte of the body. */
enum status pgwire_decode_query(struct bytes body, struct bytes *text);
/* ParameterStatus. */
enum status pgwire_decode_parameter(struct bytes body, struct bytes *name, struct bytes *value);

#endif
