"""Fallback mode: where there are no event triggers the proxy asks electric.capture() after statements."""

import re
import unittest

from tests.integration.test_capture import Cases, EngineTest
from tests.support import wire
from tests.support.schema import Session, install, on_each_major

# Statements that cannot change tables.
HARMLESS = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "PREPARE",
            "LOCK", "EXECUTE")
# Those that may commit themselves.
COMMITTING = re.compile(r"(CALL|DO|VACUUM|REINDEX)\b|.*\bCONCURRENTLY\b", re.DOTALL)

# Where the verdict is another, and why.
IN_FALLBACK = {
    "a refused change that is caught": "EX010",  # DO is judged by what it leaves
    "a procedure that commits in between": "add_column,add_column",  # seen when it has ended
    "a broken index repaired by REINDEX": "create_index",  # no event was needed
    # There is no such trigger, and the function can be dropped.
    "event triggers disabled": "42704", "an event trigger dropped": "42704", "the engine's function dropped": "escape",
    "event triggers switched off by a setting": "42704 on 14-16; EX010 on 17-18"}


class FallbackSession(Session):
    """As a session of the proxy in fallback mode: electric.capture() follows what may change tables."""

    def ask(self, sql):
        parts = re.split(r";\s*(?=(?:[^$]|\$\$.*?\$\$)*$)(?=(?:[^']*'[^']*')*[^']*$)", sql.rstrip("; "), flags=re.DOTALL)
        if len(parts) > 1:
            return super().ask(";".join(f"{part};{self.capture(part) or ''}" for part in parts))
        # The statement, and what it did, in one group: both are undone, or none.
        group = [wire.parse(sql), wire.bind(), wire.execute()]
        if self.capture(sql):
            group += [wire.parse(self.capture(sql)), wire.bind(), wire.execute()]
        self.send(*group, wire.sync())
        errors = [m.fields() for m in self.receive_until("Z") if m.type == "E"]
        return errors[0] if errors else None, []

    def capture(self, sql):
        if sql.lstrip().upper().startswith(HARMLESS) and " INTO " not in sql:
            return None
        return f"CALL electric.capture({'true' if COMMITTING.match(sql) else 'false'})"


class FallbackCases(Cases):
    """The same without event triggers."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Session(cls.cluster, "base") as session:
            session.run("DROP EVENT TRIGGER electric_ddl; DROP EVENT TRIGGER electric_drop;"
                        "UPDATE electric.settings SET value = 'fallback' WHERE name = 'mode'")

    session_class = FallbackSession
    test_when_direct_changes_are_refused = None  # a session of the proxy is not direct

    def test_when_direct_changes_are_captured(self):
        self.check_all("capture", lambda row: IN_FALLBACK.get(row["case"], row["expected"]))

    def complaints(self, session=None):
        return [text for text in super().complaints(session) if not text.startswith("mode: ")]


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
                                             "cannot be refused, and are found late"])

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

    def drop_directly(self):
        """What nobody was asked about, and clients cannot follow."""
        self.session.run("CALL electric.capture(); CREATE TABLE other (id int PRIMARY KEY, a text); CALL electric.enable('other');"
                         "CALL electric.capture(); SELECT count(*) FROM electric.sweep()")
        self.admin.run("ALTER TABLE other DROP a")

    def test_what_others_did_is_not_the_fault_of_the_next(self):
        self.drop_directly()
        for committed in ("false", "true"):
            self.session.run(f"BEGIN; ALTER TABLE items ADD c_{committed} int; CALL electric.capture({committed}); COMMIT")
        self.assertEqual(self.migrations(2), ["add_column"] * 2)
        self.session.run("BEGIN; ALTER TABLE other ADD c int")
        self.assertEqual(self.session.ask("CALL electric.capture(false)")[0]["C"], "EX010")
        self.session.run("ROLLBACK")

    def test_what_was_committed_is_only_warned_about_and_once(self):
        self.drop_directly()
        answers = self.session.query("CALL electric.capture()")
        (warning,) = [m.fields() for m in answers if m.type == "N"]
        self.assertEqual((warning["S"], warning["C"], warning["t"], warning["D"]),
                         ("WARNING", "EX010", "other", 'Cannot drop column "a" of electrified table "public"."other"'))
        self.assertEqual(self.session.ask("CALL electric.capture()"), (None, []))
        self.assertEqual(len(self.sweep()), 1)

    def test_a_procedure_that_commits(self):
        self.session.run("CREATE PROCEDURE p(sql text) LANGUAGE plpgsql AS 'BEGIN EXECUTE sql; COMMIT; END';"
                         "CALL p('CREATE INDEX i ON items (b)')")
        error, notices = self.session.ask("CALL electric.capture()")
        self.assertEqual((error, notices), (None, [("NOTICE", 'Migration affecting electrified table "public"."items"')]))
        self.assertEqual(self.migrations(1), ["create_index"])
        self.session.run("CALL p('ALTER TABLE items DROP b')")
        self.assertEqual(self.session.ask("CALL electric.capture()"), (None, [
            ("WARNING", 'Electrified table "public"."items" has changed in a way that clients cannot follow')]))

    def test_without_a_lock_on_the_table(self):
        self.session.run("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE m (id int PRIMARY KEY, m mood); CREATE INDEX mi ON m (m);"
                         "CALL electric.enable('m')")
        for sqlstate, sql in (("EX013", "ALTER TYPE mood RENAME VALUE 'a' TO 'b'"), ("EX013", "ALTER TYPE mood ADD VALUE 'b'"),
                              ("EX013", "ALTER TYPE mood RENAME TO moods"), ("EX014", "ALTER SCHEMA public RENAME TO p"),
                              ("EX003", "ALTER INDEX mi RENAME TO mj"), ("EX007", "CREATE TABLE child () INHERITS (m)"),
                              ("EX007", "CREATE TABLE parent (id int NOT NULL, m mood); ALTER TABLE m INHERIT parent")):
            with self.subTest(sql):
                self.session.run(f"BEGIN; {sql}")
                error, _ = self.session.ask("CALL electric.capture(false)")
                self.assertEqual(error and error["C"], sqlstate)
                self.session.run("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ; SAVEPOINT a")
                self.session.run(f"{sql}; ROLLBACK TO a; CALL electric.capture(false); COMMIT")

    def test_a_snapshot_older_than_the_table_in_the_set(self):
        self.session.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; CALL electric.capture(false)")
        self.connect("app").run("CALL electric.enable('plain')")
        self.session.run("ALTER TABLE plain ADD c int")
        self.assertEqual(self.session.ask("CALL electric.capture(false)")[0]["C"], "40001")

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
        self.assertEqual(install(self.cluster.url(self.dbname, user="app", password="app"), capture=True)["status"], "OK")
        self.session.run("ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(), ["create_table", "add_column"])
        self.assertEqual(self.complaints(), [])


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, FallbackCases)


if __name__ == "__main__":
    unittest.main()
