"""An electrified database, dumped and restored: it goes on where it was, before and after a server starts on it.

With more majors in PG_BINDIRS it also moves to newer ones, as far as the installed pg_dump can read.
"""

import json
import os
import subprocess
import unittest

from tests.support.cluster import Cluster, find_bindir
from tests.support.migrations import DATABASE, MODEL, MigrationTest, Proxied
from tests.support.programs import Server
from tests.support.schema import Session, bindirs, major_of

TOOLS = find_bindir()  # where pg_dump, pg_restore and psql are
LEDGER = "SELECT json_build_array(seq, version, label, ops, encode(hash, 'hex')) FROM electric.migrations ORDER BY seq"

# Dropped columns make holes that a dump closes; names, enums and expressions need care when spelled.
SCHEMA = """
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE "Lists" (gone int, id uuid PRIMARY KEY, title text, also_gone int);
    CREATE TABLE items (id int PRIMARY KEY, gone text, a text NOT NULL, b int, m mood,
                        list_id uuid REFERENCES "Lists" (id) ON DELETE CASCADE);
    ALTER TABLE "Lists" DROP gone, DROP also_gone; ALTER TABLE items DROP gone;
    CREATE INDEX items_a ON items (lower(a), b DESC) WHERE b > 3 AND a <> 'ü';
    ALTER TABLE "Lists" ENABLE ELECTRIC; ALTER TABLE items ENABLE ELECTRIC;
    ALTER TABLE items ADD COLUMN c timestamptz; CREATE INDEX ON "Lists" (title);
    ELECTRIC GRANT SELECT ON items TO 'reader';
    INSERT INTO "Lists" VALUES ('11111111-1111-1111-1111-111111111111', 'one');
    INSERT INTO items (id, a, list_id) VALUES (1, 'x', '11111111-1111-1111-1111-111111111111')"""


def run_tool(name, *arguments, data=None):
    done = subprocess.run([os.path.join(TOOLS, name), *arguments], input=data, capture_output=True, timeout=60)
    if done.returncode != 0 or done.stderr:
        raise AssertionError(f"{name} exited with {done.returncode}: {done.stderr.decode()}")
    return done.stdout


def move(source, target, *flags, plain=False, single=False):
    """Dumps the database at the URL `source` and restores it at `target`."""
    once = ["--single-transaction"] if single else []
    if plain:
        script = run_tool("pg_dump", "--format=plain", *flags, source)
        run_tool("psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, *once, "-d", target, data=script)
    else:
        archive = run_tool("pg_dump", "--format=custom", source)
        run_tool("pg_restore", *flags, *once, "-d", target, data=archive)


class RestoredTest(MigrationTest):
    """What holds of a restored database."""

    @classmethod
    def prepare(cls, session):
        session.run(SCHEMA)

    def setUp(self):
        super().setUp()
        if not os.path.exists(os.path.join(TOOLS, "pg_dump")):
            self.skipTest("no pg_dump beside Postgres")
        self.original = self.ledger(self.session)

    def ledger(self, session):
        return [json.loads(row) for row in session.column(LEDGER)]

    def check_restored(self, cluster, database):
        """Twice: changed before a server starts on it or not."""
        with Session(cluster, database) as self.session:
            self.assertEqual(self.ledger(self.session), self.original)
            token = self.session.value("SELECT value FROM electric.settings WHERE name = 'proxied_token'")
        for change_before in (True, False):
            copy = f"{database}_{'changed' if change_before else 'as_it_was'}"
            with Session(cluster) as session:
                session.run(f"CREATE DATABASE {copy} TEMPLATE {database}")
            with Session(cluster, copy) as self.session:
                if change_before:
                    self.assert_refused("EX020", "ALTER TABLE items ADD COLUMN x text", self.session)
                    with Session(cluster, copy, options=f"-c electric.proxied={token}") as marked:
                        self.check_migrations(marked, "before")
                with Server(cluster.url(copy), CAPTURE="true") as server, \
                        Proxied(server.pg_port, server.password, copy) as session:
                    self.assert_sound()
                    self.check_migrations(session, "after")
                    self.check_ddlx(session)
                self.assertEqual(self.ledger(self.session)[:len(self.original)], self.original)

    def check_migrations(self, session, name):
        """Changes go on being judged and captured, in transactions and without."""
        before = self.head()
        for code, sql in (("EX010", "ALTER TABLE items DROP COLUMN b"), ("EX004", 'DROP TABLE "Lists" CASCADE'),
                          ("EX008", "ALTER TABLE items RENAME c TO d"), ("EX002", 'ALTER TABLE "Lists" RENAME TO lists'),
                          ("EX013", "ALTER TYPE mood ADD VALUE 'happy'"), ("EX003", "ALTER INDEX items_a RENAME TO items_b"),
                          ("EX014", "ALTER SCHEMA public RENAME TO private")):
            self.assert_refused(code, sql, session)
        session.run(f"ALTER TABLE items ADD COLUMN {name} text; BEGIN; CREATE INDEX {name}_i ON items (b);"
                    f'ALTER TABLE "Lists" ADD COLUMN {name} int; COMMIT; CREATE TABLE {name}_plain (id int);'
                    f"DROP INDEX {name}_i; INSERT INTO items (id, a) SELECT max(id) + 1, '{name}' FROM items")
        self.assertEqual(self.migrations(before), ["add_column", "create_index,add_column", "drop_index"])
        self.assert_sound()

    def check_ddlx(self, session):
        before = self.head()
        session.run("CREATE TABLE fresh (id int PRIMARY KEY, item int REFERENCES items, m mood);"
                    "ALTER TABLE fresh ENABLE ELECTRIC; ELECTRIC REVOKE SELECT ON items FROM 'reader';"
                    "ALTER TABLE fresh DISABLE ELECTRIC")
        self.assertEqual(self.migrations(before), ["create_table", "revoke", "disable_table"])
        self.assert_sound()


class DumpTest(RestoredTest):
    """Within one cluster, into databases that are empty, or have an older or a newer copy of it."""

    def target(self, name, template="template1"):
        with Session(self.cluster) as session:
            session.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        self.addCleanup(self.drop_all, name)
        with Session(self.cluster, name) as session:
            # So that oids differ, and some mean other things than before.
            session.run("; ".join(f"CREATE TABLE filler{i} (id int PRIMARY KEY)" for i in range(20)))
        return name

    def drop_all(self, name):
        with Session(self.cluster) as session:
            for database in session.column(f"SELECT datname FROM pg_database WHERE datname LIKE '{name}%'"):
                session.run(f"DROP DATABASE {database} WITH (FORCE)")

    def check_move(self, target, *flags, **how):
        move(self.cluster.url(DATABASE), self.cluster.url(target), *flags, **how)
        self.check_restored(self.cluster, target)

    def test_custom_format(self):
        self.check_move(self.target("custom"))

    def test_plain_script(self):
        self.check_move(self.target("plain"), plain=True)

    def test_custom_format_in_one_transaction_over_an_older_copy(self):
        with self.through() as session:
            session.run("ALTER TABLE items ADD COLUMN newer text")
        self.original = self.ledger(self.session)
        self.check_move(self.target("older", MODEL), "--clean", "--if-exists", single=True)

    def test_plain_script_over_a_newer_copy(self):
        target = self.target("newer", MODEL)
        with Server(self.cluster.url(target), CAPTURE="true") as server, \
                Proxied(server.pg_port, server.password, target) as session:
            session.run("ALTER TABLE items ADD COLUMN newer text")
        self.check_move(target, "--clean", "--if-exists", plain=True)


class UpgradeTest(unittest.TestCase):
    """To another major, where the same expression may be spelled in another way."""

    def test_to_newer_majors(self):
        found = bindirs()
        pairs = [(max(older), major) for major in found
                 if (older := [one for one in found if one < major and one <= major_of(TOOLS)])]
        if not pairs:
            self.skipTest("no two majors in PG_BINDIRS")
        for old, new in pairs:
            with self.subTest(f"{old} to {new}"):
                self.move_between(found[old], found[new])

    def move_between(self, old, new):
        class Source(RestoredTest):
            bindir = old

            def runTest(self):
                with Cluster(bindir=new) as cluster:
                    with Session(cluster) as session:
                        session.run("CREATE DATABASE moved")
                    move(self.cluster.url(DATABASE), cluster.url("moved"))
                    self.check_restored(cluster, "moved")

        result = unittest.TestResult()
        unittest.TestSuite([Source()]).run(result)
        for _, trace in result.failures + result.errors:
            self.fail(trace)
        self.assertEqual((result.testsRun, result.skipped), (1, []))


if __name__ == "__main__":
    unittest.main()
