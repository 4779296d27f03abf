"""What ENABLE and DISABLE answer: one case a table definition.

`setup` runs first, then `call`. A case with `error` expects that SQLSTATE and the other fields named,
each exactly, and nothing electrified; otherwise success. `notices` lists (severity, text) in order.
A field that ends in "…" is compared up to there.
"""

from typing import NamedTuple, Optional

TYPES = "Cannot electrify t1 because some of its columns have types not supported by Electric:\n\n"
DEFAULTS = ("Cannot electrify t1 because some of its columns have DEFAULT expressions which are not currently "
            "supported by Electric:\n")
CONSTRAINTS = ("Cannot electrify t1 because some of its columns have CHECK, UNIQUE, EXCLUDE or user-defined "
               "constraints which are not currently supported by Electric:\n")
ORDINARY = "public.t1 is not an ordinary table"


class Case(NamedTuple):
    name: str
    setup: str
    call: str = "CALL electric.enable('t1')"
    error: Optional[str] = None
    message: Optional[str] = None
    detail: Optional[str] = None
    hint: Optional[str] = None
    schema: Optional[str] = None
    table: Optional[str] = None
    column: Optional[str] = None
    notices: tuple = ()
    electrified: tuple = ()
    since: int = 14


def refused(name, setup, message, detail=None, hint=None, column=None, schema="public", table="t1", **rest):
    return Case(name, setup, error="P0001", message=message, detail=detail, hint=hint, column=column, schema=schema,
                table=table, **rest)


def accepted(name, setup, *electrified, **rest):
    return Case(name, setup, electrified=electrified or ("t1",), **rest)


CASES = [
    # -- names ----------------------------------------------------------------------------------
    accepted("a_table_is_electrified", "CREATE TABLE t1 (id uuid PRIMARY KEY)"),
    accepted("a_qualified_name", "CREATE TABLE t1 (id uuid PRIMARY KEY)", call="CALL electric.enable('public.t1')"),
    accepted("an_unquoted_name_is_folded", "CREATE TABLE t1 (id uuid PRIMARY KEY)",
             call="CALL electric.enable(' Public . T1 ')"),
    accepted("quotes_inside_a_quoted_name", 'CREATE TABLE "My""Table" (id uuid PRIMARY KEY)', 'My"Table',
             call="""CALL electric.enable(E'public."My""Table"')"""),
    accepted("letters_beyond_ascii", 'CREATE TABLE "Köln_en$ts" (id uuid PRIMARY KEY)', "Köln_en$ts",
             call="""CALL electric.enable('"Köln_en$ts"')"""),
    accepted("the_search_path_is_the_callers", "CREATE SCHEMA s; CREATE TABLE s.t2 (id int); SET search_path = s, public;"
             "CREATE TABLE public.t1 (id uuid PRIMARY KEY)"),
    accepted("electrify_is_enable", "CREATE TABLE t1 (id uuid PRIMARY KEY)", call="CALL electric.electrify('Public.T1')"),
    accepted("electrify_takes_two_names_verbatim", 'CREATE TABLE "My.T1" (id uuid PRIMARY KEY)', "My.T1",
             call="CALL electric.electrify('public', 'My.T1')"),
    Case("a_missing_relation", "", error="42P01", message='relation "t1" does not exist'),
    Case("a_missing_relation_with_schema", "", "CALL electric.enable('public.T1')", error="42P01",
         message='relation "public.t1" does not exist'),
    Case("a_missing_schema", "", "CALL electric.enable('s.t1')", error="3F000", message='schema "s" does not exist'),
    Case("another_database", "", "CALL electric.enable('other.public.t1')", error="0A000",
         message='cross-database references are not implemented: "other.public.t1"'),
    Case("capitals_without_quotes", 'CREATE TABLE "T1" (id uuid PRIMARY KEY)', error="42P01",
         message='relation "t1" does not exist',
         hint='There is a table "T1": names with capital letters need double quotes.'),
    Case("a_long_name_is_cut", "", f"CALL electric.enable('{'x' * 70}')", error="42P01",
         message=f'relation "{"x" * 63}" does not exist'),
    Case("no_name", "", "CALL electric.enable('a b')", error="22023", message='string is not a valid identifier: "a b"'),
    Case("an_oid_is_no_name", "", "CALL electric.enable('1259')", error="22023",
         message='string is not a valid identifier: "1259"'),
    Case("null_is_no_name", "", "CALL electric.enable(NULL)", error="22004", message="table name must not be null"),
    Case("if_exists", "", "CALL electric.enable('public.t1', true)",
         notices=[("NOTICE", 'relation "t1" does not exist, skipping')]),
    Case("if_exists_without_schema", "", "CALL electric.disable('s.t1', true)",
         notices=[("NOTICE", 'relation "t1" does not exist, skipping')]),
    accepted("if_exists_and_it_does", "CREATE TABLE t1 (id uuid PRIMARY KEY)", call="CALL electric.enable('t1', true)"),

    # -- what kind of relation ------------------------------------------------------------------
    refused("a_view", "CREATE VIEW t1 AS SELECT 1", ORDINARY, "It is a view.", "Only ordinary tables can be electrified."),
    refused("a_materialized_view", "CREATE MATERIALIZED VIEW t1 AS SELECT 1", ORDINARY, "It is a materialized view."),
    refused("a_sequence", "CREATE SEQUENCE t1", ORDINARY, "It is a sequence."),
    refused("an_index", "CREATE TABLE t (a int); CREATE INDEX t1 ON t (a)", ORDINARY, "It is an index."),
    refused("a_composite_type", "CREATE TYPE t1 AS (a int)", ORDINARY, "It is a composite type."),
    refused("a_foreign_table", "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            "CREATE FOREIGN TABLE t1 (a int) SERVER s", ORDINARY, "It is a foreign table."),
    refused("a_partitioned_table", "CREATE TABLE t1 (id int PRIMARY KEY) PARTITION BY RANGE (id)", ORDINARY,
            "It is a partitioned table."),
    refused("a_partition", "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE t1 PARTITION OF p DEFAULT", ORDINARY, "It is a partition of public.p.",
            "ALTER TABLE public.p DETACH PARTITION public.t1 makes it a table of its own."),
    refused("a_child", "CREATE TABLE p (id int); CREATE TABLE t1 (PRIMARY KEY (id)) INHERITS (p)", ORDINARY,
            "It inherits from public.p.", "Run ALTER TABLE public.t1 NO INHERIT public.p first."),
    refused("a_parent", "CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE c () INHERITS (t1)", ORDINARY,
            "Table public.c inherits from it.", "Run ALTER TABLE public.c NO INHERIT public.t1 first."),
    refused("an_unlogged_table", "CREATE UNLOGGED TABLE t1 (id int PRIMARY KEY)", ORDINARY, "It is an unlogged table.",
            "Run ALTER TABLE public.t1 SET LOGGED first."),
    Case("a_temporary_table", "CREATE TEMP TABLE t1 (id int PRIMARY KEY)", error="P0001", message="pg_temp_…",
         detail="It is a temporary table.", hint="Only permanent tables can be electrified.", table="t1"),
    Case("a_temporary_table_that_hides_another",
         "CREATE TABLE t1 (id int PRIMARY KEY); CREATE TEMP TABLE t1 (id int PRIMARY KEY)", error="P0001",
         detail="It is a temporary table.", table="t1",
         hint="It hides public.t1 in this session: write the name with its schema."),
    accepted("a_hidden_table_by_its_schema",
             "CREATE TABLE t1 (id int PRIMARY KEY); CREATE TEMP TABLE t1 (id int PRIMARY KEY)",
             call="CALL electric.enable('public.t1')"),

    # -- twice, and schemas ---------------------------------------------------------------------
    accepted("already_electrified", "CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1')",
             notices=[("NOTICE", "table public.t1 is already electrified")]),
    refused("another_schema", "CREATE SCHEMA s; CREATE TABLE s.t1 (id int PRIMARY KEY)",
            "Cannot electrify t1 because it is not in the schema public.", "It is in the schema s.",
            "Move it: ALTER TABLE s.t1 SET SCHEMA public;", schema="s", call="CALL electric.enable('s.t1')"),
    refused("the_catalog", "", "Cannot electrify pg_class because it is not in the schema public.", schema="pg_catalog",
            table="pg_class", call="CALL electric.enable('pg_class')"),
    refused("our_own_tables", "", "Cannot electrify settings because it is not in the schema public.",
            schema="electric", table="settings", call="CALL electric.enable('electric.settings')"),

    # -- types ----------------------------------------------------------------------------------
    accepted("all_supported_types", """CREATE TYPE shapes AS ENUM ('circle', 'square', 'diamond', 'A_1');
        CREATE TABLE public.t1 (id UUID PRIMARY KEY, content TEXT NOT NULL, words VARCHAR, num2a INT2, num2b SMALLINT,
        num4a INT4, num4b INT, num4c INTEGER, num8a INT8, num8b BIGINT, real4a FLOAT4, "Real4b" REAL, real8a FLOAT8,
        real8b DOUBLE PRECISION, ts TIMESTAMP, tstz TIMESTAMPTZ, d DATE, t TIME, flag BOOLEAN, jb JSONB, blob BYTEA,
        shape shapes)"""),
    refused("unsupported_types", """CREATE TYPE badenum AS ENUM ('1circle', '_square', 'hello world', 'fine');
        CREATE TABLE t1 (id uuid PRIMARY KEY, c1 character, c2 character(11), "C3" varchar(11), created_at timetz,
        e badenum)""",
            TYPES + "    c1 character(1)\n    c2 character(11)\n    \"C3\" character varying(11)\n"
            "    created_at time with time zone\n"
            "    e badenum (enum type badenum contains unsupported values '1circle', '_square', 'hello world')",
            "Supported are bool, bytea, date, float4, float8, int2, int4, int8, jsonb, text, time, timestamp, "
            "timestamptz, uuid, varchar, without length or precision, and enums…",
            "Change the types of these columns, for example: ALTER TABLE public.t1 ALTER COLUMN c1 TYPE text, "
            'ALTER COLUMN c2 TYPE text, ALTER COLUMN "C3" TYPE varchar;', "c1"),
    refused("numeric_json_and_arrays", "CREATE TABLE t1 (id int PRIMARY KEY, n numeric, j json, arr int[])",
            TYPES + "    n numeric\n    j json\n    arr integer[]", column="n",
            hint="Change the types of these columns, for example: ALTER TABLE public.t1 ALTER COLUMN j TYPE jsonb;"),
    refused("precision", "CREATE TABLE t1 (id int PRIMARY KEY, t timestamp(3), ti time(1), x varchar)",
            TYPES + "    t timestamp(3) without time zone\n    ti time(1) without time zone", column="t",
            hint="Change the types of these columns, for example: ALTER TABLE public.t1 "
                 "ALTER COLUMN t TYPE timestamp, ALTER COLUMN ti TYPE time;"),
    refused("a_domain", "CREATE DOMAIN dom AS text; CREATE TABLE t1 (id int PRIMARY KEY, d dom)", TYPES + "    d dom",
            hint="Change the types of these columns, or leave the columns out.", column="d"),
    refused("a_type_that_looks_built_in", "CREATE DOMAIN public.int4 AS text;"
            "CREATE TABLE t1 (id int PRIMARY KEY, d public.int4)", TYPES + "    d public.int4", column="d"),
    refused("odd_labels", "CREATE TYPE e AS ENUM ('it''s', 'Ä'); CREATE TABLE t1 (id int PRIMARY KEY, c e)",
            TYPES + "    c e (enum type e contains unsupported values 'it''s', 'Ä')", column="c"),
    accepted("a_dropped_column_does_not_count",
             "CREATE TABLE t1 (id int PRIMARY KEY, n numeric DEFAULT 1 CHECK (n > 0)); ALTER TABLE t1 DROP COLUMN n"),
    refused("types_come_first", "CREATE TABLE t1 (id int DEFAULT 1 CHECK (id > 0), n money UNIQUE)",
            TYPES + "    n money", column="n"),
    refused("an_enum_of_another_schema", "CREATE SCHEMA s; CREATE TYPE s.mood AS ENUM ('ok');"
            "CREATE TABLE t1 (id int PRIMARY KEY, a s.mood, b s.mood)",
            "Cannot electrify t1 because some of its columns have enum types outside the schema public:\n\n"
            "    a s.mood\n    b s.mood", hint="Run ALTER TYPE s.mood SET SCHEMA public;", column="a"),

    # -- defaults -------------------------------------------------------------------------------
    refused("defaults", "CREATE TABLE public.t1 (id UUID PRIMARY KEY, t1 TEXT DEFAULT '', num INTEGER NOT NULL,"
            ' "Ts" TIMESTAMP DEFAULT now(), name VARCHAR)', DEFAULTS + '  t1\n  "Ts"',
            "Column t1 has DEFAULT ''::text.\nColumn \"Ts\" has DEFAULT now().",
            "Let the application supply the values, and run ALTER TABLE public.t1 ALTER COLUMN t1 DROP DEFAULT, "
            'ALTER COLUMN "Ts" DROP DEFAULT;', "t1"),
    refused("identity_and_generated", "CREATE TABLE t1 (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " v int GENERATED ALWAYS AS (abs(7)) STORED, w int GENERATED BY DEFAULT AS IDENTITY)",
            DEFAULTS + "  id\n  v\n  w",
            "Column id is GENERATED ALWAYS AS IDENTITY.\nColumn v is GENERATED ALWAYS AS (abs(7)).\n"
            "Column w is GENERATED BY DEFAULT AS IDENTITY.",
            "Let the application supply the values, and run ALTER TABLE public.t1 ALTER COLUMN id DROP IDENTITY, "
            "ALTER COLUMN v DROP EXPRESSION, ALTER COLUMN w DROP IDENTITY;", "id"),
    refused("virtual_columns", "CREATE TABLE t1 (id int PRIMARY KEY, v int GENERATED ALWAYS AS (abs(id)) VIRTUAL)",
            DEFAULTS + "  v", "Column v is GENERATED ALWAYS AS (abs(id)).",
            "Let the application supply the values, and run ALTER TABLE public.t1 DROP COLUMN v;", "v", since=18),
    refused("serial", "CREATE TABLE t1 (id serial PRIMARY KEY)", DEFAULTS + "  id", column="id"),
    accepted("a_default_of_null_is_none", "CREATE TABLE t1 (id int PRIMARY KEY, a text DEFAULT NULL)"),

    # -- keys and constraints -------------------------------------------------------------------
    refused("no_primary_key", "CREATE TABLE public.t1 (id TEXT, val INTEGER)",
            "Cannot electrify t1 because it doesn't have a PRIMARY KEY.",
            hint="Run ALTER TABLE public.t1 ADD PRIMARY KEY (id);"),
    refused("no_primary_key_nor_id", 'CREATE TABLE "T 1" (a int UNIQUE)',
            "Cannot electrify \"T 1\" because it doesn't have a PRIMARY KEY.", table="T 1",
            hint='Add one, naming the columns that identify a row: ALTER TABLE public."T 1" ADD PRIMARY KEY (...);',
            call="""CALL electric.enable('"T 1"')"""),
    refused("constraints", """CREATE TABLE public.t1 (id UUID PRIMARY KEY, t1 TEXT CHECK (t1 != ''),
        "Ts" INT CHECK ("Ts" > 3), uu INT UNIQUE)""", CONSTRAINTS + '  "Ts"\n  t1\n  uu',
            "Constraint \"t1_Ts_check\": CHECK ((\"Ts\" > 3))\nConstraint t1_t1_check: CHECK ((t1 <> ''::text))\n"
            "Constraint t1_uu_key: UNIQUE (uu)",
            'Run ALTER TABLE public.t1 DROP CONSTRAINT "t1_Ts_check", DROP CONSTRAINT t1_t1_check, '
            "DROP CONSTRAINT t1_uu_key;", "Ts"),
    refused("an_exclusion_of_an_expression",
            'CREATE TABLE t1 (id int PRIMARY KEY, "Email" text, EXCLUDE USING btree (lower("Email") WITH =))',
            CONSTRAINTS + '  "Email"', column="Email"),
    refused("unique_indexes", "CREATE TABLE t1 (id int PRIMARY KEY, a int, b text, c int);"
            "CREATE UNIQUE INDEX one ON t1 (a); CREATE UNIQUE INDEX two ON t1 (lower(b)) WHERE c > 0",
            CONSTRAINTS + "  a\n  b\n  c",
            "Unique index one: CREATE UNIQUE INDEX one ON public.t1 USING btree (a)\nUnique index two: …",
            "Run DROP INDEX public.one; DROP INDEX public.two;", "a"),
    refused("an_invalid_unique_index", """CREATE TABLE t1 (id int PRIMARY KEY, a int); INSERT INTO t1 VALUES (1, 1), (2, 1);
        CREATE UNIQUE INDEX CONCURRENTLY one ON t1 (a)""", CONSTRAINTS + "  a",
            "Unique index one: CREATE UNIQUE INDEX one ON public.t1 USING btree (a) (invalid)", column="a"),
    refused("a_constraint_without_columns", "CREATE TABLE t1 (id int PRIMARY KEY, CONSTRAINT never CHECK (false))",
            CONSTRAINTS + "  constraint never", hint="Run ALTER TABLE public.t1 DROP CONSTRAINT never;"),
    accepted("not_null_and_plain_indexes", "CREATE TABLE t1 (id int PRIMARY KEY, a int NOT NULL, b text);"
             "CREATE INDEX ON t1 (a); CREATE INDEX ON t1 (lower(b)) WHERE a > 0"),
    accepted("triggers", "CREATE TABLE t1 (id int PRIMARY KEY); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS"
             " 'BEGIN RETURN NULL; END'; CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t1 FOR EACH ROW EXECUTE FUNCTION f()"),

    # -- foreign keys ---------------------------------------------------------------------------
    accepted("a_foreign_key_to_nowhere", "CREATE TABLE lists (id int PRIMARY KEY);"
             "CREATE TABLE t1 (id int PRIMARY KEY, list int REFERENCES lists)",
             notices=[("WARNING", "foreign key t1_list_fkey of table t1 refers to table public.lists, "
                                  "which is not electrified")]),
    accepted("a_foreign_key_within_the_set", "CREATE TABLE lists (id int PRIMARY KEY);"
             "CREATE TABLE t1 (id int PRIMARY KEY, list int REFERENCES lists, up int REFERENCES t1);"
             "CALL electric.enable('lists')", "lists", "t1"),

    # -- names in the set -----------------------------------------------------------------------
    refused("tables_that_differ_in_case", 'CREATE TABLE "T1" (id int PRIMARY KEY); CREATE TABLE t1 (id int PRIMARY KEY);'
            "CALL electric.enable('\"T1\"')",
            'Cannot electrify t1 because some names differ only in case:\n  table t1 and the electrified table "T1"',
            hint="Rename one of each pair.", electrified=("T1",)),
    refused("columns_that_differ_in_case", 'CREATE TABLE t1 (id int PRIMARY KEY, a int, "A" int, b int, "B" int)',
            'Cannot electrify t1 because some names differ only in case:\n  columns "A" and a\n  columns "B" and b',
            column="A"),
    refused("indexes_that_differ_in_case", 'CREATE TABLE t1 (id int PRIMARY KEY); CREATE INDEX i ON t1 (id);'
            'CREATE TABLE t2 (id int PRIMARY KEY); CREATE INDEX "I" ON t2 (id); CALL electric.enable(\'t2\')',
            "Cannot electrify t1 because some names differ only in case:\n"
            '  index i and index "I" of the electrified table t2', electrified=("t2",)),
    accepted("other_letters_have_case_in_sqlite", 'CREATE TABLE t1 (id int PRIMARY KEY, "é" int, "É" int)',
             notices=[]),
    refused("an_index_named_like_an_electrified_table", 'CREATE TABLE t1 (id int PRIMARY KEY); CREATE INDEX "T2" ON t1 (id);'
            "CREATE TABLE t2 (id int PRIMARY KEY); CALL electric.enable('t2')",
            'Cannot electrify t1 because some names differ only in case:\n  index "T2" and the electrified table t2',
            electrified=("t2",)),
    refused("a_table_named_like_an_index_of_an_electrified_table", "CREATE TABLE t1 (id int PRIMARY KEY);"
            'CREATE TABLE t2 (id int PRIMARY KEY); CREATE INDEX "T1" ON t2 (id); CALL electric.enable(\'t2\')',
            "Cannot electrify t1 because some names differ only in case:\n"
            '  table t1 and index "T1" of the electrified table t2', electrified=("t2",)),
    refused("an_index_named_like_its_table", 'CREATE TABLE t1 (id int PRIMARY KEY); CREATE INDEX "T1" ON t1 (id)',
            'Cannot electrify t1 because some names differ only in case:\n  index "T1" and table t1'),
    refused("reserved_names", 'CREATE TABLE "SQLite_t" (id int PRIMARY KEY, sqlite_c int);'
            'CREATE INDEX sqlite_i ON "SQLite_t" (id)',
            'Cannot electrify "SQLite_t" because some of its names begin with sqlite_:\n'
            '  table "SQLite_t"\n  column sqlite_c\n  index sqlite_i', table="SQLite_t", column="sqlite_c",
            call="""CALL electric.enable('"SQLite_t"')"""),
    accepted("tables_that_clash_in_clients", 'CREATE TABLE "_myTable" (id int PRIMARY KEY);'
             'CREATE TABLE "123myTable" (id int PRIMARY KEY); CREATE TABLE "MyTable" (id int PRIMARY KEY);'
             "CALL electric.enable('\"123myTable\"'); CALL electric.enable('\"MyTable\"')",
             "123myTable", "MyTable", "_myTable", call="""CALL electric.enable('"_myTable"')""",
             notices=[("WARNING", 'table "_myTable" and the electrified table "123myTable" become the same name in '
                                  "clients: MyTable"),
                      ("WARNING", 'table "_myTable" and the electrified table "MyTable" become the same name in '
                                  "clients: MyTable")]),
    accepted("columns_that_clash_in_clients", "CREATE TABLE t1 (id int PRIMARY KEY, _id int)",
             notices=[("WARNING", "columns _id, id of table t1 become the same name in clients: id")]),
    accepted("names_without_letters", 'CREATE TABLE "1" (id int PRIMARY KEY); CREATE TABLE "2" (id int PRIMARY KEY);'
             "CALL electric.enable('\"1\"')", "1", "2", call="""CALL electric.enable('"2"')"""),

    # -- isolation ------------------------------------------------------------------------------
    Case("repeatable_read", "CREATE TABLE t1 (id int PRIMARY KEY); BEGIN ISOLATION LEVEL REPEATABLE READ",
         error="25001", message="cannot enable or disable ELECTRIC on table t1 in a repeatable read transaction",
         hint="Use the isolation level READ COMMITTED, or create the table in the same transaction."),
    Case("an_alteration_is_no_creation", "CREATE TABLE t1 (id int PRIMARY KEY); BEGIN ISOLATION LEVEL SERIALIZABLE;"
         "ALTER TABLE t1 ADD a int; ALTER TABLE t1 RENAME TO t2; CREATE TABLE t1 (LIKE t2)",
         "CALL electric.enable('t2')", error="25001",
         message="cannot enable or disable ELECTRIC on table t2 in a serializable transaction"),
    accepted("created_in_this_transaction", "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; SAVEPOINT a; SAVEPOINT b;"
             "CREATE TABLE t1 (id int PRIMARY KEY); RELEASE b; RELEASE a; ALTER TABLE t1 ADD a int"),

    # -- disable --------------------------------------------------------------------------------
    Case("disable", "CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1')", "CALL electric.disable('T1')"),
    Case("disable_what_is_not_electrified", "CREATE TABLE t1 (id int)", "CALL electric.disable('t1')",
         notices=[("NOTICE", "table public.t1 is not electrified")]),
    Case("disable_a_missing_table", "", "CALL electric.disable('t1')", error="42P01",
         message='relation "t1" does not exist'),
    Case("disable_while_a_foreign_key_refers", "CREATE TABLE t1 (id int PRIMARY KEY, up int REFERENCES t1);"
         "CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES t1, b int REFERENCES t1);"
         "CREATE TABLE d (id int REFERENCES t1); CALL electric.enable('t1'); CALL electric.enable('c')",
         "CALL electric.disable('t1')", error="2BP01", electrified=("c", "t1"), schema="public", table="t1",
         message="cannot disable ELECTRIC on table t1 because other electrified tables depend on it",
         detail="constraint c_a_fkey on table c depends on table t1\nconstraint c_b_fkey on table c depends on table t1",
         hint="Run ALTER TABLE public.c DISABLE ELECTRIC first."),
    accepted("disable_the_referring_table_first", "CREATE TABLE t2 (id int PRIMARY KEY);"
             "CREATE TABLE t1 (id int PRIMARY KEY, a int REFERENCES t2); CALL electric.enable('t2');"
             "CALL electric.enable('t1'); CALL electric.disable('t1'); CALL electric.disable('t2')",
             notices=[("WARNING", "foreign key t1_a_fkey of table t1 refers to table public.t2, which is not "
                                  "electrified")]),
]
