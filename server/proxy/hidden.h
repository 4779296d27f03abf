/* Statements of the proxy's own between those of the client. They use the extended protocol and
 * names that no client has, so that the client's unnamed statement and portal stay as they are.
 * Each function appends messages to `out` and enters them into the plan. */
#ifndef SERVER_PROXY_HIDDEN_H
#define SERVER_PROXY_HIDDEN_H

#include "server/proxy/pipeline.h"

/* A statement of ours, with one parameter or none, its text in `value`; NULL data: none. */
struct hidden_call {
    struct bytes text;
    struct bytes value;
};

/* Adds at most HIDDEN_CALL_SIZE bytes and the call. Behind an Execute with MARK_WATCHED. */
void hidden_follow(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call);
/* In front of what must not happen if the call fails. */
void hidden_lead(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call);
#define HIDDEN_CALL_SIZE ((size_t)512)

/* A Query with one statement that must be followed, as messages with the same effects and answers.
 * Only when pipeline->open is false. Adds at most HIDDEN_QUERY_SIZE bytes, the text and the call.
 */
void hidden_query(struct pipeline *pipeline, struct buffer *out, struct bytes text,
                  struct rewrite *rewrite, const struct hidden_call *call);
#define HIDDEN_QUERY_SIZE ((size_t)1024)

/* Which transaction it is that the message behind it ends. In front of a Query, when nothing is
 * under way; or in front of an Execute. Neither waits for the answer, nor does Postgres hold it
 * back until that message is done. Adds at most HIDDEN_CALL_SIZE bytes. */
void hidden_ask_apart(struct pipeline *pipeline, struct buffer *out);
void hidden_ask_within(struct pipeline *pipeline, struct buffer *out);

/* A question of its own: pipeline->gate tells the answer once nothing is under way any more. If it
 * is no, the error is on its way to the client, with a ReadyForQuery behind it if `for_query`. */
void hidden_gate(struct pipeline *pipeline, struct buffer *out, const struct hidden_call *call,
                 bool for_query);
/* Ends what the client began without a Sync, so that such a question can be asked. If some of that
 * failed, the answer is no. Not when it has run anything. */
void hidden_interrupt(struct pipeline *pipeline, struct buffer *out);

#endif
