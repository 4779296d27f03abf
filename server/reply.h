/* HTTP responses, built by hand: libwebsockets' own are HTTP/1.0 pages. */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include "common/buffer.h"

#include <libwebsockets.h>

struct reply {
    int status;
    const char *type;    /* of the body; NULL: plain text */
    const char *headers; /* whole lines with CRLF; may be NULL */
    const char *body;    /* text; for 204 and 304 empty */
};

/* How a response ends. */
enum reply_framing { REPLY_LENGTH, REPLY_CHUNKED, REPLY_UNTIL_CLOSE };

/* Appends the head of a response; `body_len` counts for REPLY_LENGTH. */
void reply_append_head(struct buffer *out, const struct reply *reply, enum reply_framing framing,
                       size_t body_len, bool keep_alive);

/* Each sends a body of at most 1 KiB at once. A HEAD request gets no body. */

/* Answers a request; the connection is kept alive as the request asks, ending it is the caller's.
 */
enum reply_result { REPLY_KEPT, REPLY_ENDS };
enum reply_result reply_send(struct lws *wsi, const struct reply *reply);
/* Answers and announces that the connection ends; gives what libwebsockets' callback must return
 * when that fails. */
int reply_send_last(struct lws *wsi, const struct reply *reply);

#endif
