"""Tables that share something, electrified by two transactions at once: clients are told of it once."""

import threading
import unittest

from tests.support.schema import DatabaseTest


class TogetherTest(DatabaseTest):
    capture = True

    def in_two_transactions(self, first, second):
        """The first commits once the second waits for it, or has gone on without waiting."""
        one, other = self.connect(), self.connect()
        one.run(f"BEGIN; {first}")
        pid = other.value("SELECT pg_backend_pid()")
        other.run("BEGIN")
        thread = threading.Thread(target=other.run, args=(second,))
        thread.start()
        waits = f"SELECT EXISTS (SELECT FROM pg_locks WHERE pid = {pid} AND NOT granted)::text"
        while thread.is_alive() and self.session.value(waits) == "false":
            thread.join(0.01)
        waited = thread.is_alive()
        one.run("COMMIT")
        thread.join(20)
        self.assertFalse(thread.is_alive())
        other.run("COMMIT")
        return waited

    def ops(self, kind):
        return self.session.value("SELECT coalesce(jsonb_agg(op ORDER BY seq), '[]')::text FROM electric.migrations,"
                                  f" jsonb_array_elements(ops) AS op WHERE op->>'op' = '{kind}'")

    def test_an_enum_is_created_once(self):
        self.session.run("CREATE TYPE mood AS ENUM ('good', 'bad');"
                         "CREATE TABLE a (id int PRIMARY KEY, m mood); CREATE TABLE b (id int PRIMARY KEY, m mood)")
        self.assertTrue(self.in_two_transactions("CALL electric.enable('a')", "CALL electric.enable('b')"))
        self.assertEqual(self.ops("create_type").count("mood"), 1)

    def test_an_enum_is_dropped_once(self):
        self.session.run("CREATE TYPE mood AS ENUM ('good', 'bad');"
                         "CREATE TABLE a (id int PRIMARY KEY, m mood); CREATE TABLE b (id int PRIMARY KEY, m mood);"
                         "CALL electric.enable('a'); CALL electric.enable('b')")
        self.assertTrue(self.in_two_transactions("CALL electric.disable('a')", "CALL electric.disable('b')"))
        self.assertEqual(self.ops("drop_type").count("mood"), 1)

    def test_a_foreign_key_is_not_lost(self):
        for number, (first, second) in enumerate((("parent", "child"), ("child", "parent"))):
            parent, child = f"parent{number}", f"child{number}"
            names = {"parent": parent, "child": child}
            self.session.run(f"CREATE TABLE {parent} (id int PRIMARY KEY);"
                             f"CREATE TABLE {child} (id int PRIMARY KEY, p int REFERENCES {parent})")
            self.assertTrue(self.in_two_transactions(f"CALL electric.enable('{names[first]}')",
                                                     f"CALL electric.enable('{names[second]}')"))
            told = self.session.value(
                "SELECT count(*)::text FROM electric.migrations, jsonb_array_elements(ops) AS op"
                f" WHERE op->>'table' = '{child}' AND (op->>'op' = 'add_foreign_key' OR"
                " op @> '{\"foreign_keys\": [{\"electrified\": true}]}')")
            self.assertEqual(told, "1", (first, second))

    def test_tables_that_share_nothing_do_not_wait(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)")
        self.assertFalse(self.in_two_transactions("CALL electric.enable('a')", "CALL electric.enable('b')"))


if __name__ == "__main__":
    unittest.main()
