/* The plan of expected answers: every message that will be answered puts an entry into a FIFO, and
 * the server's answers are matched with it. The verbs are pass, hide and re-tag.
 *
 * Where answers and plan disagree, answers pass as they are: the plan only ever decides about a
 * CommandComplete that is exactly `CALL`, and about answers to statements that the proxy added. */
#ifndef SERVER_PROXY_PIPELINE_H
#define SERVER_PROXY_PIPELINE_H

#include "server/proxy/names.h"

/* Messages under way at once; at the limit the client is not read. */
#define PIPELINE_MAX 65536

struct plan_entry;

/* Embedded by value, fields private. */
struct pipeline {
    struct plan_entry *entries; /* a ring */
    size_t first, count, allocated;
    struct names names;
    size_t rewrites; /* entries that hold one; 0, and no names known: names need not be kept */
    size_t running;  /* entries that run statements */
    bool unsettled;  /* a statement may have changed settings that are not reported yet */
    bool skipping;   /* after an error the server drops everything up to the next Sync */
    bool copying_in; /* it swallows Sync until CopyDone or CopyFail */
};

void pipeline_init(struct pipeline *pipeline);
void pipeline_clear(struct pipeline *pipeline);

/* A message of the client that goes upstream; names are copied only where they are needed. */
struct plan_message {
    uint8_t type; /* PGWIRE_QUERY … of the client */
    bool hidden;  /* ours: its answers are not for the client */
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

enum plan_verdict { PLAN_PASS, PLAN_HIDE, PLAN_RETAG };

struct plan_answer {
    enum plan_verdict verdict;
    const char *tag; /* RETAG */
};

/* Call for every message of the server, in order. `body` is looked at for CommandComplete and
 * ReadyForQuery only, and may be empty otherwise. */
struct plan_answer pipeline_answer(struct pipeline *pipeline, uint8_t type, struct bytes body);

/* Whether pipeline_answer() wants to see the body of the next CommandComplete. */
bool pipeline_wants_tag(const struct pipeline *pipeline);

/* Whether that text reads as if DDLX stood in it: an error may want to say how it is written. */
bool pipeline_mentions_ddlx(const struct pipeline *pipeline);

/* The rewritten text that an ErrorResponse or NoticeResponse arriving now speaks of; NULL: the
 * client's own text. Ask before pipeline_answer(). Borrowed. */
const struct rewrite *pipeline_subject(const struct pipeline *pipeline);

#endif
