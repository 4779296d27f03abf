"""Migrations as clients apply them: with the real SQLite and Postgres, and compared with the source.

The random test is the same each time; RENDER_SEEDS=7,8,9 are others, and RENDER_STEPS=1000 makes each of
them longer.
"""

import csv
import json
import os
import shutil
import sqlite3
import subprocess
import unittest

from tests.end_to_end import tools
from tests.integration import render_differences
from tests.integration.render_random import Schema
from tests.integration.render_rig import EVERYTHING, Renderer, Replica, SQLITE_TYPES, dump, read_catalog, run
from tests.support.schema import DatabaseTest, Session

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))
SEEDS = [int(seed) for seed in os.environ.get("RENDER_SEEDS", "1,2,3,4").split(",")]
STEPS = int(os.environ.get("RENDER_STEPS", "75"))


class RenderTest(DatabaseTest):
    """A source with capture on, and a client of each dialect."""

    capture = True

    def setUp(self):
        super().setUp()
        self.connect_replica(self.dbname)

    def connect_replica(self, dbname):
        if dbname != self.dbname:
            self.addCleanup(self.dropdb, dbname)
        self.dbname, self.session = dbname, self.connect(dbname=dbname)
        run(self.session, "UPDATE electric.settings SET value = 'capture' WHERE name = 'direct_ddl'")
        run(self.session, "CREATE FUNCTION public.own(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1'")
        self.target = self.createdb("template0")
        self.addCleanup(self.dropdb, self.target)
        self.replica = Replica(self.enterContext(Renderer()), self.session,
                               self.enterContext(Session(self.cluster, self.target)))
        self.addCleanup(self.replica.close)

    def compare(self):
        self.assertEqual(read_catalog(self.replica.postgres, EVERYTHING), self.replica.expected_in_postgres())
        self.assertEqual(self.replica.found_in_sqlite(), self.replica.expected_in_sqlite())

    def compare_dumps(self):
        """But for what is not electrified, and what was said to be left out."""
        source, target = (dump(self.cluster, name) for name in (self.dbname, self.target))
        self.assertEqual(target, {key: text for key, text in source.items() if key in target})
        tables = self.replica.expected_in_postgres()
        types = {f"public.{kind}" for table in tables.values() for kind in table["enums"] or ()}
        counted = {"TABLE": len(tables), "TYPE": len(types),
                   "INDEX": sum(len(table["indexes"]) for table in tables.values()),
                   "CONSTRAINT": len(tables),
                   "FK CONSTRAINT": sum(len(table["foreign_keys"]) for table in tables.values())}
        found = {kind: sum(key[0] == kind for key in target) for kind in counted}
        self.assertEqual(found, counted)
        self.assertEqual({kind for kind, _ in target} - set(counted), set())

    def change(self, *statements):
        run(self.session, "; ".join(statements))
        self.replica.follow()
        self.compare()

    def last(self, dialect="sqlite"):
        return self.replica.rendered[dialect][-1]


# -- shapes -----------------------------------------------------------------------------------------

# Each a table `t`, and what else it takes.
SHAPES = {
    "one column": "CREATE TABLE t (id uuid PRIMARY KEY)",
    "all types": "CREATE TABLE t (id int PRIMARY KEY, " + ", ".join(f"c_{kind} {kind}, n_{kind} {kind} NOT NULL"
                                                                  for kind in SQLITE_TYPES) + ")",
    "each type as a key": "; ".join(f"CREATE TABLE k_{kind} (id {kind} PRIMARY KEY); CALL electric.enable('k_{kind}')"
                                    for kind in SQLITE_TYPES if kind != "jsonb")
                          + "; CREATE TABLE t (id text PRIMARY KEY)",
    "a key of several columns, not in their order": "CREATE TABLE t (a int, b text, c uuid, PRIMARY KEY (c, a))",
    "a named key": 'CREATE TABLE t (id int, CONSTRAINT "the ""key""" PRIMARY KEY (id))',
    "keys with options": """CREATE TABLE u (a int, "b) INCLUDE (c" int, c int, PRIMARY KEY (a, "b) INCLUDE (c") INCLUDE (c));
                CALL electric.enable('u'); CREATE TABLE t (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED)""",
    "names": '''CREATE TABLE "select" (id int PRIMARY KEY, "order" text, "a ""b""" text, "it's" text, "Ünï" text, "x.y" text,
                ";" text, "--" text, "[z]" text, "`" text, rowid text, "%s" int);
                CALL electric.enable('"select"'); CREATE TABLE t (id int PRIMARY KEY)''',
    "a dropped column": "CREATE TABLE t (a int, id int PRIMARY KEY, b int); ALTER TABLE t DROP a",
    "enums": """CREATE TYPE "Mood" AS ENUM ('sad', 'Ok_2'); CREATE TYPE m2 AS ENUM ('x');
                CREATE TABLE t (id "Mood" PRIMARY KEY, a m2, b m2 NOT NULL)""",
    "collations": 'CREATE TABLE t (id text COLLATE "C" PRIMARY KEY, a text COLLATE "POSIX", b varchar COLLATE "C")',
    "a foreign key to itself": "CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES t ON DELETE CASCADE)",
    "actions": "CREATE TABLE p (a int, b text, PRIMARY KEY (a, b)); CALL electric.enable('p'); CREATE TABLE t (id int PRIMARY KEY, "
               + ", ".join(f"a{i} int, b{i} text, FOREIGN KEY (b{i}, a{i}) REFERENCES p (b, a) ON DELETE {action} ON UPDATE {action}"
                           for i, action in enumerate(("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"))) + ")",
    "deferrable foreign keys": """CREATE TABLE p (a int PRIMARY KEY); CALL electric.enable('p'); CREATE TABLE t (id int PRIMARY KEY,
                b int REFERENCES p DEFERRABLE, c int REFERENCES p DEFERRABLE INITIALLY DEFERRED, d int REFERENCES p MATCH FULL)""",
    "several foreign keys on one column": """CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE q (a int PRIMARY KEY);
                CALL electric.enable('p'); CALL electric.enable('q');
                CREATE TABLE t (id int PRIMARY KEY REFERENCES p REFERENCES q REFERENCES p (a) ON DELETE CASCADE)""",
    "indexes": """CREATE TABLE t (id int PRIMARY KEY, a text, b int, c bool); CREATE INDEX i1 ON t (a, b DESC);
                CREATE INDEX i2 ON t (lower(a), (b + 1) DESC NULLS LAST) WHERE c AND b > 0; CREATE INDEX i3 ON t (b, b) INCLUDE (a)""",
}


class Applied(RenderTest):
    def test_every_shape(self):
        """Enabled, changed, disabled and enabled again."""
        for name, sql in SHAPES.items():
            with self.subTest(name):
                for step in (sql + "; CALL electric.enable('t')", "ALTER TABLE t ADD z1 text, ADD z2 int NOT NULL",
                             "CREATE INDEX z3 ON t (z1, z2)", "DROP INDEX z3", "CALL electric.disable('t')",
                             "CALL electric.enable('t')"):
                    self.change(step)
                self.compare_dumps()
            self.remove_tables()

    def remove_tables(self):
        run(self.session, """DO $$
            DECLARE
                name text;
            BEGIN
                FOR name IN SELECT e.name FROM electric.electrified e ORDER BY e.name <> 't' LOOP
                    CALL electric.disable(quote_ident(name));
                    EXECUTE format('DROP TABLE %I', name);
                END LOOP;
                DROP TYPE IF EXISTS "Mood", m2;
            END $$""")
        self.replica.follow()

    # -- single migrations --------------------------------------------------------------------------

    def test_a_migration_of_the_legacy_tests(self):
        self.change("CREATE TABLE d (id uuid PRIMARY KEY, value text NOT NULL)", "CALL electric.enable('d')",
                    "ALTER TABLE d ADD COLUMN is_valid boolean")
        self.assertEqual(self.last()["sql"], 'CREATE TABLE "d" (\n  "id" TEXT NOT NULL,\n  "value" TEXT NOT NULL,\n'
                         '  CONSTRAINT "d_pkey" PRIMARY KEY ("id")\n);\n\nALTER TABLE "d" ADD COLUMN "is_valid" INTEGER;\n')
        self.assertEqual(len(self.last()["metadata"]["ops"]), 2)

    def test_tables_that_refer_to_each_other(self):
        self.change("CREATE TABLE a (id int PRIMARY KEY, b int); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a);"
                    "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b DEFERRABLE INITIALLY DEFERRED;"
                    "CALL electric.enable('a'); CALL electric.enable('b')")
        self.replica.sqlite.execute("BEGIN; ")
        self.replica.sqlite.execute("INSERT INTO a VALUES (1, 2)")
        self.replica.sqlite.execute("INSERT INTO b VALUES (2, 1)")
        self.replica.sqlite.execute("COMMIT")
        with self.assertRaises(sqlite3.IntegrityError):
            self.replica.sqlite.execute("INSERT INTO b VALUES (3, 3)")

    def test_a_target_that_joins_later(self):
        self.change("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p);"
                    "CALL electric.enable('t')")
        self.assertEqual([entry["foreign_key"] for entry in self.last()["details"]["omitted"]], ["t_p_fkey"])
        self.change("CALL electric.enable('p')")
        self.assertEqual([entry["foreign_key"] for entry in self.last()["details"]["omitted"]], ["t_p_fkey"])
        self.assertNotIn("omitted", self.last("postgresql")["details"])

    def test_clients_with_rows_take_every_change(self):
        self.change("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p);"
                    "CALL electric.enable('p'); CALL electric.enable('t')")
        self.replica.sqlite.executescript("INSERT INTO p VALUES (1); INSERT INTO t VALUES (1, 1)")
        self.change("ALTER TABLE p ADD a text NOT NULL")
        self.change("CALL electric.disable('t')")
        self.change("CALL electric.disable('p')")

    def test_statements_for_sqlite_and_permissions(self):
        self.change("CREATE TABLE t (id int PRIMARY KEY, v text); CALL electric.enable('t')")
        run(self.session, "CALL electric.sqlite('CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET v = '';''; END; -- x')")
        run(self.session, """CALL electric.grant_privileges('{"privileges": [{"name": "select"}], "tables": ["t"],
                             "roles": [{"special": "anyone"}]}')""")
        self.replica.follow()
        self.replica.sqlite.execute("INSERT INTO t VALUES (1, 'x')")
        self.assertEqual(self.replica.sqlite.execute("SELECT v FROM t").fetchall(), [(";",)])
        self.assertEqual([rule["privilege"] for rule in self.last()["details"]["rules"]], ["select"])
        self.assertEqual((self.last()["sql"], self.last()["metadata"]["ops"]), ("", []))

    def test_the_command_line_shell_reads_the_files(self):
        shell = shutil.which("sqlite3")
        if shell is None:
            self.skipTest("no sqlite3 (package sqlite3)")
        for sql in SHAPES["names"], "ALTER TABLE \"select\" ADD \"n;\"\"x\" int":
            self.change(sql)
        script = "PRAGMA foreign_keys = ON;\n" + "".join(answer["sql"] for answer in self.replica.rendered["sqlite"])
        done = subprocess.run([shell, "-bail", ":memory:"], input=script + "SELECT name FROM pragma_table_info('select');",
                              text=True, capture_output=True, timeout=20)
        self.assertEqual(done.stderr, "")
        self.assertEqual(done.stdout.splitlines()[-1], 'n;"x')

    # -- random schemas -----------------------------------------------------------------------------

    def test_random_migrations(self):
        for seed in SEEDS:
            with self.subTest(seed=seed):
                self.connect_replica(self.createdb())
                self.walk(seed)

    def walk(self, seed):
        schema = Schema(seed)
        migrations = 0
        for number in range(STEPS):
            statements = schema.step()
            if not statements:
                continue
            try:
                run(self.session, "BEGIN; " + "; ".join(statements) + "; COMMIT")
                migrations += self.replica.follow()
                self.compare()
                self.check_left_out(schema)
            except Exception as error:
                raise AssertionError(f"seed {seed}, step {number}: {error}\n" + ";\n".join(statements)) from error
        self.compare_dumps()
        print(f"seed {seed}: {STEPS} steps, {migrations} migrations, {len(schema.electrified())} tables in the end")

    def check_left_out(self, schema):
        """Exactly what the generator knows to be impossible."""
        existing = {index for table in schema.electrified() for index in table.indexes}
        for dialect, impossible in schema.not_in.items():
            found = {name for left, kind, _, name in self.replica.left_out if left == dialect and kind == "index"}
            self.assertEqual(found, existing & impossible, dialect)


# -- as client libraries read it --------------------------------------------------------------------


class Decoded(RenderTest):
    """metadata.json, decoded by protobufjs and by the legacy client's own code."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tools.legacy_cli()
        super().setUpClass()

    def decode(self):
        """(the legacy client's own tables, answers by dialect)."""
        lines = [{"dialect": dialect, "metadata": answer["metadata"]}
                 for dialect in ("sqlite", "postgresql") for answer in self.replica.rendered[dialect]]
        done = subprocess.run(
            [shutil.which("node"), os.path.join(HERE, "render_decode.mjs"), self.directory,
             os.path.join(TOP, "server/render/satellite.proto")],
            input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        base, *answers = map(json.loads, done.stdout.splitlines())
        self.assertEqual(len(answers), len(lines))
        half = len(answers) // 2
        return base, {"sqlite": answers[:half], "postgresql": answers[half:]}

    def test_messages_have_what_was_asked(self):
        schema = Schema(11)
        tables = []
        for _ in range(25):
            statements = schema.step()
            run(self.session, "BEGIN; " + "; ".join(statements) + "; COMMIT" if statements else "")
            if self.replica.follow():
                tables.append(self.replica.expected())
        _, decoded = self.decode()
        for dialect, answers in decoded.items():
            for rendered, answer, expected in zip(self.replica.rendered[dialect], answers, tables, strict=True):
                self.check_statements(dialect, rendered, answer["ops"])
                for op in answer["ops"]:
                    self.assertEqual(op["version"], rendered["metadata"]["version"])
                    if op.get("table"):
                        self.check_table(op["table"], expected[op["table"]["name"]], expected)

    def check_statements(self, dialect, rendered, ops):
        statements = [statement["sql"] for op in ops for statement in op["stmts"]]
        if dialect == "postgresql":
            statements = [sql + ";\n" for sql in statements]
        self.assertEqual("\n".join(statements), rendered["sql"])
        self.assertEqual([sql + ";\n" for sql in rendered["event"]["sql"]], statements)
        self.assertEqual(rendered["event"]["ops"], rendered["metadata"]["ops"])

    def check_table(self, found, table, tables):
        self.assertEqual(
            [(column["name"], column["sqliteType"], column["pgType"]["name"]) for column in found["columns"]],
            [(column["name"], "TEXT" if column["enum"] else SQLITE_TYPES[column["type"]], column["type"])
             for column in table["columns"]])
        self.assertEqual(found["pks"], table["primary_key"]["columns"])
        self.assertEqual(
            sorted((key["pkTable"], key["fkCols"], key["pkCols"]) for key in found["fks"]),
            sorted((key["target"], [key["columns"][0][0]], [key["columns"][0][1]])
                   for key in table["foreign_keys"].values() if key["target"] in tables and len(key["columns"]) == 1))

    def test_enums(self):
        self.change("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t (id int PRIMARY KEY, m mood); CALL electric.enable('t')")
        _, decoded = self.decode()
        for dialect, kinds in (("sqlite", []), ("postgresql", [2])):
            op = decoded[dialect][0]["ops"][0]
            self.assertEqual(op["enumType"], {"name": "mood", "values": ["sad", "ok"]})
            self.assertEqual([statement["type"] for statement in op["stmts"]], kinds)

    def test_the_legacy_client_records_all_columns(self):
        self.change("CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p);"
                    "CALL electric.enable('p'); CALL electric.enable('t')")
        self.change("ALTER TABLE t ADD late text")
        base, decoded = self.decode()
        client = sqlite3.connect(":memory:", isolation_level=None)
        self.addCleanup(client.close)
        for migration in [*base, *decoded["sqlite"]]:
            for statement in migration["statements"]:
                client.execute(statement)
        client.execute("INSERT INTO p VALUES (1)")
        client.execute("INSERT INTO t VALUES (1, 1, 'x')")
        rows = client.execute("SELECT newRow FROM _electric_oplog WHERE tablename = 't'").fetchall()
        self.assertEqual([json.loads(row) for row, in rows], [{"id": 1, "p": 1, "late": "x"}])


class Legacy(unittest.TestCase):
    def test_every_fact_is_tested_or_listed(self):
        listed = [one for ids, _, _ in render_differences.DIFFERENCES for one in ids]
        self.assertEqual(len(listed), len(set(listed)))
        self.assertFalse(set(listed) & set(render_differences.RENDERED))


if __name__ == "__main__":
    unittest.main()
