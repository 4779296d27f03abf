"""Relay mode: bytes to one fixed address, whatever they are."""

import hashlib
import os
import signal
import socket
import struct
import subprocess
import threading
import unittest

from tests.support import programs, tunnel, websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import free_port, spawn, wait_until
from tests.support.programs import Client, ProgramTest, Relay, psql, run
from tests.support.tunnel import Tunnel


class Echo:
    """A TCP server that sends back what it gets, and closes when its peer has ended."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(sock,), daemon=True).start()

    def _echo(self, sock):
        with sock:
            while data := sock.recv(262144):
                sock.sendall(data)


class RelayToPostgresTest(ProgramTest):
    protocol = "raw"

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.relay = cls.start_once(Relay(cls.cluster.port))
        cls.tunnel = cls.start_once(Client(cls.relay.service, "--protocol", cls.protocol))

    def test_password_is_that_of_postgres(self):
        done = psql(self.tunnel.url(self.cluster.password), "-c", "SELECT 'relayed'")
        self.assertEqual((done.stdout, done.returncode), ("relayed\n", 0), done.stderr)
        self.assertIn("password authentication failed", psql(self.tunnel.url("wrong"), "-c", "SELECT 1").stderr)

    def test_nothing_is_intercepted(self):
        with wire.connect("127.0.0.1", self.tunnel.port, self.cluster.password) as session:
            answers = session.query("ALTER TABLE items ENABLE ELECTRIC")
            self.assertEqual(answers[0].fields()["C"], "42601")

    def test_cancel(self):
        sleeper = spawn(["psql", "-XAt", "-d", self.tunnel.url(self.cluster.password), "-c", "SELECT pg_sleep(60) /* relay */"],
                        env=programs.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE, text=True)
        self.addCleanup(sleeper.kill)
        wait_until(lambda: self.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                             " AND query LIKE '%relay%' AND pid <> pg_backend_pid()") == "1")
        sleeper.send_signal(signal.SIGINT)
        self.assertIn("canceling statement", sleeper.communicate(timeout=5)[1])

    def test_sessions_end_upstream(self):
        with wire.connect("127.0.0.1", self.tunnel.port, self.cluster.password) as session:
            session.value("SELECT 1")
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to see the end")

    def test_pages(self):
        self.assertEqual(websocket.request(self.relay.http_port, "/healthz").status, 200)
        self.assertEqual(websocket.request(self.relay.http_port, "/api/migrations").status, 404)


class RelayOfSessionsTest(RelayToPostgresTest):
    """The same on sessions of electric-tunnel.v1, where CANCEL is a frame on the session's own attachment."""

    protocol = "v1"

    def open_session(self):
        session = self.enterContext(Tunnel(self.relay.http_port))
        return session, session.login(self.cluster.password)

    def sleep(self, connection):
        connection.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: self.cluster.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid = {connection.pid} AND wait_event = 'PgSleep'") == "1",
            what="the statement to run")

    def test_many_cancels_and_wrong_keys(self):
        session, connection = self.open_session()
        self.sleep(connection)
        for key in (b"", b"\0\0\0\0", os.urandom(256)):
            session.attachment.sendall(tunnel.cancel_frame(connection.pid, key))
        for _ in range(1000):
            session.attachment.sendall(tunnel.cancel_frame(connection.pid, connection.secret))
        errors = [m.fields()["C"] for m in connection.receive_until("Z") if m.type == "E"]
        self.assertEqual(errors, ["57014"])
        session.attachment.sendall(tunnel.reset_frame())

    def test_cancel_of_a_client_that_leaves(self):
        session, connection = self.open_session()
        self.sleep(connection)
        session.attachment.sendall(tunnel.cancel_frame(connection.pid, connection.secret))
        session.attachment.sendall(tunnel.reset_frame())
        wait_until(lambda: self.cluster.clients() == 0, what="the backend to end")

    def test_cancel_as_it_was_given(self):
        """Keys of protocol 3.2 are up to 256 bytes long."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            relay = self.start(Relay(listener.getsockname()[1], DRAIN_TIMEOUT="1s"))
            session = self.enterContext(Tunnel(relay.http_port))
            listener.settimeout(20)
            first = self.enterContext(listener.accept()[0])
            for key in (os.urandom(256), b"four"):
                session.attachment.sendall(tunnel.cancel_frame(4321, key))
                with listener.accept()[0] as second:
                    second.settimeout(20)
                    expected = struct.pack("!III", 12 + len(key), 80877102, 4321) + key
                    self.assertEqual(second.recv(len(expected), socket.MSG_WAITALL), expected)
            session.sendall(b"\0still the session")
            first.settimeout(20)
            self.assertEqual(first.recv(100), b"\0still the session")


class RelayOfBytesTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.echo = cls.enterClassContext(Echo())
        cls.relay = cls.start_once(Relay(cls.echo.port))

    def test_every_byte_comes_back(self):
        web_socket = websocket.connect(self.relay.http_port)
        self.addCleanup(web_socket.close)
        for size in (1, 125, 126, 4096, 65535, 65536, 1_000_000):
            data = os.urandom(size)
            web_socket.sendall(data)
            received = b""
            while len(received) < size:
                received += web_socket.recv()
            self.assertEqual(hashlib.sha256(received).digest(), hashlib.sha256(data).digest(), size)

    def test_first_bytes_may_be_anything_but_a_start_up(self):
        web_socket = websocket.connect(self.relay.http_port)
        self.addCleanup(web_socket.close)
        for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 8, b"\1\2\3"):
            web_socket.sendall(data)
            self.assertEqual(web_socket.recv(), data)

    def test_end_of_the_destination_closes(self):
        web_socket = websocket.connect(self.relay.http_port)
        web_socket.sendall(b"last words")
        self.assertEqual(web_socket.recv(), b"last words")
        web_socket.send_close(1000)
        self.assertEqual(web_socket.wait_close(), 1000)


class RelayConfigurationTest(ProgramTest):
    def test_destination_that_is_down_closes_with_a_reason(self):
        relay = self.start(Relay(free_port()))
        tunnel = self.start(Client(relay.service))
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", tunnel.port, "any")
        self.assertIn(caught.exception.sqlstate, ("08001", "08006", "08004"))
        self.assertEqual(websocket.request(relay.http_port, "/healthz").status, 200)

    def test_token(self):
        with Echo() as echo:
            relay = self.start(Relay(echo.port, ELECTRIC_TUNNEL_TOKEN="tok"))
            with self.assertRaises(websocket.Refused) as caught:
                websocket.connect(relay.http_port)
            self.assertEqual(caught.exception.status, 401)
            websocket.connect(relay.http_port, headers={"Authorization": "Bearer tok"}).close()

    def test_needs_a_token_or_the_word_that_none_is_wanted(self):
        done = run("ELECTRIC_PROXY", "--relay", "127.0.0.1:5432", HTTP_PORT="0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--relay-without-auth", done.stderr)

    def test_database_beside_it_is_an_error(self):
        done = run("ELECTRIC_PROXY", "--relay", "127.0.0.1:5432", "--relay-without-auth", HTTP_PORT="0",
                   DATABASE_URL="postgresql://x@127.0.0.1/x", PG_PROXY_PASSWORD="hidden-word")
        self.assertEqual(done.returncode, 2)
        self.assertIn("DATABASE_URL", done.stderr)
        self.assertIn("PG_PROXY_PASSWORD", done.stderr)
        self.assertNotIn("hidden-word", done.stderr)

    def test_destination_without_a_port_is_an_error(self):
        done = run("ELECTRIC_PROXY", "--relay", "localhost", "--relay-without-auth", HTTP_PORT="0")
        self.assertEqual(done.returncode, 2)
        self.assertIn("localhost", done.stderr)


if __name__ == "__main__":
    unittest.main()
