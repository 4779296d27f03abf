"""Fallback mode: the server's role owns the database but may not create event triggers.

A statement of the proxy's own follows each of the client's that may change tables, and the client's
answer is held until that one has judged. The verdicts are those of capture_cases.tsv but for the rows
of OTHERWISE.
"""

import os
import re
import unittest

from tests.integration import test_differential, test_migrations_cases as migrations_cases
from tests.integration.test_capture import HERE
from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.migrations import DATABASE, MODEL, MigrationTest, Proxied, extended, notices, tags
from tests.support.process import wait_until
from tests.support.programs import Client, Server
from tests.support.schema import Session, major_of, on_each_major

OWNER = "owner"
OWNERS_PASSWORD = "0wner's p@ss"

# What fallback mode judges otherwise.
OTHERWISE = migrations_cases.OTHERWISE | {
    # A block or function is judged by what it leaves, not statement by statement.
    "a refused change that is caught": "EX010",
    # What a procedure commits is found when it has ended.
    "a procedure that commits in between": "add_column,add_column",
    # No event trigger fires for REINDEX, but the proxy asks behind it.
    "a broken index repaired by REINDEX": "create_index",
    # No event trigger needs the function, so it can go; the health check tells.
    "the engine's function dropped": "escape",
} | {
    # Only a superuser may.
    "everything of its owner given away": "42501",
    "all triggers disabled": "42501",
    "event triggers disabled": "42704",
    "an event trigger dropped": "42704",
    "a name changed in the catalog by hand": "42501",
    "a table made part of an extension": "42501",
}


class FallbackTest(MigrationTest):
    """A cluster whose database belongs to an ordinary role, and a server that works as that role."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(bindir=cls.bindir, settings=cls.settings))
        cls.major = major_of(cls.cluster.bindir)
        with Session(cls.cluster) as session:
            password = OWNERS_PASSWORD.replace("'", "''")
            session.value(f"CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{password}'")
            session.run(f"CREATE ROLE dev LOGIN; GRANT dev TO {OWNER}; CREATE DATABASE {MODEL} OWNER {OWNER}")
        with cls.serve(MODEL) as server, Proxied(server.pg_port, server.password, MODEL) as session:
            cls.prepare(session)
        cls.copy_model()
        cls.server = cls.start_once(cls.serve(DATABASE))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    @classmethod
    def serve(cls, database):
        return Server(cls.cluster.url(database, OWNER, OWNERS_PASSWORD), CAPTURE="true")

    @classmethod
    def copy_model(cls):
        with Session(cls.cluster) as session:
            session.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);"
                        f"CREATE DATABASE {DATABASE} TEMPLATE {MODEL} OWNER {OWNER}")

    def complaints(self, session=None):
        """Without that of the mode itself, which is always there."""
        return [one for one in super().complaints(session) if not one.startswith("mode: ")]

    @classmethod
    def prepare(cls, session):
        with open(os.path.join(HERE, "capture_base.sql"), encoding="utf-8") as file:
            session.run(file.read())


class FallbackCases(FallbackTest, migrations_cases.Cases):
    """Each row; run on every major that is there."""

    otherwise = OTHERWISE


DROP = "ALTER TABLE items DROP COLUMN b"
ADD = "ALTER TABLE items ADD COLUMN c text"
UNIQUE = "CREATE UNIQUE INDEX CONCURRENTLY u1 ON items (a)"
ENTRANCES = ("tcp", "tunnel")


def in_one_write(session, *messages, readies):
    session.send(*messages)
    return session.receive_until("Z", readies)


def flushed(session, sql):
    session.send(wire.parse(sql), wire.bind(), wire.execute(), wire.flush())
    answers = session.receive_until("CE")
    session.send(wire.sync())
    return answers + session.receive_until("Z")


# One statement in every shape a client may give it.
SHAPES = {
    "query": lambda session, sql: session.query(sql),
    "query among others": lambda session, sql: session.query(f"SELECT 'ä'; {sql}; SELECT 2"),
    "query of 100 kB": lambda session, sql: session.query(f"/* {'x' * 100000} */ {sql}"),
    "query behind a parse": lambda session, sql: in_one_write(
        session, wire.parse("SELECT 1"), wire.query(sql), wire.sync(), readies=2),
    "query behind a query with backslashes": lambda session, sql: in_one_write(
        session, wire.query("SET standard_conforming_strings = off"), wire.query("SET standard_conforming_strings = on"),
        wire.query(f"SELECT 'a\\'; {sql}; --'"), readies=3),
    "query with blanks of a later Postgres": lambda session, sql: session.query(f";; {sql}"),
    "extended": extended,
    "extended behind an empty statement": lambda session, sql: extended(session, f"; {sql};"),
    "extended with Flush": flushed,
    "extended, row limit": lambda session, sql: in_one_write(
        session, wire.parse(sql), wire.bind(), wire.execute("", 1), wire.sync(), readies=1),
    "by name": lambda session, sql: in_one_write(
        session, wire.parse(sql, "s"), wire.sync(), wire.bind("p", "s"), wire.execute("p"), wire.close_statement("s"),
        wire.sync(), readies=2),
    "unnamed, kept over Sync": lambda session, sql: in_one_write(
        session, wire.parse(sql), wire.sync(), wire.bind(), wire.execute(), wire.sync(), readies=2),
    "unnamed, replaced where it is skipped": lambda session, sql: in_one_write(
        session, wire.parse(sql), wire.sync(), wire.parse("SELEC", "x"), wire.parse("SELECT 1"), wire.sync(),
        wire.bind(), wire.execute(), wire.sync(), readies=3),
    "one of many names": lambda session, sql: in_one_write(
        session, *(wire.parse(sql, f"s{i}") for i in range(1500)), wire.sync(), wire.bind("", "s1499"), wire.execute(),
        wire.sync(), readies=2),
    "a name as long as a book": lambda session, sql: in_one_write(
        session, wire.parse(sql, "s" * 100000), wire.bind("p" * 9000, "s" * 100000), wire.execute("p" * 9000),
        wire.close_statement("s" * 100), wire.sync(), readies=1),
    "extended in SJIS": lambda session, sql: in_one_write(
        session, wire.query("SET client_encoding = 'SJIS'"), wire.parse(sql.encode() + b" /* \x95\\ */"), wire.bind(), wire.execute(),
        wire.sync(), wire.query("RESET client_encoding"), readies=3),
    "behind a COPY": lambda session, sql: in_one_write(
        session, wire.query("CREATE TEMP TABLE copied (a text)"), wire.parse("COPY copied FROM stdin"), wire.bind(), wire.execute(),
        wire.sync(), wire.copy_data("x\n"), wire.sync(), wire.copy_done(), wire.sync(), wire.query(sql), readies=3),
}


class Shapes(FallbackTest):
    """What is refused is refused before the client has seen a tag, what is captured is captured, however it is sent."""

    def test_refused(self):
        for entrance in ENTRANCES:
            with self.through(entrance) as app:
                for name, send in SHAPES.items():
                    with self.subTest(name, entrance=entrance):
                        answers = send(app, DROP)
                        self.assertIn("EX010", codes(answers))
                        self.assertNotIn("ALTER TABLE", tags(answers))
                        self.assertNotIn("CALL", tags(answers))
        self.assert_sound()

    def test_captured(self):
        for entrance in ENTRANCES:
            with self.through(entrance) as app:
                for number, (name, send) in enumerate(SHAPES.items()):
                    with self.subTest(name, entrance=entrance):
                        before, column = self.head(), f"{entrance}{number}"
                        answers = send(app, f"ALTER TABLE items ADD COLUMN {column} text")
                        self.assertEqual([code for code in codes(answers) if code != "42601"], [])
                        self.assertEqual(tags(answers).count("ALTER TABLE"), 1)
                        self.assertNotIn("CALL", tags(answers))
                        self.assertEqual(notices(answers), ['Migration affecting electrified table "public"."items"'])
                        self.assertEqual(self.migrations(before), ["add_column"])
        self.assert_sound()

    def test_the_index_that_could_not_be_undone_is_not_built(self):
        shapes = {**SHAPES,
                  "behind a Close": lambda session, sql: in_one_write(
                      session, wire.close_statement("x"), wire.parse(sql), wire.bind(), wire.describe_portal(), wire.execute(),
                      wire.sync(), readies=1),
                  "prepared in a transaction": lambda session, sql: in_one_write(
                      session, wire.query("BEGIN"), wire.parse(sql, "t"), wire.sync(), wire.query("COMMIT"), wire.bind("", "t"),
                      wire.execute(), wire.close_statement("t"), wire.sync(), readies=4),
                  "behind another statement": lambda session, sql: extended(session, "SELECT 1", sql)}
        for name, send in shapes.items():
            if name in ("one of many names", "a name as long as a book"):
                continue  # those are captured to be sure, but nothing is known of them before
            with self.subTest(name), self.through() as app:
                answers = send(app, UNIQUE)
                self.assertTrue({"EX011", "25001"} & set(codes(answers)), answers)
                self.assertNotIn("CREATE INDEX", tags(answers))
                self.assertEqual(app.value("SELECT count(*) FROM pg_class WHERE relname = 'u1'"), "0")
        self.assert_sound()


class Fallback(FallbackTest):
    def test_the_ledger_tells_the_clients_statement(self):
        app = self.through()
        told = {
            "ALTER TABLE items ADD COLUMN c1 text -- ä": lambda sql: app.query(sql),
            "ALTER TABLE items ADD COLUMN c2 text": lambda sql: extended(app, sql),
            "SELECT 1; ALTER TABLE items ADD COLUMN c3 text; INSERT INTO schema_migrations VALUES ('1')": app.query,
        }
        app.query("CREATE TABLE schema_migrations (version varchar PRIMARY KEY)")
        for sql, send in told.items():
            with self.subTest(sql):
                answers = send(sql)
                details = [one.fields()["D"] for one in answers if one.type == "N"]
                self.assertEqual(details, [sql.removesuffix(" -- ä")])
                self.assertEqual(self.session.column("SELECT unnest(statements) FROM electric.migrations ORDER BY seq DESC LIMIT 1"),
                                 details)

    def test_a_long_statement_is_cut_at_a_character(self):
        app = self.through()
        for padding in ("x", "xx"):
            extended(app, f"ALTER TABLE items ADD COLUMN {padding} text /* {padding}{'ä' * 5000} */ ")
            told = self.session.value("SELECT statements[1] FROM electric.migrations ORDER BY seq DESC LIMIT 1")
            self.assertRegex(told, f"^ALTER TABLE items ADD COLUMN {padding} text")
        self.assert_sound()

    def while_the_capture_waits(self, app, sql, interrupt):
        """The answers to `sql`, whose capture waits for a lock until `interrupt()` has been called."""
        with self.beside() as holder:
            holder.run("BEGIN; SELECT 1 FROM electric.tables FOR UPDATE")
            app.send(wire.query(sql))
            wait_until(lambda: self.session.value("SELECT wait_event_type FROM pg_stat_activity"
                                                  f" WHERE pid = {app.pid}") == "Lock", 10, "the capture to wait")
            interrupt()
            answers = app.receive_until("Z")
            holder.run("ROLLBACK")
        return answers

    def cancel(self, app, port):
        with wire.connect("127.0.0.1", port) as another:
            another.send(wire.cancel_request(app.pid, app.secret))
            self.assertTrue(another.is_closed())

    def test_a_cancel_that_hits_the_capture_undoes_the_statement(self):
        for entrance, port in (("tcp", self.server.pg_port), ("tunnel", self.tunnel.port)):
            app = self.through(entrance)
            for sql in (ADD, f"SELECT 1; {ADD}"):
                answers = self.while_the_capture_waits(app, sql, lambda app=app, port=port: self.cancel(app, port))
                self.assertEqual((codes(answers), tags(answers)[1:]), (["57014"], []))
        self.assertEqual(self.session.value("SELECT count(*) FROM pg_attribute WHERE attrelid = 'items'::regclass AND attname = 'c'"), "0")
        self.assert_sound()

    def test_a_statement_timeout_that_hits_the_capture_undoes_the_statement(self):
        app = self.through()
        app.query("SET statement_timeout = '1s'")
        answers = self.while_the_capture_waits(app, ADD, lambda: None)
        self.assertEqual((codes(answers), tags(answers)), (["57014"], []))
        self.assert_done(ADD, app)
        self.assert_sound()

    def test_a_session_that_ends_in_the_capture_has_seen_no_tag(self):
        app = self.through()
        with self.beside() as holder:
            holder.run("BEGIN; SELECT 1 FROM electric.tables FOR UPDATE")
            app.send(wire.query(ADD))
            wait_until(lambda: holder.value("SELECT wait_event_type FROM pg_stat_get_activity(" + str(app.pid) + ")") == "Lock",
                       10, "the capture to wait")
            holder.run(f"SELECT pg_terminate_backend({app.pid})")
            answers = app.receive_to_end()
        self.assertEqual([one.type for one in answers], ["E"])
        self.assertEqual(codes(answers), ["57P01"])
        self.assert_sound()

    def test_what_is_beyond_is_found_by_the_sweep(self):
        app = self.through()
        app.query("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS 'BEGIN ALTER TABLE items DROP COLUMN b; RETURN 1; END'")
        bypasses = {
            "a function": lambda: app.query("SELECT f()"),
            "a text in an encoding that hides ASCII": lambda: in_one_write(
                app, wire.query("SET client_encoding = 'SJIS'"), wire.query("SELECT 1"),
                wire.query(b"SELECT '\x95\\'; ALTER TABLE items DROP COLUMN b"), wire.query("RESET client_encoding"), readies=4),
        }
        for name, bypass in bypasses.items():
            with self.subTest(name):
                before = self.head()
                bypass()
                self.assertEqual(self.migrations(before), [])
                self.assertRegex(self.sweep()[0], "^drift public.items EX010")
                self.session.query("ALTER TABLE items ADD COLUMN b int")


def codes(answers):
    return [one.fields()["C"] for one in answers if one.type == "E"]


def without_lines(message):
    """Where Postgres refuses what comes in a failed transaction depends on the kind of message."""
    if message.type != "E" or message.fields()["C"] != "25P02":
        return message
    return message._replace(body=re.sub(rb"\0[LR][^\0]*", b"", message.body))


class FallbackDifferential(test_differential.DifferentialTest):
    """No client can tell, either: nothing here is electrified, so the answers are those of Postgres."""

    login = {**test_differential.LOGIN, "user": OWNER, "database": DATABASE}

    @classmethod
    def prepare(cls):
        cls.cluster.psql(f"CREATE ROLE {OWNER} LOGIN CREATEDB; CREATE DATABASE {DATABASE} OWNER {OWNER}")
        cls.run_fixture(DATABASE)
        # What the scripts change or build indexes on; functions for large objects are everybody's.
        cls.cluster.psql(f"ALTER TABLE empty OWNER TO {OWNER}; ALTER TABLE items OWNER TO {OWNER};"
                         f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {OWNER}", DATABASE)

    @classmethod
    def serve(cls):
        return Server(cls.cluster.url(DATABASE, OWNER, "unused"), CAPTURE="true")

    def answers(self, script, entrance, way):
        return [[without_lines(one) for one in step] for step in super().answers(script, entrance, way)]


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, FallbackTest, FallbackCases)


if __name__ == "__main__":
    unittest.main()
