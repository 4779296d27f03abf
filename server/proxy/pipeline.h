/* The plan of expected answers: every message that will be answered puts an entry into a FIFO, and
 * the server's answers are matched with it. The verbs are pass, hide, re-tag and hold.
 *
 * Where answers and plan disagree, answers pass as they are: the plan only ever decides about a
 * CommandComplete that is exactly `CALL`, about answers to statements that the proxy added, and
 * about when the answer to the statement in front of such a one goes on. */
#ifndef SERVER_PROXY_PIPELINE_H
#define SERVER_PROXY_PIPELINE_H

#include "server/proxy/names.h"
#include "server/proxy/statement.h"

/* Messages under way at once; at the limit the client is not read. */
#define PIPELINE_MAX 65536

struct plan_entry;

/* A question of ours that must be answered before a message of the client goes on. */
enum plan_gate { GATE_NONE, GATE_ASKED, GATE_PASSED, GATE_REFUSED };

/* Embedded by value, fields private but for those that say so. */
struct pipeline {
    struct plan_entry *entries; /* a ring */
    size_t first, count, allocated;
    struct names names;  /* as the server knows them */
    struct names sent;   /* those that must be followed, as it will know them if all goes well */
    bool sent_wrong;     /* something has failed: to be made anew before it is used */
    bool open;           /* extended messages were sent since the last Sync or Query; to be read */
    char status;         /* of the transaction, as last reported; to be read */
    enum plan_gate gate; /* to be read, and reset */
    bool changed_schema; /* a statement that may have is done; to be read, and reset */
    size_t rewrites;     /* entries that hold one; 0, and no names known: names need not be kept */
    size_t running;      /* entries that run statements */
    bool unsettled;      /* a statement may have changed settings that are not reported yet */
    bool skipping;       /* after an error the server drops everything up to the next Sync */
    bool copying_in;     /* it swallows Sync until CopyDone or CopyFail */
};

void pipeline_init(struct pipeline *pipeline);
void pipeline_clear(struct pipeline *pipeline);

/* What is special about a message. */
enum plan_mark {
    MARK_HIDDEN = 1,       /* ours: its answers are not for the client, but errors are */
    MARK_HIDE_NO_DATA = 2, /* a Describe of ours, of a statement of the client */
    MARK_WATCHED = 4,      /* its last answer is held until one that RELEASES it */
    MARK_RELEASES = 8,
    MARK_GATE = 16,       /* of a question that the client's next message waits for … */
    MARK_GATE_QUERY = 32, /* … and if the answer is no, it is the answer to that Query */
};

/* A message of the client that goes upstream; names are copied only where they are needed. */
struct plan_message {
    uint8_t type;   /* PGWIRE_QUERY … of the client */
    unsigned marks; /* enum plan_mark */
    struct bytes statement;
    struct bytes portal;
    uint8_t what;            /* Describe, Close: 'S' or 'P' */
    struct rewrite *rewrite; /* Query, Parse; borrowed */
    bool mentions_ddlx;      /* Query, Parse: reads as if DDLX stood in it, but was not rewritten */
    bool malformed;          /* Flush: will be answered by an error */
};

/* Call for every message, in order; those without an answer are known and ignored. */
void pipeline_sent(struct pipeline *pipeline, const struct plan_message *message);
bool pipeline_is_full(const struct pipeline *pipeline);
/* No statement under way could still change a session setting: Postgres reports changes right
 * before ReadyForQuery. */
bool pipeline_is_settled(const struct pipeline *pipeline);

enum plan_verdict {
    PLAN_PASS,
    PLAN_HIDE,
    PLAN_RETAG,
    PLAN_HOLD,    /* keep it until … */
    PLAN_RELEASE, /* … this, which is hidden unless it is a ReadyForQuery, or until an error, which
                     replaces it */
};

struct plan_answer {
    enum plan_verdict verdict;
    const char *tag; /* RETAG */
};

/* Call for every message of the server, in order. `body` is looked at for CommandComplete and
 * ReadyForQuery only, and may be empty otherwise. Errors and notices always pass. */
struct plan_answer pipeline_answer(struct pipeline *pipeline, uint8_t type, struct bytes body);

/* What must follow the execution of a portal that is asked for now. */
enum statement_follow pipeline_follow(struct pipeline *pipeline, struct bytes portal);
/* Nothing is under way, and no transaction is open. */
bool pipeline_is_idle(const struct pipeline *pipeline);

/* Whether pipeline_answer() wants to see the next CommandComplete, EmptyQueryResponse or
 * PortalSuspended whole: it may not just pass. */
bool pipeline_wants_end(const struct pipeline *pipeline);

/* Whether that text reads as if DDLX stood in it: an error may want to say how it is written. */
bool pipeline_mentions_ddlx(const struct pipeline *pipeline);

/* The rewritten text that an ErrorResponse or NoticeResponse arriving now speaks of; NULL: the
 * client's own text. Ask before pipeline_answer(). Borrowed. */
const struct rewrite *pipeline_subject(const struct pipeline *pipeline);

#endif
