"""How a connection to the Postgres port begins: every kind of first packet, the password, the database."""

import resource
import socket
import struct
import time
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Server

AUTH_TIMEOUT = 2
TLS_CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(190)


class StartupTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(settings={"log_connections": "on"}))
        cls.cluster.createdb("app")
        cls.cluster.createdb("other")
        cls.server = cls.start_once(Server(cls.cluster.url("app"), AUTH_TIMEOUT=AUTH_TIMEOUT))

    def dial(self):
        connection = wire.connect("127.0.0.1", self.server.pg_port)
        self.addCleanup(connection.close)
        return connection

    def log_in(self, **login):
        connection = self.dial()
        connection.startup_answer = connection.login(self.server.password, **{"database": "app", **login})
        return connection

    def refusal(self, **login):
        """The fields of the ErrorResponse that ends this login."""
        password = login.pop("password", self.server.password)
        connection = self.dial()
        with self.assertRaises(wire.ServerError) as caught:
            connection.login(password, **{"database": "app", **login})
        self.assertEqual(caught.exception.fields["S"], "FATAL")
        self.assertTrue(connection.is_closed(), "still open after FATAL")
        return caught.exception.fields

    def upstream_logins(self):
        return self.cluster.log().count("connection authorized")

    def assert_dropped(self, data, timeout=5.0):
        """Closed soon, without asking for a password and without a connection upstream."""
        before = self.upstream_logins()
        connection = self.dial()
        connection.send(data)
        try:
            answer = b""
            while True:
                connection.stream.settimeout(timeout)
                more = connection.stream.recv(4096)
                if not more:
                    break
                answer += more
        except ConnectionResetError:
            pass
        self.assertNotIn(b"R\0\0\0", answer, "an authentication request")
        self.assertEqual(self.upstream_logins(), before)
        return answer

    # -- the first packet --------------------------------------------------------------------

    def test_ssl_and_gss_requests_are_declined(self):
        connection = self.dial()
        for request in (wire.gssenc_request(), wire.ssl_request()):
            connection.send(request)
            self.assertEqual(connection.receive_bytes(1), b"N")
        connection.login(self.server.password, database="app")
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_start_up_byte_by_byte(self):
        connection = self.dial()
        connection.bytewise = True
        connection.send(wire.ssl_request())
        self.assertEqual(connection.receive_bytes(1), b"N")
        connection.login(self.server.password, database="app")
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_bytes_behind_ssl_request_are_a_violation(self):
        for request in (wire.ssl_request(), wire.gssenc_request()):
            answer = self.assert_dropped(request + wire.startup({"user": "postgres", "database": "app"}))
            self.assertIn(b"C08P01\0", answer)

    def test_newer_minor_version_is_negotiated(self):
        connection = self.dial()
        connection.login(self.server.password, database="app", version=wire.PROTOCOL_3_2)
        self.assertEqual(connection.negotiated, struct.pack("!II", wire.PROTOCOL_3_0, 0))
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_unknown_protocol_options_are_named(self):
        connection = self.log_in(**{"_pq_.nonsense": "1"})
        self.assertEqual(connection.negotiated, struct.pack("!II", wire.PROTOCOL_3_0, 1) + b"_pq_.nonsense\0")

    def test_old_protocol_is_refused(self):
        answer = self.assert_dropped(wire.headless(2 << 16, bytes(288)))
        self.assertIn(b"unsupported frontend protocol", answer)

    def test_oversize_start_up_is_dropped_before_its_body(self):
        for size in (10_001, 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF):
            self.assert_dropped(struct.pack("!II", size, wire.PROTOCOL_3_0))

    def test_start_up_of_the_greatest_size(self):
        parameters = {"user": "postgres", "database": "app", "application_name": ""}
        for size, refused in ((9_000, False), (10_000, True)):
            parameters["application_name"] = "x" * (size - len(wire.startup({**parameters, "application_name": ""})))
            connection = self.dial()
            connection.send(wire.startup(parameters))
            if refused:
                with self.assertRaisesRegex(wire.ServerError, "08P01: start-up parameters of more than 9000 bytes"):
                    connection.authenticate("postgres", self.server.password)
            else:
                connection.authenticate("postgres", self.server.password)

    def test_too_short_start_up_is_dropped(self):
        for size in (0, 4, 7):
            self.assert_dropped(struct.pack("!II", size, wire.PROTOCOL_3_0))

    def test_start_up_without_an_end_is_dropped(self):
        self.assert_dropped(struct.pack("!II", 13, wire.PROTOCOL_3_0) + b"user\0")
        self.assert_dropped(struct.pack("!II", 12, wire.PROTOCOL_3_0) + b"user")

    def test_start_up_without_a_user_is_refused(self):
        answer = self.assert_dropped(wire.startup({"database": "app"}))
        self.assertIn(b"C28000\0", answer)

    def test_http_is_dropped(self):
        self.assert_dropped(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

    def test_tls_is_dropped(self):
        self.assert_dropped(TLS_CLIENT_HELLO)

    def test_garbage_is_dropped(self):
        self.assert_dropped(bytes(range(255, 0, -1)))

    # -- the password ------------------------------------------------------------------------

    def test_wrong_password(self):
        before = self.upstream_logins()
        fields = self.refusal(user="x", password="wrong")
        self.assertEqual((fields["C"], fields["M"]), ("28P01", 'password authentication failed for user "x"'))
        self.assertEqual(self.upstream_logins(), before)

    def test_empty_password(self):
        self.assertEqual(self.refusal(password="")["C"], "28P01")

    def test_any_user_name_is_that_of_the_url_upstream(self):
        connection = self.log_in(user="somebody \"else\" ä")
        self.assertEqual(connection.value("SELECT session_user"), "postgres")

    def test_scram_is_what_is_offered(self):
        connection = self.dial()
        connection.send(wire.startup({"user": "postgres", "database": "app"}))
        self.assertEqual(connection.receive(), wire.Message("R", struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"))

    def test_messages_other_than_a_password_are_refused(self):
        connection = self.dial()
        connection.send(wire.startup({"user": "postgres", "database": "app"}))
        connection.receive()
        connection.send(wire.query("SELECT 1"))
        answers = connection.receive_to_end()
        self.assertEqual([one.type for one in answers], ["E"])
        self.assertEqual(answers[0].fields()["C"], "08P01")

    def test_md5_when_asked_for(self):
        server = self.start(Server(self.cluster.url("app"), PG_PROXY_AUTH="md5"))
        connection = wire.connect("127.0.0.1", server.pg_port)
        self.addCleanup(connection.close)
        connection.send(wire.startup({"user": "postgres", "database": "app"}))
        request = connection.receive()
        self.assertEqual(request.body[:4], struct.pack("!I", 5))
        connection.send(wire.message("p", wire.text(wire.md5_response("postgres", server.password, request.body[4:]))))
        connection.receive_until("Z")
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", server.pg_port, "wrong")
        self.assertEqual(caught.exception.sqlstate, "28P01")

    # -- what follows it -----------------------------------------------------------------------

    def test_answer_to_a_login(self):
        connection = self.log_in(application_name="my tool", TimeZone="Asia/Tokyo", DateStyle="German")
        kinds = [one.type for one in connection.startup_answer]
        self.assertEqual(kinds[-2:], ["K", "Z"])
        self.assertEqual(connection.startup_answer[-1].body, b"I")
        for name, value in {"application_name": "my tool", "TimeZone": "Asia/Tokyo", "client_encoding": "UTF8",
                            "server_encoding": "UTF8", "standard_conforming_strings": "on"}.items():
            self.assertEqual(connection.parameters[name], value)
        self.assertEqual(connection.value("SHOW DateStyle"), "German, DMY")
        self.assertEqual(connection.value("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"),
                         "my tool")

    def test_backend_pid_is_the_real_one(self):
        connection = self.log_in()
        self.assertEqual(str(connection.pid), connection.value("SELECT pg_backend_pid()"))

    def test_options_of_the_allowlist(self):
        connection = self.log_in(options="-c extra_float_digits=0 -c TimeZone=Asia/Tokyo")
        self.assertEqual(connection.value("SHOW TimeZone"), "Asia/Tokyo")

    def test_client_encoding_of_the_start_up(self):
        connection = self.log_in(client_encoding="LATIN1")
        self.assertEqual(connection.parameters["client_encoding"], "LATIN1")
        self.assertEqual(connection.query("SELECT 'x' || chr(228)")[1].row()[0], b"x\xe4")

    def test_electric_options_are_not_the_clients(self):
        for parameters in ({"options": "-c electric.proxied=x"}, {"electric.proxied": "x"}):
            try:
                connection = self.log_in(**parameters)
            except wire.ServerError:
                continue
            self.assertNotEqual(connection.value("SELECT current_setting('electric.proxied', true)"), "x")

    def test_bad_parameter_value_has_postgres_own_words(self):
        fields = self.refusal(DateStyle="nonsense")
        self.assertEqual(fields["C"], "22023")

    # -- the database --------------------------------------------------------------------------

    def test_database_of_the_url(self):
        connection = self.log_in()
        self.assertEqual(connection.value("SELECT current_database()"), "app")
        self.assertNotIn("N", [one.type for one in connection.startup_answer])

    def test_missing_database(self):
        connection = self.log_in(database=None, user="postgres")
        self.assertEqual(connection.value("SELECT current_database()"), "app")

    def test_maintenance_database_is_accepted(self):
        self.assertEqual(self.log_in(database="postgres").value("SELECT 1"), "1")

    def test_unknown_database_is_ignored_with_a_notice(self):
        connection = self.log_in(database="no \"such\" database")
        self.assertEqual(connection.value("SELECT current_database()"), "app")
        notices = [one.fields() for one in connection.startup_answer if one.type == "N"]
        self.assertEqual(len(notices), 1)
        self.assertIn("app", notices[0]["M"])

    def test_another_existing_database_is_refused(self):
        for database in ("other", "template1"):
            fields = self.refusal(database=database)
            self.assertEqual(fields["C"], "3D000")
            self.assertEqual(fields["M"], 'the migrations proxy serves database "app"')

    def test_replication_is_refused(self):
        for value in ("true", "database", "on", "1"):
            self.assertEqual(self.refusal(replication=value)["C"], "0A000")

    # -- deadlines -----------------------------------------------------------------------------

    def test_dawdlers_are_dropped_while_others_work(self):
        worker = self.log_in()
        dawdlers = {
            "sends nothing": self.dial(),
            "sends half a packet": self.dial(),
            "asks for TLS and falls silent": self.dial(),
            "gives no password": self.dial(),
            "sends one byte a second": self.dial(),
            "sends its password byte by byte": self.dial(),
        }
        whole = wire.startup({"user": "postgres", "database": "app"})
        dawdlers["sends half a packet"].send(whole[:12])
        dawdlers["asks for TLS and falls silent"].send(wire.ssl_request())
        dawdlers["gives no password"].send(whole)
        dawdlers["sends its password byte by byte"].send(whole)
        slow = {"sends one byte a second": whole, "sends its password byte by byte": wire.message("p", bytes(100))}
        started, dropped, at = time.monotonic(), {}, 0
        while len(dropped) < len(dawdlers) and time.monotonic() < started + AUTH_TIMEOUT + 5:
            self.assertEqual(worker.value("SELECT 1"), "1")
            for name in slow.keys() - dropped.keys():
                self.try_to_send(dawdlers[name], slow[name][at:at + 1])
            at += 1
            for name in dawdlers.keys() - dropped.keys():
                if self.has_closed(dawdlers[name]):
                    dropped[name] = time.monotonic() - started
            time.sleep(0.2)
        for name in dawdlers:
            self.assertIn(name, dropped, "not dropped")
            self.assertLess(dropped[name], AUTH_TIMEOUT + 2, name)
            self.assertGreater(dropped[name], AUTH_TIMEOUT - 1, f"{name}: dropped too early")
        self.assertEqual(worker.value("SELECT 1"), "1")

    def test_silent_web_sockets_are_dropped(self):
        socket_ = websocket.connect(self.server.http_port)
        self.addCleanup(socket_.close)
        started = time.monotonic()
        socket_.wait_close(AUTH_TIMEOUT + 4)
        self.assertLess(time.monotonic() - started, AUTH_TIMEOUT + 2)

    def test_unfinished_http_requests_are_dropped(self):
        with socket.create_connection(("127.0.0.1", self.server.http_port)) as silent, \
                socket.create_connection(("127.0.0.1", self.server.http_port)) as half:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x")
            for sock in (silent, half):
                sock.settimeout(AUTH_TIMEOUT + 5)
                while sock.recv(4096):
                    pass

    def has_closed(self, connection):
        connection.stream.settimeout(0.001)
        try:
            while connection.stream.recv(4096):
                pass
            return True
        except TimeoutError:
            return False
        except ConnectionResetError:
            return True

    def try_to_send(self, connection, data):
        try:
            connection.send(data)
        except OSError:
            pass


class LimitTest(ProgramTest):
    def test_too_many_sessions(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url(), MAX_SESSIONS=3))
        sessions = [wire.connect("127.0.0.1", server.pg_port, server.password) for _ in range(3)]
        for session in sessions:
            self.addCleanup(session.close)
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", server.pg_port, server.password)
        self.assertEqual((caught.exception.fields["S"], caught.exception.sqlstate), ("FATAL", "53300"))
        with self.assertRaises(wire.ServerError) as caught:
            wire.Connection(websocket.connect(server.http_port)).login(server.password)
        self.assertEqual(caught.exception.sqlstate, "53300")
        sessions[0].close()
        wait_until(lambda: self.may_log_in(server), 10, "a session that ended to make room")
        self.assertEqual(sessions[1].value("SELECT 1"), "1")

    def test_strangers_take_no_session(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url(), MAX_SESSIONS=2))
        for port in [server.pg_port] * 5:
            self.addCleanup(socket.create_connection(("127.0.0.1", port), 5).close)
        for _ in range(2):
            self.addCleanup(wire.Connection(websocket.connect(server.http_port)).close)
        session, other = (wire.connect("127.0.0.1", server.pg_port, server.password) for _ in range(2))
        self.addCleanup(session.close)
        self.addCleanup(other.close)
        self.assertFalse(self.may_log_in(server))
        session.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: cluster.psql(f"SELECT state FROM pg_stat_activity WHERE pid = {session.pid}") == "active",
                   what="the statement to run")
        with wire.connect("127.0.0.1", server.pg_port) as cancelling:
            cancelling.send(wire.cancel_request(session.pid, session.secret))
            self.assertEqual(session.receive_until("E", timeout=5)[-1].fields()["C"], "57014")

    def test_no_descriptors_left(self):
        """Accepting pauses, the sessions there are go on, and nothing spins."""
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url()))
        session = wire.connect("127.0.0.1", server.pg_port, server.password)
        self.addCleanup(session.close)
        limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (server.file_descriptors() + 5, limits[1]))
        crowd = [socket.create_connection(("127.0.0.1", port), 5)
                 for port in [server.http_port] * 15 + [server.pg_port] * 15]
        for sock in crowd:
            self.addCleanup(sock.close)
        self.assert_idle(server, seconds=1)
        self.assertEqual(session.value("SELECT 1"), "1")
        for sock in crowd:
            sock.close()
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, limits)
        wait_until(lambda: self.may_log_in(server), 10, "new sessions to be served again")
        self.assertEqual(websocket.request(server.http_port, "/healthz").status, 200)

    def may_log_in(self, server):
        try:
            wire.connect("127.0.0.1", server.pg_port, server.password).close()
            return True
        except (wire.ServerError, wire.Closed):
            return False


if __name__ == "__main__":
    unittest.main()
