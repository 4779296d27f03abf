"""Sessions beside one another: other settings make no difference, and ENABLE misses no change in progress."""

import unittest

from tests.support import wire
from tests.support.migrations import MigrationTest, error_of, tags
from tests.support.process import wait_until

# Everything that changes how Postgres spells expressions.
SETTINGS = (
    "TimeZone = 'Asia/Tokyo'", "DateStyle = 'German, DMY'", "IntervalStyle = 'iso_8601'", "quote_all_identifiers = on",
    "extra_float_digits = -5", "bytea_output = 'escape'", "standard_conforming_strings = off", "xmlbinary = 'hex'",
    "lc_monetary = 'C.UTF-8'", "search_path = s, public", "client_encoding = 'LATIN1'", "array_nulls = off",
    "escape_string_warning = off", "transform_null_equals = on")


class SessionsTest(MigrationTest):
    @classmethod
    def prepare(cls, session):
        session.run(r"""
            CREATE TABLE items (id int PRIMARY KEY, a text, "B" int, at timestamptz, d date, f float8, y bytea);
            CREATE INDEX by_time ON items (at) WHERE at > '2020-01-02 03:04:05+00' AND d < '2021-02-03';
            CREATE INDEX by_expression ON items ((f * 1.1), ("B" + 1) DESC, lower(a)) WHERE a <> 'it''s' AND y <> '\x00ff';
            CREATE INDEX by_interval ON items (id) WHERE d - '2020-01-01'::date > 3 AND f = '0.1'::float8;
            CREATE TABLE plain (id int PRIMARY KEY); CREATE SCHEMA s;
            ALTER TABLE items ENABLE ELECTRIC""")

    # -- settings -----------------------------------------------------------------------------

    NO_CHANGES = ("COMMENT ON TABLE items IS 'x'", "ALTER TABLE items SET (fillfactor = 80)", "REINDEX TABLE items",
                  "ALTER TABLE items ALTER a SET STATISTICS 10", "ALTER INDEX by_time SET (fillfactor = 80)",
                  "ALTER TABLE items ADD COLUMN IF NOT EXISTS a text", "ALTER TABLE items OWNER TO CURRENT_USER")

    def check_no_delta(self, session):
        for sql in self.NO_CHANGES:
            with self.subTest(sql):
                answers = session.query(sql)
                self.assertEqual([one.type for one in answers if one.type in "EN" and "skipping" not in str(one.fields())], [])
        self.assertEqual(self.migrations(self.before), [])
        self.assertEqual(self.sweep(session), [])

    def test_settings_of_a_session(self):
        session = self.through()
        for setting in SETTINGS:
            session.value(f"SET {setting}")
        before = self.all_settings(session)
        self.check_no_delta(session)
        session.run("ALTER TABLE items ADD c int")
        self.through("tunnel").run("CREATE INDEX i ON items (c)")
        self.assertEqual(self.all_settings(session), before)
        self.assert_captured("add_column", "create_index")

    def all_settings(self, session):
        return session.column("SELECT name || ' = ' || setting FROM pg_settings"
                              " WHERE name NOT LIKE 'plpgsql.%' ORDER BY name")  # those come when the library is loaded

    def test_settings_of_the_start_up(self):
        session = self.through(TimeZone="Asia/Tokyo", DateStyle="SQL, DMY", extra_float_digits="3", client_encoding="LATIN1")
        self.check_no_delta(session)

    def test_settings_of_the_database(self):
        for setting in SETTINGS:
            if not setting.startswith("client_encoding"):
                self.session.value(f"ALTER DATABASE app SET {setting}")
        self.check_no_delta(self.through())

    def test_settings_changed_between_two_statements(self):
        first, second = self.through(), self.through("tunnel")
        for i, setting in enumerate(SETTINGS):
            second.value(f"SET {setting}")
            first.run(f"ALTER TABLE items ADD c{i} int")
            second.run(f"ALTER TABLE items ADD d{i} int")
        self.assert_captured(*["add_column"] * 2 * len(SETTINGS))

    # -- ENABLE and changes at once --------------------------------------------------------------

    def send(self, session, sql):
        """Without waiting for the answer, but until Postgres waits for another session's lock."""
        session.send(wire.query(sql))
        wait_until(lambda: self.session.value(f"SELECT wait_event_type FROM pg_stat_activity WHERE pid = {session.pid}")
                   == "Lock", 10, f"{sql} to wait for a lock")

    def columns_published(self):
        return self.session.column("SELECT c->>'name' FROM electric.migrations m, jsonb_array_elements(ops) op,"
                                   " jsonb_array_elements(op->'columns') WITH ORDINALITY AS o(c, n)"
                                   f" WHERE seq > {self.before} ORDER BY seq, n")

    def test_enable_while_a_column_is_being_added(self):
        for end, columns in (("ROLLBACK", ["id"]), ("COMMIT", ["id", "c"])):
            with self.subTest(end):
                adds, enables = self.through(), self.through("tunnel")
                adds.run("BEGIN; ALTER TABLE plain ADD c int")
                self.send(enables, "ALTER TABLE plain ENABLE ELECTRIC")
                adds.run(end)
                self.assertEqual(tags(enables.receive_until("Z")), ["ELECTRIC ENABLE"])
                self.assertEqual(self.columns_published(), columns)
                self.assert_captured("create_table")
                enables.run("ALTER TABLE plain DISABLE ELECTRIC")
                self.before = self.head()

    def test_enable_while_the_table_becomes_unfit(self):
        changes, enables = self.through(), self.through("tunnel")
        changes.run("BEGIN; ALTER TABLE plain ADD CHECK (id > 0)")
        self.send(enables, "ALTER TABLE plain ENABLE ELECTRIC")
        changes.run("COMMIT")
        self.assertEqual(error_of(enables.receive_until("Z"))["C"], "P0001")
        self.assert_captured()

    def test_enable_while_the_name_becomes_another_table(self):
        changes, enables = self.through(), self.through("tunnel")
        changes.run("BEGIN; ALTER TABLE plain RENAME TO old; CREATE TABLE plain (id int PRIMARY KEY, fresh int)")
        self.send(enables, "ALTER TABLE plain ENABLE ELECTRIC")
        changes.run("COMMIT")
        self.assertEqual(tags(enables.receive_until("Z")), ["ELECTRIC ENABLE"])
        self.assertEqual(self.columns_published(), ["id", "fresh"])
        self.assert_captured("create_table")

    def test_a_column_added_while_the_table_is_being_enabled(self):
        for end in ("ROLLBACK", "COMMIT"):
            with self.subTest(end):
                adds, enables = self.through(), self.through("tunnel")
                enables.run("BEGIN; ALTER TABLE plain ENABLE ELECTRIC")
                self.send(adds, f"ALTER TABLE plain ADD c_{end} int")
                enables.run(end)
                self.assertEqual(tags(adds.receive_until("Z")), ["ALTER TABLE"])
        self.assertEqual(self.columns_published(), ["id", "c_rollback"])
        self.assert_captured("create_table", "add_column")

    def test_a_column_dropped_while_the_table_is_being_enabled(self):
        drops, enables = self.through(), self.through("tunnel")
        self.session.run("ALTER TABLE plain ADD v int")
        enables.run("BEGIN; ALTER TABLE plain ENABLE ELECTRIC")
        self.send(drops, "ALTER TABLE plain DROP v")
        enables.run("COMMIT")
        self.assertEqual(error_of(drops.receive_until("Z"))["C"], "EX010")
        self.assert_captured("create_table")

    def test_two_enable_the_same_table(self):
        first, second = self.through(), self.through("tunnel")
        first.run("BEGIN; ALTER TABLE plain ENABLE ELECTRIC")
        self.send(second, "ELECTRIC ENABLE plain")
        first.run("COMMIT")
        self.assertEqual(tags(second.receive_until("Z")), ["ELECTRIC ENABLE"])
        self.assert_captured("create_table")

    # -- old snapshots ------------------------------------------------------------------------

    def test_enable_under_an_old_snapshot(self):
        for isolation in ("REPEATABLE READ", "SERIALIZABLE"):
            with self.subTest(isolation):
                old = self.through()
                old.run(f"BEGIN ISOLATION LEVEL {isolation}; SELECT 1")
                self.through("tunnel").run("ALTER TABLE plain ADD COLUMN IF NOT EXISTS c int")
                error = self.assert_refused("25001", "ALTER TABLE plain ENABLE ELECTRIC", old)
                self.assertIn("READ COMMITTED", error["H"])
                old.run("ROLLBACK")
        self.assert_captured()

    def test_a_new_table_under_an_old_snapshot(self):
        old = self.through()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1; CREATE TABLE fresh (id int PRIMARY KEY);"
                "ALTER TABLE fresh ADD c int; ALTER TABLE fresh ENABLE ELECTRIC; ALTER TABLE fresh ADD d int; COMMIT")
        self.assertEqual(self.columns_published(), ["id", "c"])
        self.assert_captured("create_table,add_column")

    def test_a_change_under_a_snapshot_older_than_enable(self):
        for isolation in ("REPEATABLE READ", "SERIALIZABLE"):
            with self.subTest(isolation):
                self.session.run("CREATE TABLE IF NOT EXISTS plain (id int PRIMARY KEY)")
                old, other = self.through(), self.through("tunnel")
                old.run(f"BEGIN ISOLATION LEVEL {isolation}; SELECT 1")
                other.run("ALTER TABLE plain ENABLE ELECTRIC")
                self.assert_refused("40001", "DROP TABLE plain", old)
                old.run("ROLLBACK")
                self.assert_refused("EX004", "DROP TABLE plain", old)
                other.run("ALTER TABLE plain DISABLE ELECTRIC")
        self.assert_captured(*["create_table", "disable_table"] * 2)

    def test_read_only_transactions(self):
        session = self.through()
        session.run("BEGIN READ ONLY")
        self.assert_refused("25006", "ALTER TABLE plain ENABLE ELECTRIC", session)
        session.run("ROLLBACK; SET default_transaction_read_only = on; SELECT * FROM items")
        self.assert_refused("25006", "ALTER TABLE items ADD c int", session)
        self.assert_captured()


if __name__ == "__main__":
    unittest.main()
