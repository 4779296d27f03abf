/* Statements up and rows down, against answers by hand. */
#include <stdlib.h>
#include <string.h>

#include "client/pgload.h"
#include "tests/support/suite.h"

#define SECOND 1000000

static const uint8_t answer[] = {'C', 0, 0, 0, 5, 'S', 'Z', 0, 0, 0, 5, 'I'};

/* Takes all that is to be sent, in pieces of that size; the whole statements in it are counted, and
 * each must be one Query. */
static unsigned take(struct pgload *load, size_t size, int64_t now)
{
    static uint8_t all[8 * 1024 * 1024];
    size_t len = 0;
    size_t count;
    unsigned statements = 0;
    struct pgscan scan = {.header_len = 0};
    struct bytes rest;
    struct bytes piece;

    while ((count = pgload_output(load, all + len, size, now)) > 0) {
        len += count;
        ck_assert_uint_lt(len + size, sizeof all);
    }
    rest = bytes_of(all, len);
    while (pgscan_next(&scan, &rest, &piece)) {
        ck_assert_uint_eq(pgscan_type(&scan), 'Q');
        ck_assert(!pgscan_is_inside(&scan));
        ck_assert_uint_eq(piece.data[piece.len - 1], '\0');
        ck_assert_uint_eq(strlen((const char *)piece.data), piece.len - 1);
        ck_assert_int_eq(strncmp((const char *)piece.data, "SELECT ", 7), 0);
        statements++;
    }
    return statements;
}

static void answer_all(struct pgload *load, unsigned statements, int64_t now)
{
    for (unsigned i = 0; i < statements; i++)
        pgload_input(load, bytes_of(answer, sizeof answer), now);
}

START_TEST(both_directions_are_measured) /* _i: how much is taken at once */
{
    static const size_t sizes[] = {100, 4096, 65536, 262144};
    struct pgload load;
    unsigned sent;
    uint8_t *row = calloc(1, 1000005);

    pgload_init(&load, 3 * SECOND, 0);
    sent = take(&load, sizes[_i], SECOND);
    ck_assert_uint_gt(sent, 10);
    ck_assert_uint_eq(take(&load, sizes[_i], SECOND), 0); /* enough is under way */
    answer_all(&load, sent, 2 * SECOND);
    ck_assert_int_eq(load.stage, PGLOAD_UP);
    sent += take(&load, sizes[_i], 2 * SECOND);
    answer_all(&load, sent / 2, 4 * SECOND);
    ck_assert_int_eq(load.stage, PGLOAD_DOWN);
    ck_assert_double_eq(load.up, (double)sent * 65536 / 4);

    ck_assert_uint_eq(take(&load, sizes[_i], 4 * SECOND), 1);
    row[0] = 'D';
    row[1] = 0;
    row[2] = 0x0f;
    row[3] = 0x42;
    row[4] = 0x44; /* 1,000,004 */
    pgload_input(&load, bytes_of(row, 1000005), 5 * SECOND);
    ck_assert_int_eq(load.stage, PGLOAD_DOWN);
    pgload_input(&load, bytes_of(row, 5), 8 * SECOND);
    ck_assert_int_eq(load.stage, PGLOAD_OVER);
    ck_assert_double_eq(load.down, 1000010.0 / 4);
    free(row);
}
END_TEST

START_TEST(an_error_ends_it)
{
    static const uint8_t error[] = {'E', 0, 0, 0, 5, 0};
    struct pgload load;

    pgload_init(&load, SECOND, 0);
    take(&load, 4096, 0);
    pgload_input(&load, bytes_of(error, sizeof error), 0);
    ck_assert_int_eq(load.stage, PGLOAD_FAILED);
}
END_TEST

SUITE("client_pgload", LOOP(both_directions_are_measured, 0, 4), TEST(an_error_ends_it))
