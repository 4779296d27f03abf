"""Writers at once: the ledger's order is the order of commits, and a reader of `seq > n` misses nothing.

CAPTURE_RUNS repeats the run (1), CAPTURE_TRANSACTIONS sets how many each writer tries (100).
"""

import os
import random
import threading
import unittest

from tests.integration.test_capture import EngineTest
from tests.support import wire
from tests.support.schema import on_each_major

WRITERS, TABLES = 4, 8
RUNS = int(os.environ.get("CAPTURE_RUNS", "1"))
TRANSACTIONS = int(os.environ.get("CAPTURE_TRANSACTIONS", "100"))
# Serialization failure, deadlock, lock timeout: the transaction is undone and counts as such.
CONFLICTS = ("40001", "40P01", "55P03")


class Writer(threading.Thread):
    """Changes tables in all kinds of transactions, and remembers which changes were committed."""

    transactions = TRANSACTIONS

    def __init__(self, session, number, seed):
        super().__init__()
        self.session = session
        self.number = number
        self.random = random.Random(seed * WRITERS + number)
        self.committed = []
        self.conflicts = 0
        self.failure = None

    def run(self):
        try:
            for i in range(self.transactions):
                self.transact(i)
        except BaseException as error:  # reported by the test
            self.failure = error

    def transact(self, i):
        changes = []
        try:
            isolation = self.random.choice(["READ COMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"])
            self.session.value(f"BEGIN ISOLATION LEVEL {isolation}")
            for step in range(self.random.randint(1, 3)):
                self.change(f"w{self.number}_{i}_{step}", changes)
            if self.finish(i):
                self.committed += changes
        except wire.ServerError as error:
            self.session.query("ROLLBACK")
            if error.sqlstate not in CONFLICTS:
                raise
            self.conflicts += 1

    def change(self, name, changes):
        table = f"s{self.random.randrange(TABLES)}"
        undone = self.random.random() < 0.2
        if undone:
            self.session.value("SAVEPOINT a")
        if self.random.random() < 0.5:
            self.session.value(f"ALTER TABLE {table} ADD COLUMN {name} int")
        else:
            self.session.value(f"CREATE INDEX {name} ON {table} (id)")
        if undone:
            self.session.value("ROLLBACK TO a")
        else:
            changes.append(name)

    def finish(self, i):
        way = self.random.random()
        if way < 0.15:
            self.session.value("ROLLBACK")
            return False
        if way < 0.3:
            gid = f"{self.session.pid}_{i}"
            self.session.value(f"PREPARE TRANSACTION '{gid}'")
            keep = way < 0.25
            self.session.value(f"{'COMMIT' if keep else 'ROLLBACK'} PREPARED '{gid}'")
            return keep
        self.session.value("COMMIT")
        return True


class Reader(threading.Thread):
    """Follows the ledger as a server does; after `stop` it looks once more."""

    def __init__(self, session, seq):
        super().__init__()
        self.session = session
        self.seen = [seq]
        self.stop = threading.Event()

    def run(self):
        last = False
        while not last:
            last = self.stop.is_set()
            self.seen += map(int, self.session.column(
                f"SELECT seq FROM electric.migrations WHERE seq > {self.seen[-1]} ORDER BY seq"))


class Contest:
    """One run, for a test case with LedgerChecks, `session` beside it all, and `connect` for each who takes part."""

    writer = Writer

    def run_once(self, seed):
        for i in range(TABLES):
            self.session.run(f"CREATE TABLE s{i} (id int PRIMARY KEY); CALL electric.enable('s{i}')")
        start = self.head()
        reader = Reader(self.connect(), start)
        writers = [self.writer(self.connect(), number, seed) for number in range(WRITERS)]
        for thread in (reader, *writers):
            thread.start()
        for writer in writers:
            writer.join()
        reader.stop.set()
        reader.join()

        self.assertEqual([writer.failure for writer in writers], [None] * WRITERS)
        committed = sorted(name for writer in writers for name in writer.committed)
        recorded = self.session.column(
            "SELECT coalesce(op->'column'->>'name', op->'index'->>'name') FROM electric.migrations,"
            f" jsonb_array_elements(ops) op WHERE seq > {start}")
        self.assertEqual(sorted(recorded), committed)
        self.assertEqual(reader.seen, list(range(start, self.head() + 1)))
        self.assert_sound()
        print(f"\n{self.head() - start} migrations, {sum(writer.conflicts for writer in writers)} conflicts")


class Order(Contest, EngineTest):
    settings = {"max_prepared_transactions": 10, "deadlock_timeout": "50ms"}

    def test_four_writers_and_a_reader(self):
        for run in range(RUNS):
            with self.subTest(run=run):
                self.dbname = self.createdb("base")
                self.session = self.connect()
                self.set_direct("capture")
                self.run_once(run)
                self.session.close()


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, Order)


if __name__ == "__main__":
    unittest.main()
