/* One migration as the ledger has it, and the questions that read migrations page by page. */
#ifndef SERVER_LEDGER_ROW_H
#define SERVER_LEDGER_ROW_H

#include "common/bytes.h"

#include <libpq-fe.h>
#include <stdint.h>

#define LEDGER_VERSION_MAX 64 /* a version and its NUL */
#define LEDGER_HASH_MAX 65    /* hex and its NUL; empty while there is no migration */

/* The newest migration; seq 0 while there is none. */
struct ledger_head {
    uint64_t seq;
    char version[LEDGER_VERSION_MAX];
    char hash[LEDGER_HASH_MAX];
};

/* Borrows from a result. */
struct ledger_row {
    uint64_t seq;
    const char *version;
    const char *label;            /* "": none */
    const char *framework;        /* "": none */
    const char *application_name; /* "": none */
    const char *previous_hash;    /* hex; of the migration before, "" for the first */
    const char *hash;
    int64_t at;       /* seconds since 1970 */
    struct bytes ops; /* JSON */
};

/* A page: the head, and of the migrations after $1 and not after $2 as many as fit; one row with
 * the head alone when there are none. It is one statement, so the two belong together. A page ends
 * where it becomes big, since one migration may be of any size. */
#define LEDGER_PAGE_SQL                                                                       \
    "SELECT h.seq, h.version, encode(h.hash, 'hex'), m.seq, m.version, m.label, m.framework," \
    " m.application_name, encode(m.prev_hash, 'hex'), encode(m.hash, 'hex'),"                 \
    " extract(epoch FROM m.at)::bigint, m.ops::text"                                          \
    " FROM electric.head h LEFT JOIN"                                                         \
    " (SELECT * FROM (SELECT x.*, sum(pg_column_size(x.ops)) OVER"                            \
    "     (ORDER BY x.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before"        \
    "   FROM (SELECT * FROM electric.migrations"                                              \
    "         WHERE seq > $1::bigint AND seq <= $2::bigint ORDER BY seq LIMIT 200) x) y"      \
    "  WHERE before IS NULL OR before < 131072) m ON true"                                    \
    " ORDER BY m.seq"
#define LEDGER_NEWEST "9223372036854775807" /* for $2: as far as there are any */

/* False when the result has no head, which only a damaged schema gives. */
bool ledger_page_head(const PGresult *page, struct ledger_head *head);
/* How many migrations the page has. */
int ledger_page_count(const PGresult *page);
struct ledger_row ledger_page_row(const PGresult *page, int number);
/* What the head was when this migration was the newest. */
void ledger_row_head(const struct ledger_row *row, struct ledger_head *head);

#endif
