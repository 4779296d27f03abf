/* How outcomes of transactions are said, between programs and to people. */
#ifndef COMMON_TUNNEL_TUNNEL_OUTCOME_H
#define COMMON_TUNNEL_TUNNEL_OUTCOME_H

#include "common/tunnel/tunnel_frame.h"

/* "committed", "in progress" …: the words of pg_xact_status(), but for "rolled back". */
const char *tunnel_outcome_name(enum tunnel_outcome outcome);
/* UNKNOWN, too, for any other text. */
enum tunnel_outcome tunnel_outcome_of_name(struct bytes name);

/* What somebody should do who was told of it instead of an answer to COMMIT; a sentence. */
const char *tunnel_outcome_hint(enum tunnel_outcome outcome);
/* The SQLSTATE of the loss: 08006, which says that repeating is safe, or 08007. */
const char *tunnel_outcome_sqlstate(enum tunnel_outcome outcome);

#endif
