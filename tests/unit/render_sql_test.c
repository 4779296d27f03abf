/* The SQL that ops become, in both dialects. */
#include "tests/support/suite.h"
#include "tests/unit/render_forms.h"
#include "tests/unit/render_ops_text.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

#define JSONB "<id int4!>,<j jsonb>"

static const struct change {
    const char *what, *ops, *sqlite, *postgres;
} changes[] = {
    {"types",
     "[" CREATE_TABLE(
         "i", "<id int2!>,<i1 int2>,<i3 uuid>,<i4 timestamp>,<i5 jsonb>,<i6 int8>,<i7 float8>", "",
         "") "]",
     "CREATE TABLE \"i\" (\n  \"id\" INTEGER NOT NULL,\n  \"i1\" INTEGER,\n  \"i3\" TEXT,\n"
     "  \"i4\" TEXT,\n  \"i5\" TEXT_JSON,\n  \"i6\" INTEGER,\n  \"i7\" REAL,\n"
     "  CONSTRAINT \"i_pkey\" PRIMARY KEY (\"id\")\n);\n",
     "CREATE TABLE \"public\".\"i\" (\n  \"id\" smallint NOT NULL,\n  \"i1\" smallint,\n"
     "  \"i3\" uuid,\n  \"i4\" timestamp without time zone,\n  \"i5\" jsonb,\n  \"i6\" bigint,\n"
     "  \"i7\" double precision,\n  CONSTRAINT \"i_pkey\" PRIMARY KEY (\"id\")\n);\n"},
    {"the other types",
     "[" CREATE_TABLE("i",
                      "<id int4!>,<a bool>,<b bytea>,<c date>,<d float4>,<e text>,<f time>,<g "
                      "timestamptz>,<h varchar>",
                      "", "") "]",
     "CREATE TABLE \"i\" (\n  \"id\" INTEGER NOT NULL,\n  \"a\" INTEGER,\n  \"b\" BLOB,\n"
     "  \"c\" TEXT,\n  \"d\" REAL,\n  \"e\" TEXT,\n  \"f\" TEXT,\n  \"g\" TEXT,\n  \"h\" TEXT,\n"
     "  CONSTRAINT \"i_pkey\" PRIMARY KEY (\"id\")\n);\n",
     "CREATE TABLE \"public\".\"i\" (\n  \"id\" integer NOT NULL,\n  \"a\" boolean,\n  \"b\" "
     "bytea,\n"
     "  \"c\" date,\n  \"d\" real,\n  \"e\" text,\n  \"f\" time without time zone,\n"
     "  \"g\" timestamp with time zone,\n  \"h\" character varying,\n"
     "  CONSTRAINT \"i_pkey\" PRIMARY KEY (\"id\")\n);\n"},
    {"enums",
     "[" CREATE_TYPE("Mood", "'sad','it`s'") "," ADD_COLUMN("i", "<m public.Mood>") "," DROP_TYPE(
         "old") "]",
     "ALTER TABLE \"i\" ADD COLUMN \"m\" TEXT;\n",
     "CREATE TYPE \"public\".\"Mood\" AS ENUM ('sad', 'it''s');\n\n"
     "ALTER TABLE \"public\".\"i\" ADD COLUMN \"m\" \"public\".\"Mood\";\n\n"
     "DROP TYPE IF EXISTS \"public\".\"old\";\n"},
    {"names are quoted",
     "[" ADD_COLUMN("a\\'b", "<ä~`\\'\\' text>") "," DROP_INDEX("a\\'b", "\\'x") "]",
     "ALTER TABLE \"a\"\"b\" ADD COLUMN \"ä '\"\"\"\"\" TEXT;\n\nDROP INDEX IF EXISTS \"\"\"x\";\n",
     "ALTER TABLE \"public\".\"a\"\"b\" ADD COLUMN \"ä '\"\"\"\"\" text;\n\n"
     "DROP INDEX IF EXISTS \"public\".\"\"\"x\";\n"},
    {"a new column is nullable in SQLite", "[" ADD_COLUMN("i", "<c text!>") "]",
     "ALTER TABLE \"i\" ADD COLUMN \"c\" TEXT;\n",
     "ALTER TABLE \"public\".\"i\" ADD COLUMN \"c\" text NOT NULL;\n"},
    {"collations that are everywhere",
     "[" ADD_COLUMN(
         "i",
         "{'name':'c','type':'text','collation':'pg_catalog.\\'C\\''}") "," ADD_COLUMN("i",
                                                                                       "{'name':'d'"
                                                                                       ",'type':'"
                                                                                       "text','"
                                                                                       "collation':"
                                                                                       "'public.ci'"
                                                                                       "}") "]",
     "ALTER TABLE \"i\" ADD COLUMN \"c\" TEXT;\n\nALTER TABLE \"i\" ADD COLUMN \"d\" TEXT;\n",
     "ALTER TABLE \"public\".\"i\" ADD COLUMN \"c\" text COLLATE pg_catalog.\"C\";\n\n"
     "ALTER TABLE \"public\".\"i\" ADD COLUMN \"d\" text;\n"},
    {"DISABLE", "[" DISABLE("i") "]", "DROP TABLE IF EXISTS \"i\";\n",
     "DROP TABLE IF EXISTS \"public\".\"i\";\n"},
    {"an index",
     "[" CREATE_INDEX(
         "i",
         INDEX("i_idx", "{'column':'val1','descending':true,'nulls_first':true}," ON("val2"), ""),
         "<id int4!>") "]",
     "CREATE INDEX \"i_idx\" ON \"i\" (\"val1\" DESC, \"val2\" ASC);\n",
     "CREATE INDEX \"i_idx\" ON \"public\".\"i\" (\"val1\" DESC, \"val2\");\n"},
    {"a partial index",
     "[" CREATE_INDEX("i", INDEX("i_idx", ON("val1"), ",'predicate':'(val1 IS NOT NULL)'"),
                      "<id int4!>,<val1 int4>") "]",
     "CREATE INDEX \"i_idx\" ON \"i\" (\"val1\" ASC) WHERE \"val1\" IS NOT NULL;\n",
     "CREATE INDEX \"i_idx\" ON \"public\".\"i\" (\"val1\") WHERE (val1 IS NOT NULL);\n"},
    {"an index on an expression",
     "[" CREATE_INDEX("i", INDEX("i_idx", "{'expression':'upper(val2)'}", ""),
                      "<id int4!>,<val2 text>") "]",
     "CREATE INDEX \"i_idx\" ON \"i\" (upper(\"val2\") ASC);\n",
     "CREATE INDEX \"i_idx\" ON \"public\".\"i\" (upper(val2));\n"},
    {"what only Postgres has in an index",
     "[" CREATE_INDEX("i",
                      INDEX("x",
                            "{'column':'a','opclass':'text_pattern_ops','collation':'pg_catalog.\\'"
                            "C\\'','nulls_first':true}",
                            ",'include':['b','c']"),
                      "<id int4!>") "]",
     "CREATE INDEX \"x\" ON \"i\" (\"a\" ASC);\n",
     "CREATE INDEX \"x\" ON \"public\".\"i\" (\"a\" COLLATE pg_catalog.\"C\" \"text_pattern_ops\" "
     "NULLS FIRST) INCLUDE (\"b\", \"c\");\n"},
    {"access methods",
     "[" CREATE_INDEX(
         "i", "{'name':'h','method':'hash','columns':[" ON("a") "]}",
         JSONB) "," CREATE_INDEX("i",
                                 "{'name':'g','method':'gin','columns':[{'column':'j','opclass':'"
                                 "jsonb_path_ops'}]}",
                                 JSONB) "," CREATE_INDEX("i",
                                                         "{'name':'t','method':'gin','columns':"
                                                         "[" ON("id") "]}",
                                                         JSONB) "," CREATE_INDEX("i",
                                                                                 "{'name':'b','"
                                                                                 "method':'bloom','"
                                                                                 "columns':[" ON(
                                                                                     "a") "]}",
                                                                                 JSONB) "]",
     "",
     "CREATE INDEX \"h\" ON \"public\".\"i\" USING hash (\"a\");\n\n"
     "CREATE INDEX \"g\" ON \"public\".\"i\" USING gin (\"j\" \"jsonb_path_ops\");\n"},
    {"indexes come with their table",
     "[" CREATE_TABLE("i", "<id int4!>", "", INDEX("x", ON("id"), "")) "]",
     "CREATE TABLE \"i\" (\n  \"id\" INTEGER NOT NULL,\n  CONSTRAINT \"i_pkey\" PRIMARY KEY "
     "(\"id\")\n);\n\nCREATE INDEX \"x\" ON \"i\" (\"id\" ASC);\n",
     "CREATE TABLE \"public\".\"i\" (\n  \"id\" integer NOT NULL,\n  CONSTRAINT \"i_pkey\" PRIMARY "
     "KEY "
     "(\"id\")\n);\n\nCREATE INDEX \"x\" ON \"public\".\"i\" (\"id\");\n"},
    {"a primary key is not null", "[" CREATE_TABLE("i", "<id text>", "", "") "]",
     "CREATE TABLE \"i\" (\n  \"id\" TEXT NOT NULL,\n  CONSTRAINT \"i_pkey\" PRIMARY KEY "
     "(\"id\")\n);\n",
     "CREATE TABLE \"public\".\"i\" (\n  \"id\" text,\n  CONSTRAINT \"i_pkey\" PRIMARY KEY "
     "(\"id\")\n);\n"},
    {"options of a primary key",
     "[{'op':'create_table','schema':'public','table':'i','columns':[<id int4!>],'primary_key':"
     "{'name':'k','columns':['id'],'options':'INCLUDE (c) DEFERRABLE'}}]",
     "CREATE TABLE \"i\" (\n  \"id\" INTEGER NOT NULL,\n  CONSTRAINT \"k\" PRIMARY KEY "
     "(\"id\")\n);\n",
     "CREATE TABLE \"public\".\"i\" (\n  \"id\" integer NOT NULL,\n  CONSTRAINT \"k\" PRIMARY KEY "
     "(\"id\") INCLUDE (c) DEFERRABLE\n);\n"},
    {"statements for SQLite", "[" SQLITE("SELECT `;`; CREATE VIEW v AS SELECT 1 -- so\\n") "]",
     "SELECT ';';\n\nCREATE VIEW v AS SELECT 1;\n", ""},
    {"what would swallow the rest", "[" SQLITE("SELECT `x") "," DISABLE("i") "]",
     "DROP TABLE IF EXISTS \"i\";\n", "DROP TABLE IF EXISTS \"public\".\"i\";\n"},
    {"rules make no SQL", "[{'op':'grant','schema':'public','table':'i'}]", "", ""},
    {"nothing", "[]", "", ""},
};

static void check_sql(const struct change *change, enum render_dialect dialect,
                      const char *expected)
{
    struct forms forms = forms_of(change->ops, NULL, dialect);

    ck_assert_msg(forms.status == STATUS_OK, "%s: %s", change->what, forms.error.message);
    ck_assert_msg(strcmp(forms.sql, expected) == 0, "%s:\n%s", change->what, forms.sql);
    forms_clear(&forms);
}

START_TEST(ops_become_statements)
{
    check_sql(&changes[_i], RENDER_SQLITE, changes[_i].sqlite);
    check_sql(&changes[_i], RENDER_POSTGRES, changes[_i].postgres);
}
END_TEST

/* -- foreign keys ------------------------------------------------------------------------------ */

#define A(more) CREATE_TABLE("a", "<id int4!>,<b int4>", KEY("fk", "b", "b", "true", more), "")
#define SQLITE_A(rest)                                                                  \
    "CREATE TABLE \"a\" (\n  \"id\" INTEGER NOT NULL,\n  \"b\" INTEGER,\n  CONSTRAINT " \
    "\"i_pkey\" PRIMARY KEY (\"id\")" rest "\n);\n"
#define SQLITE_KEY ",\n  CONSTRAINT \"fk\" FOREIGN KEY (\"b\") REFERENCES \"b\" (\"id\")"
#define POSTGRES_A                                                                      \
    "CREATE TABLE \"public\".\"a\" (\n  \"id\" integer NOT NULL,\n  \"b\" integer,\n  " \
    "CONSTRAINT \"i_pkey\" PRIMARY KEY (\"id\")\n);\n"
#define POSTGRES_KEY                                                                     \
    "ALTER TABLE \"public\".\"a\" ADD CONSTRAINT \"fk\" FOREIGN KEY (\"b\") REFERENCES " \
    "\"public\".\"b\" (\"id\")"
#define B CREATE_TABLE("b", "<id int4!>", "", "")
#define SQLITE_B                                                                             \
    "CREATE TABLE \"b\" (\n  \"id\" INTEGER NOT NULL,\n  CONSTRAINT \"i_pkey\" PRIMARY KEY " \
    "(\"id\")\n);\n"
#define POSTGRES_B                                                                          \
    "CREATE TABLE \"public\".\"b\" (\n  \"id\" integer NOT NULL,\n  CONSTRAINT \"i_pkey\" " \
    "PRIMARY KEY (\"id\")\n);\n"
#define LATE_A CREATE_TABLE("a", "<id int4!>,<b int4>", PLAIN_KEY("fk", "b", "b", "false"), "")

static const struct change foreign_keys[] = {
    {"actions", "[" A("'on_delete':'CASCADE','on_update':'SET DEFAULT'") "]",
     SQLITE_A(SQLITE_KEY " ON DELETE CASCADE ON UPDATE SET DEFAULT"),
     POSTGRES_A "\n" POSTGRES_KEY " ON DELETE CASCADE ON UPDATE SET DEFAULT;\n"},
    {"deferred", "[" A("'on_delete':'RESTRICT','deferrable':true,'deferred':true") "]",
     SQLITE_A(SQLITE_KEY " ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED"),
     POSTGRES_A "\n" POSTGRES_KEY
                " ON DELETE RESTRICT ON UPDATE NO ACTION DEFERRABLE INITIALLY DEFERRED;\n"},
    {"deferrable", "[" A("'on_delete':'NO ACTION','deferrable':true,'match':'FULL'") "]",
     SQLITE_A(SQLITE_KEY),
     POSTGRES_A "\n" POSTGRES_KEY
                " MATCH FULL ON DELETE NO ACTION ON UPDATE NO ACTION DEFERRABLE;\n"},
    {"of some columns", "[" A("'on_delete':'SET NULL','set_columns':'(b)'") "]", SQLITE_A(""),
     POSTGRES_A "\n" POSTGRES_KEY " ON DELETE SET NULL (b) ON UPDATE NO ACTION;\n"},
    {"not enforced", "[" A("'on_delete':'NO ACTION','not_enforced':true") "]", SQLITE_A(""),
     POSTGRES_A "\n" POSTGRES_KEY " ON DELETE NO ACTION ON UPDATE NO ACTION NOT ENFORCED;\n"},
    {"the target comes first", "[" A("'on_delete':'NO ACTION'") "," B "]",
     SQLITE_B "\n" SQLITE_A(SQLITE_KEY),
     POSTGRES_B "\n" POSTGRES_A "\n" POSTGRES_KEY " ON DELETE NO ACTION ON UPDATE NO ACTION;\n"},
    {"the target joins later in the migration",
     "[" LATE_A "," B "," ADD_KEY("a", PLAIN_KEY("fk", "b", "b", "true")) "]",
     SQLITE_B "\n" SQLITE_A(SQLITE_KEY),
     POSTGRES_B "\n" POSTGRES_A "\n" POSTGRES_KEY " ON DELETE NO ACTION ON UPDATE NO ACTION;\n"},
    {"the target is not there", "[" LATE_A "]", SQLITE_A(""), POSTGRES_A},
    {"the target joins in a later migration",
     "[" B "," ADD_KEY("a", PLAIN_KEY("fk", "b", "b", "true")) "]", SQLITE_B,
     POSTGRES_B "\n" POSTGRES_KEY " ON DELETE NO ACTION ON UPDATE NO ACTION;\n"},
    {"types come before tables, tables before what is added to them",
     "[" LATE_A "," CREATE_TYPE("t", "'x'") "," B "," ADD_COLUMN("b", "<c int4>") "]",
     SQLITE_B "\n" SQLITE_A("") "\nALTER TABLE \"b\" ADD COLUMN \"c\" INTEGER;\n",
     "CREATE TYPE \"public\".\"t\" AS ENUM ('x');\n\n" POSTGRES_B "\n" POSTGRES_A
     "\nALTER TABLE \"public\".\"b\" ADD COLUMN \"c\" integer;\n"},
    {"a table that leaves again has no keys",
     "[" B "," A("'on_delete':'NO ACTION'") "," DISABLE("a") "]",
     SQLITE_B "\n" SQLITE_A(SQLITE_KEY) "\nDROP TABLE IF EXISTS \"a\";\n",
     POSTGRES_B "\n" POSTGRES_A "\nDROP TABLE IF EXISTS \"public\".\"a\";\n"},
    {"nothing is sorted across a drop", "[" LATE_A "," DISABLE("B") "," B "]",
     SQLITE_A("") "\nDROP TABLE IF EXISTS \"B\";\n\n" SQLITE_B,
     POSTGRES_A "\nDROP TABLE IF EXISTS \"public\".\"B\";\n\n" POSTGRES_B},
};

START_TEST(foreign_keys_follow_their_targets)
{
    check_sql(&foreign_keys[_i], RENDER_SQLITE, foreign_keys[_i].sqlite);
    check_sql(&foreign_keys[_i], RENDER_POSTGRES, foreign_keys[_i].postgres);
}
END_TEST

/* Each refers to the next one and the last to the first. */
START_TEST(circles_and_long_chains_are_sorted)
{
    enum { TABLES = 5000 };
    struct buffer text, sql;

    buffer_init(&text, 8 << 20);
    buffer_init(&sql, 8 << 20);
    for (int i = 0; i < TABLES; i++)
        buffer_append_format(
            &text,
            "%s{'op':'create_table','schema':'public','table':'t%d','columns':["
            "<id int4!>"
            "],"
            "'primary_key':{'name':'p','columns':['id']},'foreign_keys':[{'name':'k',"
            "'columns':['id'],'references':{'schema':'public','table':'t%d','columns':['id']},"
            "'on_update':'CASCADE','on_delete':'CASCADE','electrified':true}],'indexes':[]}",
            i == 0 ? "[" : ",", i, (i + 1) % TABLES);
    buffer_append_string(&text, "]");

    char *ops = forms_json((const char *)buffer_peek(&text).data);
    const struct render_migration migration = {"1", NULL, bytes_of_string(ops)};
    ck_assert_int_eq(render_migration(&migration, RENDER_SQLITE, &sql, NULL, NULL), STATUS_OK);
    ck_assert(bytes_starts_with(buffer_peek(&sql), "CREATE TABLE \"t4999\" "));
    buffer_clear(&text);
    buffer_clear(&sql);
    free(ops);
}
END_TEST

SUITE("render_sql", LOOP(ops_become_statements, 0, COUNT(changes)),
      LOOP(foreign_keys_follow_their_targets, 0, COUNT(foreign_keys)),
      TEST(circles_and_long_chains_are_sorted))
