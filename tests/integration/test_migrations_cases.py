"""The cases of capture through the proxy: its sessions get the verdict of a change that may be captured.

test_capture.py says what the table means. Here each row comes twice, by simple Query messages and by
the extended protocol.
"""

import os
import re
import unittest

from tests.integration.test_capture import HERE, read_cases, split, verdicts
from tests.support.migrations import MigrationTest, Proxied, error_of, extended
from tests.support.schema import on_each_major

# What Postgres does not know and the proxy does.
OTHERWISE = {"the proxy's own syntax": "pass"}


def by_simple_query(session, sql):
    return session.query(sql)


def by_extended_protocol(session, sql):
    answers = extended(session, sql)
    error = error_of(answers)
    if error and "multiple commands" in error["M"]:
        return extended(session, *sql.split("; "))  # one transaction, too: only the last has a Sync
    return answers


def leaves_nothing(row, outcome):
    """Whether the row was one statement that failed as a whole. Copies of a database take their time."""
    return re.fullmatch("[0-9A-Z]{5}", outcome) and not row["setup"] and len(split(row["statement"])) == 1 \
        and "CONCURRENTLY" not in row["statement"]


class Cases(MigrationTest):
    """Each row; run on every major that is there."""

    otherwise = OTHERWISE

    @classmethod
    def prepare(cls, session):
        session.run("CREATE ROLE dev LOGIN")
        with open(os.path.join(HERE, "capture_base.sql"), encoding="utf-8") as file:
            session.run(file.read())

    def setUp(self):
        pass

    def test_by_simple_query(self):
        self.check_all(by_simple_query)

    def test_by_the_extended_protocol(self):
        self.check_all(by_extended_protocol)

    def check_all(self, ask):
        as_new = False
        for row in read_cases():
            with self.subTest(row["case"]):
                if not as_new:
                    self.copy_model()
                as_new = False
                expected = self.otherwise.get(row["case"], row["expected"])
                with self.beside() as self.session, \
                        Proxied(self.server.pg_port, self.server.password) as session:
                    outcome = self.outcome(row, session, ask)
                self.assertIn(outcome, verdicts(expected, self.major))
                as_new = leaves_nothing(row, outcome)

    def outcome(self, row, session, ask):
        for sql in split(row["setup"]):
            ask(session, sql)
        before = self.head()
        errors = [error_of(ask(session, sql)) for sql in split(row["statement"])]
        self.assertEqual(self.session.value("SELECT electric.broken_link(1000)"), None)
        for error in filter(None, errors):
            self.check_error(error)
            return error["C"]
        made = self.migrations(before)
        if self.complaints() + self.sweep():
            self.assertEqual(made, [])
            return "escape"
        return {0: "pass", 1: "".join(made)}.get(len(made), f"{len(made)}:{'|'.join(made)}")

    def check_error(self, error):
        """Programs find the table in the fields, people a way out, and nobody the engine's insides."""
        if error["C"].startswith("EX"):
            self.assertEqual((error["s"], set(error) & set("WFLRqp")), ("public", set()))
            self.assertIn(error["t"], ("items", "lists", "n1", "q"))
            self.assertTrue(error["D"] and error["H"])


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, Cases)


if __name__ == "__main__":
    unittest.main()
