"""Cancelling a statement: from wherever it was started, at once, and never somebody else's."""

import os
import re
import signal
import struct
import subprocess
import time
import unittest

from tests.support import programs, websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import spawn, wait_until
from tests.support.programs import Client, ProgramTest, Server

WITHIN = 1.0


class CancelTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(settings={"log_statement": "all"}))
        cls.server = cls.start_once(Server(cls.cluster.url()))
        cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.entrances = {"tcp": cls.tcp, "web socket": cls.web_socket, "tunnel": cls.through_tunnel}

    def tcp(self):
        return wire.connect("127.0.0.1", self.server.pg_port)

    def web_socket(self):
        return wire.Connection(websocket.connect(self.server.http_port))

    def through_tunnel(self):
        return wire.connect("127.0.0.1", self.tunnel.port)

    def log_in(self, entrance):
        connection = entrance(self)
        self.addCleanup(connection.close)
        connection.login(self.server.password)
        return connection

    def start_sleeping(self, connection, seconds=60):
        connection.send(wire.query(f"SELECT pg_sleep({seconds})"))
        wait_until(lambda: self.cluster.psql(
            f"SELECT state FROM pg_stat_activity WHERE pid = {connection.pid}") == "active", what="the statement to run")

    def cancel(self, entrance, pid, secret):
        connection = entrance(self)
        self.addCleanup(connection.close)
        connection.send(wire.cancel_request(pid, secret))
        return connection

    def test_cancel_request_through_each_entrance(self):
        for name, entrance in self.entrances.items():
            with self.subTest(name):
                sleeper, bystander = self.log_in(entrance), self.log_in(entrance)
                self.start_sleeping(sleeper)
                self.start_sleeping(bystander)
                started = time.monotonic()
                request = self.cancel(entrance, sleeper.pid, sleeper.secret)
                error = sleeper.receive_until("E", timeout=5)[-1].fields()
                self.assertLess(time.monotonic() - started, WITHIN)
                self.assertEqual((error["C"], error["M"]), ("57014", "canceling statement due to user request"))
                self.assertEqual(sleeper.receive().type, "Z")
                self.assertTrue(request.is_closed(), "the cancelling connection stays open, or was answered")
                self.assertEqual(sleeper.value("SELECT 1"), "1")
                with self.assertRaises(TimeoutError, msg="a bystander was hit"):
                    bystander.receive(timeout=0.2)
                self.cancel(entrance, bystander.pid, bystander.secret)
                bystander.receive_until("Z", timeout=5)

    def test_cancel_from_the_other_entrance(self):
        sleeper = self.log_in(CancelTest.tcp)
        self.start_sleeping(sleeper)
        self.cancel(CancelTest.web_socket, sleeper.pid, sleeper.secret)
        self.assertEqual(sleeper.receive_until("E", timeout=5)[-1].fields()["C"], "57014")

    def test_wrong_requests_cancel_nothing(self):
        sleeper, other = self.log_in(CancelTest.tcp), self.log_in(CancelTest.tcp)
        self.start_sleeping(sleeper, 1.5)
        flipped = bytes([sleeper.secret[0] ^ 1]) + sleeper.secret[1:]
        for pid, secret in ((sleeper.pid, flipped), (sleeper.pid, other.secret), (sleeper.pid, bytes(4)),
                            (sleeper.pid, b""), (sleeper.pid, sleeper.secret + b"x"), (other.pid, sleeper.secret),
                            (0, sleeper.secret), (1, sleeper.secret)):
            self.cancel(CancelTest.tcp, pid, secret)
        self.assertEqual([one.type for one in sleeper.receive_until("Z")], ["T", "D", "C", "Z"])
        self.assertEqual(other.value("SELECT 1"), "1")

    def test_cancel_of_an_idle_session_does_nothing(self):
        session = self.log_in(CancelTest.tcp)
        self.assertTrue(self.cancel(CancelTest.tcp, session.pid, session.secret).is_closed())
        self.assertEqual(session.value("SELECT 1"), "1")

    def test_guesses_are_few_and_keep_nobody_out(self):
        """Most wrong secrets are not even looked at; the sessions' own cancels work again a second later."""
        sleeper = self.log_in(CancelTest.tcp)
        self.start_sleeping(sleeper)
        before = self.judged()
        started = time.monotonic()
        for number in range(300):
            self.cancel(CancelTest.tcp, sleeper.pid, number.to_bytes(4, "big")).close()
        self.log_in(CancelTest.tcp)
        judged = self.judged() - before
        self.assertGreater(judged, 0)
        self.assertLessEqual(judged, 10 * (time.monotonic() - started + 2))
        time.sleep(1.5)
        self.cancel(CancelTest.tcp, sleeper.pid, sleeper.secret)
        self.assertEqual(sleeper.receive_until("E", timeout=5)[-1].fields()["C"], "57014")

    def judged(self):
        return len(re.findall(r"backend_start.* IS NOT NULL", self.cluster.log()))

    def test_secret_is_of_four_bytes_and_ones_own(self):
        sessions = [self.log_in(CancelTest.tcp) for _ in range(3)]
        self.assertEqual({len(one.secret) for one in sessions}, {4})
        self.assertEqual(len({one.secret for one in sessions}), 3)

    def test_cancel_request_cut_short_is_dropped(self):
        connection = self.tcp()
        self.addCleanup(connection.close)
        connection.send(struct.pack("!II", 12, wire.CANCEL_CODE) + b"\0\0\0\1")
        self.assertTrue(connection.is_closed())

    def test_control_c_in_psql(self):
        for name, url in (("tcp", self.server.url()), ("tunnel", self.tunnel.url(self.server.password))):
            with self.subTest(name):
                psql = spawn(["psql", "-XAt", "-d", url, "-c", "SELECT pg_sleep(60) /* of psql */"],
                             env=programs.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
                self.addCleanup(psql.kill)
                wait_until(lambda: self.cluster.psql(
                    "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%of psql%'"
                    " AND pid <> pg_backend_pid()") == "1", what="psql's statement to run")
                started = time.monotonic()
                os.kill(psql.pid, signal.SIGINT)
                _, errors = psql.communicate(timeout=10)
                self.assertLess(time.monotonic() - started, WITHIN)
                self.assertIn("canceling statement due to user request", errors)


if __name__ == "__main__":
    unittest.main()
