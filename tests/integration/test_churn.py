"""Many sessions at once, and many one after another: all served, nothing left behind.

SESSIONS_AT_ONCE (default 500) and SESSIONS_IN_TURN (default 400; the long form is 10000) set the numbers.
"""

import os
import sys
import time
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import Client, ProgramTest, Server, sanitized

AT_ONCE = int(os.environ.get("SESSIONS_AT_ONCE", "500"))
IN_TURN = int(os.environ.get("SESSIONS_IN_TURN", "400"))
WARM_UP = 100
# How many log in at the same time; the server keeps only 100 that have not given their password.
BATCH = 50
# KiB that a program may have gained over all the sessions that came and went.
MEMORY_LIMIT = 1024


class ChurnTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(auth="trust", settings={"max_connections": AT_ONCE + 20,
                                                                           "shared_buffers": "32MB"}))
        cls.server = cls.start_once(Server(cls.cluster.url(), MAX_SESSIONS=AT_ONCE, AUTH_TIMEOUT=60))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    def wait_until_alone(self):
        wait_until(lambda: self.cluster.clients() == 0, 30, "all sessions to end upstream")

    def programs(self):
        return self.server, self.tunnel

    def log_in(self, count):
        """Sessions that log in side by side."""
        batch = [wire.connect("127.0.0.1", self.tunnel.port, timeout=60) for _ in range(count)]
        for session in batch:
            self.addCleanup(session.close)
            session.send(wire.startup({"user": "postgres", "database": "postgres"}))
        for session in batch:
            session.authenticate("postgres", self.server.password)
        for session in batch:
            session.receive_until("Z")
        return batch

    def test_at_once(self):
        idle = {program.name: (program.file_descriptors(), program.memory()) for program in self.programs()}
        sessions = []
        started = time.monotonic()
        while len(sessions) < AT_ONCE:
            sessions += self.log_in(min(BATCH, AT_ONCE - len(sessions)))
        opened = time.monotonic() - started
        for i, session in enumerate(sessions):
            session.send(wire.query(f"SELECT {i}, pg_sleep(0.001)"))
        for i, session in enumerate(sessions):
            self.assertEqual(session.receive_until("Z")[1].row()[0], str(i).encode())
        for program in self.programs():
            each = (program.memory() - idle[program.name][1]) / AT_ONCE
            print(f"{AT_ONCE} sessions at once, open after {opened:.1f} s: {program.name} {each:.1f} KiB each,"
                  f" {program.file_descriptors()} descriptors", file=sys.stderr)
        self.assert_idle(*self.programs())
        for session in sessions:
            session.close()
        self.wait_until_alone()
        self.assert_descriptors({name: descriptors for name, (descriptors, _) in idle.items()})

    def test_in_turn(self):
        self.run_sessions(WARM_UP)
        self.wait_until_alone()
        descriptors = {program.name: program.file_descriptors() for program in self.programs()}
        memory = {program.name: program.memory() for program in self.programs()}
        started = time.monotonic()
        self.run_sessions(IN_TURN)
        took = time.monotonic() - started
        self.wait_until_alone()
        self.assert_descriptors(descriptors)
        growth = {program.name: program.memory() - memory[program.name] for program in self.programs()}
        print(f"{IN_TURN} sessions in turn, {1000 * took / IN_TURN:.1f} ms each: growth in KiB {growth}", file=sys.stderr)
        if not sanitized():
            for name, kib in growth.items():
                self.assertLess(kib, MEMORY_LIMIT, name)

    def run_sessions(self, count):
        """Sessions of every kind: proper ones, refused ones, some that only connect, some that vanish."""
        for i in range(count):
            if i % 7 == 3:
                with wire.Connection(websocket.connect(self.server.http_port)) as session:
                    session.login(self.server.password)
                    session.value("SELECT 1")
            elif i % 7 == 4:
                wire.dial("127.0.0.1", self.tunnel.port).close()
            elif i % 50 == 5:
                with self.assertRaises(wire.ServerError):
                    wire.connect("127.0.0.1", self.server.pg_port, self.server.password, database="template1")
            elif i % 7 == 6:
                websocket.request(self.server.http_port, "/api/status")
            else:
                port = self.tunnel.port if i % 2 else self.server.pg_port
                with wire.connect("127.0.0.1", port, self.server.password) as session:
                    session.value("SELECT 1")
                    if i % 3:
                        session.send(wire.terminate())

    def assert_descriptors(self, expected):
        for program in self.programs():
            wait_until(lambda program=program: program.file_descriptors() <= expected[program.name], 20,
                       f"{program.name} to have {expected[program.name]} descriptors again")


if __name__ == "__main__":
    unittest.main()
