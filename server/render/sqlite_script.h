/* Splits SQLite statements, which ELECTRIC SQLITE publishes as they are. */
#ifndef SERVER_RENDER_SQLITE_SCRIPT_H
#define SERVER_RENDER_SQLITE_SCRIPT_H

#include "common/bytes.h"
#include "common/status.h"

/* Takes the next statement off `in`: without its semicolon and the space and comments around it.
 * STATUS_MORE when there is none, STATUS_INVALID when a quote or a trigger does not end, so that it
 * would swallow what is appended. */
enum status sqlite_script_next(struct bytes *in, struct bytes *statement);

#endif
