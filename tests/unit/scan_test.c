/* SQL lexing: tokens and statements. */
#include "server/ddlx/scan.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <string.h>

/* The statements of `sql`, joined with '|', as the scanner sees them. */
static const char *statements(const char *sql, bool standard_conforming_strings)
{
    static char joined[1024];
    struct bytes text = guarded_copy(sql, strlen(sql));
    struct scan_statement statement;
    struct scanner scanner;

    joined[0] = '\0';
    scanner_init(&scanner, text, standard_conforming_strings);
    while (scanner_next_statement(&scanner, &statement)) {
        if (joined[0] != '\0')
            strcat(joined, "|");
        strncat(joined, sql + statement.start, statement.end - statement.start);
    }
    guarded_free(text);
    return joined;
}

static const struct {
    const char *sql;
    const char *expected;
} splits[] = {
    {"", ""},
    {";;", ""},
    {" -- only a comment", ""},
    {"SELECT 1; SELECT 2", "SELECT 1|SELECT 2"},
    {"SELECT ';'; SELECT 2;", "SELECT ';'|SELECT 2"},
    {"SELECT 'it''s;'; x", "SELECT 'it''s;'|x"},
    {"SELECT E'\\';'; x", "SELECT E'\\';'|x"},
    {"SELECT e'a' \n 'b\\';'; x", "SELECT e'a' \n 'b\\';'|x"},
    {"SELECT 'a' -- c\n 'b;'; x", "SELECT 'a' -- c\n 'b;'|x"},
    {"SELECT \"a;b\"\"c\"; x", "SELECT \"a;b\"\"c\"|x"},
    {"SELECT U&\"a;\" , U&'b;'; x", "SELECT U&\"a;\" , U&'b;'|x"},
    {"SELECT $$ ; $$; x", "SELECT $$ ; $$|x"},
    {"SELECT $t$ $$;$$ ; $t$; x", "SELECT $t$ $$;$$ ; $t$|x"},
    {"SELECT a$b; $c$; x", "SELECT a$b|$c$; x"},
    {"SELECT $1; x", "SELECT $1|x"},
    {"SELECT 1 /* ; /* ; */ ; */ ; x", "SELECT 1|x"},
    {"SELECT 1 --;\n; x", "SELECT 1|x"},
    {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); x",
     "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)|x"},
    {"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; "
     "END; x",
     "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; "
     "END|x"},
    {"CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC CALL a(); END; x",
     "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC CALL a(); END|x"},
    {"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case, t.end FROM t; END; x",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case, t.end FROM t; END|x"},
    {"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 end; SELECT 2 case; END; x",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 end; SELECT 2 case; END|x"},
    {"CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END end FROM t;; END; x",
     "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END end FROM t;; END|x"},
    {"CREATE PROCEDURE p() BEGIN ATOMIC END; x", "CREATE PROCEDURE p() BEGIN ATOMIC END|x"},
    {"BEGIN; END; x", "BEGIN|END|x"},
    {"SELECT 'unterminated; x", "SELECT 'unterminated; x"},
    {"SELECT $$ unterminated; x", "SELECT $$ unterminated; x"},
    {"\xc3\xa4\xe2\x82\xac; x", "\xc3\xa4\xe2\x82\xac|x"},
};
#define SPLITS (sizeof splits / sizeof splits[0])

START_TEST(texts_are_split_where_postgres_splits_them)
{
    ck_assert_str_eq(statements(splits[_i].sql, true), splits[_i].expected);
}
END_TEST

START_TEST(every_prefix_is_read_without_looking_behind_it)
{
    for (size_t len = 0; len <= strlen(splits[_i].sql); len++) {
        struct bytes text = guarded_copy(splits[_i].sql, len);
        struct scan_token token;
        struct scanner scanner;
        scanner_init(&scanner, text, (len & 1) != 0);
        do
            token = scanner_next(&scanner);
        while (token.type != SCAN_END && token.type != SCAN_BROKEN);
        ck_assert_uint_eq(token.end, len);
        guarded_free(text);
    }
}
END_TEST

START_TEST(a_backslash_escapes_only_where_the_setting_says_so)
{
    ck_assert_str_eq(statements("SELECT 'a\\'; x", true), "SELECT 'a\\'|x");
    ck_assert_str_eq(statements("SELECT 'a\\'; x", false), "SELECT 'a\\'; x");
    ck_assert_str_eq(statements("SELECT N'a\\'; x", false), "SELECT N'a\\'; x");
}
END_TEST

START_TEST(a_backslash_in_a_plain_literal_is_noted)
{
    static const struct {
        const char *sql;
        bool noted;
    } cases[] = {{"'a\\b'", true}, {"E'a\\b'", false}, {"\"a\\b\"", false}, {"$$\\$$", false}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scanner scanner;
        scanner_init(&scanner, bytes_of_string(cases[i].sql), true);
        scanner_next(&scanner);
        ck_assert_int_eq(scanner.saw_backslash, cases[i].noted);
    }
}
END_TEST

START_TEST(electric_is_noticed_as_a_word_only)
{
    static const struct {
        const char *sql;
        bool mentioned;
    } cases[] = {
        {"ALTER TABLE t ENABLE Electric", true}, {"SELECT 'electric'", false},
        {"SELECT \"electric\"", false},          {"SELECT electrical", false},
        {"SELECT 1 -- electric", false},         {"SELECT $electric$ x $electric$", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scan_statement statement;
        struct scanner scanner;
        scanner_init(&scanner, bytes_of_string(cases[i].sql), true);
        ck_assert(scanner_next_statement(&scanner, &statement));
        ck_assert_msg(statement.mentions_electric == cases[i].mentioned, "%s", cases[i].sql);
    }
}
END_TEST

SUITE("scan", LOOP(texts_are_split_where_postgres_splits_them, 0, SPLITS),
      LOOP(every_prefix_is_read_without_looking_behind_it, 0, SPLITS),
      TEST(a_backslash_escapes_only_where_the_setting_says_so),
      TEST(a_backslash_in_a_plain_literal_is_noted), TEST(electric_is_noticed_as_a_word_only))
