"""Texts that are big, deep or broken: no crash, Postgres's own answer, and nobody else waits for it.

Each goes through the proxy and to Postgres directly, on databases that are alike; meanwhile another
session's round trips are timed. ELECTRIC_LONG=1 makes the big ones four times as big.
"""

import threading
import time
import unittest
import zlib

from tests.support import wire
from tests.support.migrations import MigrationTest, extent, tags
from tests.support.schema import Session

MEGABYTE = 1_000_000 * extent(1, 4)
PULSE_LIMIT = 1.0  # seconds that a round trip of somebody else may take at most
PATIENCE = 60.0


class Pulse(threading.Thread):
    """Somebody else's session: asks for next to nothing all the time, and notes the longest wait."""

    def __init__(self, session):
        super().__init__()
        self.session = session
        self.stop = threading.Event()
        self.longest = 0.0
        self.count = 0

    def run(self):
        while not self.stop.wait(0.001):  # so that it measures waiting, and not itself
            began = time.monotonic()
            self.session.value("SELECT 1")
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1


def simple(sql):
    return [wire.query(sql)]


def parsed(sql):
    return [wire.parse(sql), wire.bind(), wire.describe_portal(), wire.execute(), wire.sync()]


# -- the texts --------------------------------------------------------------------------------------

OPERATORS = "+1" * 5000
STATEMENTS = {
    "5,000 operators": "SELECT 1" + OPERATORS,
    "5,000 operators in DDL": f"CREATE INDEX big ON plain ((id{OPERATORS[:3000]}))",
    "5,000 operators in a check": f"ALTER TABLE plain ADD CHECK (id{OPERATORS} > 0)",
    "5,000 operators beside the keyword": f"SELECT 'electric', 1{OPERATORS}",
    "5,000 negations": "SELECT " + "NOT " * 5000 + "true",
    "nested parentheses": "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
    "nested parentheses in DDL": "CREATE TABLE deep (id int DEFAULT " + "(" * 50_000 + "1" + ")" * 50_000 + ")",
    "nested parentheses behind ALTER TABLE": "ALTER TABLE items " + "(" * 100_000,
    "nested brackets": "SELECT " + "ARRAY[" * 20_000 + "1" + "]" * 20_000,
    "nested CASE": "SELECT " + "CASE WHEN true THEN " * 5000 + "1" + " END" * 5000,
    "nested subqueries": "SELECT * FROM " + "(SELECT * FROM " * 3000 + "items" + ") x" * 3000,
    "nested comments": "SELECT 1 " + "/* " * 30_000 + "ELECTRIC" + " */" * 30_000,
    "a comment without an end": "SELECT 1 /* ELECTRIC " + "x" * MEGABYTE,
    "nested comments without an end": "/*" * 3000 + " ALTER TABLE items ENABLE ELECTRIC",
    "a string without an end": "SELECT 'ALTER TABLE items ENABLE ELECTRIC " + "x" * MEGABYTE,
    "a name without an end": 'ALTER TABLE "items ENABLE ELECTRIC ' + "x" * 100_000,
    "a dollar quote without an end": "DO $electric$ ALTER TABLE items ENABLE ELECTRIC; $electri$ " + "$" * MEGABYTE,
    "a name that is too long": f'SELECT 1 AS "{"electric" * 10_000}"',
    "one big literal": f"SELECT length('{'x' * MEGABYTE} ELECTRIC')",
    "one big INSERT": "INSERT INTO plain (v) VALUES " + ", ".join(f"('electric {i}')" for i in range(MEGABYTE // 20)),
    "one big IN list": "SELECT 1 WHERE 1 IN (" + ",".join(str(i) for i in range(MEGABYTE // 40)) + ")",
    "many columns": "CREATE TABLE wide (" + ", ".join(f"c{i} int" for i in range(2000)) + ")",
    "many clauses": "ALTER TABLE plain " + ", ".join(f"ADD COLUMN IF NOT EXISTS v text -- electric {i}\n" for i in range(2000)),
    "a word cut off": "ALTER TABLE items ENABLE ELECTRI",
    "bytes of all kinds": "SELECT '" + "".join(map(chr, range(1, 256))).replace("'", "''").replace("\\", "") + "'",
}
SCRIPTS = {
    "many semicolons": ";" * MEGABYTE,
    "many empty statements with comments": "; -- ELECTRIC\n" * (MEGABYTE // 15),
    "many statements": "SELECT 1;" * (MEGABYTE // 100),
    "DDL in a megabyte": "".join(f"CREATE TABLE b{i} (id int PRIMARY KEY); /* {'x' * (MEGABYTE // 100)} */ DROP TABLE b{i};"
                                 for i in range(100)),
    "captured DDL in a megabyte, refused at the end": "".join(
        f"ALTER TABLE items ADD c{i} int; -- {'x' * (MEGABYTE // 20)}\n" for i in range(20)) + "SELECT nope",
}
BROKEN = {
    "a byte that is none": b"SELECT '\xff'",
    "in a name": b"ALTER TABLE it\xffms ENABLE ELECTRI",
    "cut short": b"SELECT 'electric \xc3",
    "cut short by a quote": b"SELECT '\xe2\x82' || 'electric'",
    "overlong": b"SELECT '\xc0\xaf electric'",
    "a surrogate": b"SELECT '\xed\xa0\x80 electric'",
    "beyond Unicode": b"SELECT '\xf4\x90\x80\x80 electric'",
    "in a comment": b"SELECT 1 -- \xfe electric",
    "behind a megabyte": b"SELECT 1 /* electric " + b"x" * MEGABYTE + b"*/ \x80",
    "instead of DDL": bytes(range(128, 256)) * 100,
}
# Whole messages: a text is at its end at the first NUL, and what follows does not belong there.
NULS = {
    "in the middle of a query": [wire.message("Q", b"SELECT 1\0SELECT 2\0")],
    "in the middle of the keyword": [wire.message("Q", b"ALTER TABLE items ENABLE ELEC\0TRIC\0")],
    "behind DDL": [wire.message("Q", b"ALTER TABLE items ADD c int\0\0")],
    "a query without": [wire.message("Q", b"SELECT 1")],
    "an empty query": [wire.message("Q", b"\0")],
    "a message without a text": [wire.message("Q", b"")],
    "in the text of a statement": [wire.message("P", b"\0SELECT 1\0SELECT 2\0\0\0"), wire.sync()],
    "in the name of a statement": [wire.message("P", b"a\0b\0SELECT 1\0\0\0"), wire.sync()],
    "a statement without": [wire.message("P", b"\0SELECT 1"), wire.sync()],
    "in a parameter": [wire.parse("SELECT $1::text"), wire.bind(values=["elec\0tric"]), wire.execute(), wire.sync()],
    "in the name of a portal": [wire.message("E", b"a\0b\0\0\0\0"), wire.sync()],
}


def answer(session, messages):
    """All that comes back, each in short; up to ReadyForQuery, or the end of the connection."""
    session.send(*messages)
    try:
        return [short(one) for one in session.receive_until("Z", timeout=PATIENCE)]
    except (wire.Closed, TimeoutError) as error:
        return [*map(short, error.so_far), type(error).__name__]


def short(message):
    """The proxy leaves out where in the engine something was raised."""
    body = message.body
    if message.type in "EN" and "electric." in message.fields().get("W", ""):
        body = b"\0".join(field for field in body.split(b"\0") if field[:1] not in b"WFLR" or not field)
    return f"{message.type} {body[:200]!r}, {len(body)} bytes, {zlib.crc32(body)}"


class HostileTest(MigrationTest):
    @classmethod
    def prepare(cls, session):
        session.run("CREATE TABLE items (id int PRIMARY KEY, v text); CREATE TABLE plain (id serial PRIMARY KEY, v text);"
                    "ALTER TABLE items ENABLE ELECTRIC")

    def setUp(self):
        super().setUp()
        with Session(self.cluster) as session:
            session.run("DROP DATABASE IF EXISTS beside WITH (FORCE); CREATE DATABASE beside TEMPLATE model")
        self.pulse = Pulse(self.through())
        self.pulse.start()
        self.addCleanup(self.check_pulse)

    def check_pulse(self):
        self.pulse.stop.set()
        self.pulse.join()
        self.assertGreater(self.pulse.count, 0)
        print(f"\n{self.id().split('.')[-1]}: the longest of {self.pulse.count} round trips of somebody else took"
              f" {self.pulse.longest * 1000:.0f} ms")
        self.assertLess(self.pulse.longest, PULSE_LIMIT, "others waited")

    def twin(self):
        """A session directly on a database that is like the one behind the proxy, marked as the proxy marks its own."""
        token = self.session.value("SELECT value FROM electric.settings WHERE name = 'proxied_token'")
        return Session(self.cluster, "beside", options=f"-c electric.proxied={token}")

    def check_same(self, texts, *forms):
        for name, text in texts.items():
            for form in forms:
                with self.subTest(name, form=form.__name__), self.through() as session, self.twin() as direct:
                    ours, theirs = (answer(one, form(text)) for one in (session, direct))
                    self.assertEqual(ours, theirs)
                    if ours[-1].startswith("Z"):
                        self.assertEqual(session.value("SELECT 2"), "2")
        self.assertIsNone(self.server.process.poll(), "the server is gone")
        self.assert_sound()

    def test_statements(self):
        self.check_same(STATEMENTS, simple, parsed)

    def test_scripts(self):
        self.check_same(SCRIPTS, simple)

    def test_invalid_utf8(self):
        self.check_same(BROKEN, simple, parsed)

    def test_nuls(self):
        def as_it_is(messages):
            return messages

        self.check_same(NULS, as_it_is)

    def test_the_keyword_thousands_of_times(self):
        """Each is looked at, but not all that follows it."""
        texts = [f'SELECT 1 AS "{"electric" * 4000}"', "SELECT 1 " + "electric/*" * 3000, "SELECT 1 --" + " electric" * 3500]
        with self.through() as session, self.twin() as direct:
            for text in texts:
                took = []
                for one in (session, direct):
                    began = time.monotonic()
                    for _ in range(30):
                        one.query(text)
                    took.append(time.monotonic() - began)
                self.assertLess(took[0], 10 * took[1] + 1, text[:40])

    def test_ddlx_in_big_texts(self):
        """What Postgres does not know has no answer to compare with, but one that is right."""
        padding = f"/* {'ä' * (MEGABYTE // 8)} */"
        deep = "(" * 20_000 + "a" + ")" * 20_000
        script = "".join(f"CREATE TABLE n{i} (id int PRIMARY KEY); {padding} ALTER TABLE n{i} ENABLE ELECTRIC; "
                         f"ALTER TABLE n{i} ADD v text;\n" for i in range(10))
        session = self.through()
        for form in (simple, parsed):
            answers = self.ask(session, form(f"{padding} ALTER TABLE {padding} items ENABLE ELECTRIC {padding};"))
            self.assertEqual(tags(answers), ["ELECTRIC ENABLE"])
            answers = self.ask(session, form(f"ELECTRIC GRANT SELECT ON items TO 'reader' CHECK ({deep})"))
            self.assertEqual(tags(answers), ["ELECTRIC GRANT"])
            answers = self.ask(session, form(f"ELECTRIC SQLITE '{'-- x' * (MEGABYTE // 5)}'"))
            self.assertEqual(tags(answers), ["ELECTRIC SQLITE"])
        answers = self.ask(session, simple(f"BEGIN; {script} COMMIT"))
        self.assertEqual(tags(answers), ["BEGIN", *["CREATE TABLE", "ELECTRIC ENABLE", "ALTER TABLE"] * 10, "COMMIT"])
        self.assertEqual(self.migrations(self.before + 3), [",".join(["create_table,add_column"] * 10)])
        self.assert_sound()

    def test_ddlx_many_times(self):
        session = self.through("tunnel")
        answers = self.ask(session, simple("ELECTRIC ENABLE items;" * 2000))
        self.assertEqual(tags(answers), ["ELECTRIC ENABLE"] * 2000)

    def test_malformed_ddlx_in_big_texts(self):
        session = self.through()
        for sql in (f"ELECTRIC {'x' * MEGABYTE}", "ELECTRIC GRANT " + "(" * MEGABYTE, "ELECTRIC " * (MEGABYTE // 9),
                    "ALTER TABLE " + "x." * (MEGABYTE // 2) + "y ENABLE ELECTRIC", "ELECTRIC SQLITE '" + "x" * MEGABYTE):
            for form in (simple, parsed):
                with self.subTest(sql[:40], form=form.__name__):
                    answers = self.ask(session, form(sql))
                    self.assertEqual([one.type for one in answers], ["E", "Z"])
                    self.assertIn(answers[0].fields()["C"], ("42601", "42P01", "42602", "42622", "54000"))

    def ask(self, session, messages):
        session.send(*messages)
        return session.receive_until("Z", timeout=PATIENCE)


if __name__ == "__main__":
    unittest.main()
