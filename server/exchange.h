/* One request whose answer takes time, or is longer than one write: the response goes out as fast
 * as its client takes it. Lives on a libwebsockets connection, from the request to the end of its
 * answer.
 *
 * Meanwhile the connection is told to read nothing, else pipelined requests would come in between
 * and a client that ends its direction would make the loop spin. So stopped, libwebsockets 4.1 does
 * not write either: the answer is written to its socket directly. */
#ifndef SERVER_EXCHANGE_H
#define SERVER_EXCHANGE_H

#include "server/reply.h"

#include <stdbool.h>

struct exchange;
struct loop;

/* Of whoever makes the answer, until it is complete. */
struct exchange_events {
    /* exchange_has_room() has become true; NULL where all is written at once. */
    void (*on_room)(void *owner);
    /* The client has gone, or takes nothing any more: the exchange must not be used again. */
    void (*on_gone)(void *owner);
};

/* All is sent, in a turn of the loop of its own. `goes_on`: the connection may serve the next
 * request; else it must end now. */
typedef void exchange_sent(struct lws *wsi, bool goes_on);

/* Reads no further request until this one is answered, and counts the answer under `path`, which
 * lives as long as the program. */
struct exchange *exchange_new(struct loop *loop, struct lws *wsi, const char *path,
                              exchange_sent *on_sent);
/* The connection is destroyed, or the answer complete. NULL-safe. */
void exchange_free(struct exchange *exchange);
/* The request had a body, and all of it was read: the connection can go on. */
void exchange_read_body(struct exchange *exchange);
void exchange_own(struct exchange *exchange, const struct exchange_events *events, void *owner);

/* The whole answer; the owner is done with the exchange. With `body` instead of the reply's own,
 * which may be of any size and bytes. */
void exchange_reply(struct exchange *exchange, const struct reply *reply);
void exchange_reply_body(struct exchange *exchange, const struct reply *reply, struct bytes body);

/* An answer of unknown length: head, pieces, end. False: it is complete, since nobody wants the
 * body of a HEAD request, and the owner is done with the exchange. */
bool exchange_begin(struct exchange *exchange, const struct reply *head);
void exchange_write(struct exchange *exchange, struct bytes piece);
/* The same for two that belong together; the first is not empty. */
void exchange_write_parts(struct exchange *exchange, struct bytes first, struct bytes second);
/* Each ends it, and the owner is done with the exchange; an aborted one shows as broken. */
void exchange_end(struct exchange *exchange);
void exchange_abort(struct exchange *exchange);

/* Whether the end of such an answer shows: to a client of HTTP/1.0 it may as well have been cut. */
bool exchange_marks_end(const struct exchange *exchange);
/* Less is queued than the connection takes at once. */
bool exchange_has_room(const struct exchange *exchange);
/* Calls on_room() as soon as there is room, from the loop. */
void exchange_ask_room(struct exchange *exchange);
/* The client's side has taken everything. */
bool exchange_is_empty(const struct exchange *exchange);
/* A client that ends its own direction has gone: for answers that may last for ever. */
void exchange_watch_client(struct exchange *exchange);

#endif
