/* One direction of the HTTP carrier: one request after another, each of which can be sent again
 * until something says what became of it. What requests and answers are about is its owner's
 * business. */
#ifndef CLIENT_HTTP_DIRECTION_H
#define CLIENT_HTTP_DIRECTION_H

#include "client/http_line.h"

struct http_direction;

enum http_expected {
    HTTP_EXPECTS_SERVICE, /* some answer of a service that speaks this */
    HTTP_EXPECTS_FRAMES,
    HTTP_EXPECTS_RECEIPT,
};

enum http_verdict {
    HTTP_ANSWERED, /* as expected */
    HTTP_GONE,     /* the service has let go of the attachment */
    HTTP_TOO_LONG, /* something takes no such bodies */
    HTTP_LATER,    /* a reason that may pass */
    HTTP_REFUSED,
};

/* Any of them may call anything here. */
struct http_direction_events {
    /* A piece of an answer with frames, in writable memory. */
    void (*on_frames)(void *owner, struct bytes piece);
    /* The service was heard. The pieces given since the last call are about to be overwritten. */
    void (*on_heard)(void *owner);
    /* `whole` unless it may have been cut short. */
    void (*on_answer)(void *owner, struct http_direction *direction, enum http_verdict verdict,
                      bool whole);
    /* There was none, or no end of it. */
    void (*on_failed)(void *owner, struct http_direction *direction,
                      const struct connect_result *result);
    /* It is time to ask again. */
    void (*on_again)(void *owner, struct http_direction *direction);
};

struct http_question {
    enum http_expected expects;
    const char *method;
    const char *path; /* absolute, with its query */
    const char *fields;
    struct bytes body; /* borrowed until it is answered */
    int64_t patience;  /* milliseconds in which nothing moves */
};

/* Embedded by value; private but for what is said to be read. */
struct http_direction {
    struct http_line line;
    struct tunnel_shared *shared;
    struct cookies *cookies;
    const struct http_direction_events *events;
    void *owner;
    struct loop_timer again;
    enum http_expected expects;
    uint64_t number;   /* the owner's */
    uint64_t serial;   /* of an answer with frames; to be read */
    int64_t asked_at;  /* loop_now(); to be read */
    unsigned failures; /* in a row; to be read */
    unsigned status;   /* of the answer; 0: its head has not come. To be read */
    bool busy;         /* waits for an answer, or to ask again; to be read */
    bool genuine;      /* the answer is the service's own; to be read */
    bool heard;        /* and some of it has just come */
    bool is_text;
    char text[160]; /* of an answer that was not expected: its beginning */
};

void http_direction_init(struct http_direction *direction, struct tunnel_shared *shared,
                         struct cookies *cookies, const struct http_direction_events *events,
                         void *owner);
/* No event follows. */
void http_direction_close(struct http_direction *direction);

/* Only while nothing is under way. No event comes before it returns. */
void http_direction_ask(struct http_direction *direction, const struct http_question *question);
/* Behind what is under way, if that takes no waiting; nobody reads the answer. */
void http_direction_ask_last(struct http_direction *direction,
                             const struct http_question *question);
/* on_again() follows. False: it has failed too often in a row. */
bool http_direction_retry(struct http_direction *direction);

/* What was answered, and what to do about it. */
void http_direction_describe(const struct http_direction *direction, struct error *error,
                             struct connect_result *result);

#endif
