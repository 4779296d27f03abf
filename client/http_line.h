/* One connection to the service for HTTP requests, one after another (RFC 9112 section 9.3). It is
 * made when one is needed, and kept while both ends want that. */
#ifndef CLIENT_HTTP_LINE_H
#define CLIENT_HTTP_LINE_H

#include "client/connect.h"
#include "client/http_message.h"

struct tunnel_shared;

/* About the request under way. Any of them may call anything here. */
struct http_line_events {
    /* The answer's head. */
    void (*on_head)(void *owner, const struct http_head *head);
    /* A piece of its body, in writable memory. */
    void (*on_body)(void *owner, struct bytes piece);
    /* The pieces given since the last call are about to be overwritten. */
    void (*on_heard)(void *owner);
    /* It is over; `whole` unless it may have been cut short. The line is free again. */
    void (*on_end)(void *owner, bool whole);
    /* It has failed, perhaps in the middle of the answer. The line is free again, and the request
     * may have had its effect or not. */
    void (*on_failed)(void *owner, const struct connect_result *result);
};

struct http_line_request {
    const char *method;
    const char *path;   /* absolute, with its query */
    const char *fields; /* whole lines with CRLF */
    struct bytes body;  /* sent with POST only. Borrowed until the end */
    struct cookies *cookies;
    int64_t patience; /* milliseconds in which nothing moves */
};

/* Embedded by value; private. */
struct http_line {
    struct tunnel_shared *shared;
    const struct http_line_events *events;
    void *owner;
    struct connecting *connecting;
    struct transport transport;
    struct http_decoder decoder;
    struct bytes head; /* of the request: what is not sent yet */
    struct bytes body; /* likewise */
    struct loop_timer deadline;
    struct loop_task read_again;
    int64_t patience;
    bool open;
    bool busy;     /* with a request */
    bool used;     /* the connection has brought an answer before */
    bool answered; /* something of the answer has come */
    bool redialled;
    struct http_line_request request; /* its method and body, to be sent again */
    char *text;                       /* its head, likewise */
};

void http_line_init(struct http_line *line, struct tunnel_shared *shared,
                    const struct http_line_events *events, void *owner);
/* No event follows, and no byte is sent any more that the system has not got. */
void http_line_close(struct http_line *line);

/* Only while it is not busy. A connection that was kept for too long is made anew. No event comes
 * before it returns. */
void http_line_ask(struct http_line *line, const struct http_line_request *request);
/* Sends a last request behind what is under way, if that takes no waiting; nobody reads the answer.
 */
void http_line_ask_last(struct http_line *line, const struct http_line_request *request);

#endif
