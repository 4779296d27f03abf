/* What is known of a transaction whose end has been asked for, and not yet been answered; should
 * the answer never come. Part of the plan; pure. */
#ifndef SERVER_PROXY_OUTCOME_H
#define SERVER_PROXY_OUTCOME_H

#include "common/tunnel/tunnel_frame.h"
#include "server/proxy/ending.h"

/* Embedded by value, all zero at first; fields may be read. */
struct outcome {
    bool watched;       /* somebody wants to know */
    bool asks;          /* the question may be asked; whoever the client is by then */
    bool acted;         /* the open transaction has run what may have written something … */
    bool acts_late;     /* … or may only do so in COMMIT */
    bool refused;       /* the question failed, and with it the transaction */
    size_t under_way;   /* messages that may end a transaction */
    uint64_t xid;       /* of the first of these; 0: none, or not known */
    uint64_t news;      /* the same once it is told; to be reset */
    enum ending ending; /* of the first */
    enum tunnel_outcome meanwhile; /* what the first is good for, without an xid */
    bool committed, rolled_back;   /* what became of the last ones that were under way … */
    uint64_t last_xid;             /* … and whose that was, if it was one */
    unsigned long endings;         /* answered so far */
    bool is_latest;                /* nothing was run since the last of them */
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
/* Something was run that has no such tag, or not yet. */
void outcome_acted(struct outcome *outcome);
/* No transaction is open any more. */
void outcome_idle(struct outcome *outcome);
/* An error came in answer to what may end the transaction, or it was skipped after one. */
void outcome_failed(struct outcome *outcome);
/* All of its answer has come, or is not waited for any more. */
void outcome_over(struct outcome *outcome);

/* What is to be said if nothing more comes; IN_PROGRESS: whatever Postgres says of `xid`. */
enum tunnel_outcome outcome_unanswered(const struct outcome *outcome);
/* What Postgres has answered to all that was under way last. */
enum tunnel_outcome outcome_answered(const struct outcome *outcome);

#endif
