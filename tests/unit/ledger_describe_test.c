#include "server/ledger_describe.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "tests/support/suite.h"

static struct ledger_row row_of(const char *ops)
{
    return (struct ledger_row){.version = "20240101000002",
                               .label = "",
                               .framework = "",
                               .application_name = "",
                               .ops = bytes_of_string(ops)};
}

static char *describe(const struct ledger_row *row, size_t capacity)
{
    struct buffer line;
    char *text;

    buffer_init(&line, capacity);
    ledger_describe(row, &line);
    text = mem_copy_chars((const char *)buffer_peek(&line).data, buffer_len(&line));
    buffer_clear(&line);
    return text;
}

static void assert_description(const char *ops, const char *expected)
{
    struct ledger_row row = row_of(ops);
    char *text = describe(&row, 4096);

    ck_assert_str_eq(text, expected);
    free(text);
}

START_TEST(says_who_made_it)
{
    struct ledger_row row = row_of("[{\"op\": \"add_column\", \"schema\": \"public\", \"table\": "
                                   "\"orders\", \"column\": {\"name\": \"qty\"}}]");
    char *text;

    row.framework = "rails";
    row.label = "20240101000002_electrify";
    row.application_name = "bin/rails";
    text = describe(&row, 4096);
    ck_assert_str_eq(text, "migration 20240101000002 captured: orders (add column qty) by rails "
                           "(20240101000002_electrify), application bin/rails");
    free(text);
}
END_TEST

START_TEST(gathers_operations_by_table)
{
    assert_description(
        "[{\"op\": \"create_type\", \"schema\": \"public\", \"name\": \"mood\", \"labels\": []},"
        " {\"op\": \"create_table\", \"schema\": \"public\", \"table\": \"items\", \"columns\": "
        "[1, 2, 3]},"
        " {\"op\": \"create_table\", \"schema\": \"Shop\", \"table\": \"o\", \"columns\": [1]},"
        " {\"op\": \"create_index\", \"schema\": \"public\", \"table\": \"items\", \"index\": "
        "{\"name\": \"i\"}},"
        " {\"op\": \"drop_index\", \"schema\": \"public\", \"table\": \"items\", \"name\": \"j\"},"
        " {\"op\": \"grant\", \"schema\": \"public\", \"table\": \"items\", \"privilege\": "
        "\"select\"},"
        " {\"op\": \"sqlite\", \"statements\": \"CREATE VIEW v AS SELECT 1\"}]",
        "migration 20240101000002 captured: mood (create type), items (create table, 3 columns, "
        "create index i, drop index j, grant select), Shop.o (create table, 1 column), sqlite");
}
END_TEST

START_TEST(names_at_most_sixteen_tables)
{
    struct buffer ops;
    struct ledger_row row;
    char *text;

    buffer_init(&ops, 4096);
    for (int i = 0; i < 20; i++)
        ck_assert(buffer_append_format(&ops, "%s{\"op\": \"disable_table\", \"table\": \"t%d\"}",
                                       i == 0 ? "[" : ",", i));
    ck_assert(buffer_append_string(&ops, "]"));
    row = row_of((const char *)buffer_peek(&ops).data);
    text = describe(&row, 4096);
    ck_assert_ptr_nonnull(strstr(text, "t15 (disable), and 4 more operations"));
    ck_assert_ptr_null(strstr(text, "t16"));
    free(text);
    buffer_clear(&ops);
}
END_TEST

START_TEST(survives_what_is_no_list_of_operations)
{
    static const char *const odd[] = {"",
                                      "{",
                                      "[]",
                                      "{}",
                                      "7",
                                      "[1, null, \"x\", [], {}]",
                                      "[{\"op\": 7, \"table\": {}}]",
                                      "[{\"op\": \"add_column\", \"column\": 1}]"};

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        struct ledger_row row = row_of(odd[i]);
        char *text = describe(&row, 4096);

        ck_assert_int_eq(strncmp(text, "migration 20240101000002 captured: ", 35), 0);
        free(text);
    }
}
END_TEST

START_TEST(a_line_that_is_full_is_cut)
{
    struct ledger_row row = row_of("[{\"op\": \"disable_table\", \"table\": \"items\"}]");
    char *text = describe(&row, 40);

    ck_assert_uint_le(strlen(text), 40);
    free(text);
}
END_TEST

SUITE("ledger_describe", TEST(says_who_made_it), TEST(gathers_operations_by_table),
      TEST(names_at_most_sixteen_tables), TEST(survives_what_is_no_list_of_operations),
      TEST(a_line_that_is_full_is_cut))
