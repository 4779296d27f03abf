/* HTTP responses, built by hand: libwebsockets' own are HTTP/1.0 pages. */
#ifndef SERVER_REPLY_H
#define SERVER_REPLY_H

#include <libwebsockets.h>

struct reply {
    int status;
    const char *headers; /* whole lines with CRLF; may be NULL */
    const char *body;    /* text, at most 1 KiB; for 204 empty */
};

/* Each gives what libwebsockets' callback must return. A HEAD request gets no body. */

/* Answers a request; the connection is kept alive as the request asks. */
int reply_send(struct lws *wsi, const struct reply *reply);
/* Answers and announces that the connection ends; ending it is the caller's. */
int reply_send_last(struct lws *wsi, const struct reply *reply);
/* The same where no request was understood. */
int reply_send_raw(struct lws *wsi, const struct reply *reply);

#endif
