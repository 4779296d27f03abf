"""The HTTP port: its pages, its refusals with a reason, and the rules of the WebSocket on it."""

import socket
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server
from tests.support.websocket import BINARY, CLOSE, CONTINUATION, PING, TEXT, encode_request, receive_response, request

ALLOWED_ORIGIN = "https://console.example.com"
UPGRADE = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
           "Sec-WebSocket-Version": "13"}


class HttpTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), ALLOWED_ORIGINS=ALLOWED_ORIGIN))
        cls.port = cls.server.http_port

    def connect(self, *arguments, **keywords):
        web_socket = websocket.connect(self.port, *arguments, **keywords)
        self.addCleanup(web_socket.close)
        return web_socket

    def refusal(self, *arguments, **keywords):
        with self.assertRaises(websocket.Refused) as caught:
            self.connect(*arguments, **keywords)
        self.assert_reason(caught.exception.response)
        return caught.exception.response

    def assert_reason(self, response):
        """A refusal says why, in a sentence of its own."""
        self.assertGreater(len(response.body.strip()), 10, response.status)
        self.assertNotIn(b"<html", response.body.lower())

    # -- pages -------------------------------------------------------------------------------

    def test_front_page(self):
        response = request(self.port)
        self.assertEqual(response.status, 200)
        self.assertEqual(len(response.body.decode().strip().splitlines()), 2)
        self.assertIn(b"/proxy", response.body)

    def test_health_and_readiness(self):
        for path in ("/healthz", "/readyz"):
            self.assertEqual(request(self.port, path).status, 200, path)

    def test_status(self):
        response = request(self.port, "/api/status")
        self.assertEqual((response.status, response.body.strip()), (200, b"Connection to Postgres is up!"))

    def test_head(self):
        for path in ("/", "/healthz", "/readyz", "/api/status"):
            head, get = request(self.port, path, "HEAD"), request(self.port, path)
            self.assertEqual((head.status, head.headers["content-length"]), (200, str(len(get.body))), path)

    def test_head_has_no_body(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(encode_request("x", "/", "HEAD", {"Connection": "close"}))
            data = b""
            while more := sock.recv(4096):
                data += more
        self.assertTrue(data.endswith(b"\r\n\r\n"), data)

    def test_http_1_0_is_answered_and_closed(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            response, _ = receive_response(sock)
            self.assertEqual(response.status, 200)
            self.assertEqual(sock.recv(1), b"")

    def test_connection_is_kept(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            for path, status in (("/healthz", 200), ("/nowhere", 404), ("/proxy", 400), ("/", 200)):
                sock.sendall(encode_request("x", path))
                self.assertEqual(receive_response(sock)[0].status, status, path)

    def test_half_closed_client_is_answered(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(encode_request("x", "/", headers={"Connection": "close"}))
            sock.shutdown(socket.SHUT_WR)
            self.assertEqual(receive_response(sock)[0].status, 200)

    def test_half_closed_clients_cost_no_time(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as asked, \
                socket.create_connection(("127.0.0.1", self.port), 5) as silent, \
                socket.create_connection(("127.0.0.1", self.server.pg_port), 5) as postgres:
            asked.sendall(encode_request("x", "/"))
            for sock in (asked, silent, postgres):
                sock.shutdown(socket.SHUT_WR)
            self.assert_idle(self.server)

    # -- refusals ------------------------------------------------------------------------------

    def test_unknown_path(self):
        for path in ("/nowhere", "/api/nowhere", "/proxyx", "/proxy/x", "/etc/passwd", "/nowhere?x=y"):
            response = request(self.port, path)
            self.assertEqual(response.status, 404, path)
            self.assert_reason(response)

    def test_strange_path(self):
        # libwebsockets 4.1.6 drops a trailing %00 before anyone sees it, so "/%00" is "/".
        for path in ("/../etc/passwd", "/%00x", "/%2e%2e/x", "//nowhere"):
            self.assertIn(request(self.port, path).status, (400, 403, 404), path)

    def test_query_of_a_known_path(self):
        self.assertEqual(request(self.port, "/healthz?probe=1").status, 200)

    def test_wrong_method(self):
        for method, path in (("POST", "/"), ("PUT", "/healthz"), ("DELETE", "/api/status"), ("POST", "/proxy")):
            response = request(self.port, path, method, body=b"some body")
            self.assertEqual(response.status, 405, f"{method} {path}")
            self.assertIn("GET", response.headers["allow"])
            self.assert_reason(response)

    def test_options(self):
        response = request(self.port, "/", "OPTIONS", {"Origin": "https://example.com"})
        self.assertEqual(response.status, 204)
        self.assertIn("GET", response.headers["allow"])
        self.assertFalse([name for name in response.headers if name.startswith("access-control-")])

    def test_not_http(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as sock:
            sock.sendall(wire.startup({"user": "postgres"}) + bytes(100))
            data = b""
            try:
                while more := sock.recv(4096):
                    data += more
            except ConnectionResetError:
                pass
            self.assertTrue(not data or data.startswith(b"HTTP/1.1 4"), data)

    def test_a_long_token_is_read(self):
        response = request(self.port, "/", headers={"Authorization": "Bearer " + "x" * 8000})
        self.assertEqual(response.status, 200)

    # -- the upgrade ---------------------------------------------------------------------------

    def test_not_an_upgrade(self):
        response = request(self.port, "/proxy")
        self.assertEqual(response.status, 400)
        self.assertIn(b"websocket", response.body.lower())

    def test_wrong_web_socket_version(self):
        response = self.refusal(headers={"Sec-WebSocket-Version": "12"})
        self.assertEqual((response.status, response.headers["sec-websocket-version"]), (426, "13"))

    def test_missing_key(self):
        self.assertEqual(self.refusal(headers={"Sec-WebSocket-Key": None}).status, 400)

    def test_upgrade_of_another_path(self):
        self.assertEqual(self.refusal("/elsewhere").status, 404)
        self.assertIn(self.refusal("/healthz").status, (400, 404))

    def test_unknown_subprotocol(self):
        response = self.refusal(protocols=("chat", "electric-tunnel.v999"))
        self.assertEqual(response.status, 400)
        self.assertIn(b"protocol", response.body)

    def test_origin(self):
        for origin in ("https://evil.example.com", "null", "http://127.0.0.1", ALLOWED_ORIGIN + ".evil.example.com"):
            self.assertEqual(self.refusal(headers={"Origin": origin}).status, 403, origin)
        self.connect(headers={"Origin": ALLOWED_ORIGIN})

    def test_paths_of_the_tunnel(self):
        for path in ("/proxy", "//proxy", "/proxy?session=0123456789abcdef"):
            with wire.Connection(self.connect(path)) as connection:
                connection.login(self.server.password)
                self.assertEqual(connection.value("SELECT 1"), "1", path)

    def test_header_spelling(self):
        self.connect(headers={"Upgrade": None, "Connection": None, "uPGRADE": "WebSocket",
                              "cONNECTION": "keep-alive, upgrade"})

    def test_extensions_are_declined(self):
        self.connect(headers={"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"})

    # -- the WebSocket -------------------------------------------------------------------------

    def log_in(self):
        connection = wire.Connection(self.connect())
        connection.login(self.server.password)
        return connection

    def test_only_binary_messages_are_sent(self):
        connection = self.log_in()
        connection.query("SELECT repeat('x', 300000)")
        self.assertLessEqual(connection.stream.kinds, {BINARY, CONTINUATION})

    def test_text_is_refused(self):
        web_socket = self.connect()
        web_socket.send_frame(TEXT, b"hello")
        self.assertEqual(web_socket.wait_close(), 1003)

    def test_fragments_and_pings_between_them(self):
        connection = self.log_in()
        data = wire.query("SELECT 'fragmented'")
        connection.stream.send_frame(BINARY, data[:5], fin=False)
        connection.stream.send_frame(PING, b"between")
        connection.stream.send_frame(CONTINUATION, b"", fin=False)
        connection.stream.send_frame(CONTINUATION, data[5:9], fin=False)
        connection.stream.send_frame(CONTINUATION, data[9:])
        self.assertEqual(connection.receive_until("Z")[1].row(), [b"fragmented"])
        self.assertEqual(connection.stream.pongs, [b"between"])

    def test_pings_are_answered(self):
        connection = self.log_in()
        for payload in (b"", b"x" * 125):
            connection.stream.send_frame(PING, payload)
        self.assertEqual(connection.value("SELECT 1"), "1")
        self.assertEqual(connection.stream.pongs[-1:], [b"x" * 125], "the latest ping is the one that counts")

    def test_unasked_pongs_are_ignored(self):
        connection = self.log_in()
        connection.stream.send_frame(websocket.PONG, b"unasked")
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_close_is_answered(self):
        web_socket = self.log_in().stream
        web_socket.send_close(1000, b"done")
        self.assertEqual(web_socket.wait_close(), 1000)

    def test_terminate_ends_in_close_1000(self):
        connection = self.log_in()
        connection.send(wire.terminate())
        self.assertEqual(connection.stream.wait_close(), 1000)

    def test_violations_end_the_connection(self):
        violations = {
            "an unmasked frame": websocket.encode_frame(BINARY, b"abc", mask=False),
            "a length not in its shortest form": b"\x82\xfe\x00\x03" + bytes(7),
            "a length with the highest bit": b"\x82\xff" + b"\xff" * 8 + bytes(4),
            "a close code that is reserved": websocket.encode_frame(CLOSE, b"\x03\xed"),
            "a close reason that is no UTF-8": websocket.encode_frame(CLOSE, b"\x03\xe8\xff\xfe"),
            "a new message inside a fragmented one": websocket.encode_frame(BINARY, b"", fin=False)
                                                     + websocket.encode_frame(BINARY, b"abc"),
            "reserved bits": websocket.encode_frame(BINARY, b"abc", reserved=4),
            "an unknown opcode": websocket.encode_frame(3, b"abc"),
            "an unknown control opcode": websocket.encode_frame(11, b"abc"),
            "a fragmented ping": websocket.encode_frame(PING, b"abc", fin=False),
            "a ping too long": websocket.encode_frame(PING, b"x" * 126),
            "a continuation of nothing": websocket.encode_frame(CONTINUATION, b"abc"),
            "a close of one byte": websocket.encode_frame(CLOSE, b"\3"),
        }
        for name, data in violations.items():
            with self.subTest(name):
                web_socket = self.log_in().stream
                web_socket.send_raw(data)
                expected = (1007, 1002) if "UTF-8" in name else (1002,)
                self.assertIn(web_socket.wait_close(), expected)

    def test_a_frame_of_any_length_is_streamed(self):
        """No more is buffered than the watermark, whatever length a frame claims."""
        connection = self.log_in()
        text = wire.query("SELECT length('" + "x" * 3_000_000 + "')")
        connection.stream.sendall(text)
        self.assertEqual(connection.receive_until("Z")[1].row(), [b"3000000"])


class TokenTest(ProgramTest):
    def test_token(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url(), ELECTRIC_TUNNEL_TOKEN="s3cret-token"))
        for authorization in (None, "Bearer wrong", "Bearer", "Basic czNjcmV0LXRva2Vu", "s3cret-token",
                              "Bearer s3cret-token2", "Bearer s3cret-toke"):
            with self.assertRaises(websocket.Refused, msg=authorization) as caught:
                websocket.connect(server.http_port, headers={"Authorization": authorization})
            self.assertEqual(caught.exception.status, 401)
            self.assertIn("Bearer", caught.exception.response.headers["www-authenticate"])
            self.assertNotIn(b"s3cret", caught.exception.response.body)
        websocket.connect(server.http_port, headers={"Authorization": "Bearer s3cret-token"}).close()
        websocket.connect(server.http_port, headers={"authorization": "bearer s3cret-token"}).close()
        self.assertEqual(request(server.http_port, "/healthz").status, 200)
        self.assertNotIn("s3cret-token", server.stderr())


class LimitTest(ProgramTest):
    def test_idle_connections_make_room_for_the_tunnel(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url(), MAX_HTTP=4))
        session = wire.Connection(websocket.connect(server.http_port))
        self.addCleanup(session.close)
        session.login(server.password)
        for ask in (True, True, False):
            stranger = self.enterContext(socket.create_connection(("127.0.0.1", server.http_port), 5))
            if ask:
                stranger.sendall(encode_request("x", "/healthz"))
                self.assertEqual(receive_response(stranger)[0].status, 200)
        others = [wire.Connection(websocket.connect(server.http_port, timeout=5)) for _ in range(3)]
        for other in others:
            self.addCleanup(other.close)
            other.login(server.password)
        # All are tunnels now: they stay, and one more waits.
        with self.assertRaises(TimeoutError):
            websocket.connect(server.http_port, timeout=2)
        for one in (session, *others):
            self.assertEqual(one.value("SELECT 1"), "1")


class PortsTest(ProgramTest):
    """What PG_PROXY_PORT chooses."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def test_only_tcp(self):
        server = self.start(Server(self.cluster.url(), pg_proxy_port="0"))
        wire.connect("127.0.0.1", server.pg_port, server.password).close()
        response = request(server.http_port, "/proxy", headers=UPGRADE)
        self.assertEqual(response.status, 404)
        self.assertIn(b"PG_PROXY_PORT", response.body)

    def test_only_http(self):
        server = self.start(Server(self.cluster.url(), pg_proxy_port="http-only"))
        wire.Connection(websocket.connect(server.http_port)).login(server.password)
        self.assertNotIn("listening for Postgres", server.stderr())


if __name__ == "__main__":
    unittest.main()
