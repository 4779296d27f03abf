"""What is known of the legacy proxy's behaviour: it holds here, too, or stands in a table of differences.

Each row of legacy_cases.tsv (its language: legacy_script.py) is played through electric-proxy and on a
plain Postgres: a client must see the same, but for what the row itself says. Then the ledger is looked
at. Rows in which the legacy proxy did something else are listed in legacy_differences.py.

    LEGACY_ONLY='regex' picks rows by id.
"""

import collections
import contextlib
import json
import os
import re
import unittest
from operator import attrgetter

from tests.integration import legacy_differences
from tests.integration.legacy_script import (VERSION, Case, Player, comparable, describe_operation, expected_answers,
                                             read_cases, read_parts)
from tests.integration.test_differential import normalise
from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.programs import Client, ProgramTest, Server
from tests.support.schema import Session

HERE = os.path.dirname(__file__)
ONLY = re.compile(os.environ.get("LEGACY_ONLY", ""))
AREAS = {"analyse": 89, "electrify-validate": 28, "tx-capture": 128, "versioning": 14}
GENERATED = re.compile(r"20\d{12}_\d{6}")

CASES = read_cases(os.path.join(HERE, "legacy_cases.tsv"))
PARTS = read_parts(os.path.join(HERE, "legacy_base.sql"))

# A plain Postgres has none of our procedures; these do nothing, so that cases can call them.
STAND_INS = """
    CREATE SCHEMA electric;
    CREATE PROCEDURE electric.enable(text) LANGUAGE sql AS '';
    CREATE PROCEDURE electric.grant_privileges(jsonb) LANGUAGE sql AS '';
    CREATE SCHEMA stand_in;
    CREATE PROCEDURE stand_in.nothing() LANGUAGE sql AS ''"""

EMPTY = """
    DO $$
    DECLARE
        name text;
    BEGIN
        FOR name IN SELECT nspname FROM pg_namespace
                    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'electric', 'stand_in')
        LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
    END
    $$;
    CREATE SCHEMA public"""

FORGET_TABLES = "DELETE FROM electric.grants; SELECT electric.remove_table(nsp, name) FROM electric.tables"
# As in a database that has had no migration: so that a case may use versions of its own.
FORGET_MIGRATIONS = """
    DELETE FROM electric.migrations;
    UPDATE electric.head SET seq = 0, version = '', hash = ''; UPDATE electric.membership SET seq = 0"""


class LegacyTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(auth="trust", settings={
            "log_statement": "all", "log_line_prefix": "%p "}))
        cls.server = cls.start_once(Server(cls.cluster.url(), CAPTURE="true"))
        cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.beside = cls.enterClassContext(Session(cls.cluster))
        must(cls.beside, "CREATE ROLE someone")
        must(cls.beside, "CREATE DATABASE plain")
        cls.plain = cls.enterClassContext(Session(cls.cluster, "plain"))
        must(cls.plain, STAND_INS)
        cls.sessions = {}
        cls.addClassCleanup(lambda: [session.close() for session in cls.sessions.values()])

    @contextlib.contextmanager
    def session(self, port, bytewise=False):
        """One a port for all cases, as long as they succeed; it is left as new."""
        if port not in self.sessions:
            self.sessions[port] = wire.connect("127.0.0.1", port, self.server.password)
        connection = self.sessions.pop(port)
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            connection.bytewise = bytewise
            yield connection
            connection.bytewise = False
            must(connection, "ROLLBACK")
            must(connection, "DISCARD ALL")
            self.assertEqual(connection.buffered(), b"")
            self.sessions[port] = connection
            stack.pop_all()

    # -- one case -----------------------------------------------------------------------------

    def check_case(self, case, port, bytewise=False):
        expected = self.play_plainly(case)
        self.prepare(case)
        actual = self.play(case, port, bytewise)
        self.assertEqual([comparable(*pair) for pair in zip(actual, expected)] + actual[len(expected):], expected)
        self.check_errors(actual, case.way)
        self.check_ledger(case)
        for sql, value in case.check:
            self.assertEqual(self.beside.value(sql), value, sql)

    def prepare(self, case):
        must(self.beside, FORGET_TABLES)
        must(self.beside, EMPTY)
        self.fill(self.beside, case)
        must(self.beside, FORGET_MIGRATIONS)

    def fill(self, session, case):
        for sql in ("", *case.setup):
            must(session, PARTS.get(sql, sql))

    def play(self, case, port, bytewise):
        with Session(self.cluster) if case.way.startswith("direct ") else self.session(port, bytewise) as connection:
            player = Player(connection, attrgetter("sql"))
            player.play(case)
        return normalise(player.answers, None)

    def play_plainly(self, case):
        must(self.plain, "ROLLBACK")
        must(self.plain, "DISCARD ALL")
        must(self.plain, EMPTY)
        self.fill(self.plain, case)
        player = Player(self.plain, attrgetter("stand_in"))
        player.play(case)
        return expected_answers(normalise(player.answers, None), player.groups)

    def check_errors(self, answers, way):
        """Ours name their subject for programs and a way out for people, and nothing of the engine's inside."""
        for error in (one.fields() for one in answers if one.type == "E"):
            if error["C"].startswith("EX"):
                self.assertEqual((error["s"], bool(error["t"] and error["D"] and error["H"])), ("public", True), error)
            if not way.startswith("direct ") and (error["C"].startswith("EX") or error["C"] == "P0001"):
                self.assertFalse(set(error) & set("WFLRqp"), error)

    def check_ledger(self, case):
        rows = [json.loads(row) for row in self.beside.column(
            "SELECT to_jsonb(m) FROM electric.migrations m ORDER BY seq")]
        self.assertEqual([[describe_operation(op) for op in row["ops"]] for row in rows], case.ledger)
        for row in rows if case.area != "versioning" and not case.check else ():
            if case.way.startswith("ecto "):
                self.assertEqual((row["version"], row["label"], row["framework"]), (VERSION, VERSION, "ecto"))
            else:
                self.assertRegex(row["version"], GENERATED)
                self.assertEqual((row["label"], row["framework"]), (None, None))

    def check_cases(self, wanted, port, bytewise=False):
        for case in CASES:
            if wanted(case) and ONLY.search(case.id):
                with self.subTest(case.id):
                    self.check_case(case, port, bytewise)

    # -- all of them --------------------------------------------------------------------------

    def test_each_case(self):
        self.check_cases(lambda case: True, self.server.pg_port)

    def test_protocol_through_the_tunnel(self):
        self.check_cases(lambda case: case.way in ("ecto extended", "steps"), self.tunnel.port)

    def test_protocol_byte_by_byte(self):
        self.check_cases(lambda case: case.way == "steps", self.server.pg_port, bytewise=True)


    def test_nothing_is_added_to_what_the_client_sends(self):
        # A migration tool's own table is the one exception: its rows are asked for.
        for case in CASES:
            if (case.id in legacy_differences.NOTHING_ADDED and not case.way.startswith("ecto ")
                    and ONLY.search(case.id)):
                with self.subTest(case.id):
                    self.prepare(case)
                    with self.session(self.server.pg_port) as connection:
                        logged = len(self.cluster.log())
                        player = Player(connection, attrgetter("sql"))
                        player.play(case)
                        self.check_log(self.cluster.log()[logged:], connection.pid, player.sent)

    def test_notices_show_what_the_client_wrote(self):
        for sql in ("ALTER TABLE truths ADD COLUMN age int2",
                    "SELECT 1; -- €\nALTER TABLE truths ADD COLUMN age int2;",
                    "ALTER TABLE socks ENABLE ELECTRIC; ALTER TABLE truths ADD COLUMN age int2"):
            with self.subTest(sql):
                self.prepare(Case("", "", [], [], [], []))
                with self.session(self.server.pg_port) as connection:
                    notices = [one.fields() for one in connection.query(sql) if one.type == "N"]
                self.assertEqual([(one["D"], one["s"], one["t"]) for one in notices],
                                 [(sql, "public", "truths")])

    def check_log(self, log, pid, sent):
        arrived = re.findall(rf"^{pid} LOG:  (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", log, re.MULTILINE)
        self.assertEqual(len(arrived), len(sent), arrived)
        for text, statement in zip(arrived, sent):
            if (statement.verdict.tag or "CALL") == "CALL":
                self.assertEqual(text.replace("\n\t", "\n"), statement.sql)
            else:
                self.assertIn("CALL electric.", text)


class TableTest(unittest.TestCase):
    """The tables themselves."""

    def test_each_fact_is_tested_once(self):
        ids = [case.id for case in CASES]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(collections.Counter(case.area for case in CASES), AREAS)

    def test_differences_are_few_and_tested(self):
        ids = [one for ids, _, _ in legacy_differences.DIFFERENCES for one in ids]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertLessEqual(len(legacy_differences.DIFFERENCES), 60)
        ours = {one for one in ids if one.rpartition("-")[0] in AREAS}
        self.assertEqual(ours - {case.id for case in CASES}, set())
        for _, instead, why in legacy_differences.DIFFERENCES:
            self.assertTrue(instead and why)


def must(session, sql):
    """Runs a script that cannot fail."""
    for answer in session.query(sql):
        if answer.type == "E":
            raise wire.ServerError(answer.fields())


if __name__ == "__main__":
    unittest.main()
