/* What a migration does, in words for a log line. */
#ifndef SERVER_LEDGER_DESCRIBE_H
#define SERVER_LEDGER_DESCRIBE_H

#include "common/buffer.h"
#include "server/ledger_row.h"

/* `migration 20240101000002 captured: items (create table, 3 columns), orders (add column qty) by
 * rails (20240101000002_electrify), application psql`. What does not fit `line` is left out. */
void ledger_describe(const struct ledger_row *row, struct buffer *line);

#endif
