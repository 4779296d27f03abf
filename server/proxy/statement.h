/* SQL texts of the client: which statements in them are DDLX, and the text with those written as
 * calls; which of them must be followed by a statement of ours. Pure; works on any thread. */
#ifndef SERVER_PROXY_STATEMENT_H
#define SERVER_PROXY_STATEMENT_H

#include "server/proxy/encoding.h"
#include "server/proxy/rewrite.h"

/* What the text means depends on. */
struct statement_settings {
    bool standard_conforming_strings;
    enum encoding encoding;   /* of the bytes */
    enum encoding characters; /* by which Postgres counts positions */
    /* No statement is under way that could still change the two above: the text will be read by the
     * server with just these settings. */
    bool settled;
    /* No event trigger sees what statements do: a call of ours must follow those that may change
     * tables. Only with framework_tables. */
    bool fallback;
    /* Tables in which migration tools record what they have run: lower-case names, each ended by a
     * NUL, the list by an empty one. NULL: nothing is captured. Borrowed. */
    const char *framework_tables;
    bool endings; /* which texts end transactions is of interest */
};

enum statement_use {
    STATEMENT_QUERY,   /* ours go behind the text if it is one statement, else into the text */
    STATEMENT_INSIDE,  /* a Query where ours can only go into the text: then a single statement runs
                          in a transaction, too */
    STATEMENT_PREPARE, /* must be one; ours go beside it, when it is executed */
};

/* NULL when the text goes upstream as it is and nothing needs to be known of it. The caller owns
 * one reference. */
struct rewrite *statement_examine(struct bytes text, enum statement_use use,
                                  const struct statement_settings *settings);

/* Whether what statement_examine() makes of a Query may depend on settings that are not settled, so
 * much that it should rather wait. */
bool statement_is_unsettled(struct bytes text, enum statement_use use,
                            const struct statement_settings *settings);

/* Whether a text that is sent as it is reads as if DDLX stood somewhere in it. Only for a hint in
 * an error, so no more than the first 32 KiB are looked at. `rewrite` may be NULL. */
bool statement_mentions_ddlx(const struct rewrite *rewrite, struct bytes text);

/* Texts longer than this are examined on a worker. */
#define STATEMENT_INLINE_MAX ((size_t)32 * 1024)

/* An examination on a worker. Owns a copy of the message it is about. */
struct statement_job {
    struct statement_settings settings;
    enum statement_use use;
    struct buffer message; /* begins with one whole Query or Parse message */
    size_t message_len;
    struct bytes text;       /* inside `message` */
    struct rewrite *rewrite; /* the answer */
    bool mentions_ddlx;
};

void statement_job_run(struct statement_job *job);
void statement_job_free(struct statement_job *job);

#endif
