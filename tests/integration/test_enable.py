"""The schema `electric` in Postgres: its installation, ENABLE's checks, and who may do what.

ENABLE_INSTALL is the program built from enable_install.c, which prepares a database as the server does
at start. Everything runs on the newest Postgres installed, and the cases also on each of the majors
found in PG_BINDIRS, a list of directories with initdb and postgres, separated by colons.
"""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import textwrap
import threading
import time
import unittest

from tests.integration.enable_cases import CASES
from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.process import free_port, spawn, unprivileged_user, wait_until
from tests.support.schema import DatabaseTest, Session, install, on_each_major, statements

# What everybody may call. The second group is called by the first with the caller's rights.
PUBLIC_ROUTINES = {
    "disable(text,boolean)", "electrify(text)", "electrify(text,text)", "enable(text,boolean)",
    "claim(text,boolean)", "disable_table(oid)", "enable_table(oid)", "is_created_here(oid)",
    "refuse_isolation(text)", "refuse_owner(text,text)", "report_missing(text,boolean)",
    "migration_version(text)", "refuse_unique_index(text)", "note_version()", "capture(boolean)",
    "capture_statement(text,boolean)",
    "set_version(text)", "take_note(name[])", "check_unique_index(oid)", "capture_changes(boolean)", "is_own_xid(xid)",
    "grant_privileges(jsonb)", "revoke_privileges(jsonb)", "assign_role(jsonb)", "unassign_role(jsonb)", "sqlite(text)",
    "find_scope(text)", "resolve_command(jsonb)", "store_grants(jsonb)", "delete_grants(jsonb)",
    "store_assignment(jsonb)", "delete_assignment(jsonb)", "publish_sqlite(text)",
}
# Run under the caller's search_path, so everything in them is qualified.
UNPINNED_ROUTINES = {"disable(text,boolean)", "electrify(text)", "electrify(text,text)", "enable(text,boolean)",
                     "claim(text,boolean)", "migration_version(text)", "refuse_unique_index(text)", "note_version()",
                     "capture(boolean)", "capture_statement(text,boolean)",
                     "grant_privileges(jsonb)", "revoke_privileges(jsonb)", "assign_role(jsonb)", "unassign_role(jsonb)",
                     "sqlite(text)", "find_scope(text)", "resolve_command(jsonb)"}


# -- the table of cases -----------------------------------------------------------------------------


class Cases(DatabaseTest):
    """Each row of CASES; run on every major that is there."""

    def test_cases(self):
        for case in CASES:
            if self.major < case.since:
                continue
            with self.subTest(case.name):
                self.check(case)

    def check(self, case):
        if re.search("BEGIN ISOLATION|CONCURRENTLY", case.setup):
            self.check_in_its_own_database(case)
            return
        with Session(self.cluster, self.dbname) as session:
            session.run("BEGIN")
            self.prepare(session, case.setup)
            session.run("SAVEPOINT before")
            error, notices = session.ask(case.call)
            if error is not None:
                session.run("ROLLBACK TO before")
            self.assertEqual(tuple(session.electrified()), case.electrified)
            self.compare(case, error, notices)

    def check_in_its_own_database(self, case):
        dbname = self.createdb()
        self.addCleanup(self.dropdb, dbname)
        with Session(self.cluster, dbname) as session:
            self.prepare(session, case.setup)
            error, notices = session.ask(case.call)
            session.query("COMMIT")
            self.assertEqual(tuple(session.electrified()), case.electrified)
            self.compare(case, error, notices)

    def prepare(self, session, setup):
        for sql in statements(setup):
            error, _ = session.ask(sql)
            # CREATE UNIQUE INDEX CONCURRENTLY that finds duplicates leaves the index we want.
            if error is not None and error["C"] != "23505":
                raise wire.ServerError(error)

    def compare(self, case, error, notices):
        self.assertEqual(notices, list(case.notices))
        if case.error is None:
            self.assertIsNone(error)
            return
        self.assertIsNotNone(error, "it succeeded")
        self.assertEqual(error["C"], case.error, error["M"])
        self.assertIn("function electric.", error["W"])  # by which the proxy knows our errors
        for letter, expected in zip("MDHstc", (case.message, case.detail, case.hint, case.schema, case.table,
                                               case.column)):
            self.compare_field(letter, error.get(letter), expected)
        if case.error == "P0001":
            self.assertTrue(error["D"] and error["H"])
            self.assertEqual("c" in error, case.column is not None)

    def compare_field(self, letter, found, expected):
        if expected is None:
            return
        if expected.endswith("…"):
            self.assertTrue((found or "").startswith(expected[:-1]), f"{letter}: {found!r}")
        else:
            self.assertEqual(found, expected, letter)


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, Cases)


# -- who may do what --------------------------------------------------------------------------------


class Rights(DatabaseTest):
    def owned_by_alice(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); ALTER TABLE t1 OWNER TO alice;"
                         "GRANT ALL ON t1 TO bob; GRANT ALL ON SCHEMA public TO bob, alice")

    def test_an_owner_who_did_not_install(self):
        self.owned_by_alice()
        self.session.run("SET ROLE alice; CALL electric.enable('t1'); CALL electric.disable('t1');"
                         "CALL electric.enable('t1'); RESET ROLE")
        self.assertEqual(self.session.electrified(), ["t1"])

    def test_a_member_of_the_owner(self):
        self.owned_by_alice()
        self.connect("carol").run("CALL electric.enable('t1')")
        self.assertEqual(self.session.electrified(), ["t1"])

    def test_another_role(self):
        self.owned_by_alice()
        self.session.run("SET ROLE bob")
        for sql in ("CALL electric.enable('t1')", "CALL electric.disable('t1')", "CALL electric.electrify('t1')",
                    "SELECT electric.enable_table('t1'::regclass)", "SELECT electric.disable_table('t1'::regclass)"):
            with self.subTest(sql):
                self.assert_refused("42501", "must be owner of table t1", sql)

    def test_what_is_not_a_table_is_named_for_what_it_is(self):
        self.session.run("CREATE VIEW v AS SELECT 1; CREATE SEQUENCE s; CREATE MATERIALIZED VIEW m AS SELECT 1; SET ROLE bob")
        self.assert_refused("42501", "must be owner of view v", "CALL electric.enable('v')")
        self.assert_refused("42501", "must be owner of sequence s", "CALL electric.enable('s')")
        self.assert_refused("42501", "must be owner of materialized view m", "CALL electric.enable('m')")

    def test_set_role_away_from_the_owner(self):
        """The session's user may do it, the role it has taken may not."""
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); SET ROLE bob")
        self.assert_refused("42501", "must be owner of table t1", "SELECT electric.enable_table('t1'::regclass)")

    def test_a_definer_function_of_somebody_else(self):
        """Neither the owner's rights alone nor the caller's are enough."""
        self.owned_by_alice()
        self.session.run("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS"
                         " 'BEGIN CALL electric.enable(''t1''); END'; GRANT EXECUTE ON FUNCTION f TO bob;"
                         "ALTER FUNCTION f OWNER TO alice; SET ROLE bob")
        error = self.assert_refused("42501", "must be owner of table t1", "SELECT f()")
        self.assertIn("SECURITY DEFINER", error["H"])
        self.session.run("RESET ROLE; ALTER FUNCTION f OWNER TO bob")
        self.assert_refused("42501", "must be owner of table t1", "SELECT f()")

    def test_no_usage_on_the_tables_schema(self):
        self.session.run("CREATE SCHEMA s; CREATE TABLE s.t1 (id int); SET ROLE bob")
        self.assert_refused("42501", "permission denied for schema s", "CALL electric.enable('s.t1')")

    def test_the_public_may_only_call_the_entry_points(self):
        routines = self.session.column(
            "SELECT p.oid::regprocedure::text FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
            " WHERE pronamespace = 'electric'::regnamespace AND a.grantee = 0")
        self.assertEqual({name.removeprefix("electric.") for name in routines}, PUBLIC_ROUTINES)
        self.assertEqual(self.session.column(
            "SELECT relname FROM pg_class c, aclexplode(relacl) a"
            " WHERE relnamespace = 'electric'::regnamespace AND a.grantee <> relowner"), [])
        self.session.run("SET ROLE bob")
        for table in ("settings", "tables", "steps", "electrified"):
            self.assert_refused("42501", f"permission denied for {'view' if table == 'electrified' else 'table'} {table}",
                                f"SELECT * FROM electric.{table}")
        self.assert_refused("42501", "permission denied for schema electric", "CREATE TABLE electric.mine (id int)")

    def test_default_privileges_do_not_open_the_settings(self):
        dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, dbname)
        session = self.connect(dbname=dbname)
        session.run("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC, bob")
        self.assertEqual(install(self.cluster.url(dbname))["status"], "OK")
        session.run("SET ROLE bob")
        self.assert_refused("42501", "permission denied for table settings", "SELECT * FROM electric.settings", session)

    def test_every_routine_pins_its_search_path_or_needs_none(self):
        unpinned = self.session.column(
            "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'electric'::regnamespace"
            " AND prosqlbody IS NULL AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))")
        self.assertEqual({name.removeprefix("electric.") for name in unpinned}, UNPINNED_ROUTINES)


class Hostility(DatabaseTest):
    """Whatever stands in public, or is set in the session, means nothing to the schema's functions."""

    BAIT = """
        CREATE FUNCTION public.boom(anyelement) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''shadowed''; END';
        CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE sql AS 'SELECT public.boom(1)::text';
        CREATE FUNCTION public.parse_ident(text) RETURNS text[] LANGUAGE sql AS 'SELECT ARRAY[public.boom(1)::text]';
        CREATE FUNCTION public.to_regclass(text) RETURNS regclass LANGUAGE sql AS 'SELECT public.boom(1)::text::regclass';
        CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS 'SELECT public.boom(1)::text';
        CREATE FUNCTION public.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.boom(1)';
        CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE sql AS 'SELECT public.boom(1)::text';
        CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE sql AS 'SELECT public.boom(1)::text';
        CREATE FUNCTION public.eq(oid, oid) RETURNS boolean LANGUAGE sql AS 'SELECT public.boom(1)';
        CREATE FUNCTION public.eq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.boom(1)';
        CREATE FUNCTION public.eq("char", "char") RETURNS boolean LANGUAGE sql AS 'SELECT public.boom(1)';
        CREATE OPERATOR public.= (FUNCTION = public.eq, LEFTARG = oid, RIGHTARG = oid);
        CREATE OPERATOR public.= (FUNCTION = public.eq, LEFTARG = text, RIGHTARG = text);
        CREATE OPERATOR public.<> (FUNCTION = public.eq, LEFTARG = "char", RIGHTARG = "char");
        CREATE DOMAIN public.oid AS text;
        CREATE DOMAIN public.bool AS text CHECK (false);
        CREATE DOMAIN public.text AS pg_catalog.text CHECK (false);
        CREATE DOMAIN public.record AS pg_catalog.text CHECK (false);
        CREATE TABLE public.pg_class (oid pg_catalog.oid, relname name, relkind "char", relowner pg_catalog.oid);
        CREATE TABLE public.pg_namespace (oid pg_catalog.oid, nspname name);
        CREATE SCHEMA other; CREATE TABLE other.tables (nsp int)"""

    def test_shadowed_names_do_not_count(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY, up int REFERENCES t1);"
                         'CREATE TABLE t2 (id int PRIMARY KEY, a int, "A" int, b int DEFAULT 1)')
        self.session.run(self.BAIT)
        self.session.run("SET search_path = public, other, pg_temp, pg_catalog")
        self.assert_refused("P0001", "Cannot electrify t2 because some of its columns have DEFAULT expressions which "
                            "are not currently supported by Electric:\n  b", "CALL electric.enable('t2')")
        self.assert_refused("42P01", 'relation "t3" does not exist', "CALL electric.enable('t3')")
        for sql in ("CALL electric.enable('t1')", "CALL electric.electrify('t1')", "CALL electric.electrify('public', 't1')",
                    "CALL electric.disable('t1')", "CALL electric.enable('nosuch', true)"):
            with self.subTest(sql):
                self.assert_ok(sql)
        self.session.run("BEGIN ISOLATION LEVEL SERIALIZABLE")
        self.assert_refused("25001", "cannot enable or disable ELECTRIC on table t1 in a serializable transaction",
                            "CALL electric.enable('t1')")

    def test_installing_amid_shadows(self):
        dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, dbname)
        session = self.connect(dbname=dbname)
        session.run(self.BAIT)
        session.run(f"ALTER DATABASE {dbname} SET search_path = public, pg_catalog;"
                    f"ALTER DATABASE {dbname} SET standard_conforming_strings = off;"
                    f"ALTER DATABASE {dbname} SET default_transaction_read_only = on")
        for _ in range(2):
            self.assertEqual(install(self.cluster.url(dbname))["status"], "OK")

    def test_settings_of_the_session(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY DEFAULT 1, b text); SET quote_all_identifiers = on;"
                         "SET standard_conforming_strings = off; SET escape_string_warning = on;"
                         "SET transform_null_equals = on; SET client_min_messages = debug1")
        error, _ = self.session.ask("CALL electric.enable('t1')")
        self.assertEqual(error["M"], "Cannot electrify t1 because some of its columns have DEFAULT expressions which are "
                                     "not currently supported by Electric:\n  id")
        self.session.run("ALTER TABLE t1 ALTER id DROP DEFAULT; CALL electric.enable('t1')")
        self.assertEqual(self.session.electrified(), ["t1"])


# -- transactions -----------------------------------------------------------------------------------


class Transactions(DatabaseTest):
    def test_rollback_leaves_nothing(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); BEGIN; CALL electric.enable('t1'); ROLLBACK")
        self.assertEqual(self.session.column("SELECT name FROM electric.tables"), [])
        self.session.run("BEGIN; SAVEPOINT a; CALL electric.enable('t1'); ROLLBACK TO a; CALL electric.enable('t1'); COMMIT")
        self.assertEqual(self.session.electrified(), ["t1"])

    def test_nothing_on_the_table_changes(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY, a text); CREATE INDEX ON t1 (a)")
        facts = ("SELECT md5(string_agg(x::text, '|' ORDER BY x::text)) FROM (SELECT c::text AS x FROM pg_class c"
                 " WHERE relname LIKE 't1%' UNION ALL SELECT a::text FROM pg_attribute a WHERE attrelid = 't1'::regclass"
                 " UNION ALL SELECT t::text FROM pg_trigger t UNION ALL SELECT i::text FROM pg_index i"
                 " WHERE indrelid = 't1'::regclass) y")
        before = self.session.value(facts)
        self.session.run("CALL electric.enable('t1')")
        self.assertEqual(self.session.value(facts), before)

    def test_do_blocks_functions_and_prepared_statements(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE t2 (id int PRIMARY KEY);"
                         "CREATE TABLE t3 (id int PRIMARY KEY); DO 'BEGIN CALL electric.enable(''t1''); END';"
                         "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CALL electric.enable(''t2''); END';"
                         "SELECT f()")
        self.session.send(wire.parse("CALL electric.enable($1)"), wire.bind(values=["t3"]), wire.execute(), wire.sync())
        self.assertEqual([m.type for m in self.session.receive_until("Z")], ["1", "2", "C", "Z"])
        self.assertEqual(self.session.electrified(), ["t1", "t2", "t3"])

    def test_a_dropped_table_makes_room(self):
        for name in ("t1", '"T1"'):
            self.session.run(f"CREATE TABLE {name} (id int PRIMARY KEY); CALL electric.enable('{name}'); DROP TABLE {name}")
            self.assertEqual(self.session.electrified(), [])
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY)")
        error, notices = self.session.ask("CALL electric.enable('t1')")
        self.assertEqual((error, notices), (None, []))
        self.assertEqual(self.session.column("SELECT relid::regclass::text FROM electric.tables"), ["t1"])

    def test_a_renamed_table_is_not_its_old_name(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1'); ALTER TABLE t1 RENAME TO t2;"
                         "CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1'); CALL electric.enable('t2')")
        self.assertEqual(self.session.electrified(), ["t1", "t2"])

    def in_background(self, session, sql):
        """Starts a statement that must wait for a lock; answers a function that gives its (error, notices)."""
        answer = []
        thread = threading.Thread(target=lambda: answer.append(session.ask(sql)))
        pid = session.pid
        thread.start()
        wait_until(lambda: self.session_waits(pid) or answer, 30, "the statement to wait")
        self.assertEqual(answer, [], "it did not wait")

        def result():
            thread.join(30)
            return answer[0]

        return result

    def session_waits(self, pid):
        with Session(self.cluster) as watcher:
            return watcher.value(f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {pid}") == "Lock"

    def test_a_change_in_flight_is_waited_for_and_seen(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY)")
        other = self.connect()
        other.run("BEGIN; ALTER TABLE t1 ADD n numeric")
        result = self.in_background(self.session, "CALL electric.enable('t1')")
        other.run("COMMIT")
        error, _ = result()
        self.assertEqual((error["C"], error["c"]), ("P0001", "n"))

    def test_the_name_may_change_hands_while_waiting(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY)")
        other = self.connect()
        other.run("BEGIN; DROP TABLE t1; CREATE TABLE t1 (id uuid PRIMARY KEY)")
        result = self.in_background(self.session, "CALL electric.enable('t1')")
        other.run("COMMIT")
        self.assertEqual(result(), (None, []))
        self.assertEqual(self.session.electrified(), ["t1"])

    def test_ddl_waits_until_enable_commits(self):
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY)")
        other = self.connect()
        other.run("BEGIN; CALL electric.enable('t1')")
        self.connect().run("SELECT * FROM t1; INSERT INTO t1 VALUES (1)")  # but data may be changed
        result = self.in_background(self.session, "ALTER TABLE t1 ADD a int")
        other.run("COMMIT")
        self.assertEqual(result(), (None, []))

    def test_two_at_once_whose_names_clash(self):
        self.session.run('CREATE TABLE t1 (id int PRIMARY KEY); CREATE TABLE "T1" (id int PRIMARY KEY)')
        other = self.connect()
        other.run("BEGIN; CALL electric.enable('t1')")
        result = self.in_background(self.session, "CALL electric.enable('\"T1\"')")
        other.run("COMMIT")
        error, _ = result()
        self.assertEqual((error["C"], error["M"]), ("P0001", 'Cannot electrify "T1" because some names differ only in '
                                                    'case:\n  table "T1" and the electrified table t1'))


# -- installation -----------------------------------------------------------------------------------


class Installation(DatabaseTest):
    def setUp(self):
        self.dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, self.dbname)
        self.session = self.connect()

    def install(self, **login):
        return install(self.cluster.url(self.dbname, **login))

    def assert_status(self, answer, status, sqlstate=None):
        self.assertEqual((answer["status"], answer.get("sqlstate")), (status, sqlstate), answer)

    def state(self):
        """Everything stored, and the identities of all routines."""
        return [self.session.column(sql) for sql in (
            "SELECT s::text FROM electric.settings s ORDER BY 1", "SELECT s::text FROM electric.steps s ORDER BY 1",
            "SELECT p.oid::text || ' ' || p.xmin FROM pg_proc p WHERE pronamespace = 'electric'::regnamespace ORDER BY 1")]

    def test_again_changes_nothing(self):
        first = self.install()
        self.assert_status(first, "OK")
        before, started = self.state(), time.monotonic()
        self.assertEqual(self.install(), first)
        print(f"\ninstalling again: {1000 * (time.monotonic() - started):.0f} ms with process and login")
        self.assertEqual(self.state(), before)

    def test_what_is_reported(self):
        answer = self.install()
        self.assertEqual((int(answer["version"]) // 10000, answer["standby"], answer["pooled"]), (self.major, "0", "0"))
        self.assertRegex(answer["cancel_key"], r"^[0-9a-f]{64}$")
        self.assertRegex(answer["proxied_token"], r"^[0-9a-f]{32}$")
        self.assertEqual(answer["mode"], "off")
        names = answer["framework_tables"].split(",")
        self.assertEqual(sorted(names), sorted({name.lower() for name in names}))
        self.assertLessEqual({"schema_migrations", "sequelizemeta", "_prisma_migrations"}, set(names))
        self.assertEqual(self.session.value("SELECT value FROM electric.settings WHERE name = 'cancel_key'"),
                         answer["cancel_key"])
        other = self.createdb("template0")
        self.addCleanup(self.dropdb, other)
        self.assertNotEqual(install(self.cluster.url(other))["cancel_key"], answer["cancel_key"])

    def test_several_servers_at_once(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.install())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([answer["status"] for answer in answers], ["OK"] * 6, answers)
        self.assertEqual(len({answer["cancel_key"] for answer in answers}), 1)

    def test_changed_functions_are_replaced(self):
        first = self.install()
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1');"
                         "CREATE OR REPLACE PROCEDURE electric.enable(name text, if_exists boolean DEFAULT false)"
                         " LANGUAGE plpgsql AS 'BEGIN RAISE ''old''; END';"
                         "UPDATE electric.settings SET value = 'old' WHERE name = 'functions'")
        self.assertEqual(self.install(), first)
        self.assertEqual(self.session.ask("CALL electric.enable('t1')"),
                         (None, [("NOTICE", "table public.t1 is already electrified")]))

    def test_an_ordinary_role_installs_for_superusers(self):
        self.session.run(f"CREATE ROLE app LOGIN PASSWORD 'app'; GRANT CREATE ON DATABASE {self.dbname} TO app")
        self.addCleanup(self.connect(dbname="postgres").run, "DROP OWNED BY app; DROP ROLE app")
        self.addCleanup(self.session.run, "DROP OWNED BY app")
        answer = self.install(user="app", password="app")
        self.assert_status(answer, "OK")
        self.session.run("CREATE TABLE t1 (id int PRIMARY KEY); CALL electric.enable('t1')")
        self.assertEqual(self.session.electrified(), ["t1"])
        self.assertEqual(self.install(user="app", password="app"), answer)

    def test_a_role_without_the_right(self):
        self.session.run("CREATE ROLE nobody LOGIN PASSWORD 'x'")
        self.addCleanup(self.session.run, "DROP ROLE nobody")
        answer = self.install(user="nobody", password="x")
        self.assert_status(answer, "DENIED", "42501")
        self.assertEqual(answer["hint"], f"The role of DATABASE_URL (nobody) needs CREATE on database {self.dbname}.")
        self.assertEqual(self.session.column("SELECT 1 FROM pg_namespace WHERE nspname = 'electric'"), [])

    def test_the_schema_of_another_role(self):
        self.install()
        self.session.run("CREATE ROLE late LOGIN SUPERUSER PASSWORD 'x'")
        self.addCleanup(self.session.run, "DROP ROLE late")
        answer = self.install(user="late", password="x")
        self.assert_status(answer, "DENIED", "42501")
        self.assertEqual(answer["message"], 'the schema electric belongs to role "postgres", not to "late"')

    def test_a_foreign_schema(self):
        for made in ("CREATE SCHEMA electric", "CREATE TABLE electric.electrified (id int)",
                     "CREATE TABLE electric.settings (name text, value int); CREATE TABLE electric.steps (number int)",
                     "CREATE VIEW electric.v AS SELECT 1/0; INSERT INTO electric.settings VALUES ('product', 1)"):
            self.session.run(made)
            with self.subTest(made):
                answer = self.install()
                self.assert_status(answer, "USAGE", "42P06")
                self.assertEqual(answer["message"],
                                 f'database "{self.dbname}" has a schema "electric" that this program did not make')
                self.assertIn("ALTER SCHEMA electric RENAME TO electric_old;", answer["hint"])

    def test_a_newer_program_was_here(self):
        self.install()
        self.session.run("INSERT INTO electric.steps VALUES (999, '0999_future')")
        answer = self.install()
        self.assert_status(answer, "USAGE", "55000")
        self.assertRegex(answer["message"], r"^the schema electric is at step 999, but this program knows only \d+$")

    def test_privileges_that_a_dump_came_without(self):
        self.install()
        self.session.run("REVOKE ALL ON SCHEMA electric FROM PUBLIC; REVOKE ALL ON ALL ROUTINES IN SCHEMA electric FROM PUBLIC")
        self.assert_status(self.install(), "OK")
        self.session.run("SET ROLE bob; CALL electric.note_version(); CALL electric.capture(); RESET ROLE")

    def test_a_damaged_key(self):
        self.install()
        for name in ("cancel_key", "proxied_token"):
            for damage in ("UPDATE electric.settings SET value = 'xyz'", "DELETE FROM electric.settings"):
                with self.subTest(name=name, damage=damage):
                    self.session.run(f"BEGIN; CREATE TEMP TABLE saved AS SELECT * FROM electric.settings; {damage}"
                                     f" WHERE name = '{name}'; COMMIT")
                    answer = self.install()
                    self.assert_status(answer, "USAGE", "55000")
                    self.assertEqual(answer["message"], f"the {name} in electric.settings is missing or damaged")
                    self.session.run("DELETE FROM electric.settings; INSERT INTO electric.settings SELECT * FROM saved;"
                                     "DROP TABLE saved")
        self.assert_status(self.install(), "OK")

    def test_a_lock_that_is_held_is_worth_another_try(self):
        self.install()
        self.session.run("UPDATE electric.settings SET value = '' WHERE name = 'functions';"
                         "BEGIN; SELECT pg_advisory_xact_lock(7308327773145295203)")
        waiting = threading.Thread(target=lambda: answers.append(self.install()))
        answers = []
        waiting.start()
        wait_until(lambda: self.connect().column("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
                   20, "the installer to wait")
        self.connect().run("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        waiting.join()
        self.assert_status(answers[0], "UNAVAILABLE", "57014")
        self.session.run("COMMIT")
        self.assert_status(self.install(), "OK")


class Standby(unittest.TestCase):
    def test_a_standby_is_reported(self):
        with Cluster(settings={"hot_standby": "on"}) as cluster:
            with Session(cluster) as session:
                session.run("CREATE DATABASE later; CHECKPOINT")
            key = install(cluster.url(), capture=True)["cancel_key"]
            cluster.stop()
            signal_file = os.path.join(cluster.directory, "data", "standby.signal")
            with open(signal_file, "w", encoding="ascii"):
                pass
            account = unprivileged_user()
            if account:
                shutil.chown(signal_file, account)
            cluster.start()
            answer = install(cluster.url(), capture=True)
            self.assertEqual((answer["status"], answer.get("standby"), answer.get("cancel_key")), ("OK", "1", key))
            with Session(cluster) as session:
                session.run("SELECT count(*) FROM electric.health() WHERE NOT ok; SELECT count(*) FROM electric.sweep_report();"
                            "CALL electric.capture(); CALL electric.note_version()")
            answer = install(cluster.url("later"))
            self.assertEqual((answer["status"], answer["sqlstate"]), ("UNAVAILABLE", "25006"))


@unittest.skipUnless(shutil.which("pgbouncer"), "no pgbouncer installed")
class Pooler(unittest.TestCase):
    """PgBouncer in front of Postgres; with nobody else there, even a transaction pool looks like one session."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def through(self, mode, **settings):
        directory = self.enterContext(tempfile.TemporaryDirectory(prefix="bouncer-"))
        port = free_port()
        lines = {"listen_addr": "127.0.0.1", "listen_port": port, "auth_type": "any", "pool_mode": mode,
                 "unix_socket_dir": "", "logfile": f"{directory}/log", "ignore_startup_parameters": "extra_float_digits",
                 **settings}
        with open(f"{directory}/ini", "w", encoding="utf-8") as file:
            file.write(textwrap.dedent(f"""\
                [databases]
                postgres = host={self.cluster.directory} port={self.cluster.port} user=postgres
                [pgbouncer]
                """) + "".join(f"{name} = {value}\n" for name, value in lines.items()))
        os.chmod(directory, 0o777)
        bouncer = spawn(["pgbouncer", "-q", f"{directory}/ini"], user=unprivileged_user(), stderr=subprocess.DEVNULL)
        self.addCleanup(bouncer.wait)
        self.addCleanup(bouncer.terminate)
        wait_until(lambda: is_listening(port), 10, "pgbouncer to listen")
        return install(f"postgresql://postgres@127.0.0.1:{port}/postgres")

    def test_transaction_pools_are_refused(self):
        for size in (1, 20):
            with self.subTest(size):
                answer = self.through("transaction", default_pool_size=size)
                self.assertEqual((answer["status"], answer["sqlstate"]), ("USAGE", "0A000"), answer)
                self.assertIn("connection pooler", answer["message"])

    def test_session_pools_are_not(self):
        answer = self.through("session")
        self.assertEqual((answer["status"], answer["pooled"]), ("OK", "1"), answer)


def is_listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    unittest.main()
