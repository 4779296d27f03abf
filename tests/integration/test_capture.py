"""Capture: what becomes of each change of an electrified database.

The rows of capture_cases.tsv run one by one, each on a fresh copy of capture_base.sql. In `setup` and
`statement`, `;;` stands between Query messages. `expected` is what must come of it when changes made
beside the proxy are captured, `directly` the same when they are refused, where that differs:

    EX010, 42501 …           the first error
    pass                     no error, nothing captured
    add_column,drop_index    the operations of the one migration it makes; 2:a|b are two migrations
    escape                   no error and nothing captured, but the sweep or the health check reports it

With CAPTURE_CASES=all those that do not differ are run both ways, too.

`a on 14-16; b on 17-18` tells majors apart, `a or b` are both right.
"""

import csv
import os
import re
import unittest

from tests.support import wire
from tests.support.ledger import LedgerChecks
from tests.support.schema import DatabaseTest, Session, install, on_each_major

HERE = os.path.dirname(__file__)
ALL_CASES = os.environ.get("CAPTURE_CASES") == "all"
COLUMNS = ("case", "setup", "statement", "expected", "directly")


def read_cases():
    with open(os.path.join(HERE, "capture_cases.tsv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


def split(text):
    return [part for part in text.split(" ;; ") if part]


def verdicts(text, major):
    """What is right on this major."""
    if " on " in text:
        for part in text.split("; "):
            verdict, first, last = re.fullmatch(r"(\S+) on (\d+)(?:-(\d+))?", part).groups()
            if int(first) <= major <= int(last or first):
                return {verdict}
        raise AssertionError(f"nothing about {major} in {text}")
    return set(text.split(" or "))


class EngineTest(LedgerChecks, DatabaseTest):
    """Databases of this class begin as capture_base.sql."""

    settings = {"max_prepared_transactions": 10}
    capture = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Session(cls.cluster) as session:
            session.run("CREATE ROLE dev LOGIN; CREATE DATABASE base TEMPLATE model")
        with Session(cls.cluster, "base") as session, \
                open(os.path.join(HERE, "capture_base.sql"), encoding="utf-8") as file:
            session.run(file.read())
            # What was open when capture was switched on is not made allowances for any more.
            session.run("SELECT count(*) FROM electric.sweep()")

    def setUp(self):
        self.dbname = self.createdb("base")
        self.addCleanup(self.dropdb, self.dbname)
        self.session = self.connect()
        self.set_direct("capture")

    def set_direct(self, value, session=None):
        (session or self.session).run(f"UPDATE electric.settings SET value = '{value}' WHERE name = 'direct_ddl'")

    def token(self):
        return self.session.value("SELECT value FROM electric.settings WHERE name = 'proxied_token'")


# -- the table of cases -----------------------------------------------------------------------------


class Cases(EngineTest):
    """Each row; run on every major that is there."""

    session_class = Session

    def setUp(self):
        pass

    def test_when_direct_changes_are_captured(self):
        self.check_all("capture", lambda row: row["expected"])

    def test_when_direct_changes_are_refused(self):
        self.check_all("refuse", lambda row: row["directly"] or ALL_CASES and row["expected"])

    def check_all(self, direct, expected):
        for row in filter(expected, read_cases()):
            with self.subTest(row["case"]):
                dbname = self.createdb("base")
                try:
                    with Session(self.cluster, dbname) as watcher, self.session_class(self.cluster, dbname) as session:
                        self.set_direct(direct, watcher)
                        self.assertIn(self.outcome(row, watcher, session), verdicts(expected(row), self.major))
                finally:
                    self.dropdb(dbname)

    def outcome(self, row, watcher, session):
        for sql in split(row["setup"]):
            session.ask(sql)
        before = self.head(watcher)
        errors = [session.ask(sql)[0] for sql in split(row["statement"])]
        self.assertEqual(watcher.value("SELECT electric.broken_link(1000)"), None)
        for error in errors:
            if error is not None:
                self.check_error(error)
                return error["C"]
        made = self.migrations(before, watcher)
        reports = self.complaints(watcher) + self.sweep(watcher)
        if reports:
            self.assertEqual(made, [])
            return "escape"
        return {0: "pass", 1: "".join(made)}.get(len(made), f"{len(made)}:{'|'.join(made)}")

    def check_error(self, error):
        """Programs find the table in the fields, people a way out."""
        if error["C"].startswith("EX"):
            self.assertEqual(error["s"], "public")
            self.assertIn(error["t"], ("items", "lists", "n1", "q"))
            self.assertTrue(error["D"] and error["H"])


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, Cases)


if __name__ == "__main__":
    unittest.main()
