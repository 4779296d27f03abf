/* What is known of a transaction whose end has been asked for, and not yet been answered; should
 * the answer never come. Part of the plan; pure. */
#ifndef SERVER_PROXY_OUTCOME_H
#define SERVER_PROXY_OUTCOME_H

#include "common/tunnel/tunnel_frame.h"
#include "server/proxy/ending.h"

/* Embedded by value, all zero at first; fields may be read. */
struct outcome {
    bool watched;       /* somebody wants to know; else nothing is asked */
    bool acted;         /* the open transaction has run what may have written something */
    bool refused;       /* the question failed, and with it the transaction */
    size_t under_way;   /* messages that may end a transaction */
    uint64_t xid;       /* of the first of these; 0: none, or not known */
    uint64_t news;      /* the same once it is told; to be reset */
    enum ending ending; /* of the first */
    enum tunnel_outcome meanwhile; /* what the first is good for, without an xid */
    enum tunnel_outcome answered;  /* what became of the last one */
};

/* A message that may end the transaction goes on its way, in the given state of the session;
 * `asked`: behind a question for the xid. */
enum outcome_scene {
    OUTCOME_IDLE,   /* outside of a transaction, nothing is under way */
    OUTCOME_OPEN,   /* inside of one, likewise */
    OUTCOME_FAILED, /* inside of one that failed, likewise */
    OUTCOME_BUSY,   /* anything else */
};
void outcome_sent(struct outcome *outcome, enum ending ending, enum outcome_scene scene,
                  bool asked);
/* The question's answer: the body of a DataRow or FunctionCallResponse. */
void outcome_told(struct outcome *outcome, bool is_row, struct bytes body);
/* It failed, and the transaction with it. */
void outcome_refused(struct outcome *outcome);
/* A CommandComplete: of what may end the transaction, or of anything else. */
void outcome_tag(struct outcome *outcome, bool ends, struct bytes body);
/* An error came in answer to what may end the transaction, or it was skipped after one. */
void outcome_failed(struct outcome *outcome);
/* All of its answer has come, or is not waited for any more. */
void outcome_over(struct outcome *outcome);

/* What is to be said if nothing more comes; IN_PROGRESS: whatever Postgres says of `xid`. */
enum tunnel_outcome outcome_unanswered(const struct outcome *outcome);

#endif
