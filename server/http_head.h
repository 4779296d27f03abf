/* One request's head, checked and rewritten before libwebsockets sees it (RFC 9112). Sans-I/O.
 *
 * What may mean one thing to us and another to a proxy in front of us is refused: line ends other
 * than CRLF, folded lines, NUL, names with characters that no name has, lengths that are doubtful
 * or given twice, transfer codings. And libwebsockets 4.1 misreads a header whose whole name begins
 * one that it knows ("X:", "X-Auth:": the next line is taken for its value), takes "Put-…:" for
 * a method and "Uri-Args…" for the query: such lines are left out, since nobody here asks for them.
 */
#ifndef SERVER_HTTP_HEAD_H
#define SERVER_HTTP_HEAD_H

#include "common/buffer.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_HEAD_MAX ((size_t)32 * 1024)
#define HTTP_HEAD_LINES_MAX 128
#define HTTP_HEAD_FORWARDED_MAX 16

/* The line that the rewritten head carries to the routes, with what the gate says of the client.
 * A client's own line of this name is left out. */
#define HTTP_HEAD_CLIENT "electric-client"

struct http_head {
    uint64_t body; /* bytes that follow */
    bool upgrade;  /* asks for a WebSocket */
    /* The values of the last X-Forwarded-For lines, in order, within the input. */
    struct bytes forwarded[HTTP_HEAD_FORWARDED_MAX];
    size_t forwarded_count;
    /* STATUS_INVALID: the answer to give before closing. */
    int status;
    const char *reason;
};

/* Takes a head from the front of `in` once it is whole and appends it to `out`, without the empty
 * line that ends it, so that more can be added. STATUS_MORE: it goes on. STATUS_INVALID: the
 * connection cannot be used any more. */
enum status http_head_take(struct bytes *in, struct http_head *head, struct buffer *out);

#endif
