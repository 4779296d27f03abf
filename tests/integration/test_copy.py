"""Much data: equal at both ends, and never more of it in memory than the watermarks allow.

COPY_MEGABYTES (default 48; the long form is 200) and STALLED_MEGABYTES (default 256; 1024) set the sizes.
"""

import hashlib
import os
import select
import sys
import tempfile
import time
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import Client, ProgramTest, Server, psql, sanitized

COPY_MEGABYTES = int(os.environ.get("COPY_MEGABYTES", "48"))
STALLED_MEGABYTES = int(os.environ.get("STALLED_MEGABYTES", "256"))
# What a stalled connection may cost a program, in KiB: queues and windows, not the data.
MEMORY_LIMIT = 24 * 1024


def checksum(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class CopyTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(settings={"max_wal_size": "4GB", "wal_level": "minimal",
                                                              "max_wal_senders": 0}))
        cls.server = cls.start_once(Server(cls.cluster.url()))
        cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.source = os.path.join(cls.directory, "source")
        with open(cls.source, "wb") as file:
            block = b"".join(b"%d\t%s\n" % (i, hashlib.sha256(b"%d" % i).hexdigest().encode() * 15)
                             for i in range(1040))
            for _ in range(COPY_MEGABYTES):
                file.write(block)

    def test_in_and_out(self):
        for name, url in (("tcp", self.server.url()), ("tunnel", self.tunnel.url(self.server.password))):
            with self.subTest(name):
                target = os.path.join(self.directory, name)
                started = time.monotonic()
                done = psql(url, timeout=300, script=f"""
                    CREATE UNLOGGED TABLE copied (id int, data text);
                    \\copy copied FROM '{self.source}'
                    \\copy copied TO '{target}'
                    DROP TABLE copied;""")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(checksum(target), checksum(self.source))
                print(f"\\copy of {COPY_MEGABYTES} MB in and out, {name}: {time.monotonic() - started:.1f} s",
                      file=sys.stderr)
                os.unlink(target)

    # -- a stalled reader ------------------------------------------------------------------------

    def test_stalled_reader(self):
        session = wire.connect("127.0.0.1", self.tunnel.port, self.server.password, timeout=60)
        self.addCleanup(session.close)
        before = self.memory()
        session.send(wire.query(f"COPY (SELECT repeat('x', 1048575) FROM generate_series(1, {STALLED_MEGABYTES})) TO STDOUT"))
        self.wait_for_event(session, "ClientWrite")
        stalled = self.memory()
        received = 0
        while True:
            message = session.receive()
            received += len(message.body) if message.type == "d" else 0
            if message.type == "Z":
                break
        self.assertEqual(received, STALLED_MEGABYTES << 20)
        self.assert_flat("stalled reader", before, stalled)
        self.assert_flat("after it has caught up", before, self.memory("VmHWM"))

    def test_stalled_reader_on_tcp(self):
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as session:
            before = self.memory()
            session.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 200)"))
            self.wait_for_event(session, "ClientWrite")
            self.assert_flat("stalled reader on the TCP port", before, self.memory())
            self.assertEqual(len(session.receive_until("Z", timeout=60)), 203)

    def test_stalled_reader_holds_up_nobody_else(self):
        stalled = wire.connect("127.0.0.1", self.tunnel.port, self.server.password)
        self.addCleanup(stalled.close)
        stalled.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 200)"))
        self.wait_for_event(stalled, "ClientWrite")
        with wire.connect("127.0.0.1", self.tunnel.port, self.server.password) as other:
            self.assertEqual(other.value("SELECT length(repeat('x', 10000000))"), "10000000")

    # -- a stalled writer ------------------------------------------------------------------------

    def test_postgres_that_does_not_read(self):
        """A busy backend takes nothing; what the client goes on sending stays with the client."""
        for name, port in (("tcp", self.server.pg_port), ("tunnel", self.tunnel.port)):
            with self.subTest(name), wire.connect("127.0.0.1", self.cluster.port, self.cluster.password) as holder, \
                    wire.connect("127.0.0.1", port, self.server.password, timeout=60) as session:
                holder.query("SELECT pg_advisory_lock(7)")
                before = self.memory()
                session.send(wire.query("SELECT pg_advisory_lock(7)"))
                one = wire.query("SELECT length('" + "x" * 1_000_000 + "')")
                sent, whole = self.send_until_stuck(session, one, STALLED_MEGABYTES << 20)
                self.assert_flat(f"Postgres stalled, {name}", before, self.memory())
                self.assertLess(sent, STALLED_MEGABYTES << 20, "everything was swallowed")
                holder.query("SELECT pg_advisory_unlock(7)")
                session.receive_until("Z")
                rest = one[sent % len(one):] if sent % len(one) else b""
                session.send(rest)
                answers = session.receive_until("Z", count=whole, timeout=60)
                self.assertEqual([a.row() for a in answers if a.type == "D"], [[b"1000000"]] * whole)

    def send_until_stuck(self, session, one, limit):
        """Sends copies of `one` until nothing is taken for a second: bytes sent, and how many begun."""
        sock, sent = session.stream, 0
        sock.setblocking(False)
        while sent < limit:
            if not select.select([], [sock], [], 1.0)[1]:
                break
            try:
                sent += sock.send(memoryview(one)[sent % len(one):])
            except BlockingIOError:
                continue
        sock.setblocking(True)
        return sent, -(-sent // len(one))

    # -- inside --------------------------------------------------------------------------------

    def wait_for_event(self, session, event):
        wait_until(lambda: self.cluster.psql(
            f"SELECT wait_event FROM pg_stat_activity WHERE pid = {session.pid}") == event, 20, f"Postgres in {event}")
        # Whatever still moves, moves now.
        previous = None
        while (now := self.memory()) != previous:
            previous = now
            time.sleep(0.3)
        self.assert_idle(self.server, self.tunnel)

    def memory(self, field="VmRSS"):
        return {program.name: program.memory(field) for program in (self.server, self.tunnel)}

    def assert_flat(self, what, before, after):
        growth = {name: after[name] - before[name] for name in before}
        print(f"{what}: KiB of memory {after}, growth {growth}", file=sys.stderr)
        if sanitized():
            return
        for name, kib in growth.items():
            self.assertLess(kib, MEMORY_LIMIT, f"{what}: {name} grew by {kib} KiB")


if __name__ == "__main__":
    unittest.main()
