/* SQLite statements are split where SQLite would end them. */
#include "server/render/sqlite_script.h"
#include "tests/support/guarded.h"
#include "tests/support/suite.h"

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Statements with a bar between them; NULL: the text does not end. */
static const struct script {
    const char *text, *statements;
} scripts[] = {
    {"", ""},
    {" ; ;; -- x", ""},
    {"SELECT 1", "SELECT 1"},
    {"SELECT 1;SELECT 2;", "SELECT 1|SELECT 2"},
    {" /* a */ SELECT 1 /* b */ ; -- c\nSELECT 2 -- d", "SELECT 1|SELECT 2"},
    {"SELECT ';', \";\", `;`, [;] ; x", "SELECT ';', \";\", `;`, [;]|x"},
    {"SELECT 'it''s;' ; x", "SELECT 'it''s;'|x"},
    {"SELECT 1 /* ; */ + 1; x", "SELECT 1 /* ; */ + 1|x"},
    {"SELECT 1 -- ;\n + 1; x", "SELECT 1 -- ;\n + 1|x"},
    {"SELECT 1 /* x", "SELECT 1"},
    {"CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END; x",
     "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; SELECT CASE 1 WHEN 1 THEN 2 END; END|x"},
    {"create temp trigger t BEGIN SELECT 1;; end ;x",
     "create temp trigger t BEGIN SELECT 1;; end|x"},
    {"EXPLAIN QUERY PLAN CREATE TEMPORARY TRIGGER t BEGIN x; END",
     "EXPLAIN QUERY PLAN CREATE TEMPORARY TRIGGER t BEGIN x; END"},
    {"CREATE TABLE trigger (a); b", "CREATE TABLE trigger (a)|b"},
    {"CREATE TRIGGER t BEGIN SELECT 1; ENDING; END; x",
     "CREATE TRIGGER t BEGIN SELECT 1; ENDING; END|x"},
    {"CREATE TRIGGER t BEGIN SELECT 1;", NULL},
    {"CREATE TRIGGER t BEGIN SELECT 1; END x;", NULL},
    {"SELECT 'x", NULL},
    {"SELECT '", NULL},
    {"SELECT [x", NULL},
    {"SELECT \"x''", NULL},
};

START_TEST(texts_are_split_where_sqlite_ends_a_statement)
{
    const struct script *script = &scripts[_i];
    struct bytes text = guarded_copy(script->text, strlen(script->text));
    struct bytes rest = text;
    struct bytes statement;
    char found[1024] = "";
    enum status status;

    while ((status = sqlite_script_next(&rest, &statement)) == STATUS_OK)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%.*s",
                 found[0] == '\0' ? "" : "|", (int)statement.len, (const char *)statement.data);
    if (script->statements == NULL) {
        ck_assert_int_eq(status, STATUS_INVALID);
    } else {
        ck_assert_int_eq(status, STATUS_MORE);
        ck_assert_str_eq(found, script->statements);
    }
    guarded_free(text);
}
END_TEST

SUITE("render_script", LOOP(texts_are_split_where_sqlite_ends_a_statement, 0, COUNT(scripts)))
