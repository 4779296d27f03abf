/* DDLX: the statements that the proxy adds to Postgres, recognised at statement level and written
 * as calls of procedures in schema `electric`.
 *
 *     ALTER TABLE [IF EXISTS] [ONLY] name {ENABLE | DISABLE} ELECTRIC
 *     ELECTRIC {ENABLE | DISABLE} name */
#ifndef SERVER_DDLX_DDLX_H
#define SERVER_DDLX_DDLX_H

#include "common/buffer.h"
#include "server/ddlx/scan.h"

enum ddlx_kind { DDLX_NONE, DDLX_ENABLE, DDLX_DISABLE };

/* [database.]schema.table; a fourth part is a syntax error in Postgres too. */
#define DDLX_NAME_PARTS 3

/* Offsets point into the text it was parsed from. */
struct ddlx_command {
    enum ddlx_kind kind;
    bool if_exists;
    struct scan_token name[DDLX_NAME_PARTS];
    size_t name_parts;
};

/* DDLX_NONE when the statement is anything else, malformed DDLX included: then Postgres judges it.
 */
struct ddlx_command ddlx_parse(const struct scanner *scanner,
                               const struct scan_statement *statement);

/* Exactly one CALL. Names stand in it as the client wrote them, in a literal that means the same
 * whatever standard_conforming_strings is. */
void ddlx_append_call(struct buffer *out, struct bytes text, const struct ddlx_command *command);

/* The command tag that clients see, as `ELECTRIC ENABLE`. */
const char *ddlx_tag(enum ddlx_kind kind);

#endif
