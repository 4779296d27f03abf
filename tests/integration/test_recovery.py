"""Something is down: clients are told what and where, the programs live on and recover by themselves."""

import http.server
import socket
import struct
import threading
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import free_port, wait_until
from tests.support.programs import Client, ProgramTest, Server, UnreadyServer, login_error, psql

RECOVERY = 20


class PostgresDownTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())

    def assert_unreachable(self, port, password):
        fields = login_error(port, password)
        self.assertIsNotNone(fields, "a login succeeds though Postgres is down")
        self.assertEqual((fields["S"], fields["C"]), ("FATAL", "08001"))
        self.assertIn(str(self.cluster.port), fields["M"])
        self.assertIn("H", fields)
        self.assertNotIn(self.cluster.password, str(fields))

    def test_down_and_back(self):
        server = self.start(Server(self.cluster.url()))
        tunnel = self.start(Client(server.service))
        for end in (self.cluster.stop, self.cluster.kill9):
            session = wire.connect("127.0.0.1", server.pg_port, server.password)
            self.addCleanup(session.close)
            end()
            answers = session.receive_to_end()
            self.assertLessEqual({one.type for one in answers}, {"E", "N"})
            if end == self.cluster.stop:
                self.assertEqual(answers[-1].fields()["C"], "57P01", "Postgres's own words")
            self.assert_unreachable(server.pg_port, server.password)
            self.assert_unreachable(tunnel.port, server.password)
            wait_until(lambda: websocket.request(server.http_port, "/readyz").status == 503, 5, "/readyz to say 503")
            self.assertEqual(websocket.request(server.http_port, "/api/status").status, 503)
            self.assertEqual(websocket.request(server.http_port, "/healthz").status, 200)
            self.cluster.start()
            self.assertIsNone(login_error(server.pg_port, server.password), "the first login after Postgres is back")
            wait_until(lambda: websocket.request(server.http_port, "/readyz").status == 200, RECOVERY, "/readyz to say 200")

    def test_down_at_start(self):
        url = self.cluster.url()
        self.cluster.stop()
        server = self.start(UnreadyServer(url))
        self.assert_unreachable(server.pg_port, server.password)
        self.assertEqual(websocket.request(server.http_port, "/readyz").status, 503)
        self.cluster.start()
        server.wait_for(r"(^|[\s:])ready\s*$", RECOVERY)
        self.assertIsNone(login_error(server.pg_port, server.password))
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            session.query("CREATE TABLE t (id int PRIMARY KEY)")
            self.assertEqual(session.query("ALTER TABLE t ENABLE ELECTRIC")[0].tag(), "ELECTRIC ENABLE")

    def test_open_sessions_do_not_wait_behind_logins_that_hang(self):
        server = self.start(Server(self.cluster.url(), LOG_LEVEL="debug"))
        session = wire.connect("127.0.0.1", server.pg_port, server.password)
        self.addCleanup(session.close)
        logins = [threading.Thread(target=login_error, args=(server.pg_port, server.password)) for _ in range(8)]
        with self.cluster.accepting_nothing():
            for login in logins:
                login.start()
            wait_until(lambda: server.stderr().count("connects to Postgres") == 1 + len(logins), 5, "logins to hang")
            session.send(wire.query("SELECT 1 -- electric " + "x" * 50_000))
            session.receive_until("Z", timeout=3)
        for login in logins:
            login.join()

    def test_wrong_credentials_upstream_are_told_as_they_are(self):
        server = self.start(UnreadyServer(self.cluster.url(password="wrong")))
        fields = login_error(server.pg_port, server.password)
        self.assertEqual(fields["S"], "FATAL")
        self.assertIn(fields["C"], ("28P01", "08001"))
        self.assertIn("password authentication failed", fields["M"])

    def test_backend_killed(self):
        server = self.start(Server(self.cluster.url()))
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            self.cluster.psql(f"SELECT pg_terminate_backend({session.pid})")
            answers = session.receive_to_end()
            self.assertEqual([one.fields()["C"] for one in answers], ["57P01"])
        self.assertIsNone(login_error(server.pg_port, server.password))


class ServiceDownTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def test_service_down_and_back(self):
        self.go_down_and_back("--protocol", "auto")

    def test_service_down_and_back_in_raw_mode(self):
        self.go_down_and_back("--protocol", "raw")

    def go_down_and_back(self, *flags):
        port = free_port()
        tunnel = self.start(Client(f"http://127.0.0.1:{port}", *flags))
        fields = login_error(tunnel.port, "any")
        self.assertEqual(fields["S"], "FATAL")
        self.assertIn(fields["C"], ("08001", "08006"))
        self.assertIn(f"127.0.0.1:{port}", fields["M"])
        self.assertIn("H", fields)
        for _ in range(2):
            with Server(self.cluster.url(), HTTP_PORT=port, SESSION_RETAIN="1s") as server:
                session = wire.connect("127.0.0.1", tunnel.port, server.password)
                self.addCleanup(session.close)
                self.assertEqual(session.value("SELECT 1"), "1")
                server.kill()
                server.clean_exit = (-9,)
            answers = session.receive_to_end()
            self.assertEqual([one.fields()["C"] for one in answers], ["08006"], "told at a message boundary")
        self.assertIsNotNone(login_error(tunnel.port, "any"))

    def test_psql_shows_the_hop(self):
        port = free_port()
        tunnel = self.start(Client(f"http://127.0.0.1:{port}"))
        done = psql(tunnel.url("any"), "-c", "SELECT 1")
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"127.0.0.1:{port}", done.stderr)
        self.assertNotIn("server closed the connection unexpectedly", done.stderr)

    def test_host_that_does_not_exist(self):
        tunnel = self.start(Client("http://nowhere.invalid:80"))
        self.assertIn("nowhere.invalid", login_error(tunnel.port, "any")["M"])

    def test_service_is_something_else(self):
        class NotFound(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_error(404, "no such thing")

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), NotFound) as other:
            threading.Thread(target=other.serve_forever, daemon=True).start()
            tunnel = self.start(Client(f"http://127.0.0.1:{other.server_port}"))
            fields = login_error(tunnel.port, "any")
            self.assertIn("404", fields["M"])
            other.shutdown()

    def test_service_that_never_speaks_http(self):
        tunnel = self.start(Client(f"http://127.0.0.1:{self.cluster.port}"))
        self.assertIsNotNone(login_error(tunnel.port, "any"))

    def test_token_missing_and_wrong(self):
        server = self.start(Server(self.cluster.url(), ELECTRIC_TUNNEL_TOKEN="right"))
        for token in ({}, {"ELECTRIC_TUNNEL_TOKEN": "wrong"}):
            tunnel = self.start(Client(server.service, **token))
            fields = login_error(tunnel.port, server.password)
            self.assertIn("401", fields["M"] + fields.get("D", ""))
            self.assertIn("ELECTRIC_TUNNEL_TOKEN", fields.get("H", "") + fields["M"])
        tunnel = self.start(Client(server.service, ELECTRIC_TUNNEL_TOKEN="right"))
        self.assertIsNone(login_error(tunnel.port, server.password))
        self.assertNotIn("right", tunnel.stderr())


class RudePeersTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url()))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    def reset(self, sock):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def test_sockets_reset_at_any_time(self):
        for port in (self.server.pg_port, self.tunnel.port):
            for stage in ("connected", "asked", "logged in", "in a transaction", "in a result"):
                with self.subTest(f"{port} {stage}"):
                    session = wire.connect("127.0.0.1", port)
                    if stage == "asked":
                        session.send(wire.startup({"user": "postgres"}))
                    elif stage != "connected":
                        session.login(self.server.password)
                    if stage == "in a transaction":
                        session.query("BEGIN; CREATE TABLE not_kept (a int)")
                    if stage == "in a result":
                        session.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"))
                        session.receive_until("D")
                    self.reset(session.stream)
            self.assertIsNone(login_error(port, self.server.password))
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to be left alone")

    def test_web_sockets_cut_at_any_time(self):
        for cut in (b"", b"\x82", b"\x82\xff\0\0", websocket.encode_frame(2, wire.query("SELECT 1"))[:-3]):
            session = wire.Connection(websocket.connect(self.server.http_port))
            session.login(self.server.password)
            session.stream.send_raw(cut)
            self.reset(session.stream.socket)
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to be left alone")

    def test_end_of_input_without_terminate(self):
        for port in (self.server.pg_port, self.tunnel.port):
            session = wire.connect("127.0.0.1", port, self.server.password)
            session.stream.shutdown(socket.SHUT_WR)
            session.receive_to_end()
            session.close()
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to see the end")

    def test_half_closed_client_reads_its_answer(self):
        """What was asked before the end of input is still answered."""
        for name, port in (("tcp", self.server.pg_port), ("direct", self.cluster.port)):
            with self.subTest(name):
                password = self.cluster.password if name == "direct" else self.server.password
                with wire.connect("127.0.0.1", port, password) as session:
                    session.send(wire.query("SELECT 'answered'"), wire.terminate())
                    session.stream.shutdown(socket.SHUT_WR)
                    self.assertEqual([one.type for one in session.receive_to_end()], ["T", "D", "C", "Z"])

    def test_server_that_is_killed_mid_message_resets(self):
        self.kill_mid_message("--protocol", "auto")

    def test_server_that_is_killed_mid_message_resets_in_raw_mode(self):
        self.kill_mid_message("--protocol", "raw")

    def kill_mid_message(self, *flags):
        with Server(self.cluster.url(), SESSION_RETAIN="1s") as server, Client(server.service, *flags) as tunnel:
            session = wire.connect("127.0.0.1", tunnel.port, server.password)
            session.send(wire.query("SELECT repeat('x', 100000000)"))
            session.receive_until("T")
            session.receive_bytes(1000)
            server.kill()
            server.clean_exit = (-9,)
            try:
                tail = bytearray()
                session.stream.settimeout(10)
                while more := session.stream.recv(1 << 20):
                    tail += more
                self.assertNotIn(b"SFATAL", tail[-500:], "an error inside a row")
            except ConnectionResetError:
                pass
            session.close()
            self.assertIsNotNone(login_error(tunnel.port, "any"))


if __name__ == "__main__":
    unittest.main()
