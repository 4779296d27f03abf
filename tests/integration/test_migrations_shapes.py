"""Schema changes in every shape that clients send them, through the proxy: judged and captured by what they do."""

import unittest

from tests.support import wire
from tests.support.migrations import MigrationTest, Proxied, error_of, extended, notices, tags
from tests.support.schema import Session

CAPTURED = 'Migration affecting electrified table "public"."items"'


class ShapeTest(MigrationTest):
    @classmethod
    def prepare(cls, session):
        session.run("""
            CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (x int, y text);
            CREATE TABLE items (id int PRIMARY KEY, a text, b int, m mood); CREATE TABLE lists (id int PRIMARY KEY, t text);
            CREATE TABLE plain (id int PRIMARY KEY, v text);
            ALTER TABLE items ENABLE ELECTRIC; ALTER TABLE lists ENABLE ELECTRIC""")

    def setUp(self):
        super().setUp()
        self.app = self.through()

    def assert_nothing(self):
        self.assert_captured()


class Procedural(ShapeTest):
    """DDL inside functions and blocks."""

    def test_do_block(self):
        self.app.run("DO 'BEGIN ALTER TABLE items ADD c int; EXECUTE ''CREATE INDEX i ON lists (t)''; END'")
        self.assert_captured("add_column,create_index")

    def test_refused_in_a_do_block(self):
        error = self.assert_refused("EX010", "DO 'BEGIN ALTER TABLE items ADD c int; EXECUTE ''ALTER TABLE items DROP a''; END'",
                                    self.app)
        self.assertFalse(set(error) & set("WFLRqp"), error)
        self.assert_nothing()

    def test_refused_and_caught(self):
        self.app.value("DO $$ BEGIN BEGIN ALTER TABLE items ADD c int, DROP a; EXCEPTION WHEN OTHERS THEN NULL; END;"
                       " ALTER TABLE items ADD d int; END $$")
        self.assert_captured("add_column")

    def test_functions_that_execute(self):
        self.app.value("CREATE FUNCTION change(sql text) RETURNS int LANGUAGE plpgsql AS 'BEGIN EXECUTE sql; RETURN 1; END'")
        self.app.value("SELECT change('ALTER TABLE items ADD c int') + change('ALTER TABLE lists ADD c int')")
        self.assert_refused("EX004", "SELECT change('DROP TABLE lists')", self.app)
        self.assertIsNone(error_of(extended(self.app, "SELECT change('CREATE INDEX i ON items (c)')")))
        self.app.run("PREPARE p AS SELECT change($1); EXECUTE p('DROP INDEX i'); EXECUTE p('ALTER TABLE items ADD d int')")
        self.assert_captured("add_column,add_column", "create_index", "drop_index", "add_column")

    def test_procedures_that_commit(self):
        self.app.value("CREATE PROCEDURE pr() LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE items ADD c int; COMMIT;"
                       " ALTER TABLE items ADD d int; ROLLBACK; ALTER TABLE items ADD e int; END $$")
        self.app.run("CALL pr()")
        self.assert_captured("add_column", "add_column")

    def test_scripts_from_a_table(self):
        """What looks like DDL is data until somebody executes it."""
        self.app.value("CREATE TABLE scripts (n int PRIMARY KEY, sql text)")
        lines = ["ALTER TABLE items ADD c int", "ALTER TABLE plain ENABLE ELECTRIC", "CREATE INDEX i ON items (c); DROP TABLE plain",
                 "ELECTRIC ENABLE plain; ALTER TABLE items DROP a"]
        self.app.send(wire.query("COPY scripts FROM STDIN"))
        self.app.receive_until("G")
        self.app.send(*(wire.copy_data(f"{n}\t{line}\n") for n, line in enumerate(lines)), wire.copy_done())
        self.assertEqual(tags(self.app.receive_until("Z")), [f"COPY {len(lines)}"])
        self.assertEqual(self.app.column("SELECT sql FROM scripts ORDER BY n"), lines)
        self.assert_nothing()
        run = "DO $$ DECLARE s text; BEGIN FOR s IN SELECT sql FROM scripts WHERE n IN (%s) LOOP EXECUTE s; END LOOP; END $$"
        self.app.value(run % "0, 2")
        self.assert_refused("42601", run % "1", self.app)
        self.assert_refused("EX010", "DO $$ BEGIN EXECUTE 'ALTER TABLE items DROP a'; END $$", self.app)
        self.assert_captured("add_column,create_index")

    def test_an_event_trigger_of_somebody_else(self):
        """Its own DDL is judged like any other."""
        self.app.value("CREATE FUNCTION after_table() RETURNS event_trigger LANGUAGE plpgsql AS"
                       " 'BEGIN ALTER TABLE items ADD by_trigger int; END'")
        self.app.run("CREATE EVENT TRIGGER zz ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION after_table();"
                     "CREATE TABLE unrelated (id int)")
        self.assert_captured("add_column")


class Messages(ShapeTest):
    """Several statements in a Query, a pipeline or a transaction."""

    def test_several_statements_in_one_query(self):
        answers = self.app.query("INSERT INTO items VALUES (1, 'ä'); ALTER TABLE items ADD c int; ALTER TABLE plain ENABLE ELECTRIC;"
                                 " SELECT 'ELECTRIC ENABLE'; CREATE INDEX i ON plain (v); DROP INDEX i")
        self.assertEqual(tags(answers), ["INSERT 0 1", "ALTER TABLE", "ELECTRIC ENABLE", "SELECT 1", "CREATE INDEX", "DROP INDEX"])
        self.assertEqual(notices(answers)[0], CAPTURED)
        self.assert_captured("add_column,create_table,create_index,drop_index")

    def test_an_error_undoes_the_whole_query(self):
        sql = "ALTER TABLE items ADD c int; ELECTRIC ENABLE plain; SELECT nope; ALTER TABLE items ADD d int"
        answers = self.app.query(sql)
        self.assertEqual((error_of(answers)["C"], error_of(answers)["P"]), ("42703", str(sql.index("nope") + 1)))
        self.assertEqual(tags(answers), ["ALTER TABLE", "ELECTRIC ENABLE"])
        self.assertEqual(error_of(self.app.query("ALTER TABLE items ADD c int; ALTER TABLE items DROP b"))["C"], "EX010")
        self.assert_nothing()

    def test_transactions_within_one_query(self):
        answers = self.app.query("ALTER TABLE items ADD c int; COMMIT; BEGIN; ALTER TABLE items ADD d int; SAVEPOINT a;"
                                 " ALTER TABLE items ADD x int; ROLLBACK TO a; COMMIT; ALTER TABLE items ADD e int; ROLLBACK;"
                                 " ALTER TABLE lists ADD f int")
        self.assertIsNone(error_of(answers))
        self.assert_captured("add_column", "add_column", "add_column")

    def test_a_pipeline_with_one_sync(self):
        answers = extended(self.app, "ALTER TABLE items ADD c int", "ELECTRIC ENABLE plain", "CREATE INDEX i ON plain (v)")
        self.assertEqual(tags(answers), ["ALTER TABLE", "ELECTRIC ENABLE", "CREATE INDEX"])
        self.assert_captured("add_column,create_table,create_index")

    def test_an_error_undoes_the_whole_pipeline(self):
        for bad, code in (("SELECT 1/0", "22012"), ("ALTER TABLE items DROP b", "EX010"), ("SELEC", "42601")):
            with self.subTest(bad):
                answers = extended(self.app, "ALTER TABLE items ADD c int", "ELECTRIC ENABLE plain", bad, "ALTER TABLE lists ADD c int")
                self.assertEqual((error_of(answers)["C"], tags(answers)), (code, ["ALTER TABLE", "ELECTRIC ENABLE"]))
        self.assert_nothing()

    def test_pipelines_one_behind_the_other(self):
        for name in ("c", "d", "e"):
            bad = [wire.parse("SELECT 1/0"), wire.bind(), wire.execute()] if name == "d" else []
            self.app.send(wire.parse(f"ALTER TABLE items ADD {name} int"), wire.bind(), wire.execute(), *bad, wire.sync())
        answers = self.app.receive_until("Z", count=3)
        self.assertEqual([one.type for one in answers if one.type in "CEZ"], list("CZCEZCZ"))
        self.assert_captured("add_column", "add_column")

    def test_a_transaction_within_a_pipeline(self):
        self.assertIsNone(error_of(extended(
            self.app, "BEGIN", "ALTER TABLE items ADD c int", "COMMIT", "BEGIN", "ALTER TABLE items ADD d int", "ROLLBACK",
            "ALTER TABLE items ADD e int")))
        self.assert_captured("add_column", "add_column")

    def test_a_statement_prepared_once(self):
        self.app.send(wire.parse("ALTER TABLE items ADD COLUMN IF NOT EXISTS c int", "s"), wire.sync())
        self.app.receive_until("Z")
        for _ in range(3):
            self.app.send(wire.bind("", "s"), wire.execute(), wire.sync())
            self.assertEqual(tags(self.app.receive_until("Z")), ["ALTER TABLE"])
        self.assert_captured("add_column")

    def test_a_text_sent_byte_by_byte_through_the_tunnel(self):
        session = self.through("tunnel")
        session.bytewise = True
        answers = session.query("ALTER TABLE items ADD c int; ALTER TABLE plain ENABLE ELECTRIC")
        self.assertEqual(tags(answers), ["ALTER TABLE", "ELECTRIC ENABLE"])
        self.assert_captured("add_column,create_table")

    def test_constraints_set_immediate(self):
        self.app.run("BEGIN; ALTER TABLE items ADD c int; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE items ADD d int;"
                     "SET CONSTRAINTS ALL DEFERRED; ELECTRIC ENABLE plain; SAVEPOINT a; ALTER TABLE plain ADD x int;"
                     "SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO a; ALTER TABLE plain ADD e int; COMMIT")
        self.assert_captured("add_column,add_column,create_table,add_column")

    def test_constraints_set_immediate_and_rolled_back(self):
        self.app.run("BEGIN; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE items ADD c int; ROLLBACK; ALTER TABLE lists ADD c int")
        self.assert_captured("add_column")

    def test_a_prepared_transaction(self):
        """Finished by another session, and one that is not committed."""
        self.app.run("BEGIN; ALTER TABLE items ADD c int; PREPARE TRANSACTION 'a'")
        self.through("tunnel").run("COMMIT PREPARED 'a'")
        self.app.run("BEGIN; ELECTRIC ENABLE plain; PREPARE TRANSACTION 'b'; ROLLBACK PREPARED 'b'")
        self.assert_captured("add_column")


class Objects(ShapeTest):
    """What else than ALTER TABLE reaches a table."""

    def test_the_schema_dropped(self):
        self.assert_refused("EX004", "DROP SCHEMA public CASCADE", self.app)
        self.assert_nothing()

    def test_another_schema_dropped(self):
        """With a child of ours in it, and a function that one of our indexes uses."""
        self.app.run("CREATE SCHEMA s; CREATE TABLE s.child (id int PRIMARY KEY, item int REFERENCES items);"
                     "CREATE FUNCTION s.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
                     "CREATE INDEX i ON items (s.f(b)); DROP SCHEMA s CASCADE")
        self.assert_captured("create_index", "drop_index")

    def test_a_schema_with_our_type(self):
        self.app.run("CREATE SCHEMA s; CREATE TYPE s.kind AS ENUM ('a'); CREATE TABLE more (id int PRIMARY KEY, k s.kind)")
        self.assert_refused("P0001", "ALTER TABLE more ENABLE ELECTRIC", self.app)  # enums of clients are in public
        self.app.run("DROP SCHEMA s CASCADE; ALTER TABLE more ENABLE ELECTRIC")
        self.assert_captured("create_table")

    def test_types(self):
        for sql in ("ALTER TYPE mood ADD VALUE 'happy'", "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
                    "ALTER TYPE mood RENAME TO temper", "CREATE SCHEMA s; ALTER TYPE mood SET SCHEMA s"):
            self.assert_refused("EX013", sql, self.app)
        self.assert_refused("EX010", "DROP TYPE mood CASCADE", self.app)
        self.app.run("ALTER TYPE pair ADD ATTRIBUTE z int; ALTER TYPE pair RENAME TO triple; CREATE TYPE other AS ENUM ('a');"
                     "ALTER TYPE other ADD VALUE 'b'; DROP TYPE other; ALTER TYPE mood OWNER TO CURRENT_USER")
        self.assert_nothing()

    def test_inheritance(self):
        for sql in ("CREATE TABLE kid () INHERITS (items)", "CREATE TABLE kid (x int) INHERITS (plain, lists)",
                    "CREATE TABLE par (id int NOT NULL); ALTER TABLE lists INHERIT par"):
            self.assert_refused("EX007", sql, self.app)
        self.app.run("CREATE TABLE par (id int PRIMARY KEY); CREATE TABLE kid (PRIMARY KEY (id)) INHERITS (par)")
        for table in ("par", "kid"):
            self.assert_refused("P0001", f"ALTER TABLE {table} ENABLE ELECTRIC", self.app)
        self.app.run("ALTER TABLE kid NO INHERIT par; ALTER TABLE kid ENABLE ELECTRIC")
        self.assert_refused("EX007", "ALTER TABLE kid INHERIT par", self.app)
        self.assert_captured("create_table")

    def test_partitions(self):
        self.app.run("CREATE TABLE parts (id int PRIMARY KEY, t text) PARTITION BY RANGE (id)")
        self.assert_refused("EX007", "ALTER TABLE parts ATTACH PARTITION lists FOR VALUES FROM (0) TO (10)", self.app)
        self.assert_refused("P0001", "ALTER TABLE parts ENABLE ELECTRIC", self.app)
        self.assert_nothing()

    def test_an_index_built_concurrently(self):
        self.app.run("CREATE INDEX CONCURRENTLY i ON items (a); DROP INDEX CONCURRENTLY i")
        self.assertIsNone(error_of(extended(self.app, "CREATE INDEX CONCURRENTLY j ON items (lower(a)) WHERE b > 0")))
        self.app.run("REINDEX INDEX CONCURRENTLY j")
        self.assert_captured("create_index", "drop_index", "create_index")

    def test_concurrently_in_a_transaction(self):
        self.app.value("BEGIN")
        self.assert_refused("25001", "CREATE INDEX CONCURRENTLY i ON items (a)", self.app)
        self.app.value("ROLLBACK")
        self.assertEqual(error_of(self.app.query("SELECT 1; CREATE INDEX CONCURRENTLY i ON items (a)"))["C"], "25001")
        self.assert_nothing()

    def test_a_unique_index_built_concurrently_leaves_nothing_behind(self):
        self.app.run("INSERT INTO items VALUES (1, 'x'), (2, 'x')")
        for ask in (Proxied.query, extended):
            self.assertEqual(error_of(ask(self.app, "CREATE UNIQUE INDEX CONCURRENTLY u ON items (a)"))["C"], "EX011")
            self.assertEqual(self.session.column("SELECT indexrelid::regclass FROM pg_index WHERE indisunique AND NOT indisprimary"
                                                 " AND indrelid = 'items'::regclass"), [])
        self.app.run("CREATE UNIQUE INDEX CONCURRENTLY u ON plain (v); INSERT INTO items VALUES (3, 'x')")
        self.assert_nothing()

    def test_a_session_that_replays(self):
        self.app.run("SET session_replication_role = replica; ALTER TABLE items ADD c int; ELECTRIC ENABLE plain;"
                     "BEGIN; CREATE INDEX i ON plain (v); COMMIT")
        self.assert_refused("EX010", "ALTER TABLE items DROP a", self.app)
        self.assert_refused("EX004", "DROP TABLE plain", self.app)
        self.assert_captured("add_column", "create_table", "create_index")


class Untouched(ShapeTest):
    """What is none of the proxy's business: the same answers as on a direct connection."""

    STATEMENTS = (
        "INSERT INTO items VALUES (1, 'a', 1, 'ok'), (2, 'b', 2, 'sad') RETURNING *", "UPDATE items SET b = b + 1 RETURNING b",
        "DELETE FROM items WHERE id = 1", "INSERT INTO items VALUES (2, 'twice')", "SELECT * FROM items ORDER BY id",
        "TRUNCATE lists", "MERGE INTO lists USING items ON false WHEN NOT MATCHED THEN INSERT VALUES (items.id, a)",
        "COPY items TO STDOUT", "LOCK TABLE items", "ANALYZE items", "VACUUM items", "EXPLAIN (COSTS OFF) SELECT * FROM items",
        "CREATE TABLE t (id serial PRIMARY KEY, n numeric CHECK (n > 0) DEFAULT 1, u text UNIQUE)",
        "ALTER TABLE t ADD c varchar(3)[], DROP n, RENAME u TO v", "ALTER TABLE t ADD c varchar(3)[], DROP n",
        "ALTER TABLE t RENAME u TO v", "CREATE VIEW vw AS SELECT * FROM items", "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one",
        "REFRESH MATERIALIZED VIEW mv", "DROP VIEW vw", "CREATE INDEX CONCURRENTLY ON t (v)", "ALTER TABLE plain DROP v",
        "ALTER TABLE plain RENAME TO plainer", "DROP TABLE plainer, t CASCADE", "DROP TABLE nowhere", "CREATE SCHEMA s CREATE TABLE x (y int)",
        "DROP SCHEMA s CASCADE", "COMMENT ON TABLE items IS 'ELECTRIC'", "GRANT SELECT ON items TO PUBLIC", "SELEC 1", "", ";", "--",
        "SELECT 'ALTER TABLE items ENABLE ELECTRIC'", "CREATE POLICY p ON items USING (true)", "ALTER TABLE items SET (fillfactor = 70)",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()", "CREATE TEMP TABLE items (id int)",
        "ALTER TABLE items ADD c int", "ALTER TABLE items DROP id", "DROP TABLE items", "BEGIN", "CREATE TABLE u (id int)", "SELECT 1/0",
        "SELECT 1", "COMMIT", "CREATE DATABASE app", "ALTER SYSTEM SET nope = 1", "SET nope = 1", "DISCARD ALL")

    def conversation(self, session, ask):
        return [[(one.type, one.body) for one in ask(session, sql)] for sql in self.STATEMENTS]

    def test_the_same_answers_as_directly(self):
        for ask in (Session.query, extended):
            self.copy_model()
            with self.through() as session:
                through = self.conversation(session, ask)
            with self.beside() as self.session:
                self.assert_nothing()
            self.copy_model()
            with self.beside() as session:
                directly = self.conversation(session, ask)
            for sql, ours, theirs in zip(self.STATEMENTS, through, directly):
                with self.subTest(sql, ask=ask.__name__):
                    self.assertEqual(ours, theirs)


if __name__ == "__main__":
    unittest.main()
