/* Statements of the proxy's own between those of the client. They use the extended protocol and
 * names that no client has, so that the client's unnamed statement and portal stay as they are.
 * Each function appends messages to `out` and enters them into the plan. */
#ifndef SERVER_PROXY_HIDDEN_H
#define SERVER_PROXY_HIDDEN_H

#include "server/proxy/pipeline.h"

/* Behind an Execute with MARK_WATCHED. Adds at most HIDDEN_FOLLOW_SIZE bytes. */
void hidden_follow(struct pipeline *pipeline, struct buffer *out, enum statement_follow follow);
#define HIDDEN_FOLLOW_SIZE ((size_t)256)

/* A Query with one statement that must be followed, as messages with the same effects and answers:
 * like a Query they leave no unnamed statement behind. Only when pipeline->open is false. Adds at
 * most HIDDEN_QUERY_SIZE bytes and the text. */
void hidden_query(struct pipeline *pipeline, struct buffer *out, struct bytes text,
                  struct rewrite *rewrite);
#define HIDDEN_QUERY_SIZE ((size_t)512)

/* A question of its own: pipeline->gate tells the answer once nothing is under way any more. If it
 * is no, the error is on its way to the client, with a ReadyForQuery behind it if `for_query`. */
void hidden_gate(struct pipeline *pipeline, struct buffer *out, struct bytes call, bool for_query);
#define HIDDEN_GATE_SIZE ((size_t)256)

#endif
