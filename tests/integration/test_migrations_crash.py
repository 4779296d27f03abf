"""kill -9 in the middle of migrations: what was acknowledged is in the ledger once, nothing is half done.

Two tools migrate, one through the TCP port and one through the tunnel, until something dies: the
server, the tunnel client, Postgres as a whole or one of its backends. ELECTRIC_LONG=1 makes it 200
migrations instead of 40; ELECTRIC_SEED repeats a run as far as timing allows.
"""

import itertools
import os
import random
import signal
import threading
import time
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.ledger import LedgerChecks
from tests.support.migrations import DATABASE, Proxied, error_of, extended, extent, seed
from tests.support.process import free_port, wait_until
from tests.support.programs import Client, ProgramTest, Server
from tests.support.schema import Session

MIGRATIONS = extent(40, 200)
PER_ROUND = 6  # about so many are tried before something dies
TABLES = 4
RECOVERY = 30
# What a server or Postgres that goes away says, or one that is not quite back.
GOING_AWAY = ("57P01", "57P02", "57P03", "08001", "08003", "08006", "08007")
REINITIALIZING = "all server processes terminated; reinitializing"
# Serialization failure, deadlock, lock timeout: undone, and that is known.
CONFLICTS = ("40001", "40P01", "55P03")

UNDONE, IN_DOUBT, DONE = "undone", "in doubt", "done"


class Broken(Exception):
    """The connection is gone."""


class Migration:
    """Some changes that belong together, by the names of the columns, indexes and tables they make."""

    def __init__(self, number):
        self.name = f"m{number}"
        self.names = []
        self.outcome = UNDONE

    def change(self, chance):
        table = f"t{chance.randrange(TABLES)}"
        name = self._name()
        return chance.choice([f"ALTER TABLE {table} ADD COLUMN {name} text", f"CREATE INDEX {name} ON {table} (id)"])

    def new_table(self):
        """Electrified at once, by the proxy's own statement; then changed."""
        name = self._name()
        return [f"CREATE TABLE {name} (id int PRIMARY KEY)", f"ALTER TABLE {name} ENABLE ELECTRIC",
                f"ALTER TABLE {name} ADD COLUMN {self._name()} int"]

    def _name(self):
        self.names.append(f"{self.name}_{len(self.names)}")
        return self.names[-1]


class Tool(threading.Thread):
    """Runs migrations of all shapes over one connection, until that breaks or it is told to stop."""

    def __init__(self, session, numbers, chance):
        super().__init__()
        self.session = session
        self.numbers = numbers
        self.chance = chance
        self.migrations = []
        self.stop = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.stop.is_set():
                self.migrations.append(Migration(next(self.numbers)))
                self.migrate(self.migrations[-1])
        except Broken:
            pass
        except BaseException as error:  # reported by the test
            self.failure = error
        finally:
            self.session.close()

    def migrate(self, migration):
        shape = self.chance.choice([self.autocommit, self.transaction, self.transaction, self.one_query, self.pipeline,
                                    self.prepared, self.concurrently])
        try:
            shape(migration)
        except wire.ServerError as error:
            if error.sqlstate not in CONFLICTS:
                raise
            migration.outcome = UNDONE
            self.ask("ROLLBACK")

    # -- shapes -------------------------------------------------------------------------------

    def autocommit(self, migration):
        self.commit(migration, migration.change(self.chance))

    def changes(self, migration):
        if self.chance.random() < 0.3:
            return migration.new_table()
        return [migration.change(self.chance) for _ in range(self.chance.randint(1, 3))]

    def transaction(self, migration):
        for sql in ("BEGIN", *self.changes(migration)):
            self.ask(sql)
        self.commit(migration, "COMMIT")

    def one_query(self, migration):
        self.commit(migration, "; ".join(self.changes(migration)))

    def pipeline(self, migration):
        changes = self.changes(migration)
        self.commit(migration, lambda: extended(self.session, *changes))

    def prepared(self, migration):
        for sql in ("BEGIN", *self.changes(migration)):
            self.ask(sql)
        # Its outcome is what the test makes of it when it finds it there.
        self.ask(f"PREPARE TRANSACTION '{migration.name}'")
        self.commit(migration, f"COMMIT PREPARED '{migration.name}'")

    def concurrently(self, migration):
        table = f"t{self.chance.randrange(TABLES)}"
        self.commit(migration, f"CREATE INDEX CONCURRENTLY {migration._name()} ON {table} (id)")

    # -- talking ------------------------------------------------------------------------------

    def commit(self, migration, last):
        """Once `last` is on its way nobody knows, until it is acknowledged."""
        migration.outcome = IN_DOUBT
        self.ask(last)
        migration.outcome = DONE

    def ask(self, what):
        try:
            answers = self.session.query(what) if isinstance(what, str) else what()
        except (wire.Closed, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Broken from error
        error = error_of(answers)
        if error and (error["S"] in ("FATAL", "PANIC") or error["C"] in GOING_AWAY):
            raise Broken
        if error:
            raise wire.ServerError(error)


class CrashTest(LedgerChecks, ProgramTest):
    def setUp(self):
        # An asynchronous commit is written by the WAL writer; this one is slow enough to lose it.
        self.cluster = self.enterContext(Cluster(settings={
            "max_prepared_transactions": 10, "deadlock_timeout": "50ms", "fsync": "on", "full_page_writes": "on",
            "synchronous_commit": "on", "wal_writer_delay": "10s"}))
        with Session(self.cluster) as session:
            session.value(f"CREATE DATABASE {DATABASE}")
        self.ports = free_port(), free_port()
        self.start_server()
        self.tunnel = self.start(Client(self.server.service))
        with self.login("tcp") as session:
            for i in range(TABLES):
                session.run(f"CREATE TABLE t{i} (id int PRIMARY KEY); ALTER TABLE t{i} ENABLE ELECTRIC")

    def start_server(self):
        http, tcp = self.ports
        self.server = self.start(Server(self.cluster.url(DATABASE), pg_proxy_port=f"http:{tcp}", HTTP_PORT=http,
                                        CAPTURE="true", SESSION_RETAIN="2s"))

    def login(self, entrance, durable=True):
        port = {"tcp": self.server.pg_port, "tunnel": self.tunnel.port}[entrance]
        setting = "on" if durable else "off"

        def attempt():
            try:
                return Proxied(port, self.server.password, options=f"-c synchronous_commit={setting}")
            except (wire.Closed, wire.ServerError, OSError) as error:
                if isinstance(error, wire.ServerError) and error.sqlstate not in GOING_AWAY:
                    raise
                return None

        return wait_until(attempt, RECOVERY, f"a login through {entrance}")

    # -- what dies ----------------------------------------------------------------------------

    def kill_server(self, _tools):
        self.server.clean_exit = (-signal.SIGKILL,)
        self.server.kill()
        self.start_server()

    def kill_client(self, _tools):
        self.tunnel.clean_exit = (-signal.SIGKILL,)
        self.tunnel.kill()
        self.tunnel = self.start(Client(self.server.service))

    def kill_postgres(self, _tools):
        self.cluster.kill9()
        self.cluster.start()

    def kill_backend(self, tools):
        """Postgres then ends all of them, and recovers."""
        before = self.cluster.log().count(REINITIALIZING)
        os.kill(self.chance.choice(tools).session.pid, signal.SIGKILL)
        wait_until(lambda: self.cluster.log().count(REINITIALIZING) > before, RECOVERY, "Postgres to notice")

    # -- the test -----------------------------------------------------------------------------

    def test_nothing_acknowledged_is_lost_and_nothing_is_half_done(self):
        start = seed()
        self.chance = random.Random(start)
        print(f"\nELECTRIC_SEED={start}")
        numbers = itertools.count()
        kinds = itertools.cycle(self.chance.sample(
            [self.kill_server, self.kill_client, self.kill_postgres, self.kill_backend], 4))
        self.migrations_made = []
        while len(self.migrations_made) < MIGRATIONS:
            self.round(next(kinds), numbers)
        outcomes = [migration.outcome for migration in self.migrations_made]
        print(f"{len(outcomes)} migrations: {outcomes.count(DONE)} done, {outcomes.count(UNDONE)} undone")

    def round(self, kill, numbers):
        tools = [Tool(self.login(entrance, durable=self.chance.random() < 0.5), numbers, random.Random(self.chance.random()))
                 for entrance in ("tcp", "tunnel")]
        for tool in tools:
            tool.start()
        wanted = self.chance.randrange(PER_ROUND)
        wait_until(lambda: sum(len(tool.migrations) for tool in tools) > wanted, RECOVERY, "migrations to be made")
        time.sleep(self.chance.random() * 0.02)  # not to wait for anything: the moment is random
        kill(tools)
        try:
            self.check(tools)
        except AssertionError as error:
            error.add_note(f"after {kill.__name__}")
            raise

    def check(self, tools):
        self.login("tcp").close()  # waits until all is up again
        with Session(self.cluster, DATABASE) as self.session:
            for tool in tools:
                tool.stop.set()
            # The tunnel's first: if it alone was cut off, what it has prepared keeps the other one waiting.
            for tool in reversed(tools):
                tool.join()
                self.assertIsNone(tool.failure, tool.failure)
                wait_until(lambda pid=tool.session.pid: not self.is_there(pid), RECOVERY, "a cut off backend to end")
                self.migrations_made += tool.migrations
                self.finish_prepared()
            self.check_ledger()
            self.assert_sound()

    def is_there(self, pid):
        return self.session.value(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}") == "1"

    def finish_prepared(self):
        """Those of ended tools whose COMMIT PREPARED did not come, either way."""
        there = self.session.column("SELECT gid FROM pg_prepared_xacts")
        for migration in (one for one in self.migrations_made if one.name in there):
            self.assertNotEqual(migration.outcome, DONE, "acknowledged, and still prepared")
            migration.outcome = self.chance.choice((DONE, UNDONE))
            self.session.value(f"{'COMMIT' if migration.outcome == DONE else 'ROLLBACK'} PREPARED '{migration.name}'")

    def check_ledger(self):
        """Each migration's names are all in one row of the ledger, or in none; in doubt means not yet known which."""
        rows = [row.split() for row in self.session.column(
            "SELECT (SELECT string_agg(coalesce(op->'column'->>'name', op->'index'->>'name', op->>'table'), ' ' ORDER BY at)"
            " FROM jsonb_array_elements(ops) WITH ORDINALITY AS o(op, at)) FROM electric.migrations"
            f" WHERE seq > {TABLES} ORDER BY seq")]
        for migration in self.migrations_made:
            if migration.outcome == IN_DOUBT:
                migration.outcome = DONE if any(migration.names[0] in row for row in rows) else UNDONE
        expected = [migration.names for migration in self.migrations_made if migration.outcome == DONE]
        self.assertEqual(sorted(map(sorted, rows)), sorted(map(sorted, expected)))


if __name__ == "__main__":
    unittest.main()
