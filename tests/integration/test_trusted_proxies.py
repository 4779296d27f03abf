"""Behind a reverse proxy: whose address is logged, and which limits go by it."""

import re
import socket
import time
import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Server
from tests.support.websocket import encode_request

SHARE = 20  # connections of one address that have not logged in


class TrustedProxiesTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def serve(self, trusted, **variables):
        if trusted is not None:
            variables["TRUSTED_PROXIES"] = trusted
        self.server = self.start(Server(self.cluster.url(), **variables))

    def connect(self, *forwarded):
        """A session that comes through proxies which say this."""
        headers = {"X-Forwarded-For": ", ".join(forwarded)} if forwarded else {}
        connection = wire.Connection(websocket.connect(self.server.http_port, headers=headers, timeout=30), timeout=60)
        self.addCleanup(connection.close)
        return connection

    def wrong_password(self, *forwarded):
        """Seconds until the refusal."""
        connection = self.connect(*forwarded)
        before = time.monotonic()
        with self.assertRaises(wire.ServerError) as caught:
            connection.login("wrong")
        self.assertEqual(caught.exception.sqlstate, "28P01")
        return time.monotonic() - before

    def test_the_log_names_the_client(self):
        self.serve("10.0.0.0/8, 127.0.0.1")
        for number, (forwarded, address) in enumerate(((("203.0.113.7",), "203.0.113.7"),
                                                       (("1.1.1.1", "203.0.113.8", "10.1.2.3"), "203.0.113.8"),
                                                       (("2001:db8::1",), "2001:db8::1"), ((), "127.0.0.1")), 1):
            self.connect(*forwarded).login(self.server.password)
            self.server.wait_for(rf"session {number} {address}: opened")

    def test_nobody_else_is_believed(self):
        for trusted in (None, "10.0.0.0/8"):
            self.serve(trusted)
            self.connect("203.0.113.7").login(self.server.password)
            self.server.wait_for(r"session 1 127\.0\.0\.1: opened")

    def test_a_client_cannot_name_itself(self):
        self.serve("127.0.0.1")
        websocket.connect(self.server.http_port, headers={"Electric-Client": "single 198.51.100.1",
                                                          "X-Forwarded-For": "203.0.113.7"}).close()
        self.server.wait_for(r"session 1 203\.0\.113\.7: opened")

    def test_guesses_of_one_address_wait_longer(self):
        self.serve("127.0.0.1")
        self.assertGreater(self.wrong_password("203.0.113.7"), 0.9)
        self.assertGreater(self.wrong_password("203.0.113.7"), 1.9)
        self.assertGreater(self.wrong_password("203.0.113.7"), 3.9)
        self.connect("203.0.113.7").login(self.server.password)  # a right one never waits

    def test_strangers_of_one_address_make_way_for_its_own(self):
        self.serve("127.0.0.1", AUTH_TIMEOUT="300s")
        first = self.connect("203.0.113.7")
        silent = [self.connect("203.0.113.7") for _ in range(SHARE - 1)]
        others = [self.connect(f"198.51.100.{i}") for i in range(SHARE)]
        self.assertNotIn("from this address", self.server.stderr())
        time.sleep(1.1)  # younger ones are not closed: the newest goes instead
        newest = self.connect("203.0.113.7")
        self.server.wait_for("too many connections from this address before authentication")
        self.assertTrue(first.is_closed(30))
        newest.login(self.server.password)
        for connection in (*silent, *others):
            connection.login(self.server.password)

    def test_those_that_are_young_stay(self):
        self.serve("127.0.0.1", AUTH_TIMEOUT="300s")
        connections = [self.connect("203.0.113.7") for _ in range(SHARE + 5)]
        wait_until(lambda: self.server.stderr().count("from this address") == 5, 30, "five to be closed")
        self.assertEqual(sum(1 for connection in connections if connection.is_closed(0.2)), 5)

    def test_guesses_at_the_api_are_counted_by_client(self):
        self.serve("127.0.0.1")

        def guess(address, count):
            """Statuses of guesses that come one behind the other on one connection."""
            one = encode_request("localhost", "/api/schema", headers={"Authorization": "Basic OndyaW5n",
                                                                      "X-Forwarded-For": address})
            with socket.create_connection(("127.0.0.1", self.server.http_port), 30) as sock:
                sock.sendall(one * count)
                sock.shutdown(socket.SHUT_WR)
                data = b""
                while more := sock.recv(65536):
                    data += more
            return re.findall(rb"HTTP/1\.1 (\d{3}) ", data)

        self.assertIn(b"429", guess("203.0.113.7", 200))
        self.assertEqual(guess("198.51.100.1", 1), [b"401"])


if __name__ == "__main__":
    unittest.main()
