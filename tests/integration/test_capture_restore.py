"""A dumped and restored database: oids, xids and maybe the major version are others, and rights may be missing."""

import shutil
import subprocess
import unittest

from tests.integration.test_capture import EngineTest
from tests.support.cluster import Cluster, find_bindir
from tests.support.schema import Session, install, major_of, on_each_major


def programs():
    """pg_dump and pg_restore of the default major: not every Postgres comes with them."""
    found = [shutil.which(name, path=find_bindir()) for name in ("pg_dump", "pg_restore")]
    if None in found:
        raise unittest.SkipTest("no pg_dump beside Postgres")
    return found


class Restore(EngineTest):
    """A dumped and restored database, before and after a server has started on it."""

    def setUp(self):
        super().setUp()
        pg_dump, pg_restore = programs()
        self.session.run("CREATE TABLE holes (x int, id int PRIMARY KEY, y int, z int); ALTER TABLE holes DROP x;"
                         "CALL electric.enable('holes'); CREATE INDEX ON holes (lower(y::text)) WHERE z > 3")
        dump = subprocess.run([pg_dump, "-Fc", self.cluster.url(self.dbname)], check=True, capture_output=True).stdout
        self.dbname = self.createdb("template0")
        self.addCleanup(self.dropdb, self.dbname)
        self.session = self.connect()
        # So that oids differ, and some mean other things than before.
        self.session.run(";".join(f"CREATE TABLE filler{i} (id int)" for i in range(20)))
        subprocess.run([pg_restore, "-d", self.cluster.url(self.dbname)], input=dump, check=True, capture_output=True)

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


class Transfer(EngineTest):
    """From the default major to another, and to a role that may not create event triggers."""

    # Expressions of every kind that Postgres prints, maybe in another way than before.
    TABLES = """CREATE TABLE t (x int, id int PRIMARY KEY, m mood, ts timestamptz, f float8, l uuid REFERENCES lists
            ON DELETE SET NULL DEFERRABLE, b bool, v text);
        ALTER TABLE t DROP x; CALL electric.enable('t');
        CREATE INDEX i1 ON t (lower(v), (f + 1.5)) WHERE ts > '2020-01-01' AND v <> '' AND m = 'ok';
        CREATE INDEX i2 ON t (v text_pattern_ops, ts DESC) INCLUDE (b) WHERE v IN ('x', 'y') AND b IS NOT TRUE;
        CREATE INDEX i3 ON t ((CASE WHEN b THEN 1 ELSE 2 END), (v COLLATE "C"), date_trunc('day', ts AT TIME ZONE 'UTC'))"""

    target = None

    @classmethod
    def setUpClass(cls):
        cls.target, cls.bindir = cls.bindir, find_bindir()
        if major_of(cls.target) < major_of(cls.bindir):
            raise unittest.SkipTest("a dump is for the same major or a newer one")
        programs()
        super().setUpClass()

    def setUp(self):
        super().setUp()
        pg_dump, self.pg_restore = programs()
        self.session.run(self.TABLES)
        self.dump = subprocess.run([pg_dump, "-Fc", self.cluster.url(self.dbname)], check=True, capture_output=True).stdout
        self.other = self.enterContext(Cluster(bindir=self.target))
        with Session(self.other) as session:
            session.run("CREATE ROLE dev; CREATE ROLE app LOGIN PASSWORD 'app'; CREATE DATABASE d OWNER app TEMPLATE template0")
        with Session(self.other, "d") as session:
            session.run("ALTER SCHEMA public OWNER TO app")

    def restore(self, *flags, **login):
        subprocess.run([self.pg_restore, *flags, "-d", self.other.url("d", **login)], input=self.dump, capture_output=True, check=False)

    def judge(self, session, after=""):
        """Refused and captured as ever; `after` is run after each statement."""
        for sql, sqlstate in (("ALTER TABLE t DROP v", "EX010"), ("DROP TABLE lists CASCADE", "EX004"), ("ALTER TABLE t RENAME TO u", "EX002"),
                              ("ALTER TYPE mood ADD VALUE 'c'", "EX013"), ("ALTER TABLE t ADD n int", None),
                              ("CREATE INDEX ON lists (title)", None), ("CREATE TABLE other (id int)", None), ("DROP INDEX i3", None)):
            with self.subTest(sql):
                session.run("BEGIN")
                error = session.ask(sql)[0] or after and session.ask(after)[0] or None
                session.run("COMMIT")
                self.assertEqual(error and error["C"], sqlstate)
        self.assertEqual(self.migrations(6, session), ["add_column", "create_index", "drop_index"])
        self.assertEqual(self.sweep(session), [])

    def test_judged_before_a_server_has_started(self):
        self.restore()
        with Session(self.other, "d") as session:
            self.judge(session)
            self.assertEqual(install(self.other.url("d"), capture=True)["status"], "OK")
            self.assertEqual((self.sweep(session), self.complaints(session)), ([], []))

    def test_judged_after_a_server_has_started(self):
        self.restore()
        self.assertEqual(install(self.other.url("d"), capture=True)["status"], "OK")
        with Session(self.other, "d") as session:
            self.assertEqual(self.sweep(session), [])
            self.judge(session)
            self.assertEqual(self.complaints(session), [])

    def test_without_the_right_to_create_event_triggers(self):
        """Nor does the dump bring any privileges."""
        app = {"user": "app", "password": "app"}
        self.restore("--no-owner", "--no-acl", **app)
        answer = install(self.other.url("d", **app), capture=True)
        self.assertEqual((answer["status"], answer["mode"]), ("OK", "fallback"), answer)
        with Session(self.other, "d", "app") as session:
            self.judge(session, "CALL electric.capture(false)")


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, Transfer)


if __name__ == "__main__":
    unittest.main()
