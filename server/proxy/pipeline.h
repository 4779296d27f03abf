/* The plan of expected answers: every message that will be answered puts an entry into a FIFO, and
 * the server's answers are matched with it. The verbs are pass, hide, re-tag and hold.
 *
 * Where answers and plan disagree, answers pass as they are: the plan only ever decides about a
 * CommandComplete that is exactly `CALL`, about answers to statements that the proxy added, and
 * about when the answer to the statement in front of such a one goes on. */
#ifndef SERVER_PROXY_PIPELINE_H
#define SERVER_PROXY_PIPELINE_H

#include "server/proxy/foresight.h"
#include "server/proxy/outcome.h"
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
    struct names names;         /* as the server knows them */
    struct foresight foresight; /* … and as it will, once it has run what it was sent */
    bool open;                  /* extended messages were sent since the last Sync; to be read */
    bool has_run;               /* some of these were Bind or Execute; to be read */
    char status;                /* of the transaction, as last reported; to be read */
    enum plan_gate gate;        /* to be read, and reset */
    bool changed_schema;        /* a statement that may have is done; to be read, and reset */
    size_t rewrites; /* entries that hold one; 0, and no names known: names need not be kept */
    size_t running;  /* entries that run statements */
    size_t readies;  /* entries that a ReadyForQuery answers */
    struct outcome outcome; /* fields to be read; `watched`, `asks` and `news` to be set */
    bool ended;             /* what may end a transaction was answered since `status` was */
    bool unsettled;         /* a statement may have changed settings that are not reported yet */
    bool skipping;          /* after an error the server drops everything up to the next Sync */
    bool copying_in;        /* it swallows Sync until CopyDone or CopyFail; to be read */
    char reserved[24];      /* name of our own statements and portals; to be read */
};

void pipeline_init(struct pipeline *pipeline);
/* Makes the reserved name one that the client's programs do not have. */
void pipeline_reserve(struct pipeline *pipeline, uint32_t salt);
void pipeline_clear(struct pipeline *pipeline);

/* What is special about a message. */
enum plan_mark {
    MARK_HIDDEN = 1,    /* ours: its answers are not for the client, but errors are */
    MARK_DESCRIBES = 2, /* ours, of a statement of the client: its RowDescription comes with the
                           first row, as that of a Query does */
    MARK_WATCHED = 4,   /* its last answer is held until one that RELEASES it */
    MARK_RELEASES = 8,
    MARK_GATE = 16,       /* of a question that the client's next message waits for … */
    MARK_GATE_QUERY = 32, /* … and if the answer is no, it is the answer to that Query */
    MARK_ASKS = 128,      /* ours: asks which transaction it is that the next message ends */
    MARK_INTRUDES = 64,   /* a Sync of ours among the client's messages: what fails before it fails
                             those that come up to the client's own Sync, too */
};

/* A message of the client that goes upstream; names are copied only where they are needed. */
struct plan_message {
    uint8_t type;   /* PGWIRE_QUERY … of the client */
    unsigned marks; /* enum plan_mark */
    struct bytes statement;
    struct bytes portal;
    uint8_t what;            /* Describe, Close: 'S' or 'P' */
    struct rewrite *rewrite; /* Query, Parse; borrowed */
    enum ending ending;      /* Query, Execute: of the transaction */
    bool mentions_ddlx;      /* Query, Parse: reads as if DDLX stood in it, but was not rewritten */
    bool malformed;          /* Flush: will be answered by an error */
    bool names_unknown;      /* they are too long to be looked at */
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
    PLAN_HOLD,    /* keep it; an error drops what is kept and takes its place */
    PLAN_RELEASE, /* what is kept goes on; this is hidden */
    PLAN_RESUME,  /* what is kept goes on, and this behind it */
};

struct plan_answer {
    enum plan_verdict verdict;
    const char *tag; /* RETAG */
};

/* Call for every message of the server, in order. `body` is looked at only where pipeline_wants()
 * says so, and for ReadyForQuery, and may be empty otherwise. Errors and notices always pass. Only
 * what pipeline_wants() is ever to be held, hidden behind a release, or shown with another tag. */
struct plan_answer pipeline_answer(struct pipeline *pipeline, uint8_t type, struct bytes body);

/* What must come behind the execution of a portal that is asked for now: NULL when nothing. A name
 * may mean several things as long as answers are due: the one that needs most care counts. Valid
 * until the next call. */
const struct rewrite *pipeline_follow(struct pipeline *pipeline, struct bytes portal);
/* Likewise what must be asked before a statement is bound now. */
struct rewrite *pipeline_check(struct pipeline *pipeline, struct bytes statement);
/* Whether a portal that is run now ends the transaction. */
enum ending pipeline_ending(struct pipeline *pipeline, struct bytes portal);
/* Whether to ask which transaction that is: it can be told, has not failed, and is sure to be over
 * afterwards. Else the question might change something. */
bool pipeline_may_ask(const struct pipeline *pipeline, enum ending ending);
/* What may end the transaction is being answered: all before it is. */
bool pipeline_has_reached_ending(const struct pipeline *pipeline);
/* What would become of the client's work if the server said nothing more: IN_PROGRESS: whatever
 * Postgres says of `outcome.xid`. */
enum tunnel_outcome pipeline_outcome(const struct pipeline *pipeline);
/* The server will go on with what it was sent without more from the client. */
bool pipeline_is_draining(const struct pipeline *pipeline);

/* Whether pipeline_answer() wants to see the next message of this type whole: it may not just
 * pass. */
bool pipeline_wants(const struct pipeline *pipeline, uint8_t type);

/* Whether that text reads as if DDLX stood in it: an error may want to say how it is written. */
bool pipeline_mentions_ddlx(const struct pipeline *pipeline);

/* The rewritten text that an ErrorResponse or NoticeResponse arriving now speaks of; NULL: the
 * client's own text. Ask before pipeline_answer(). Borrowed. */
const struct rewrite *pipeline_subject(const struct pipeline *pipeline);

#endif
