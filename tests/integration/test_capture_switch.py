"""Capture is a choice of the server: on unless CAPTURE says otherwise, and switched by a later start."""

import unittest

from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server, psql


class SwitchTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())

    def serve(self, **variables):
        return Server(self.cluster.url(), **variables)

    def through(self, server, sql, user="postgres"):
        return psql(server.url(user=user), "-v", "VERBOSITY=verbose", "-c", sql)

    def directly(self, sql):
        return psql(self.cluster.url(), "-v", "VERBOSITY=verbose", "-c", sql)

    def assert_works(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def assert_code(self, done, code):
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(f"{code}:", done.stderr)

    def triggers(self):
        return self.cluster.psql("SELECT count(*) FROM pg_event_trigger")

    def ops(self, after=0):
        return self.cluster.psql("SELECT string_agg(op->>'op', ',' ORDER BY seq, number) FROM electric.migrations,"
                                 f" jsonb_array_elements(ops) WITH ORDINALITY AS o(op, number) WHERE seq > {after}")

    def test_off(self):
        with self.serve(CAPTURE="false") as server:
            self.assert_works(self.through(server, "CREATE TABLE items (id int PRIMARY KEY, a text, b text)"))
            self.assert_works(self.through(server, "ALTER TABLE items ENABLE ELECTRIC"))
            for run in (self.directly, lambda sql: self.through(server, sql)):
                self.assert_works(run("ALTER TABLE items ADD c int"))
                self.assert_works(run("ALTER TABLE items DROP c"))
                self.assert_works(run("DROP TABLE items"))
                self.assert_works(run("CREATE TABLE items (id int PRIMARY KEY, a text, b text)"))
                self.assert_works(self.through(server, "ALTER TABLE items ENABLE ELECTRIC"))
            self.assert_works(self.through(server, "ALTER TABLE items DISABLE ELECTRIC"))
            self.assertEqual((self.triggers(), self.ops()), ("0", ""))
            self.assertEqual(self.through(server, "SHOW electric.proxied").returncode, 1)

    def test_on_by_default(self):
        with self.serve() as server:
            self.through(server, "CREATE TABLE items (id int PRIMARY KEY, a text)")
            self.assert_works(self.through(server, "ALTER TABLE items ENABLE ELECTRIC"))
            done = self.through(server, "ALTER TABLE items ADD b text")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((self.triggers(), self.ops()), ("2", "create_table,add_column"))
            self.assert_code(self.through(server, "ALTER TABLE items DROP a"), "EX010")
            self.assert_code(self.directly("ALTER TABLE items ADD c text"), "EX020")
            self.assert_code(self.through(server, "ALTER TABLE items ADD c text", user="transparent"), "EX020")
            self.assertEqual(self.ops(), "create_table,add_column")

    def test_switched_on_a_later_start(self):
        tables = ("kept", "changed", "broken", "dropped", "gone")
        with self.serve(CAPTURE="true") as server:
            for table in tables:
                self.through(server, f"CREATE TABLE {table} (id int PRIMARY KEY, a text)")
                self.assert_works(self.through(server, f"ALTER TABLE {table} ENABLE ELECTRIC"))
        with self.serve(CAPTURE="false") as server:
            self.assertEqual(self.triggers(), "0")
            self.assert_works(self.directly("ALTER TABLE changed ADD b text; ALTER TABLE broken DROP a; DROP TABLE dropped;"
                                            "CREATE TABLE joined (id int PRIMARY KEY)"))
            self.assert_works(self.through(server, "ALTER TABLE gone DISABLE ELECTRIC"))
            self.assert_works(self.through(server, "ALTER TABLE joined ENABLE ELECTRIC"))
            self.assertEqual(self.ops(5), "disable_table")
        with self.serve(CAPTURE="true") as server:
            self.assertEqual(self.triggers(), "2")
            self.assertEqual(self.ops(6), "disable_table,add_column,disable_table,create_table,create_table")
            for table in ("kept", "changed", "broken", "joined"):
                self.assert_code(self.directly(f"ALTER TABLE {table} ADD z text"), "EX020")
            self.assertEqual(self.cluster.psql("SELECT count(*) FROM electric.tables WHERE snapshot IS NULL"), "0")
            self.assertEqual(self.cluster.psql("SELECT count(*) FROM electric.health() WHERE NOT ok"), "0")
            self.assertEqual(self.cluster.psql("SELECT count(*) FROM electric.sweep()"), "0")


if __name__ == "__main__":
    unittest.main()
