/* Results of LEDGER_PAGE_SQL, column by column. */
#include "server/ledger_row.h"

#include <stdio.h>
#include <stdlib.h>

enum column {
    COLUMN_HEAD_SEQ,
    COLUMN_HEAD_VERSION,
    COLUMN_HEAD_HASH,
    COLUMN_SEQ,
    COLUMN_VERSION,
    COLUMN_LABEL,
    COLUMN_FRAMEWORK,
    COLUMN_APPLICATION_NAME,
    COLUMN_PREVIOUS_HASH,
    COLUMN_HASH,
    COLUMN_AT,
    COLUMN_OPS,
};

bool ledger_page_head(const PGresult *page, struct ledger_head *head)
{
    if (PQntuples(page) == 0)
        return false;
    head->seq = strtoull(PQgetvalue(page, 0, COLUMN_HEAD_SEQ), NULL, 10);
    (void)snprintf(head->version, sizeof(head->version), "%s",
                   PQgetvalue(page, 0, COLUMN_HEAD_VERSION));
    (void)snprintf(head->hash, sizeof(head->hash), "%s", PQgetvalue(page, 0, COLUMN_HEAD_HASH));
    return true;
}

int ledger_page_count(const PGresult *page)
{
    int rows = PQntuples(page);

    return rows > 0 && !PQgetisnull(page, 0, COLUMN_SEQ) ? rows : 0;
}

struct ledger_row ledger_page_row(const PGresult *page, int number)
{
    return (struct ledger_row){
        .seq = strtoull(PQgetvalue(page, number, COLUMN_SEQ), NULL, 10),
        .version = PQgetvalue(page, number, COLUMN_VERSION),
        .label = PQgetvalue(page, number, COLUMN_LABEL),
        .framework = PQgetvalue(page, number, COLUMN_FRAMEWORK),
        .application_name = PQgetvalue(page, number, COLUMN_APPLICATION_NAME),
        .previous_hash = PQgetvalue(page, number, COLUMN_PREVIOUS_HASH),
        .hash = PQgetvalue(page, number, COLUMN_HASH),
        .at = strtoll(PQgetvalue(page, number, COLUMN_AT), NULL, 10),
        .ops = bytes_of(PQgetvalue(page, number, COLUMN_OPS),
                        (size_t)PQgetlength(page, number, COLUMN_OPS)),
    };
}

void ledger_row_head(const struct ledger_row *row, struct ledger_head *head)
{
    head->seq = row->seq;
    (void)snprintf(head->version, sizeof(head->version), "%s", row->version);
    (void)snprintf(head->hash, sizeof(head->hash), "%s", row->hash);
}
