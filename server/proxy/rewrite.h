/* What became of an SQL text of the client on its way to Postgres, and what was learnt about it.
 * Shared by the plan, prepared statements and portals made from it. */
#ifndef SERVER_PROXY_REWRITE_H
#define SERVER_PROXY_REWRITE_H

#include "common/buffer.h"
#include "server/ddlx/ddlx.h"
#include "server/proxy/encoding.h"
#include "server/proxy/ending.h"

/* A statement of ours that must run right after one of the client's, in the same transaction. */
enum statement_follow {
    FOLLOW_NONE,
    FOLLOW_CAPTURE, /* it may have changed tables, and no event trigger has seen it */
    FOLLOW_NOTE,    /* it may have recorded the name of a migration */
};

/* A statement that was replaced, or one of ours that was put in. Positions in characters, from 0.
 */
struct rewrite_edit {
    enum ddlx_kind kind;         /* DDLX_NONE: one of ours, answered to nobody */
    uint32_t statement;          /* which of those that are sent, from 0; empty ones do not count */
    uint32_t was_start, was_end; /* in the client's text */
    uint32_t now_start, now_end; /* in the text that is sent */
};

/* DDLX that is malformed. Postgres refuses the text; this says better where and why. Positions in
 * characters of the client's text, from 0. */
struct rewrite_mistake {
    uint32_t start, end; /* of the statement */
    uint32_t at;
    char *message;
    const char *hint; /* static; NULL: there is no mistake */
};

/* Fields are written by statement_examine() only. */
struct rewrite {
    unsigned references;
    bool has_text;                /* another text is sent than the client wrote */
    bool changes_schema;          /* some statement may change tables, or is DDLX … */
    bool has_ddlx;                /* … and some is */
    struct buffer text;           /* that other text, until it is sent */
    struct buffer check;          /* a CALL that must succeed before the text is run; empty: none */
    enum statement_follow follow; /* of the text's only statement */
    bool commits;                 /* FOLLOW_CAPTURE: it may commit some of what it does by itself */
    struct buffer said;           /* cut short: with another text, what the client wrote; else, of
                                     FOLLOW_CAPTURE, the statement, for the ledger … */
    enum encoding said_in;        /* … in this client_encoding */
    enum ending ending;           /* of the transaction it runs in */
    struct rewrite_mistake mistake;
    struct rewrite_edit *edits;
    size_t edit_count;
};

struct rewrite *rewrite_new(size_t text_capacity);      /* one reference */
struct rewrite *rewrite_share(struct rewrite *rewrite); /* NULL-safe, like the next */
void rewrite_release(struct rewrite *rewrite);
void rewrite_add_edit(struct rewrite *rewrite, struct rewrite_edit edit);
/* Whether something must come before or behind the statement when it is run: 0 if not; what is
 * needed more is greater. NULL-safe. */
unsigned rewrite_care(const struct rewrite *rewrite);
/* Frees the text once it is sent. */
void rewrite_forget_text(struct rewrite *rewrite);

/* What the `index`th statement that is sent is. Each statement of a Query is answered by exactly
 * one CommandComplete, or by an error that ends them all. */
enum rewrite_role {
    ROLE_CLIENT,  /* the client's own */
    ROLE_WATCHED, /* the client's own, and the next one is HIDDEN */
    ROLE_DDLX,    /* replaces DDLX: rewrite_kind() says which */
    ROLE_HIDDEN,  /* ours */
};
enum rewrite_role rewrite_role(const struct rewrite *rewrite, uint32_t index);
enum ddlx_kind rewrite_kind(const struct rewrite *rewrite, uint32_t index);

/* Is a report_position: `context` is the rewrite. */
uint32_t rewrite_position(const void *context, uint32_t position);

#endif
