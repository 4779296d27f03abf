/* ELECTRIC GRANT, REVOKE, ASSIGN and UNASSIGN: each becomes a call whose only argument is JSON, in
 * the form that server/sql/functions/permissions.sql describes. */
#ifndef SERVER_DDLX_PERMISSIONS_H
#define SERVER_DDLX_PERMISSIONS_H

#include "server/ddlx/parser.h"

/* Behind the command's word. Each writes the whole call; false as parser_expect_… do. */
bool permissions_grant(struct parser *parser);
bool permissions_revoke(struct parser *parser);
bool permissions_assign(struct parser *parser);
bool permissions_unassign(struct parser *parser);

#endif
