"""Writers at once through the TCP port and the tunnel: the ledger's order is the order of commits.

ELECTRIC_LONG=1 runs it ten times with four times as many transactions; CAPTURE_RUNS sets how many.
"""

import itertools
import os
import unittest

from tests.integration import test_capture_order as direct
from tests.support.migrations import MigrationTest, extent

RUNS = int(os.environ.get("CAPTURE_RUNS") or extent(1, 10))
TRANSACTIONS = extent(25, 100)
ATTEMPTS = 200  # of one transaction among four writers; one that starves is a failure


class Migrator(direct.Writer):
    """Does each transaction until it is not undone by a conflict, as migration tools are told to."""

    transactions = TRANSACTIONS

    def transact(self, i):
        for _ in range(ATTEMPTS):
            before = self.conflicts
            super().transact(i)
            if self.conflicts == before:
                return
        raise AssertionError(f"{ATTEMPTS} conflicts in a row")


class Order(direct.Contest, MigrationTest):
    writer = Migrator

    def connect(self):
        """The reader first, then writers: by turns through the tunnel and the TCP port."""
        return self.through(next(self.entrances))

    def test_four_writers_and_a_reader(self):
        for run in range(RUNS):
            with self.subTest(run=run):
                self.copy_model()
                self.entrances = itertools.cycle(("tunnel", "tcp"))
                self.session = self.beside()
                self.run_once(run)
                self.session.close()


if __name__ == "__main__":
    unittest.main()
