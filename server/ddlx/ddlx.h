/* DDLX: the statements that the proxy adds to Postgres, recognised at statement level and written
 * as calls of procedures in schema `electric`. Keywords are in any case and none is reserved;
 * identifiers, literals and comments are those of Postgres.
 *
 *     ALTER TABLE [IF EXISTS] [ONLY] table {ENABLE | DISABLE} ELECTRIC
 *     ELECTRIC {ENABLE | DISABLE} table
 *     ELECTRIC GRANT privilege [, ...] ON [TABLE] table [, ...] TO grantee [, ...]
 *              [USING path] [CHECK (expression)]
 *     ELECTRIC REVOKE privilege [, ...] ON [TABLE] table [, ...] FROM grantee [, ...]
 *     ELECTRIC ASSIGN assignee TO table.column [USING path] [IF (expression)]
 *     ELECTRIC UNASSIGN assignee FROM table.column
 *     ELECTRIC SQLITE 'statements'
 *
 *     privilege  {SELECT | INSERT | UPDATE | DELETE | ALL [PRIVILEGES] | READ | WRITE}
 *                [(column [, ...])]
 *     grantee    role | ({scope | NULL}, 'role') | ANYONE | AUTHENTICATED
 *     assignee   role | ({scope | NULL}, {'role' | table.column}) | table.column
 *     role       'role' | 'scope:role' | scope:'role'
 *     path       column [/column ...]
 *
 * A scope is the name of a table. The first colon in 'scope:role' divides; only in the other forms
 * can a role without a scope have a colon in its name. */
#ifndef SERVER_DDLX_DDLX_H
#define SERVER_DDLX_DDLX_H

#include "common/buffer.h"
#include "server/ddlx/scan.h"

enum ddlx_kind {
    DDLX_NONE, /* any other statement: Postgres judges it */
    DDLX_ENABLE,
    DDLX_DISABLE,
    DDLX_GRANT,
    DDLX_REVOKE,
    DDLX_ASSIGN,
    DDLX_UNASSIGN,
    DDLX_SQLITE,
    DDLX_MISTAKE, /* meant to be DDLX, but malformed: Postgres will answer with a syntax error */
};

/* A malformed statement: the token with which it stops making sense, as byte offsets into the text
 * of the scanner, and how it should be written. The token is always inside the statement; when the
 * statement ends too early, it is empty: `start` and `end` are both the end of the statement. */
struct ddlx_mistake {
    size_t start, end;
    const char *hint; /* static ASCII, so that it is right in every encoding; a whole sentence */
};

/* Appends exactly one CALL to `call` and says which command it stands for. For DDLX_NONE and
 * DDLX_MISTAKE nothing is appended; only the latter fills in `mistake`.
 *
 * What begins with the word ELECTRIC, or goes on with it behind ALTER TABLE table ENABLE or
 * DISABLE, is DDLX or a mistake; Postgres refuses all of it with a syntax error. A statement with a
 * quote or comment that never ends is DDLX_NONE: what Postgres says of it is right.
 *
 * Names stand in the call as the client wrote them, in a literal that means the same whatever
 * standard_conforming_strings is, and escapes are kept where they stand for what only the server
 * can encode. The call is at most DDLX_GROWTH times as long as the statement, and is made in linear
 * time with neither recursion nor memory but that of `call`. */
enum ddlx_kind ddlx_translate(const struct scanner *scanner, const struct scan_statement *statement,
                              struct buffer *call, struct ddlx_mistake *mistake);
#define DDLX_GROWTH 16

/* The command tag that clients see, as `ELECTRIC ENABLE`. */
const char *ddlx_tag(enum ddlx_kind kind);

#endif
