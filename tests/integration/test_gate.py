"""What clients of the HTTP port may do to a connection: it is neither stuck, nor cut short, nor served in
circles, and leaves nothing behind."""

import re
import signal
import socket
import struct
import time

from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Relay
from tests.support.websocket import receive_response

ASK = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
ASK_LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
UPGRADE = (b"GET /proxy HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: %d\r\n\r\n")


def read_all(sock):
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", data)]


class GateTest(ProgramTest):
    def setUp(self):
        silent = self.enterContext(socket.create_server(("127.0.0.1", 0)))
        self.server = self.start(Relay(silent.getsockname()[1]))

    def connect(self, receive_buffer=None):
        sock = self.enterContext(socket.socket())
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", self.server.http_port))
        return sock

    def wait_asleep(self):
        def asleep():
            before = self.server.cpu_seconds()
            time.sleep(1)
            return self.server.cpu_seconds() == before

        wait_until(asleep, 60, "the server to sleep")

    def test_a_refused_upgrade_ends_a_kept_connection(self):
        sock = self.connect()
        sock.sendall(ASK)
        self.assertEqual(receive_response(sock)[0].status, 200)
        sock.settimeout(5)  # a kept connection may be idle for longer
        sock.sendall(UPGRADE % 12 + ASK)
        self.assertEqual(statuses(read_all(sock)), [426])

    def test_an_upgrade_on_a_kept_connection(self):
        sock = self.connect()
        sock.sendall(ASK + ASK + UPGRADE % 13)
        data = b""
        while data.count(b"\r\n\r\n") < 3:
            data += sock.recv(65536)
        self.assertEqual(statuses(data), [200, 200, 101])

    def test_connection_is_a_list(self):
        for value in (b"TE, close", b"close, TE", b"keep-alive,close", b"TE\r\nConnection: Close"):
            sock = self.connect()
            sock.settimeout(5)
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: " + value + b"\r\n\r\n")
            self.assertEqual(statuses(read_all(sock)), [200], value)

    def test_more_than_the_library_holds_is_refused(self):
        for head in (b"GET /healthz?" + b"&".join([b"a=b"] * 200) + b" HTTP/1.1\r\nHost: x\r\n\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"Cookie: a=b\r\n" * 100 + b"\r\n",
                     b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 40000 + b"\r\n\r\n"):
            sock = self.connect()
            sock.sendall(head)
            self.assertEqual(statuses(read_all(sock)), [431], head[:60])

    def fill(self, sock):
        """Asks until neither end takes any more."""
        sent = quiet = 0
        requests = ASK * 1000
        sock.setblocking(False)
        while quiet < 10:
            try:
                sent += sock.send(requests[sent % len(ASK):])
                quiet = 0
            except BlockingIOError:
                quiet += 1
                time.sleep(0.1)

    def test_who_takes_no_answers_costs_no_time(self):
        sock = self.connect(receive_buffer=4096)
        self.fill(sock)
        self.wait_asleep()
        self.assert_idle(self.server)
        other = self.connect()
        other.sendall(ASK_LAST)
        self.assertEqual(statuses(read_all(other)), [200])

    def test_answers_on_their_way_outlive_the_server(self):
        sock = self.connect(receive_buffer=4096)
        count = 20000
        sock.sendall(ASK * count)
        sock.shutdown(socket.SHUT_WR)
        self.wait_asleep()
        self.server.send_signal(signal.SIGTERM)
        self.server.wait_for("shutting down")
        data = read_all(sock)
        self.assertEqual(len(statuses(data)), count)
        self.assertEqual(data[-6:], b"alive\n")
        self.server.wait()

    def test_nothing_is_left_of_connections_that_were_reset(self):
        beginnings = (b"", b"GET / HT", ASK, ASK * 3, ASK + b"GET", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
                      UPGRADE % 13, UPGRADE % 12, b"nonsense\r\n\r\n", ASK * 2000)
        before = self.server.file_descriptors()
        for turn in range(300):
            sock = socket.create_connection(("127.0.0.1", self.server.http_port), 20)
            beginning = beginnings[turn % len(beginnings)]
            sock.sendall(beginning)
            if turn % 3 == 0 and beginning.startswith((ASK, b"POST", UPGRADE % 13)):
                sock.recv(1)
            if turn % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        wait_until(lambda: self.server.file_descriptors() <= before, 30, "the descriptors to be closed")
        self.assert_idle(self.server)
