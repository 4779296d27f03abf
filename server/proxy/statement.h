/* SQL texts of the client: which statements in them are DDLX, and the text with those written as
 * calls. Pure; works on any thread. */
#ifndef SERVER_PROXY_STATEMENT_H
#define SERVER_PROXY_STATEMENT_H

#include "common/buffer.h"
#include "server/ddlx/ddlx.h"
#include "server/proxy/encoding.h"

/* What the text means depends on. */
struct statement_settings {
    bool standard_conforming_strings;
    enum encoding encoding;   /* of the bytes */
    enum encoding characters; /* by which Postgres counts positions */
    /* No statement is under way that could still change the two above: the text will be read by the
     * server with just these settings. */
    bool settled;
};

/* A statement that was replaced. Positions in characters, from 0. */
struct statement_edit {
    enum ddlx_kind kind;
    uint32_t statement;          /* which of the text's, from 0; empty ones do not count */
    uint32_t was_start, was_end; /* in the client's text */
    uint32_t now_start, now_end; /* in the text that is sent */
};

/* A text that was changed. Shared by the plan, prepared statements and portals made from it. */
struct rewrite;

/* NULL when the text goes upstream as it is. The caller owns one reference. */
struct rewrite *statement_examine(struct bytes text, const struct statement_settings *settings);

struct rewrite *rewrite_share(struct rewrite *rewrite);
void rewrite_release(struct rewrite *rewrite); /* NULL-safe */

/* The new text, until rewrite_forget_text(), which frees it once it is sent. */
struct bytes rewrite_text(const struct rewrite *rewrite);
void rewrite_forget_text(struct rewrite *rewrite);

/* What the `index`th statement of the text was; DDLX_NONE: it was not replaced. Each statement of a
 * Query is answered by exactly one CommandComplete, or by an error that ends them all. */
enum ddlx_kind rewrite_kind(const struct rewrite *rewrite, uint32_t index);
/* Is a report_position: `context` is the rewrite. */
uint32_t rewrite_position(const void *context, uint32_t position);

/* Whether a text that was not rewritten reads as if DDLX stood somewhere in it. Only for a hint in
 * an error, so no more than the first 32 KiB are looked at. */
bool statement_mentions_ddlx(struct bytes text);

/* Texts longer than this are examined on a worker. */
#define STATEMENT_INLINE_MAX ((size_t)32 * 1024)

/* An examination on a worker. Owns a copy of the message it is about. */
struct statement_job {
    struct statement_settings settings;
    struct buffer message; /* begins with one whole Query or Parse message */
    size_t message_len;
    struct bytes text;       /* inside `message` */
    struct rewrite *rewrite; /* the answer */
    bool mentions_ddlx;      /* without a rewrite */
};

void statement_job_run(struct statement_job *job);
void statement_job_free(struct statement_job *job);

#endif
