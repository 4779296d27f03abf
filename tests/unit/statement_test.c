/* Rewriting of DDLX in texts, and positions mapped back. */
#include "server/proxy/statement.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

static const struct statement_settings utf8 = {.standard_conforming_strings = true,
                                               .encoding = ENCODING_UTF8,
                                               .characters = ENCODING_UTF8,
                                               .settled = true};

static struct rewrite *examine(const char *sql, const struct statement_settings *settings)
{
    struct bytes text = guarded_copy(sql, strlen(sql));
    struct rewrite *rewrite = statement_examine(text, STATEMENT_QUERY, settings);

    guarded_free(text);
    return rewrite;
}

static const struct {
    const char *sql;
    const char *expected; /* NULL: unchanged */
} rewrites[] = {
    {"ALTER TABLE items ENABLE ELECTRIC", "CALL electric.enable(E'items')"},
    {"alter table items enable electric;", "CALL electric.enable(E'items');"},
    {"ALTER TABLE public.items DISABLE ELECTRIC", "CALL electric.disable(E'public.items')"},
    {"ALTER TABLE IF EXISTS ONLY items ENABLE ELECTRIC;", "CALL electric.enable(E'items', true);"},
    {"ELECTRIC ENABLE items", "CALL electric.enable(E'items')"},
    {"Electric Disable \"My\"\"T\".\"it's\\\"",
     "CALL electric.disable(E'\"My\"\"T\".\"it''s\\\\\"')"},
    {"ALTER TABLE /* a */ public -- b\n . items ENABLE ELECTRIC -- c",
     "CALL electric.enable(E'public.items') -- c"},
    {"SELECT 1; ALTER TABLE t ENABLE ELECTRIC; SELECT 2",
     "SELECT 1; CALL electric.enable(E't'); SELECT 2"},
    {"ALTER TABLE enable ENABLE ELECTRIC", "CALL electric.enable(E'enable')"},
    {"ALTER TABLE electric ENABLE ELECTRIC", "CALL electric.enable(E'electric')"},
    {"ALTER TABLE if ENABLE ELECTRIC", "CALL electric.enable(E'if')"},
    {"ALTER TABLE a.b.c ENABLE ELECTRIC", "CALL electric.enable(E'a.b.c')"},
    {"ALTER TABLE a.b.c.d ENABLE ELECTRIC", NULL},
    {"ALTER TABLE t ENABLE ELECTRIC x", NULL},
    {"ALTER TABLE t ENABLE \"electric\"", NULL},
    {"ALTER TABLE t ADD c int, ENABLE ELECTRIC", NULL},
    {"ALTER TABLE t. ENABLE ELECTRIC", NULL},
    {"ALTER VIEW t ENABLE ELECTRIC", NULL},
    {"ELECTRIC ENABLE", NULL},
    {"ELECTRIC GRANT ALL ON t TO ''", NULL},
    {"SELECT 'ALTER TABLE t ENABLE ELECTRIC'", NULL},
    {"DO $$ ALTER TABLE t ENABLE ELECTRIC $$", NULL},
    {"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; ALTER TABLE t ENABLE ELECTRIC)", NULL},
    {"SELECT 'unterminated; ALTER TABLE t ENABLE ELECTRIC", NULL},
    {"-- ALTER TABLE t ENABLE ELECTRIC\nSELECT 1", NULL},
    {"SELECT electric FROM t", NULL},
};
#define REWRITES (sizeof rewrites / sizeof rewrites[0])

START_TEST(ddlx_becomes_a_call_and_nothing_else_changes)
{
    struct rewrite *rewrite = examine(rewrites[_i].sql, &utf8);

    if (rewrites[_i].expected == NULL) {
        ck_assert(rewrite == NULL || !rewrite->has_text);
        rewrite_release(rewrite);
        return;
    }
    ck_assert_ptr_nonnull(rewrite);
    ck_assert_msg(bytes_equal_string(buffer_peek(&rewrite->text), rewrites[_i].expected), "%.*s",
                  (int)buffer_peek(&rewrite->text).len, buffer_peek(&rewrite->text).data);
    rewrite_release(rewrite);
}
END_TEST

static const struct statement_settings fallback = {.standard_conforming_strings = true,
                                                   .encoding = ENCODING_UTF8,
                                                   .characters = ENCODING_UTF8,
                                                   .settled = true,
                                                   .fallback = true,
                                                   .framework_tables =
                                                       "schema_migrations\0sequelizemeta\0"};

#define CAPTURE ";CALL electric.capture(false)"
#define NOTE ";CALL electric.note_version()"

static const struct {
    const char *sql;
    const char *expected; /* NULL: unchanged, and `follow` is what must come behind it */
    enum statement_follow follow;
} followed[] = {
    {"SELECT 1", NULL, FOLLOW_NONE},
    {"ALTER TABLE t ADD a int", NULL, FOLLOW_CAPTURE},
    {"/* a */ drop index concurrently i -- b\n;", NULL, FOLLOW_CAPTURE},
    {"CREATE UNIQUE INDEX role ON t (a)", NULL, FOLLOW_CAPTURE},
    {"DO $$BEGIN END$$", NULL, FOLLOW_CAPTURE},
    {"call p()", NULL, FOLLOW_CAPTURE},
    {"REINDEX TABLE t", NULL, FOLLOW_CAPTURE},
    {"NOVEL THING t", NULL, FOLLOW_CAPTURE},
    {"CREATE DATABASE d", NULL, FOLLOW_NONE},
    {"ALTER ROLE r LOGIN", NULL, FOLLOW_NONE},
    {"(SELECT 1)", NULL, FOLLOW_NONE},
    {"INSERT INTO t VALUES (1)", NULL, FOLLOW_NONE},
    {"INSERT INTO schema_migrations VALUES (1)", "INSERT INTO schema_migrations VALUES (1)" NOTE,
     FOLLOW_NONE},
    {"insert into public . \"SequelizeMeta\" (name) values ('1') returning name;",
     "insert into public . \"SequelizeMeta\" (name) values ('1') returning name" NOTE ";",
     FOLLOW_NONE},
    {"UPDATE ONLY schema_migrations SET version = 1 -- x",
     "UPDATE ONLY schema_migrations SET version = 1" NOTE " -- x", FOLLOW_NONE},
    {"CALL p($1)", "CALL p($1)" CAPTURE, FOLLOW_NONE},
    {"DO $$BEGIN EXECUTE 'SELECT $1' USING 1; END$$", NULL, FOLLOW_CAPTURE},
    {"\vALTER TABLE t\vADD a int", NULL, FOLLOW_CAPTURE},
    {";; ALTER TABLE t ADD a int;", NULL, FOLLOW_CAPTURE},
    {"SELECT 1; \vALTER TABLE t ADD a int", NULL, FOLLOW_NONE},
    {"INSERT INTO \"schema_migration\" VALUES (1)", NULL, FOLLOW_NONE},
    {"BEGIN; ALTER TABLE t ADD a int -- b\n; COMMIT",
     "BEGIN; ALTER TABLE t ADD a int" CAPTURE " -- b\n; COMMIT", FOLLOW_NONE},
    {"DROP TABLE a; DROP TABLE b", "DROP TABLE a" CAPTURE "; DROP TABLE b" CAPTURE, FOLLOW_NONE},
    {"SELECT 1; INSERT INTO schema_migrations VALUES (1);",
     "SELECT 1; INSERT INTO schema_migrations VALUES (1)" NOTE ";", FOLLOW_NONE},
    {"ELECTRIC ENABLE t; ALTER TABLE t ADD a int;",
     "CALL electric.enable(E't'); ALTER TABLE t ADD a int" CAPTURE ";", FOLLOW_NONE},
    {"DROP TABLE a; SELECT 'open", "DROP TABLE a" CAPTURE "; SELECT 'open", FOLLOW_NONE},
    {"DROP TABLE a; DROP TABLE \"open", "DROP TABLE a" CAPTURE "; DROP TABLE \"open", FOLLOW_NONE},
    {"INSERT INTO schema_migrations VALUES ('open", NULL, FOLLOW_NONE},
    {"ALTER TABLE t ADD a text DEFAULT 'open", NULL, FOLLOW_CAPTURE},
};
#define FOLLOWED (sizeof followed / sizeof followed[0])

START_TEST(what_may_change_tables_is_followed)
{
    struct rewrite *rewrite = examine(followed[_i].sql, &fallback);

    if (followed[_i].expected == NULL) {
        ck_assert(rewrite == NULL || !rewrite->has_text);
        ck_assert_int_eq(rewrite == NULL ? FOLLOW_NONE : rewrite->follow, followed[_i].follow);
    } else {
        ck_assert_ptr_nonnull(rewrite);
        ck_assert_msg(bytes_equal_string(buffer_peek(&rewrite->text), followed[_i].expected),
                      "%.*s", (int)buffer_len(&rewrite->text), buffer_peek(&rewrite->text).data);
        ck_assert_int_eq(rewrite->follow, FOLLOW_NONE);
    }
    rewrite_release(rewrite);
}
END_TEST

/* SQL_ASCII on one side: Postgres converts nothing, but checks what it gets. */
START_TEST(what_is_told_of_a_statement_ends_with_a_character)
{
    struct statement_settings settings = fallback;
    char sql[16 * 1024];

    settings.encoding = ENCODING_BYTES;
    for (int padding = 0; padding < 2; padding++) {
        size_t len = (size_t)snprintf(sql, sizeof sql, "DROP TABLE %.*s\"", padding, "  ");
        while (len + sizeof "\xc3\xa4\"" < sizeof sql)
            len += (size_t)snprintf(sql + len, sizeof sql - len, "\xc3\xa4");
        (void)snprintf(sql + len, sizeof sql - len, "\"");
        struct rewrite *rewrite = examine(sql, &settings);
        struct bytes said = buffer_peek(&rewrite->said);
        ck_assert_uint_ge(said.len, 8000);
        ck_assert_uint_eq(said.data[said.len - 1], 0xa4);
        rewrite_release(rewrite);
    }
}
END_TEST

START_TEST(what_is_prepared_is_never_added_to)
{
    static const char sql[] = "ALTER TABLE t ADD a int; SELECT 1";
    struct rewrite *rewrite = statement_examine(bytes_of_string(sql), STATEMENT_PREPARE, &fallback);

    ck_assert(rewrite == NULL || !rewrite->has_text);
    rewrite_release(rewrite);
}
END_TEST

START_TEST(added_statements_are_known_by_their_number)
{
    static const char sql[] = "SELECT 1; DROP TABLE a; ELECTRIC ENABLE b; SELECT wrong";
    static const enum rewrite_role roles[] = {ROLE_CLIENT, ROLE_WATCHED, ROLE_HIDDEN, ROLE_DDLX,
                                              ROLE_CLIENT};
    struct rewrite *rewrite = examine(sql, &fallback);
    struct bytes now = buffer_peek(&rewrite->text);

    for (uint32_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        ck_assert_int_eq(rewrite_role(rewrite, i), roles[i]);
    ck_assert_uint_eq(
        rewrite_position(rewrite, 1 + (uint32_t)bytes_find_ignoring_case(now, "wrong")),
        1 + (uint32_t)bytes_find_ignoring_case(bytes_of_string(sql), "wrong"));
    rewrite_release(rewrite);
}
END_TEST

static const struct {
    const char *sql;
    const char *check;
} checked[] = {
    {"CREATE UNIQUE INDEX CONCURRENTLY ON t (a)", "CALL electric.refuse_unique_index(E't')"},
    {"CREATE UNIQUE INDEX CONCURRENTLY i ON public.U&\"!0069tems\" UESCAPE '!' (a)",
     "CALL electric.refuse_unique_index(E'public.\"items\"')"},
    {"create unique index concurrently if not exists \"on\" on only \"it's\".T (a);",
     "CALL electric.refuse_unique_index(E'\"it''s\".T')"},
    {"CREATE UNIQUE INDEX i ON t (a)", ""},
    {"CREATE INDEX CONCURRENTLY i ON t (a)", ""},
    {"BEGIN; CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", ""},
    {"CREATE UNIQUE INDEX CONCURRENTLY i ON t (a); SELECT 1", ""},
};
#define CHECKED (sizeof checked / sizeof checked[0])

START_TEST(what_cannot_be_undone_is_checked_before)
{
    struct rewrite *rewrite = examine(checked[_i].sql, &fallback);

    ck_assert_ptr_nonnull(rewrite);
    ck_assert(bytes_equal_string(buffer_peek(&rewrite->check), checked[_i].check));
    rewrite_release(rewrite);
}
END_TEST

START_TEST(replaced_statements_are_known_by_their_number)
{
    struct rewrite *rewrite =
        examine(";EXECUTE s;; ELECTRIC ENABLE a; SELECT 1; ELECTRIC DISABLE b; CALL mine()", &utf8);

    ck_assert_int_eq(rewrite_kind(rewrite, 0), DDLX_NONE);
    ck_assert_int_eq(rewrite_kind(rewrite, 1), DDLX_ENABLE);
    ck_assert_int_eq(rewrite_kind(rewrite, 2), DDLX_NONE);
    ck_assert_int_eq(rewrite_kind(rewrite, 3), DDLX_DISABLE);
    ck_assert_int_eq(rewrite_kind(rewrite, 4), DDLX_NONE);
    ck_assert_int_eq(rewrite_kind(rewrite, 5), DDLX_NONE);
    rewrite_release(rewrite);
}
END_TEST

/* Where `needle` stands, from 1, in characters of UTF-8. */
static uint32_t position_of(struct bytes text, const char *needle)
{
    const uint8_t *found = memmem(text.data, text.len, needle, strlen(needle));

    ck_assert_ptr_nonnull(found);
    return 1 + (uint32_t)encoding_count(ENCODING_UTF8,
                                        bytes_of(text.data, (size_t)(found - text.data)));
}

START_TEST(positions_point_into_the_text_the_client_wrote)
{
    static const char sql[] = "SELECT '\xc3\xa4\xe2\x82\xac'; ALTER TABLE \"\xc3\xb6\" ENABLE "
                              "ELECTRIC; SELECT first; ELECTRIC DISABLE b; SELECT second";
    static const char *const marks[] = {"SELECT '", "SELECT first", "first", "second"};
    struct rewrite *rewrite = examine(sql, &utf8);
    struct bytes now = buffer_peek(&rewrite->text);

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        ck_assert_uint_eq(rewrite_position(rewrite, position_of(now, marks[i])),
                          position_of(bytes_of_string(sql), marks[i]));
    /* Inside a call: the beginning of the statement it stands for. */
    ck_assert_uint_eq(rewrite_position(rewrite, position_of(now, "electric.enable")),
                      position_of(bytes_of_string(sql), "ALTER"));
    ck_assert_uint_eq(rewrite_position(rewrite, 0), 0);
    rewrite_release(rewrite);
}
END_TEST

START_TEST(what_depends_on_settings_under_way_is_left_alone)
{
    struct statement_settings settings = utf8;
    struct rewrite *rewrite;

    settings.settled = false;
    ck_assert_ptr_null(examine("SELECT 'a\\'; ELECTRIC ENABLE t", &settings));
    ck_assert_ptr_null(examine("SELECT E'\xc3\xa4\\''; ELECTRIC ENABLE t", &settings));
    rewrite = examine("SELECT E'a\\''; ELECTRIC ENABLE t", &settings);
    ck_assert_ptr_nonnull(rewrite);
    rewrite_release(rewrite);
    rewrite = examine("-- f\xc3\xbcr alle\nELECTRIC ENABLE t", &settings);
    ck_assert_ptr_nonnull(rewrite);
    rewrite_release(rewrite);
}
END_TEST

START_TEST(a_vertical_tab_outside_of_literals_is_left_to_the_server)
{
    struct rewrite *rewrite = examine("SELECT '\v'; ELECTRIC ENABLE t", &utf8);

    ck_assert_ptr_nonnull(rewrite);
    rewrite_release(rewrite);
    ck_assert_ptr_null(examine("SELECT \v 1; ELECTRIC ENABLE t", &utf8));
    ck_assert_ptr_null(examine("SELECT E'a' \v\n '\\'; ELECTRIC ENABLE t; --'", &utf8));
}
END_TEST

START_TEST(texts_that_mean_ddlx_are_told_from_others)
{
    static const char *const mention[] = {"ALTER TABLE t ADD c int, ENABLE ELECTRIC",
                                          "DO $$ ALTER TABLE t disable\n electric $$",
                                          "electric grant all on t", "ELECTRIC -- x\n ENABLE"};
    static const char *const others[] = {"SELECT 1 FROM elt a electric", "SELECT electric, enable",
                                         "SELECT 1", "SELECT enabled electric", "electric"};

    for (size_t i = 0; i < sizeof mention / sizeof mention[0]; i++)
        ck_assert_msg(statement_mentions_ddlx(NULL, bytes_of_string(mention[i])), "%s", mention[i]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_msg(!statement_mentions_ddlx(NULL, bytes_of_string(others[i])), "%s", others[i]);
}
END_TEST

START_TEST(ambiguous_texts_are_left_alone)
{
    static const char *const names[] = {"SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "new"};
    struct statement_settings settings = utf8;
    struct rewrite *rewrite;

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        settings.encoding = encoding_of_name(bytes_of_string(names[i]));
        ck_assert_ptr_null(examine("ELECTRIC ENABLE \x95\x5c", &settings));
        /* ASCII means the same in all of them. */
        rewrite = examine("ELECTRIC ENABLE t", &settings);
        ck_assert_ptr_nonnull(rewrite);
        rewrite_release(rewrite);
    }
}
END_TEST

START_TEST(characters_are_counted_by_encoding)
{
    ck_assert_uint_eq(encoding_count(encoding_of_name(bytes_of_string("UTF8")),
                                     bytes_of_string("a\xc3\xa4\xf0\x9f\x98\x80")),
                      3);
    ck_assert_uint_eq(
        encoding_count(encoding_of_name(bytes_of_string("LATIN1")), bytes_of_string("a\xe4\xe4")),
        3);
    ck_assert_uint_eq(encoding_count(encoding_of_name(bytes_of_string("EUC_JP")),
                                     bytes_of_string("a\xa4\xa2\x8f\xa4\xa2")),
                      3);
    ck_assert_uint_eq(encoding_count(ENCODING_UTF8, guarded_copy("a\xe2\x82", 3)),
                      2); /* cut short */
}
END_TEST

SUITE("statement", LOOP(ddlx_becomes_a_call_and_nothing_else_changes, 0, REWRITES),
      TEST(replaced_statements_are_known_by_their_number),
      TEST(positions_point_into_the_text_the_client_wrote),
      TEST(what_depends_on_settings_under_way_is_left_alone),
      TEST(a_vertical_tab_outside_of_literals_is_left_to_the_server),
      LOOP(what_may_change_tables_is_followed, 0, FOLLOWED),
      TEST(what_is_told_of_a_statement_ends_with_a_character),
      TEST(what_is_prepared_is_never_added_to), TEST(added_statements_are_known_by_their_number),
      LOOP(what_cannot_be_undone_is_checked_before, 0, CHECKED),
      TEST(texts_that_mean_ddlx_are_told_from_others), TEST(ambiguous_texts_are_left_alone),
      TEST(characters_are_counted_by_encoding))
