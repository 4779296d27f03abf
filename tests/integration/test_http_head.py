"""What a proxy in front may read differently is refused before anything is served, on the first request
of a connection and on later ones; and no header makes the server lose another one."""

import re
import socket
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server
from tests.support.websocket import receive_response

HOST = b"Host: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


class HeadTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url()))
        cls.port = cls.server.http_port

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), 10)
        self.addCleanup(sock.close)
        return sock

    def answers(self, *parts, kept=False):
        """Statuses of everything that is answered until the server closes."""
        sock = self.connect()
        if kept:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual(receive_response(sock)[0].status, 200)
        for part in parts:
            sock.sendall(part)
        sock.shutdown(socket.SHUT_WR)
        data = b""
        try:
            while more := sock.recv(65536):
                data += more
        except ConnectionResetError:
            pass
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]

    def assert_answers(self, expected, *parts):
        for kept in (False, True):
            self.assertEqual(self.answers(*parts, kept=kept), expected, parts)

    def test_headers_that_the_library_misreads(self):
        """`X: 1` used to swallow the next line, so that a body became a request."""
        for name in (b"X", b"X-Auth", b"A", b"Content", b"Transfer", b"Sec-WebSocket", b"Put", b"Delete-Me", b"Uri-Args"):
            self.assert_answers([405], b"POST / HTTP/1.1\r\n" + HOST + name + b": 1\r\nContent-Length: %d\r\n\r\n" %
                                len(SMUGGLED) + SMUGGLED)

    def test_a_body_is_no_request(self):
        """Whatever it looks like, and whether anybody wants it."""
        for method in (b"GET", b"POST", b"PUT", b"OPTIONS"):
            statuses = self.answers(method + b" /healthz HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" %
                                    len(SMUGGLED) + SMUGGLED)
            self.assertEqual(len(statuses), 1, method)
            self.assertNotIn(404, statuses)

    def test_the_header_behind_a_misread_one_counts(self):
        sock = self.connect()
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        sock.sendall(f"GET /proxy HTTP/1.1\r\nX: 1\r\nHost: x\r\nX-Auth: 2\r\nUpgrade: websocket\r\nA: 3\r\n"
                     f"Connection: Upgrade\r\nSec: 1\r\nSec-WebSocket-Key: {key}\r\nS: 1\r\n"
                     f"Sec-WebSocket-Version: 13\r\nX-Z: 1\r\nU: 1\r\n\r\n".encode())
        self.assertEqual(receive_response(sock)[0].status, 101)

    def test_doubtful_lengths(self):
        body = b"hello"
        for status, lines in ((400, b"Content-Length: 5\r\nContent-Length: 5\r\n"),
                              (400, b"Content-Length: 5\r\nContent-Length: 6\r\n"),
                              (400, b"Content-Length: 5, 5\r\n"), (400, b"Content-Length: +5\r\n"),
                              (400, b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
                              (400, b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
                              (411, b"Transfer-Encoding: chunked\r\n"), (411, b"Transfer-Encoding: identity\r\n"),
                              (411, b"transfer-encoding:\tchunked\r\n"), (400, b"Transfer-Encoding : chunked\r\n")):
            request = b"POST / HTTP/1.1\r\n" + HOST + lines + b"\r\n" + body + SMUGGLED
            self.assertEqual(self.answers(request), [status], lines)
            self.assertEqual(self.answers(request, kept=True), [status], lines)

    def test_line_ends_folds_and_nul(self):
        for request in (b"GET / HTTP/1.1\nHost: x\n\n", b"GET / HTTP/1.1\r\nHost: x\n\r\n",
                        b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
                        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rB: c\r\n\r\n",
                        b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"):
            self.assert_answers([400], request + SMUGGLED)

    def test_host(self):
        self.assert_answers([400], b"GET / HTTP/1.1\r\n\r\n" + SMUGGLED)
        self.assert_answers([400], b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n" + SMUGGLED)

    def test_in_pieces(self):
        sock = self.connect()
        for byte in b"\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nX: 1\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
        self.assertEqual(receive_response(sock)[0].status, 404)
        self.assertEqual(sock.recv(1), b"")

    def test_requests_behind_each_other(self):
        """A refusal stands behind the answers to what came before it."""
        good = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(self.answers(good * 20), [200] * 20)
        self.assertEqual(self.answers(good * 5 + b"GET / HTTP/1.1\nx\r\n" + good), [200] * 5 + [400])
        api = b"GET /api/schema HTTP/1.1\r\nHost: x\r\n\r\n"
        self.assertEqual(self.answers(api + good + api + good), [401, 200, 401, 200])

    def test_targets(self):
        self.assert_answers([200], b"GET http://x:80/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assert_answers([204], b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assert_answers([501], b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assert_answers([505], b"GET / HTTP/3.0\r\nHost: x\r\n\r\n")

    def test_too_long(self):
        self.assert_answers([431], b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 40000)
        self.assert_answers([431], b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n")

    def test_other_upgrades_are_ignored(self):
        self.assert_answers([200], b"GET /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade, "
                                   b"HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")

    def test_data_before_the_upgrades_answer(self):
        sock = self.connect()
        sock.sendall(b"GET /proxy HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" +
                     websocket.encode_frame(websocket.BINARY, wire.ssl_request()))
        response, rest = receive_response(sock)
        self.assertEqual(response.status, 101)
        self.assertEqual(websocket.WebSocket(sock, response, rest).wait_close(), 1002)


class SlowTest(ProgramTest):
    def test_a_head_has_a_deadline(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(cluster.url(), AUTH_TIMEOUT="1s"))
        for beginning, answered in ((b"", False), (b"GET / HT", True)):
            with socket.create_connection(("127.0.0.1", server.http_port), 30) as sock:
                sock.sendall(beginning)
                data = b""
                while more := sock.recv(4096):
                    data += more
                self.assertEqual(data.startswith(b"HTTP/1.1 408"), answered)


if __name__ == "__main__":
    unittest.main()
