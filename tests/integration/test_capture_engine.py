"""The capture engine: marked sessions, rights, versions and labels, restores, fallback mode, health."""

import json
import shutil
import subprocess
import unittest

from tests.integration.test_capture import EngineTest
from tests.support.schema import install


class Marks(EngineTest):
    """Only the proxy's sessions may change electrified tables, unless the settings say otherwise."""

    def setUp(self):
        super().setUp()
        self.set_direct("refuse")

    def test_a_marked_session(self):
        session = self.connect(options=f"-c electric.proxied={self.token()}")
        session.run("ALTER TABLE items ADD c1 int; SET electric.proxied = 'x'; RESET ALL; ALTER TABLE items ADD c2 int;"
                    "DISCARD ALL; ALTER TABLE items ADD c3 int")
        self.assertEqual(self.migrations(2), ["add_column"] * 3)
        self.assertEqual(self.session.column("SELECT DISTINCT source FROM electric.migrations WHERE seq > 2"), ["proxy"])

    def test_a_wrong_mark(self):
        session = self.connect(options="-c electric.proxied=x")
        error = self.assert_refused("EX020", 'Electrified table "public"."items" can only be changed through the '
                                    "migrations proxy", "ALTER TABLE items ADD c1 int", session)
        self.assertIn("electric-tunnel", error["H"])

    def test_other_faults_are_named_first(self):
        self.assert_refused("EX010", 'Cannot drop column "b" of electrified table "public"."items"',
                            "ALTER TABLE items DROP b")

    def test_the_notice(self):
        session = self.connect(options=f"-c electric.proxied={self.token()}")
        answers = session.query("ALTER TABLE items ADD c1 int")
        notices = [m.fields() for m in answers if m.type == "N"]
        self.assertEqual([(n["M"], n["D"], n["s"], n["t"]) for n in notices],
                         [('Migration affecting electrified table "public"."items"', "ALTER TABLE items ADD c1 int",
                           "public", "items")])


class Operations(EngineTest):
    """What is recorded is enough to build the table anywhere."""

    def ops(self, after=0):
        return [op for text in self.session.column(f"SELECT ops FROM electric.migrations WHERE seq > {after} ORDER BY seq")
                for op in json.loads(text)]

    def test_a_table_with_everything(self):
        self.session.run("""CREATE TABLE full_one (b text COLLATE "C" NOT NULL, a int, m mood, l uuid, k int,
            PRIMARY KEY (b, a), CONSTRAINT fk FOREIGN KEY (l) REFERENCES lists (id) ON DELETE SET NULL ON UPDATE RESTRICT
            DEFERRABLE INITIALLY DEFERRED, CONSTRAINT later FOREIGN KEY (k) REFERENCES plain (id));
            CREATE INDEX one ON full_one (a DESC, lower(b) text_pattern_ops NULLS FIRST) INCLUDE (l) WHERE k > 1;
            CALL electric.enable('full_one')""")
        (op,) = self.ops(2)
        self.assertEqual(op["primary_key"], {"name": "full_one_pkey", "columns": ["b", "a"]})
        self.assertEqual(op["columns"][0], {"name": "b", "type": "text", "declared": "text", "not_null": True,
                                            "collation": 'pg_catalog."C"'})
        self.assertEqual(op["columns"][2], {"name": "m", "type": "mood", "type_schema": "public", "enum": True,
                                            "declared": "public.mood", "not_null": False})
        self.assertEqual(op["foreign_keys"][0], {
            "name": "fk", "columns": ["l"], "references": {"schema": "public", "table": "lists", "columns": ["id"]},
            "on_delete": "SET NULL", "on_update": "RESTRICT", "match": "SIMPLE", "deferrable": True, "deferred": True,
            "electrified": True})
        self.assertFalse(op["foreign_keys"][1]["electrified"])
        self.assertEqual(op["indexes"], [{
            "name": "one", "method": "btree", "predicate": "(k > 1)", "include": ["l"],
            "columns": [{"column": "a", "descending": True, "nulls_first": True},
                        {"expression": "lower(b)", "opclass": "text_pattern_ops", "nulls_first": True,
                         "collation": 'pg_catalog."C"'}]}])

    def test_a_foreign_key_follows_when_its_target_joins(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, p int REFERENCES plain ON DELETE CASCADE);"
                         "CALL electric.enable('a'); ALTER TABLE plain RENAME TO plainer; CALL electric.enable('plainer')")
        ops = self.ops(3)
        self.assertEqual([op["op"] for op in ops], ["create_table", "add_foreign_key"])
        self.assertEqual(ops[1]["foreign_key"]["references"]["table"], "plainer")
        self.session.run("ALTER TABLE a ADD c int")
        self.assertEqual(self.sweep(), [])

    def test_a_target_outside_the_set_may_change_its_name(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, p int REFERENCES plain); CALL electric.enable('a');"
                         "ALTER TABLE plain RENAME TO plainer; ALTER TABLE plainer RENAME id TO ident; ALTER TABLE a ADD c int")
        self.assertEqual(self.migrations(3), ["add_column"])

    def test_enums_come_once_and_go_with_their_last_table(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, m mood); CALL electric.enable('a');"
                         "CALL electric.disable('a'); CALL electric.disable('items'); CALL electric.enable('a')")
        self.assertEqual(self.migrations(), ["create_table", "create_type,create_table", "create_table", "disable_table",
                                             "disable_table,drop_type", "create_type,create_table"])
        self.assertEqual(self.ops(5)[0], {"op": "create_type", "schema": "public", "name": "mood", "labels": ["sad", "ok"]})

    def test_a_table_lost_behind_our_back_is_disabled_before_it_comes_again(self):
        self.session.run("ALTER EVENT TRIGGER electric_drop DISABLE; DROP TABLE items; ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS")
        self.assertEqual(len(self.sweep()), 1)
        self.session.run("CREATE TABLE items (id int PRIMARY KEY); CALL electric.enable('items')")
        self.assertEqual(self.migrations(2), ["disable_table,drop_type,create_table"])
        self.assertEqual(self.sweep(), [])

    def test_a_function_renamed_in_an_index(self):
        self.session.run("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
                         "CREATE INDEX i ON items (f(b)); ALTER FUNCTION f RENAME TO g; ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(2), ["create_index", "add_column,drop_index,create_index"])

    def test_settings_that_deparsing_depends_on(self):
        self.session.run("ALTER TABLE items ADD ts timestamptz; CREATE INDEX i ON items (b) WHERE ts > '2020-01-02 03:04:05+00'")
        other = self.connect()
        other.run("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';"
                  "SET quote_all_identifiers = on; SET extra_float_digits = -5; SET bytea_output = 'escape';"
                  "SET search_path = public; COMMENT ON TABLE items IS 'x'; ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(2), ["add_column", "create_index", "add_column"])
        self.assertEqual(self.sweep(other), [])


class Faults(EngineTest):
    """Messages, as far as clients of the legacy product know them, and what else the table of cases lacks."""

    def test_messages(self):
        self.session.run('CREATE TABLE "T""x" (id int PRIMARY KEY, "C" int); CALL electric.enable(\'"T""x"\');'
                         "CREATE INDEX on_b ON items (b)")
        for sqlstate, message, sql in (
                ("EX002", 'Cannot rename electrified table "public"."items"', "ALTER TABLE items RENAME TO things"),
                ("EX003", 'Cannot rename property of electrified table "public"."items"',
                 "ALTER INDEX items_a_idx RENAME TO other"),
                ("EX004", 'Cannot drop electrified table "public"."T""x"', 'DROP TABLE "T""x"'),
                ("EX005", 'Cannot electrify column of type "varchar(255)"', "ALTER TABLE items ADD c varchar(255)"),
                ("EX005", 'Cannot electrify column of type "int4[]"', "ALTER TABLE items ADD c int[]"),
                ("EX005", 'Cannot electrify column of type "bpchar(1)"', "ALTER TABLE items ADD c char"),
                ("EX005", 'Cannot electrify column of type "timestamptz(6)"', "ALTER TABLE items ADD c timestamptz(6)"),
                ("EX005", 'Cannot electrify column of type "mood"', "ALTER TABLE items ADD c mood"),
                ("EX006", "Cannot electrify column with DEFAULT clause", "ALTER TABLE items ADD c text DEFAULT 'x'"),
                ("EX006", "Cannot electrify column with DEFAULT clause", "ALTER TABLE items ADD c serial"),
                ("EX007", 'Cannot alter column "b" of electrified table "public"."items"',
                 "ALTER TABLE items ADD CHECK (b > 0)"),
                ("EX007", 'Cannot alter electrified table "public"."items"', "ALTER TABLE items ENABLE ROW LEVEL SECURITY"),
                ("EX008", 'Cannot rename column "b" of electrified table "public"."items"', "ALTER TABLE items RENAME b TO c"),
                ("EX009", 'Cannot change type of column "b" of electrified table "public"."items"',
                 "ALTER TABLE items ALTER b TYPE int8"),
                ("EX010", 'Cannot drop column "b" of electrified table "public"."items"', "ALTER TABLE items DROP b"),
                ("EX011", "Cannot electrify column with FOREIGN KEY constraint", "ALTER TABLE items ADD c uuid REFERENCES lists"),
                ("EX011", "Cannot electrify column with UNIQUE constraint", "ALTER TABLE items ADD c int UNIQUE"),
                ("EX011", "Cannot electrify column with CHECK constraint", "ALTER TABLE items ADD c int CHECK (c > 0)"),
                ("EX011", "Cannot electrify column with GENERATED constraint",
                 "ALTER TABLE items ADD c int GENERATED BY DEFAULT AS IDENTITY"),
                ("EX012", 'Cannot rename constraint "items_pkey" of electrified table "public"."items"',
                 "ALTER TABLE items RENAME CONSTRAINT items_pkey TO pk"),
                ("EX013", 'Cannot change type "mood" used by electrified table "public"."items"',
                 "ALTER TYPE mood RENAME TO temper"),
                ("EX013", 'Cannot change type "mood" used by electrified table "public"."items"',
                 "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"),
                ("EX014", 'Cannot move electrified table "public"."items" to another schema',
                 "CREATE SCHEMA s; ALTER TABLE items SET SCHEMA s"),
                ("EX021", 'Cannot add column "B" to electrified table "public"."items": its name clashes with another, '
                          "ignoring case", 'ALTER TABLE items ADD "B" int'),
                ("EX022", 'Cannot add column "sqlite_c" to electrified table "public"."items": SQLite reserves names that '
                          "begin with sqlite_", "ALTER TABLE items ADD sqlite_c int"),
                ("EX023", 'Cannot create index "ON_B" on electrified table "public"."lists": its name clashes with another, '
                          "ignoring case", 'CREATE INDEX "ON_B" ON lists (title)')):
            with self.subTest(sql):
                self.assert_refused(sqlstate, message, sql)

    def test_the_other_enum_is_a_change_of_the_column(self):
        self.session.run("CREATE TYPE temper AS ENUM ('sad', 'ok')")
        self.assert_refused("EX009", 'Cannot change type of column "m" of electrified table "public"."items"',
                            "ALTER TABLE items ALTER m TYPE temper USING m::text::temper")

    def test_a_refused_unique_index_says_what_is_left(self):
        self.session.run("INSERT INTO items VALUES (2, 'y', 2)")
        error = self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                    "CREATE UNIQUE INDEX CONCURRENTLY u ON items (b)")
        self.assertIn("DROP INDEX CONCURRENTLY IF EXISTS public.u;", error["H"])
        self.assertEqual(self.sweep(), ["leftover public.items EX011 Unique index u is not valid but refuses rows: "
                                        "DROP INDEX CONCURRENTLY public.u;"])
        self.session.run("DROP INDEX CONCURRENTLY public.u")
        self.assertEqual(self.sweep(), [])
        self.assertEqual(self.migrations(2), [])

    def test_a_unique_index_refused_beforehand(self):
        """What the proxy asks before it lets CREATE UNIQUE INDEX CONCURRENTLY through."""
        self.session.run('CREATE SCHEMA s; CREATE TABLE s.items (id int); CREATE TABLE "Odd ""one" (id int PRIMARY KEY);'
                         "CALL electric.enable('\"Odd \"\"one\"'); CREATE SCHEMA closed; CREATE TABLE closed.items (id int)")
        stranger = self.connect("dev")
        for session in (self.session, stranger):
            for name in ("items", "public.items", '"items"', "ITEMS"):
                error = self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                            f"CALL electric.refuse_unique_index('{name}')", session)
                self.assertEqual((error["s"], error["t"]), ("public", "items"))
                self.assertEqual((error["D"], error["H"]), ('A unique index would constrain table "public"."items".',
                                                            "Create the index without UNIQUE."))
            self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                """CALL electric.refuse_unique_index('"Odd ""one"')""", session)
            for name in ("plain", "s.items", "closed.items", "nosuch", "no.such", "a.b.c.d", "other.public.items", "", "(", "2",
                         '"items', "items_a_idx", str(self.session.value("SELECT 'items'::regclass::oid"))):
                self.assert_ok(f"CALL electric.refuse_unique_index('{name}')", session)
            self.assert_ok("CALL electric.refuse_unique_index(NULL)", session)
        self.session.run("SET search_path = s, public; CALL electric.refuse_unique_index('items');"
                         "RESET search_path; CREATE TEMP TABLE items (id int); CALL electric.refuse_unique_index('items')")
        stranger.run("BEGIN READ ONLY; CALL electric.refuse_unique_index('plain'); COMMIT")
        self.assertEqual(install(self.cluster.url(self.dbname))["status"], "OK")
        self.assert_ok("CALL electric.refuse_unique_index('public.items')", stranger)

    def test_an_extension_that_moves(self):
        """An enum may belong to an extension; one is made here of what is installed anyway."""
        self.session.run("ALTER EXTENSION plpgsql ADD TYPE mood")
        error, _ = self.session.ask("ALTER TYPE mood ADD VALUE 'x'")
        self.assertEqual(error["C"], "EX013")


class Versions(EngineTest):
    """How the published version and the label come about."""

    def names(self, after=2):
        return [tuple(json.loads(row)) for row in self.session.column(
            "SELECT jsonb_build_array(CASE WHEN version ~ '^20[0-9]{12}_[0-9]{6}$' THEN 'time' ELSE version END, label,"
            f" framework) FROM electric.migrations WHERE seq > {after} ORDER BY seq")]

    def framework(self, name):
        """Its table, with columns of the types that tools give them."""
        columns, table = json.loads(self.session.value(
            f"SELECT jsonb_build_array(columns, table_name) FROM electric.frameworks WHERE framework = '{name}'"))
        types = {"inserted_at": "timestamp", "dirty": "boolean", "id": "serial", "batch": "int", "installed_rank": "int",
                 "is_applied": "boolean", "timestamp": "int8", "created_at": "int8", "index": "int"}
        if name in ("ecto", "golang-migrate"):
            types["version"] = "int8"
        if name == "kysely":
            types["timestamp"] = "text"
        if name == "prisma":
            columns = [*columns, "rolled_back_at"]
        self.session.value(f'CREATE TABLE "{table}" (' + ", ".join(
            f'"{column}" {types.get(column, "text")}' for column in columns) + ")")
        return table

    ROWS = {
        "ecto": ("(version) VALUES (30230904162657)", "30230904162657", "30230904162657"),
        "rails": ("VALUES ('30230904162657')", "30230904162657", "30230904162657"),
        "golang-migrate": ("VALUES (30230904, false)", "30230904", "30230904"),
        "sequel": ("VALUES ('30230904_create.rb')", "30230904", "30230904_create.rb"),
        "sequel-integer": ("VALUES ('7')", "7", "7"),
        "prisma": ("(migration_name, finished_at) VALUES ('30230915175206_init', 'x')", "30230915175206",
                   "30230915175206_init"),
        "databases": ("(name) VALUES ('31-create.sql')", "31", "31-create.sql"),
        "knex": ("(name) VALUES ('30230904162657_create.js')", "30230904162657", "30230904162657_create.js"),
        "drizzle": ("(hash, created_at) VALUES ('x', 3693845217000)", "3693845217000", "3693845217000"),
        "typeorm": ("(timestamp, name) VALUES (3693845217000, 'Create3693845217000')", "3693845217000",
                    "Create3693845217000"),
        "laravel": ("(migration) VALUES ('3023_09_04_162657_create')", "3023_09_04_162657", "3023_09_04_162657_create"),
        "db-migrate": ("(name) VALUES ('/30230904162657-create')", "time", "/30230904162657-create"),
        "postgres-migrations": ("(id, name) VALUES (3, 'create')", "3", "create"),
        "node-pg-migrate": ("(name) VALUES ('3693845217000_create')", "3693845217000", "3693845217000_create"),
        "graphile-migrate": ("(filename) VALUES ('300001.sql')", "300001", "300001.sql"),
        "sequelize": ("VALUES ('30230904162657-create.js')", "30230904162657", "30230904162657-create.js"),
        "kysely": ("(name) VALUES ('30230904_create')", "30230904", "30230904_create"),
        "mikro-orm": ("(name) VALUES ('Migration30230904162657')", "time", "Migration30230904162657"),
        "alembic": ("VALUES ('9975ea83b712')", "time", "9975ea83b712"),
        "django": ("(app, name) VALUES ('shop', '0001_initial')", "time", "0001_initial"),
        "flyway": ("(installed_rank, version, script) VALUES (1, '3.1', 'V3.1__create.sql')", "3", "V3.1__create.sql"),
        "liquibase": ("(id) VALUES (31)", "31", "31"),
        "sqitch": ("(change) VALUES ('create')", "time", "create"),
        "goose": ("(version_id, is_applied) VALUES ('30230904162657', true)", "30230904162657", "30230904162657"),
        "sql-migrate": ("(id) VALUES (30230904)", "30230904", "30230904"),
        "yoyo": ("(migration_id) VALUES ('30230904_01_create')", "30230904_01", "30230904_01_create"),
        "postgrator": ("(version, name) VALUES ('31', 'create')", "31", "create"),
    }

    def test_every_tool(self):
        tools = self.session.column("SELECT framework FROM electric.frameworks ORDER BY 1")
        self.assertEqual(sorted(self.ROWS), sorted(tools))
        for tool, (values, version, label) in self.ROWS.items():
            with self.subTest(tool):
                self.session.run("BEGIN; CREATE SCHEMA tools; SET LOCAL search_path = tools, public")
                table = self.framework(tool)
                self.session.run(f'SAVEPOINT a; INSERT INTO "{table}" {values}; RELEASE a; ALTER TABLE items ADD c int;'
                                 "SET CONSTRAINTS ALL IMMEDIATE")
                self.assertEqual(self.names(), [(version, label, tool)])
                self.session.run("ROLLBACK")

    def test_rows_of_others_and_of_earlier_transactions_do_not_count(self):
        table = self.framework("rails")
        other = self.connect()
        self.session.run(f"INSERT INTO {table} VALUES ('31')")
        self.session.run(f"BEGIN; ALTER TABLE items ADD c int; SAVEPOINT a; INSERT INTO {table} VALUES ('32'); ROLLBACK TO a")
        other.run(f"INSERT INTO {table} VALUES ('33')")
        self.session.run("COMMIT")
        self.assertEqual(self.names(), [("time", None, None)])

    def test_the_last_row_counts_and_updates_do_too(self):
        table = self.framework("alembic")
        self.session.run(f"INSERT INTO {table} VALUES ('a1'); BEGIN; ALTER TABLE items ADD c int;"
                         f"UPDATE {table} SET version_num = 'a2'; UPDATE {table} SET version_num = 'a3'; COMMIT")
        self.assertEqual(self.names(), [("time", "a3", "alembic")])

    def test_a_table_that_would_run_code_is_not_read(self):
        self.session.run("CREATE FUNCTION bait(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS"
                         " 'BEGIN RAISE ''bait''; END'; CREATE TABLE schema_migrations (version text);"
                         "CREATE INDEX ON schema_migrations (version) WHERE length(version) > 3")
        self.session.run("BEGIN; INSERT INTO schema_migrations VALUES ('31'); ALTER TABLE items ADD c int; COMMIT")
        self.assertEqual(self.names(), [("time", None, None)])

    def test_a_locked_table_means_no_name(self):
        table = self.framework("rails")
        other = self.connect()
        other.run(f"BEGIN; LOCK TABLE {table}")
        self.session.run("ALTER TABLE items ADD c int")
        self.assertEqual(self.names(), [("time", None, None)])

    def test_explicit_versions(self):
        for version in ("31", "32_1", "9", "10", "9"):
            self.session.run(f"BEGIN; CALL electric.migration_version('{version}'); CREATE INDEX i{version} ON items (b); COMMIT"
                             if version != "9" else
                             "BEGIN; CREATE INDEX i ON items (b); DROP INDEX i; CALL electric.migration_version('9');"
                             "CALL electric.migration_version('99'); COMMIT")
        self.assertEqual([name[:2] for name in self.names()],
                         [("31", "31"), ("32_1", "32_1"), ("9", "9"), ("9_0002", "10"), ("9_0003", "9")])
        for bad in ("'x'", "'1x'", "'_1'", "''", "NULL", f"'{'1' * 64}'"):
            error, _ = self.session.ask(f"CALL electric.migration_version({bad})")
            self.assertEqual(error["C"], "22023", bad)

    def test_byte_order_is_order(self):
        for version in ("5", "6", "5", "7_9999", "7_9999", "7"):
            self.session.run(f"BEGIN; CALL electric.migration_version('{version}'); CREATE INDEX i ON items (b);"
                             "DROP INDEX i; COMMIT; CREATE INDEX i ON items (b); DROP INDEX i")
        versions = self.session.column("SELECT version FROM electric.migrations ORDER BY seq")
        self.assertEqual(versions, sorted(versions, key=str.encode))
        self.assertEqual(len(set(versions)), len(versions))
        self.assertEqual(self.complaints(), [])

    def test_a_name_recorded_afterwards_labels_all_that_have_none(self):
        table = self.framework("rails")
        self.session.run(f"ALTER TABLE items ADD c int; CREATE INDEX ON items (c); INSERT INTO {table} VALUES ('31');"
                         "CALL electric.note_version(); ALTER TABLE items ADD d int")
        self.connect().run("CALL electric.note_version()")
        self.assertEqual(self.names(), [("time", "31", "rails"), ("time", "31", "rails"), ("time", None, None)])

    def test_a_name_recorded_before(self):
        table = self.framework("prisma")
        self.session.run(f"INSERT INTO {table} (migration_name) VALUES ('30230101000000_init'); CALL electric.note_version();"
                         "ALTER TABLE items ADD c int; ALTER TABLE items ADD d int;"
                         f"UPDATE {table} SET finished_at = 'now'; CALL electric.note_version(); ALTER TABLE items ADD e int")
        self.assertEqual(self.names(), [("30230101000000", "30230101000000_init", "prisma"),
                                        ("30230101000000_0002", "30230101000000_init", "prisma"),
                                        ("30230101000000_0003", None, None)])

    def test_a_note_is_undone_with_its_transaction(self):
        table = self.framework("prisma")
        self.session.run(f"BEGIN; INSERT INTO {table} (migration_name) VALUES ('30230101000000_init');"
                         "CALL electric.note_version(); ROLLBACK; ALTER TABLE items ADD c int")
        self.assertEqual(self.names(), [("time", None, None)])

    def test_a_note_hurts_nobody(self):
        """Whatever session calls it, in whatever state, nothing is raised and no lock stays."""
        for table, columns in (("schema_migrations", "version int[]"), ("_prisma_migrations", "migration_name text, started_at"
                               " text, finished_at text, checksum text"), ("pgmigrations", "name text, run_on text")):
            self.session.run(f"CREATE TABLE {table} ({columns}); GRANT ALL ON {table} TO dev")
        self.session.run("CREATE SCHEMA tenant; CREATE TABLE tenant.schema_migrations (version text); ALTER TABLE items ADD c int")
        blocker = self.connect()
        blocker.run("BEGIN; LOCK TABLE tenant.schema_migrations; SELECT 1 FROM electric.migrations FOR UPDATE")
        stranger = self.connect("dev", options="-c statement_timeout=5s")
        stranger.run("SET search_path = ''; SET plan_cache_mode = force_custom_plan")
        for begin in ("BEGIN", "BEGIN READ ONLY", "BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE"):
            with self.subTest(begin):
                stranger.run(f"{begin}; CALL electric.note_version(); SAVEPOINT a; CALL electric.note_version()")
                if "READ ONLY" not in begin:
                    stranger.run("INSERT INTO public.pgmigrations VALUES ('31'); CALL electric.note_version()")
                    self.assertEqual(stranger.column("SELECT DISTINCT relation::regclass FROM pg_locks WHERE pid = pg_backend_pid()"
                                                     " AND relation::regclass::text ~ '^[^e].*migrations$'"), ["public.pgmigrations"])
                stranger.run("COMMIT; CALL electric.note_version()")
        self.assertEqual(stranger.value("SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
                                        " WHERE l.pid = pg_backend_pid() AND c.relname ~ 'migrations$'"), "0")

    def test_a_note_in_its_own_transaction(self):
        """The row this transaction wrote counts, not a newer one of another session or tool."""
        rails, knex = self.framework("rails"), self.framework("knex")
        self.session.run(f"ALTER TABLE items ADD c int; BEGIN; INSERT INTO {rails} VALUES ('31')")
        self.connect().run(f"INSERT INTO {rails} VALUES ('32'); INSERT INTO {knex} (name) VALUES ('33')")
        self.session.run("CALL electric.note_version(); COMMIT")
        self.assertEqual(self.names(), [("time", "31", "rails")])

    def test_a_table_for_each_tenant(self):
        for i in range(40):
            self.session.run(f"CREATE SCHEMA t{i}; CREATE TABLE t{i}.schema_migrations (version text);"
                             f"INSERT INTO t{i}.schema_migrations VALUES ('{i}')")
        self.session.run("SET search_path = t37, public; ALTER TABLE public.items ADD c int;"
                         "UPDATE schema_migrations SET version = '3.7'; CALL electric.note_version();"
                         "BEGIN; INSERT INTO t39.schema_migrations VALUES ('39b'); ALTER TABLE public.items ADD d int; COMMIT")
        self.assertEqual([name[1] for name in self.names()], ["3.7", "39b"])

    def test_a_forged_note(self):
        for forged in ("x", "{", '"y"', "[1]", '{"version": "3a", "label": 5}'):
            self.session.run(f"SET electric.version = '{forged}'; CREATE INDEX i ON items (b); DROP INDEX i")
        self.assertEqual(self.complaints(), [])


class Isolation(EngineTest):
    def test_a_snapshot_older_than_the_table_in_the_set(self):
        old = self.connect()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        self.session.run("CALL electric.enable('plain')")
        error, _ = old.ask("ALTER TABLE plain DROP COLUMN v")
        self.assertEqual(error["C"], "40001")
        old.run("ROLLBACK; BEGIN ISOLATION LEVEL SERIALIZABLE")
        error, _ = old.ask("ALTER TABLE plain DROP COLUMN v")
        self.assertEqual(error["C"], "EX010")

    def test_a_snapshot_older_than_a_change(self):
        old = self.connect()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        self.session.run("ALTER TABLE items ADD c int")
        error, _ = old.ask("ALTER TABLE items ADD d int")
        self.assertEqual(error["C"], "40001")

    def test_constraints_set_immediate(self):
        self.session.run("BEGIN; ALTER TABLE items ADD c int; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE items ADD d int; COMMIT")
        self.assertEqual(self.migrations(2), ["add_column,add_column"])
        self.assertEqual(self.complaints(), [])

    def test_durability(self):
        self.session.run("SET synchronous_commit = off; BEGIN; ALTER TABLE items ADD c int; SET CONSTRAINTS ALL IMMEDIATE")
        self.assertEqual(self.session.value("SHOW synchronous_commit"), "on")
        self.session.run("COMMIT")
        self.assertEqual(self.session.value("SHOW synchronous_commit"), "off")


class Permissions(EngineTest):
    """Grants and assignments: what they may name, what is stored and published."""

    def setUp(self):
        super().setUp()
        self.session.run("CREATE TABLE projects (id int PRIMARY KEY, owner text);"
                         'CREATE TABLE issues (id int PRIMARY KEY, "Title" text, project_id int REFERENCES projects);'
                         "CREATE TABLE comments (id int PRIMARY KEY, issue_id int REFERENCES issues, other int);"
                         "CREATE TABLE members (id int PRIMARY KEY, user_id text, role text, project_id int REFERENCES projects);"
                         "CALL electric.enable('projects'); CALL electric.enable('issues'); CALL electric.enable('comments');"
                         "CALL electric.enable('members')")
        self.start = self.head()

    def ask(self, procedure, **command):
        command = {name.rstrip("_"): value for name, value in command.items()}
        text = json.dumps(command).replace("'", "''")
        return self.session.ask(f"CALL electric.{procedure}('{text}')")[0]

    def ops(self):
        return [op for text in self.session.column(f"SELECT ops FROM electric.migrations WHERE seq > {self.start} ORDER BY seq")
                for op in json.loads(text)]

    def test_a_grant(self):
        command = dict(privileges=[{"name": "UPDATE", "columns": ['"Title"', "ID"]}, {"name": "select"}], tables=["public.Issues"],
                       roles=[{"name": "house.admin", "scope": "projects"}, {"special": "AUTHENTICATED"}], check="a = 'b'")
        self.assertIsNone(self.ask("grant_privileges", **command))
        scope = {"schema": "public", "table": "projects"}
        self.assertEqual(self.ops(), [
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "select", "role": "authenticated",
             "special": True, "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "update", "role": "authenticated",
             "special": True, "columns": ["Title", "id"], "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "select", "role": "house.admin",
             "special": False, "scope": scope, "using": ["project_id"], "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "update", "role": "house.admin",
             "special": False, "scope": scope, "using": ["project_id"], "columns": ["Title", "id"], "check": "a = 'b'"}])
        self.assertIsNone(self.ask("grant_privileges", **command))
        self.assertEqual(self.head(), self.start + 1)

    def test_revoke(self):
        grant = dict(tables=["issues", "comments"], roles=[{"name": "x"}])
        self.ask("grant_privileges", privileges=[{"name": "all"}], **grant)
        self.ask("revoke_privileges", privileges=[{"name": "select", "columns": ["id"]}], **grant)  # was not granted
        self.assertEqual(len(self.ops()), 8)
        self.ask("revoke_privileges", privileges=[{"name": "write"}], **grant)
        self.assertEqual([(op["op"], op["table"], op["privilege"]) for op in self.ops()[8:]],
                         [("revoke", table, privilege) for table in ("comments", "issues")
                          for privilege in ("delete", "insert", "update")])
        self.ask("revoke_privileges", privileges=[{"name": "read"}], **grant)
        self.assertEqual(self.session.value("SELECT count(*) FROM electric.grants"), "0")

    def test_paths(self):
        role = [{"name": "member", "scope": "projects"}]
        for using, sqlstate in ((["issue_id", "project_id"], None), (None, "42830"), (["issue_id"], "42830"), (["other"], "42830"),
                                (["nosuch"], "42703")):
            with self.subTest(using):
                error = self.ask("grant_privileges", privileges=[{"name": "read"}], tables=["comments"], roles=role,
                                 **({"using": using} if using else {}))
                self.assertEqual(error and error["C"], sqlstate)
        self.assertEqual(self.ops()[0]["using"], ["issue_id", "project_id"])
        self.assertIsNone(self.ask("revoke_privileges", privileges=[{"name": "read"}], tables=["comments"], roles=role))
        self.assertEqual(self.ops()[1]["op"], "revoke")

    def test_what_is_not_there(self):
        for sqlstate, change in (("42P01", {"tables": ["nosuch"]}), ("42P01", {"roles": [{"name": "a", "scope": "nosuch"}]}),
                                 ("42703", {"privileges": [{"name": "select", "columns": ["nosuch"]}]}),
                                 ("23514", {"privileges": [{"name": "truncate"}]})):
            with self.subTest(change):
                command = {"privileges": [{"name": "select"}], "tables": ["issues"], "roles": [{"name": "a"}], **change}
                self.assertEqual(self.ask("grant_privileges", **command)["C"], sqlstate)

    def test_assignments(self):
        command = dict(table="members", column="user_id", role_table="members", role_column="role", scope="projects", if_="a = 1")
        self.assertIsNone(self.ask("assign_role", **command))
        self.assertIsNone(self.ask("assign_role", **command))
        self.assertIsNone(self.ask("unassign_role", **command))
        assigned = {"schema": "public", "table": "members", "user_column": "user_id", "role_column": "role",
                    "scope": {"schema": "public", "table": "projects"}, "using": ["project_id"], "if": "a = 1"}
        self.assertEqual(self.ops(), [{"op": "assign", **assigned}, {"op": "unassign", **assigned}])
        self.assertIsNone(self.ask("assign_role", table="projects", column="owner", role="owner", scope="projects"))
        for sqlstate, change in (("42P10", {"role_table": "projects", "role_column": "owner"}), ("42703", {"column": "nosuch"}),
                                 ("42703", {"role_column": "nosuch"}), ("42830", {"scope": "issues"})):
            with self.subTest(change):
                self.assertEqual(self.ask("assign_role", **{**command, **change})["C"], sqlstate)

    def test_a_table_that_permissions_name_stays(self):
        self.ask("grant_privileges", privileges=[{"name": "select"}], tables=["members"],
                 roles=[{"name": "a", "scope": "projects"}])
        self.session.run("CALL electric.disable('comments'); CALL electric.disable('issues')")
        error, _ = self.session.ask("CALL electric.disable('members')")
        self.assertEqual(error["C"], "2BP01")
        self.ask("revoke_privileges", privileges=[{"name": "select"}], tables=["members"],
                 roles=[{"name": "a", "scope": "projects"}])
        self.session.run("CALL electric.disable('members')")

    def test_only_the_owner(self):
        self.session.run("SET ROLE dev")
        self.assertEqual(self.ask("grant_privileges", privileges=[{"name": "select"}], tables=["issues"],
                                  roles=[{"name": "a"}])["C"], "42501")
        self.assertEqual(self.ask("assign_role", table="members", column="user_id", role="a")["C"], "42501")
        self.assertEqual(self.session.ask("CALL electric.sqlite('x')")[0]["C"], "42501")
        error, _ = self.session.ask("SELECT electric.store_grants(jsonb_build_object('relations', jsonb_build_array("
                                    "'issues'::regclass::oid::int8), 'privileges', '[{\"name\": \"select\"}]'::jsonb,"
                                    " 'roles', '[{\"name\": \"a\"}]'::jsonb))")
        self.assertEqual(error["C"], "42501")

    def test_sqlite(self):
        self.session.run("CALL electric.sqlite('CREATE VIEW v AS SELECT 1')")
        self.assertEqual(self.ops(), [{"op": "sqlite", "statements": "CREATE VIEW v AS SELECT 1"}])


class Fallback(EngineTest):
    """Installed by a role that may not create event triggers."""

    def setUp(self):
        self.dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, self.dbname)
        self.admin = self.connect()
        self.admin.run(f"CREATE ROLE app LOGIN PASSWORD 'app'; ALTER DATABASE {self.dbname} OWNER TO app;"
                       "ALTER SCHEMA public OWNER TO app")
        self.addCleanup(self.forget_app)
        answer = install(self.cluster.url(self.dbname, user="app", password="app"), capture=True)
        self.assertEqual((answer["status"], answer["mode"]), ("OK", "fallback"), answer)
        self.session = self.connect("app")
        self.session.run("CREATE TABLE items (id int PRIMARY KEY, a text, b int); CREATE TABLE plain (id int PRIMARY KEY);"
                         "CALL electric.enable('items')")
        self.set_direct("capture")

    def forget_app(self):
        self.admin.run(f"ALTER DATABASE {self.dbname} OWNER TO postgres; REASSIGN OWNED BY app TO postgres;"
                       "DROP OWNED BY app; DROP ROLE app")

    def test_it_is_said(self):
        self.assertEqual(self.session.value("SELECT value FROM electric.settings WHERE name = 'mode'"), "fallback")
        self.assertEqual(self.complaints(), ["mode: this role may not create event triggers: changes made beside the proxy "
                                             "are found late"])

    def test_captured_when_asked(self):
        self.session.run("BEGIN; ALTER TABLE items ADD c int; CALL electric.capture(); CREATE INDEX i ON items (c);"
                         "CALL electric.capture(); CREATE TABLE more (id int); CALL electric.capture(); COMMIT")
        self.assertEqual(self.migrations(), ["create_table", "add_column,create_index"])
        self.assertEqual(self.sweep(), [])

    def test_refused_when_asked(self):
        for sqlstate, sql in (("EX010", "ALTER TABLE items DROP b"), ("EX002", "ALTER TABLE items RENAME TO things"),
                              ("EX004", "DROP TABLE items"), ("EX008", "ALTER TABLE items RENAME b TO c"),
                              ("EX006", "ALTER TABLE items ADD c int DEFAULT 1")):
            with self.subTest(sql):
                self.session.run(f"BEGIN; {sql}")
                error, _ = self.session.ask("CALL electric.capture()")
                self.assertEqual(error["C"], sqlstate)
                self.session.run("ROLLBACK")

    def test_a_read_only_transaction(self):
        self.session.run("BEGIN READ ONLY; DO 'BEGIN END'; CALL electric.capture(); CALL electric.note_version(); COMMIT")

    def test_unmarked_sessions(self):
        self.set_direct("refuse")
        self.session.run("BEGIN; ALTER TABLE items ADD c int")
        error, _ = self.session.ask("CALL electric.capture()")
        self.assertEqual(error["C"], "EX020")

    def test_the_sweep_finds_what_nobody_asked_about(self):
        self.session.run("ALTER TABLE items ADD c int")
        self.assertEqual(self.sweep(), ["captured public.items"])
        self.assertEqual(self.migrations(), ["create_table", "add_column"])
        self.assertEqual(self.sweep(), [])
        self.session.run("ALTER TABLE items DROP b")
        self.assertEqual(self.sweep(), ['drift public.items EX010 Cannot drop column "b" of electrified table "public"."items"'])

    def test_the_right_granted_later(self):
        self.admin.run("ALTER ROLE app SUPERUSER")
        self.session.run("UPDATE electric.settings SET value = '' WHERE name = 'functions'")
        self.assertEqual(install(self.cluster.url(self.dbname, user="app", password="app"), capture=True)["status"], "OK")
        self.session.run("ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(), ["create_table", "add_column"])
        self.assertEqual(self.complaints(), [])


class Restore(EngineTest):
    """A dumped and restored database, before and after a server has started on it."""

    def setUp(self):
        super().setUp()
        programs = [shutil.which(name, path=self.cluster.bindir) for name in ("pg_dump", "pg_restore")]
        if None in programs:
            self.skipTest("no pg_dump beside this Postgres")
        self.session.run("CREATE TABLE holes (x int, id int PRIMARY KEY, y int, z int); ALTER TABLE holes DROP x;"
                         "CALL electric.enable('holes'); CREATE INDEX ON holes (lower(y::text)) WHERE z > 3")
        dump = subprocess.run([programs[0], "-Fc", self.cluster.url(self.dbname)], check=True, capture_output=True).stdout
        self.dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, self.dbname)
        self.session = self.connect()
        # So that oids differ, and some mean other things than before.
        self.session.run(";".join(f"CREATE TABLE filler{i} (id int)" for i in range(20)))
        subprocess.run([programs[1], "-d", self.cluster.url(self.dbname)], input=dump, check=True, capture_output=True)

    def test_the_first_statement_is_judged(self):
        before = self.head()
        for sqlstate, sql in ((None, "ALTER TABLE holes ADD c int"), ("EX010", "ALTER TABLE holes DROP y"),
                              ("EX002", "ALTER TABLE holes RENAME TO gaps"), ("EX004", "DROP TABLE items"),
                              ("EX008", "ALTER TABLE holes RENAME y TO x"), ("EX014", "ALTER SCHEMA public RENAME TO pub"),
                              ("EX013", "ALTER TYPE mood ADD VALUE 'x'"), (None, "DROP INDEX items_a_idx"),
                              (None, "CREATE TABLE unrelated (id int)")):
            with self.subTest(sql):
                self.session.run("BEGIN")
                error, _ = self.session.ask(sql)
                self.assertEqual(error and error["C"], sqlstate)
                self.session.run("ROLLBACK")
        self.session.run("ALTER TABLE holes ADD c int")
        self.assertEqual(self.migrations(before), ["add_column"])
        self.assertEqual((self.sweep(), self.complaints()), ([], []))

    def test_a_table_that_was_not_restored_is_nobody_elses_fault(self):
        self.session.run("ALTER EVENT TRIGGER electric_drop DISABLE; DROP TABLE holes; ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS")
        self.assertEqual(install(self.cluster.url(self.dbname), capture=True)["status"], "OK")
        self.assertEqual(len(self.sweep()), 1)
        self.session.run("CREATE TABLE alike (id int PRIMARY KEY, y int, z int); ALTER TABLE alike RENAME TO holes; DROP TABLE holes")
        self.session.run("ALTER TABLE items ADD c int")

    def test_after_a_start(self):
        before = self.head()
        self.assertEqual(install(self.cluster.url(self.dbname), capture=True)["status"], "OK")
        self.assertEqual((self.sweep(), self.complaints()), ([], []))
        self.session.run("ALTER TABLE holes ADD c int; CREATE INDEX ON items (b)")
        self.assertEqual(self.migrations(before), ["add_column", "create_index"])
        error, _ = self.session.ask("ALTER TABLE holes DROP y")
        self.assertEqual(error["C"], "EX010")


class Health(EngineTest):
    def test_what_is_found(self):
        for harm, item in (
                ("ALTER EVENT TRIGGER electric_ddl DISABLE", "event triggers"), ("DROP EVENT TRIGGER electric_drop", "event triggers"),
                ("ALTER EVENT TRIGGER electric_ddl ENABLE", "event triggers"),
                ("ALTER TABLE electric.pending DISABLE TRIGGER ALL", "commit hook"),
                ("CREATE OR REPLACE FUNCTION electric.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", "functions"),
                ("UPDATE electric.migrations SET ops = '[]' WHERE seq = 1", "chain"), ("UPDATE electric.head SET seq = 1", "chain"),
                ("DELETE FROM electric.migrations WHERE seq = 2", "chain"),
                ("INSERT INTO electric.pending (xid) VALUES ('3')", "pending")):
            with self.subTest(harm):
                self.session.run(f"BEGIN; {harm}")
                self.assertEqual([text.split(":")[0] for text in self.complaints()], [item])
                self.session.run("ROLLBACK")
        self.assertEqual(self.complaints(), [])

    def test_an_upgrade_repairs(self):
        self.session.run("DROP EVENT TRIGGER electric_drop; ALTER EVENT TRIGGER electric_ddl DISABLE;"
                         "ALTER TABLE electric.pending DISABLE TRIGGER ALL;"
                         "UPDATE electric.settings SET value = '' WHERE name = 'functions'")
        self.assertEqual(install(self.cluster.url(self.dbname), capture=True)["status"], "OK")
        self.assertEqual(self.complaints(), [])


if __name__ == "__main__":
    unittest.main()
