/* Expressions of indexes, from Postgres's words into SQLite's. */
#include "common/buffer.h"
#include "server/render/expression.h"
#include "tests/support/suite.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static struct model_type types[] = {{"int4", "integer", "INTEGER"},  {"text", "text", "TEXT"},
                                    {"bool", "boolean", "INTEGER"},  {"float8", "", "REAL"},
                                    {"jsonb", "jsonb", "TEXT_JSON"}, {"bytea", "bytea", "BLOB"}};
static struct model_column columns[] = {
    {.name = "n", .type = &types[0]},
    {.name = "t", .type = &types[1]},
    {.name = "done", .type = &types[2]},
    {.name = "f", .type = &types[3]},
    {.name = "j", .type = &types[4]},
    {.name = "b", .type = &types[5]},
    {.name = "a\"B", .type = &types[1]},
    {.name = "m", .type = &types[1], .enum_schema = "public", .enum_name = "mood"},
};
static const struct model_table table = {.columns = columns, .column_count = COUNT(columns)};

/* `sqlite` is the translation, or NULL: then `reason` says why there is none. */
static const struct expression {
    const char *postgres, *sqlite, *reason;
} expressions[] = {
    {"n", "\"n\"", NULL},
    {"\"a\"\"B\"", "\"a\"\"B\"", NULL},
    {"(n IS NOT NULL)", "\"n\" IS NOT NULL", NULL},
    {"(n IS NULL)", "\"n\" IS NULL", NULL},
    {"((n > 0) AND (t <> ''::text))", "((\"n\" > 0) AND (\"t\" <> ''))", NULL},
    {"((n IS NULL) = done)", "((\"n\" IS NULL) = \"done\")", NULL},
    {"((n > 0) OR (NOT done))", "((\"n\" > 0) OR (NOT \"done\"))", NULL},
    {"((a AND b))", NULL, "no translation of name a"},
    {"(done IS NOT TRUE)", "\"done\" IS NOT TRUE", NULL},
    {"(done IS UNKNOWN)", "\"done\" IS NULL", NULL},
    {"(done = true)", "(\"done\" = 1)", NULL},
    {"(n IS DISTINCT FROM 5)", "(\"n\" IS NOT 5)", NULL},
    {"(NOT (n IS DISTINCT FROM 5))", "(NOT (\"n\" IS NOT 5))", NULL},
    {"upper(t)", "upper(\"t\")", NULL},
    {"lower((t)::text)", "lower(\"t\")", NULL},
    {"length((n)::text)", "length(CAST(\"n\" AS TEXT))", NULL},
    {"\"substring\"(t, 1, 3)", "substr(\"t\", 1, 3)", NULL},
    {"SUBSTRING(t FROM 1 FOR 3)", "substr(\"t\", 1, 3)", NULL},
    {"SUBSTRING(t FROM n)", "substr(\"t\", \"n\")", NULL},
    {"SUBSTRING(t FROM 'x'::text)", NULL, "no translation of function substring"},
    {"TRIM(BOTH FROM t)", "trim(\"t\")", NULL},
    {"TRIM(LEADING 'x'::text FROM t)", "ltrim(\"t\", 'x')", NULL},
    {"TRIM(TRAILING FROM t)", "rtrim(\"t\")", NULL},
    {"COALESCE(t, ''::text, 'it''s'::text)", "coalesce(\"t\", '', 'it''s')", NULL},
    {"NULLIF(n, 0)", "nullif(\"n\", 0)", NULL},
    {"((n + 1) * (- n))", "((\"n\" + 1) * (- \"n\"))", NULL},
    {"(n % '-5'::integer)", "(\"n\" % -5)", NULL},
    {"n + 1 * 2 - 3", "((\"n\" + (1 * 2)) - 3)", NULL},
    {"(t || 'x'::text)", "(\"t\" || 'x')", NULL},
    {"((n)::numeric > 1.5)", "(\"n\" > 1.5)", NULL},
    {"(f > '1e+20'::double precision)", "(\"f\" > 1e+20)", NULL},
    {"(f > 'NaN'::double precision)", NULL, "no translation of a literal of type double precision"},
    {"((f)::integer > 1)", "(CAST(\"f\" AS INTEGER) > 1)", NULL},
    {"(t = ANY (ARRAY['a'::text, 'b'::text]))", "(\"t\" IN ('a', 'b'))", NULL},
    {"((t)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))",
     "(\"t\" IN ('a', 'b'))", NULL},
    {"((t)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))",
     "(\"t\" IN ('a', 'b'))", NULL},
    {"(n <> ALL (ARRAY[1, 2]))", "(\"n\" NOT IN (1, 2))", NULL},
    {"(m = 'ok'::public.mood)", "(\"m\" = 'ok')", NULL},
    {"(m = 'ok'::public.other)", NULL, "no translation of a literal of type other"},
    {"(b = '\\x2f'::bytea)", "(\"b\" = x'2f')", NULL},
    {"(b = '\\x2'::bytea)", NULL, "no translation of a literal of type bytea"},
    {"(t > '2020-01-02 03:04:05+00'::timestamp with time zone)",
     "(\"t\" > '2020-01-02 03:04:05+00')", NULL},
    {"(t = E'a\\\\b''c'::text)", "(\"t\" = 'a\\b''c')", NULL},
    {"(t COLLATE \"C\")", "\"t\"", NULL},
    {"(t = NULL::text)", "(\"t\" = NULL)", NULL},
    {"(t ~~ 'x%'::text)", NULL, "no translation of operator ~~"},
    {"(j -> 'a'::text)", NULL, "no translation of operator ->"},
    {"public.f(n)", NULL, "no translation of name public"},
    {"md5(t)", NULL, "no translation of function md5"},
    {"lower(t, t)", NULL, "no translation of function lower"},
    {"(done)::text", NULL, "no translation of a cast to type text"},
    {"(n)::bigint[]", NULL, "no translation of a cast to type []"},
    {"('1 day'::interval = t)", NULL, "no translation of a literal of type interval"},
    {"CASE WHEN done THEN n ELSE 0 END", NULL, "no translation of name CASE"},
    {"'x'::text", NULL, "no translation of an expression without columns"},
    {"(n = 1", NULL, "no translation of the expression at its end"},
    {"n = 1)", NULL, "no translation of the expression at )"},
    {"", NULL, "no translation of the expression at its end"},
    {"(t = 'x", NULL, "no translation of an expression like this"},
    {"ROW(n, t)", NULL, "no translation of function ROW"},
};

static void translate(const struct expression *expression, const char *what)
{
    struct arena arena = {0};
    struct buffer sql;

    buffer_init(&sql, 65536);
    const char *reason = expression_to_sqlite(what, &table, &arena, &sql);
    if (expression->sqlite == NULL) {
        ck_assert_msg(reason != NULL && strcmp(reason, expression->reason) == 0, "%s: %s", what,
                      reason);
        ck_assert_uint_eq(buffer_len(&sql), 0);
    } else {
        struct bytes text = buffer_peek(&sql);
        ck_assert_msg(reason == NULL, "%s: %s", what, reason);
        ck_assert_msg(bytes_equal_string(text, expression->sqlite), "%s: %.*s", what, (int)text.len,
                      (const char *)text.data);
    }
    buffer_clear(&sql);
    arena_clear(&arena);
}

START_TEST(expressions_are_translated_or_refused_with_a_reason)
{
    translate(&expressions[_i], expressions[_i].postgres);
}
END_TEST

START_TEST(deep_and_long_expressions_are_refused)
{
    static const struct expression deep = {NULL, NULL,
                                           "no translation of expressions of such a depth"};
    static const struct expression wide = {NULL, NULL,
                                           "no translation of expressions of such a size"};
    static const struct expression huge = {NULL, NULL, "no translation of an expression like this"};
    char text[9000];

    memset(text, '(', 200);
    text[200] = '\0';
    translate(&deep, text);
    for (size_t i = 0; i < 600; i++)
        memcpy(text + i * 2, "n+", 3);
    memcpy(text + 1200, "n", 2);
    translate(&wide, text);
    memset(text, ' ', sizeof text - 2);
    memcpy(text + sizeof text - 2, "n", 2);
    translate(&huge, text);
}
END_TEST

static const struct foreign {
    const char *expression, *reason;
} foreigners[] = {
    {"lower(t)", NULL},
    {"(m = 'ok'::public.mood)", NULL},
    {"(m = ANY (ARRAY['ok'::public.mood, 'sad'::public.mood]))", NULL},
    {"(m = 'ok'::public.other)", "public.other may not be there"},
    {"public.f(n)", "public.f may not be there"},
    {"(n OPERATOR(public.+) 1)", "public.+ may not be there"},
    {"to_tsvector('english'::regconfig, t)", NULL},
    {"to_tsvector('public.mine'::regconfig, t)", "public.mine may not be there"},
    {"(t COLLATE \"C\")", NULL},
    {"(t COLLATE \"de_DE\")", "collation de_DE may not be there"},
    {"(t = 'a.b'::text)", NULL},
    {".", ". may not be there"},
};

START_TEST(what_another_postgres_may_lack_is_found)
{
    struct arena arena = {0};
    const char *reason = expression_find_foreign(foreigners[_i].expression, &table, &arena);

    if (foreigners[_i].reason == NULL)
        ck_assert_ptr_null(reason);
    else
        ck_assert_str_eq(reason, foreigners[_i].reason);
    arena_clear(&arena);
}
END_TEST

SUITE("render_expression",
      LOOP(expressions_are_translated_or_refused_with_a_reason, 0, COUNT(expressions)),
      TEST(deep_and_long_expressions_are_refused),
      LOOP(what_another_postgres_may_lack_is_found, 0, COUNT(foreigners)))
