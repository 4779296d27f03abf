"""How the programs end when they are told to."""

import signal
import socket
import time
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import Client, ProgramTest, Server

DRAIN_TIMEOUT = 2


class ServerDrainTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def setUp(self):
        self.server = self.start(Server(self.cluster.url(), DRAIN_TIMEOUT=DRAIN_TIMEOUT))

    def log_in(self, port=None):
        session = wire.connect("127.0.0.1", port or self.server.pg_port, self.server.password)
        self.addCleanup(session.close)
        return session

    def test_idle_server_ends_at_once(self):
        started = time.monotonic()
        self.server.stop()
        self.assertLess(time.monotonic() - started, DRAIN_TIMEOUT)

    def test_sigint_is_the_same(self):
        self.server.stop(signal.SIGINT)

    def test_sessions_finish_first(self):
        session = self.log_in()
        session.query("BEGIN")
        self.server.send_signal(signal.SIGTERM)
        wait_until(lambda: websocket.request(self.server.http_port, "/readyz").status == 503, what="/readyz to say 503")
        self.assertEqual(websocket.request(self.server.http_port, "/healthz").status, 200)
        self.assertEqual(session.value("SELECT 1"), "1")
        self.assertEqual(session.query("COMMIT")[0].tag(), "COMMIT")
        session.send(wire.terminate())
        started = time.monotonic()
        self.assertEqual(self.server.wait(), 0)
        self.assertLess(time.monotonic() - started, DRAIN_TIMEOUT)

    def test_new_sessions_are_refused(self):
        self.log_in()
        self.server.send_signal(signal.SIGTERM)
        wait_until(lambda: websocket.request(self.server.http_port, "/readyz").status == 503)
        for connect in (lambda: wire.connect("127.0.0.1", self.server.pg_port),
                        lambda: wire.Connection(websocket.connect(self.server.http_port))):
            with self.assertRaises((wire.ServerError, websocket.Refused, ConnectionRefusedError)) as caught:
                connect().login(self.server.password)
            if isinstance(caught.exception, wire.ServerError):
                self.assertIn(caught.exception.sqlstate, ("57P01", "57P03"))
            elif isinstance(caught.exception, websocket.Refused):
                self.assertEqual(caught.exception.status, 503)

    def test_at_the_deadline_sessions_get_57p01(self):
        tunnel = self.start(Client(self.server.service))
        idle, busy, tunnelled = self.log_in(), self.log_in(), self.log_in(tunnel.port)
        busy.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: self.cluster.psql(f"SELECT state FROM pg_stat_activity WHERE pid = {busy.pid}") == "active")
        started = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        for name, session in (("idle", idle), ("busy", busy), ("tunnelled", tunnelled)):
            answers = session.receive_to_end(timeout=DRAIN_TIMEOUT + 3)
            self.assertEqual([one.type for one in answers], ["E"], name)
            self.assertEqual((answers[0].fields()["S"], answers[0].fields()["C"]), ("FATAL", "57P01"), name)
            self.assertGreater(time.monotonic() - started, DRAIN_TIMEOUT - 0.5, name)
            session.close()
        self.assertEqual(self.server.wait(2), 0)
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to be left alone")

    def test_inside_a_message_nothing_is_injected(self):
        """A FATAL in the middle of a row would be read as part of it."""
        session = self.log_in()
        session.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 300000)"))
        session.receive_until("D")
        self.server.send_signal(signal.SIGTERM)
        time.sleep(DRAIN_TIMEOUT + 0.5)  # the reader is stalled beyond the deadline
        try:
            answers = session.receive_to_end(timeout=10)
        except TimeoutError:
            self.fail("the session stays open")
        for one in answers:
            self.assertIn(one.type, "DCZE")
        self.assertEqual(self.server.wait(10), 0)


class ClientEndTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url()))

    def test_exit_codes(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            client = self.start(Client(self.server.service))
            client.clean_exit = (code,)
            client.stop(number)

    def test_with_a_session_open(self):
        client = self.start(Client(self.server.service))
        session = wire.connect("127.0.0.1", client.port, self.server.password)
        self.addCleanup(session.close)
        started = time.monotonic()
        client.stop()
        self.assertLess(time.monotonic() - started, 5)
        for one in session.receive_to_end():
            self.assertEqual(one.type, "E")
        wait_until(lambda: self.cluster.clients() == 0, what="the server to end the session upstream")

    def test_port_is_free_afterwards(self):
        client = self.start(Client(self.server.service))
        client.stop()
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", client.port), 1)

    def test_json_announcement(self):
        client = self.start(Client(self.server.service, "--output", "json"))
        announced = client.announcement()
        self.assertEqual(announced["port"], client.port)
        self.assertIn(str(client.port), announced["url"])
        wire.connect(announced["host"], announced["port"], self.server.password).close()


if __name__ == "__main__":
    unittest.main()
