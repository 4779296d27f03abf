"""Versions and labels of migrations, and the tables in which tools record them."""

import json
import unittest

from tests.integration.test_capture import EngineTest


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

    def bait(self, harm):
        """A table's owner tries to have code run with the rights of the schema's owner: who ran it."""
        self.session.run("GRANT CREATE ON SCHEMA public TO dev; ALTER TABLE items OWNER TO dev")
        dev, other = self.connect("dev"), self.connect("dev")
        dev.run("CREATE FUNCTION bait(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS"
                " 'BEGIN RAISE NOTICE ''%'', current_user; RETURN true; END';"
                "CREATE TABLE schema_migrations (version text);"
                "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        other.run(harm)
        dev.run("ALTER TABLE items ADD c int; INSERT INTO schema_migrations VALUES ('31')")
        _, notices = dev.ask("SET CONSTRAINTS ALL IMMEDIATE")
        dev.run("COMMIT")
        return notices

    def test_an_index_that_an_old_snapshot_does_not_show(self):
        self.assertEqual(self.bait("CREATE INDEX ON schema_migrations (version) WHERE bait('x')"), [])
        self.assertEqual(self.names(), [("time", None, None)])

    def test_statistics_that_an_old_snapshot_does_not_show(self):
        self.assertEqual(self.bait("CREATE STATISTICS s ON version, (bait('x')) FROM schema_migrations"), [])
        self.assertEqual(self.names(), [("time", None, None)])

    def test_a_table_of_somebody_else(self):
        """Is read while nobody can change what it is."""
        self.session.run("GRANT CREATE ON SCHEMA public TO dev; ALTER TABLE items OWNER TO dev")
        dev = self.connect("dev")
        dev.run("CREATE TABLE schema_migrations (version text); BEGIN; ALTER TABLE items ADD c int;"
                "INSERT INTO schema_migrations VALUES ('31'); COMMIT; BEGIN; CREATE INDEX ON items (b);"
                "INSERT INTO schema_migrations VALUES ('32')")
        other = self.connect("dev")
        other.run("BEGIN; CREATE STATISTICS s ON version, (lower(version)) FROM schema_migrations")
        dev.run("COMMIT")
        self.assertEqual(self.names(), [("31", "31", "rails"), ("31_0002", None, None)])

    def test_a_lock_of_the_tool_on_its_own_table(self):
        """Ecto holds one on another connection while it migrates."""
        table = self.framework("ecto")
        other = self.connect()
        other.run(f"BEGIN; LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE")
        self.session.run(f"BEGIN; ALTER TABLE items ADD c int; INSERT INTO {table} VALUES (31); COMMIT")
        self.assertEqual(self.names(), [("31", "31", "ecto")])

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
        for forged in ("x", "{", '"y"', "[1]", '{"version": "3a", "label": 5}', r'{"label": "\u0000"}', "[" * 20000):
            self.session.run(f"SET electric.version = '{forged}'; CREATE INDEX i ON items (b); DROP INDEX i")
        self.assertEqual(self.complaints(), [])


if __name__ == "__main__":
    unittest.main()
