"""What Postgres clients do over a network that breaks, and the proof that nothing of it was lost, doubled or refused.

A load has a rig (a SessionTest that was started). round() does some work and checks it: any error that a
Postgres client sees fails the test, and what is in the tables in the end must be what was done, once.
"""

import concurrent.futures
import hashlib
import os
import random
import re
import select
import signal
import subprocess
import time

from tests.support import wire
from tests.support.cutter import ENDING
from tests.support.process import spawn, wait_until
from tests.support.programs import environment

PATIENCE = 300  # seconds for one answer, on a busy machine, over a network that is cut all the time


class Load:
    """`mean`: bytes of a connection until it is harmed, for the cutter."""

    mean = None

    def __init__(self, rig, long=False):
        self.rig, self.long = rig, long
        self.rounds = 0

    def round(self):
        raise NotImplementedError

    def close(self):
        pass


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Copy(Load):
    """\\copy in and out of psql: what comes back is what went in."""

    def __init__(self, rig, long=False, megabytes=4):
        super().__init__(rig, long)
        self.size = megabytes << 20
        self.mean = self.size // 10
        self.source = os.path.join(rig.cluster.directory, "source.tsv")
        self.lines = 0
        with open(self.source, "w", encoding="ascii") as file:
            while file.tell() < self.size:
                text = hashlib.sha256(str(self.lines).encode()).hexdigest() * (1 + self.lines % 20)
                file.write(f"{self.lines}\t{text}\n")
                self.lines += 1

    def round(self):
        back = self.source + ".back"
        self.rig.psql("DROP TABLE IF EXISTS copied", "CREATE TABLE copied (id int, text text)",
                      f"\\copy copied FROM '{self.source}'", timeout=3600)
        self.rig.psql("\\copy (SELECT * FROM copied ORDER BY id) " f"TO '{back}'", timeout=3600)
        self.rig.assertEqual(digest(back), digest(self.source))
        self.rig.assertEqual(self.rig.cluster.psql("SELECT count(*), count(DISTINCT id) FROM copied"),
                             f"{self.lines}|{self.lines}")

    def close(self):
        os.remove(self.source)
        if os.path.exists(self.source + ".back"):
            os.remove(self.source + ".back")


class Pgbench(Load):
    """Every transaction that pgbench counts is in the tables, once."""

    def __init__(self, rig, long=False):
        super().__init__(rig, long)
        self.mean = 4000 if long else 20_000
        self.run("-i", "-s", "1", "-q")
        self.done = 0

    def round(self):
        extent = ("-c", "8", "-T", "20") if self.long else ("-c", "4", "-t", "40")
        out = self.run(*extent, "-n", "-M", "prepared")
        self.done += int(re.search(r"transactions actually processed: (\d+)", out).group(1))
        self.rig.assertEqual(self.rig.cluster.psql("SELECT count(*) FROM pgbench_history"), str(self.done))
        sums = " UNION ".join(f"SELECT coalesce(sum({column}), 0) FROM pgbench_{table}" for table, column in (
            ("accounts", "abalance"), ("tellers", "tbalance"), ("branches", "bbalance"), ("history", "delta")))
        self.rig.assertEqual(self.rig.cluster.psql(f"SELECT count(*) FROM ({sums}) AS sums"), "1")

    def run(self, *arguments):
        result = subprocess.run([os.path.join(self.rig.cluster.bindir, "pgbench"), *arguments, self.rig.url],
                                env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
        self.rig.assertEqual(result.returncode, 0, result.stderr)
        self.rig.assertNotRegex(result.stderr, "error|FATAL|aborted")
        return result.stdout


STATEMENTS = 500
KINDS = (  # none of which can be done twice, or be left out
    "CREATE TABLE t{n} (id int PRIMARY KEY, note text DEFAULT 'note {n}')",
    "ALTER TABLE t{n} ADD COLUMN extra{n} numeric(9, 3) NOT NULL DEFAULT {n}",
    "CREATE INDEX t{n}_note ON t{n} (note)",
    "ALTER TABLE t{n} RENAME COLUMN note TO remark",
    "INSERT INTO t{n} SELECT i, repeat('x', i) FROM generate_series(1, {n}) AS i",
    "CREATE VIEW v{n} AS SELECT id, remark FROM t{n} WHERE id > {n}",
    "ALTER TABLE t{n} ADD CONSTRAINT positive{n} CHECK (id > 0)",
    "CREATE SEQUENCE s{n} START {n}",
    "ALTER INDEX t{n}_note RENAME TO t{n}_remark",
    "INSERT INTO steps (step) VALUES ({n})",
)


class Script(Load):
    """A script of 500 statements that define things leaves what it leaves without a tunnel."""

    def __init__(self, rig, long=False):
        super().__init__(rig, long)
        self.mean = 1200 if long else 5000
        self.workers = 4 if long else 1
        rig.cluster.psql(self.script("direct"))
        self.expected = self.outcome("direct")

    def script(self, schema):
        lines = [f"CREATE SCHEMA {schema};", f"SET search_path = {schema};", "CREATE TABLE steps (id serial, step int);"]
        for i in range(STATEMENTS):
            lines.append(KINDS[i % len(KINDS)].format(n=1 + i // len(KINDS)) + ";")
        return "\n".join(lines)

    def outcome(self, schema):
        return self.rig.cluster.psql(f"""
            SET search_path = {schema};
            SELECT relkind, relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull
              FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid
              WHERE relnamespace = '{schema}'::regnamespace AND attnum > 0 ORDER BY 2, 3;
            SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
              WHERE connamespace = '{schema}'::regnamespace ORDER BY 1;
            SELECT id, step FROM steps ORDER BY id;
            SELECT (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM %I', relname), false, true, '')))[1]
              FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind = 'r' ORDER BY relname""")

    def round(self):
        self.rounds += 1
        schemas = [f"s{self.rounds}_{worker}" for worker in range(self.workers)]
        with concurrent.futures.ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(lambda schema: self.rig.psql(script=self.script(schema), timeout=900), schemas))
        for schema in schemas:
            self.rig.assertEqual(self.outcome(schema), self.expected)
            self.rig.cluster.psql(f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE")


class Notifications(Load):
    """What LISTEN hears: everything, once, in order."""

    mean = 1500
    listeners = 4

    def round(self):
        self.rounds += 1
        numbers = range(1000 if self.long else 100)
        sessions = [self.rig.connect() for _ in range(self.listeners)]
        for session in sessions:
            session.query("LISTEN events")
        with wire.connect("127.0.0.1", self.rig.server.pg_port, self.rig.server.password) as notifier:
            for i in numbers:
                notifier.query(f"SELECT pg_notify('events', '{self.rounds} {i} {'x' * (i % 100)}')")
        for session in sessions:
            got = []
            while len(got) < len(numbers):
                message = session.receive(timeout=PATIENCE)
                if message.type == "A":
                    got.append(message.body[4:].split(b"\0")[1].decode())
            self.rig.assertEqual(got, [f"{self.rounds} {i} {'x' * (i % 100)}" for i in numbers])
        for session in sessions:
            self.see_the_end(session)

    def see_the_end(self, session):
        """Postgres says goodbye; the end comes behind it."""
        self.rig.cluster.psql(f"SELECT pg_terminate_backend({session.pid})")
        while (message := session.receive(timeout=PATIENCE)).type != "E":
            pass
        self.rig.assertEqual(message.fields()["C"], "57P01")
        self.rig.assertTrue(session.is_closed(PATIENCE))


class Idle(Load):
    """psqls that are mostly idle; now and then each does something that counts, once."""

    mean = 1000  # little passes

    def __init__(self, rig, long=False):
        super().__init__(rig, long)
        self.dice = random.Random(f"{rig.cutter.seed} idle")
        rig.cluster.psql("DROP TABLE IF EXISTS asked; CREATE TABLE asked (who int PRIMARY KEY, times int NOT NULL)")
        self.psqls = []
        for who in range(12 if long else 4):
            rig.cluster.psql(f"INSERT INTO asked VALUES ({who}, 0)")
            self.psqls.append(IdlePsql(rig.url))

    def round(self):
        self.rounds += 1
        for _ in range(3):
            before = self.rig.cutter.counts["connections"]
            self.rig.cutter.cut(self.dice.choice(ENDING))
            wait_until(lambda: self.rig.cutter.counts["connections"] > before, PATIENCE, "the client to connect anew")  # pylint: disable=cell-var-from-loop
        for who, psql in enumerate(self.psqls):
            psql.send(f"UPDATE asked SET times = times + 1 WHERE who = {who} RETURNING times;")
        for psql in self.psqls:
            self.rig.assertEqual(psql.line(), str(self.rounds))

    def close(self):
        for psql in self.psqls:
            self.rig.assertEqual(psql.close(), (0, ""))


class IdlePsql:
    """psql with its standard input kept open."""

    def __init__(self, url):
        self.process = spawn(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", url], die_with=signal.SIGKILL,
                             env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def send(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def line(self):
        deadline = time.monotonic() + PATIENCE
        data = b""
        while not data.endswith(b"\n"):
            if not select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError("psql says nothing")
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                raise AssertionError(f"psql has ended: {self.process.stderr.read().decode()}")
            data += piece
        return data.decode().rstrip("\n")

    def close(self):
        """(exit code, errors)"""
        _, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, errors.decode()
