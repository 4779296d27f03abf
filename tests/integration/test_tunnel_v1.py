"""Sessions of electric-tunnel.v1 over a network that breaks: no byte lost, none doubled, no error seen.

ELECTRIC_LONG=1 runs each of them for longer, under more seeds.
"""

import hashlib
import os
import re
import signal
import subprocess
import time

from tests.support import wire
from tests.support.cutter import HALF_CLOSE, HARMS, RESET, TRUNCATE
from tests.support.process import wait_until
from tests.support.programs import environment
from tests.support.sessions import SessionTest

LONG = os.environ.get("ELECTRIC_LONG") == "1"
SEEDS = range(1, 11) if LONG else (1,)
COPY_MEGABYTES = 200 if LONG else 20
PGBENCH_SECONDS = 30 if LONG else 3
STOPPED_SECONDS = 30 if LONG else 3


class Cuts(SessionTest):
    def each_seed(self, what, run, **cutting):
        """`run` fails on any error; here the network must really have been broken."""
        for seed in SEEDS:
            with self.subTest(seed=seed):
                self.start(seed=seed, hole=0.3, **cutting)
                run()
                self.report(f"{what}, seed {seed}")
                self.assertGreater(self.reattached(), 3)

    def test_a_script_of_500_statements(self):
        self.each_seed("script", self.run_script, mean=3000)

    def run_script(self):
        script = ["DROP TABLE IF EXISTS steps;", "CREATE TABLE steps (id serial, step int, note text);"]
        for i in range(498):
            script.append(f"INSERT INTO steps (step, note) VALUES ({i}, repeat('x', {i})) RETURNING id, step;")
        rows = [line for line in self.psql(script="\n".join(script)).splitlines() if "|" in line]
        self.assertEqual(rows, [f"{i + 1}|{i}" for i in range(498)])
        self.assertEqual(self.cluster.psql("SELECT count(*), count(DISTINCT step), sum(length(note)) FROM steps"),
                         f"498|498|{sum(range(498))}")

    def test_copy_both_ways(self):
        self.source = os.path.join(self.cluster.directory, "source.tsv")
        with open(self.source, "w", encoding="ascii") as file:
            self.rows = 0
            while file.tell() < COPY_MEGABYTES << 20:
                file.write(f"{self.rows}\t{hashlib.sha256(str(self.rows).encode()).hexdigest() * (1 + self.rows % 20)}\n")
                self.rows += 1
        self.each_seed("copy", self.run_copy, mean=(COPY_MEGABYTES << 20) // 10)

    def run_copy(self):
        back = self.source + ".back"
        self.psql("DROP TABLE IF EXISTS copied", "CREATE TABLE copied (id int, text text)",
                  f"\\copy copied FROM '{self.source}'", timeout=900)
        self.psql(f"\\copy (SELECT * FROM copied ORDER BY id) TO '{back}'", timeout=900)
        self.assertEqual(digest(back), digest(self.source))
        self.assertEqual(self.cluster.psql("SELECT count(*) FROM copied"), str(self.rows))
        self.assertGreater(self.resent(), 0)

    def test_pgbench(self):
        self.each_seed("pgbench", self.run_pgbench, mean=50_000)

    def run_pgbench(self):
        self.pgbench("-i", "-s", "1", "-q")
        out = self.pgbench("-c", "4", "-T", str(PGBENCH_SECONDS), "-n", "-M", "prepared")
        done = re.search(r"transactions actually processed: (\d+)", out).group(1)
        self.assertEqual(self.cluster.psql("SELECT count(*) FROM pgbench_history"), done)
        sums = " UNION ".join(f"SELECT sum({column}) FROM pgbench_{table}" for table, column in (
            ("accounts", "abalance"), ("tellers", "tbalance"), ("branches", "bbalance"), ("history", "delta")))
        self.assertEqual(self.cluster.psql(f"SELECT count(*) FROM ({sums}) AS sums"), "1")

    def pgbench(self, *arguments):
        result = subprocess.run([os.path.join(self.cluster.bindir, "pgbench"), *arguments, self.url], env=environment(),
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertNotRegex(result.stderr, "error|FATAL|aborted")
        return result.stdout

    def test_notifications(self):
        self.each_seed("notifications", self.run_notifications)

    def run_notifications(self):
        listener = self.connect()
        listener.query("LISTEN events")
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as notifier:
            for i in range(300):
                if i % 30 == 10:
                    before = self.reattached()
                    self.cutter.cut((RESET, TRUNCATE, HALF_CLOSE)[i // 30 % 3])
                notifier.query(f"SELECT pg_notify('events', '{i}')")
                if i % 30 == 20:
                    wait_until(lambda: self.reattached() > before, 20, "the client to attach anew")  # pylint: disable=cell-var-from-loop
        got = []
        while len(got) < 300:
            message = listener.receive(timeout=30)
            if message.type == "A":
                got.append(int(message.body[4:].split(b"\0")[1]))
        self.assertEqual(got, list(range(300)))

    def test_every_harm_to_a_session_in_a_transaction(self):
        self.start(hole=0.3)
        session = self.connect()
        session.query("BEGIN")
        for i, harm in enumerate(HARMS * (10 if LONG else 2)):
            session.send(wire.query(f"SELECT {i}"))
            wait_until(lambda: self.cutter.cut(harm), 10, "a connection to harm")  # pylint: disable=cell-var-from-loop
            self.assertEqual(self.answer(session), str(i))
        session.query("COMMIT")
        self.assertGreater(self.reattached(), 3)

    def test_a_stopped_client_goes_on(self):
        self.start()
        session = self.connect()
        session.query("BEGIN")
        self.client.send_signal(signal.SIGSTOP)
        session.send(wire.query("SELECT 7"))
        time.sleep(STOPPED_SECONDS)  # the time that passes is what is tested
        self.client.send_signal(signal.SIGCONT)
        self.assertEqual(self.answer(session), "7")
        session.query("COMMIT")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
