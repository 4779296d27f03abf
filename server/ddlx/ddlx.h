/* DDLX: the statements that the proxy adds to Postgres, recognised at statement level and written
 * as calls of procedures in schema `electric`.
 *
 *     ALTER TABLE [IF EXISTS] [ONLY] name {ENABLE | DISABLE} ELECTRIC
 *     ELECTRIC {ENABLE | DISABLE} name */
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

/* Where a malformed statement stops making sense, as byte offsets into the text, and how it should
 * be written. `start == end`: it ends too early. */
struct ddlx_mistake {
    size_t start, end;
    const char *hint; /* static; a whole sentence that shows the form */
};

/* Appends exactly one CALL to `call` and says which command it stands for. For DDLX_NONE and
 * DDLX_MISTAKE nothing is appended; only the latter fills in `mistake`. Names stand in the call as
 * the client wrote them, in a literal that means the same whatever standard_conforming_strings is.
 * The call is at most DDLX_GROWTH times as long as the statement. */
enum ddlx_kind ddlx_translate(const struct scanner *scanner, const struct scan_statement *statement,
                              struct buffer *call, struct ddlx_mistake *mistake);
#define DDLX_GROWTH 16

/* The command tag that clients see, as `ELECTRIC ENABLE`. */
const char *ddlx_tag(enum ddlx_kind kind);

#endif
