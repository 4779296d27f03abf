"""Sessions through what stands in between in the world: nginx, haproxy, squid and tinyproxy, all of them impatient.

Each cuts what was silent for 5 s, which is less than any end would ping at first; a statement that says
nothing for several times as long (60 s with ELECTRIC_LONG=1) survives, and its session takes up again.
Prints how long that took.
"""

import hashlib
import os
import re
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.middlebox import Haproxy, Nginx, Squid, Tinyproxy
from tests.support.programs import Client, ProgramTest, Server
from tests.support.sessions import needs_http_carrier

SILENCE = 60 if os.environ.get("ELECTRIC_LONG") == "1" else 12
IDLE = "5s"
SIZE = 3_000_000


class MiddleboxTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), CAPTURE="false", DRAIN_TIMEOUT="1s"))

    def through(self, box):
        """A client whose way to the service leads through `box`."""
        self.start(box)
        if isinstance(box, (Squid, Tinyproxy)):
            return self.start(Client(self.server.service, "--protocol", "v1", http_proxy=box.url))
        return self.start(Client(box.url, "--protocol", "v1"))

    def connect(self, client):
        return self.enterContext(wire.connect("127.0.0.1", client.port, self.server.password, timeout=30))

    def survive(self, boxes, least):
        """All at once, since it takes its time. At least `least` attachments must have been lost in each."""
        clients = {}
        for name, (kind, options) in boxes.items():
            with self.subTest(name):
                clients[name] = self.through(kind(**options))
        sessions = {name: self.connect(client) for name, client in clients.items()}
        for session in sessions.values():
            session.send(wire.query(f"SELECT 'awake', pg_sleep({SILENCE})"))
        for name, session in sessions.items():
            with self.subTest(name):
                self.assertEqual(self.answer(session, SILENCE + 60), "awake")
                session.send(wire.query(f"SELECT repeat('0123456789', {SIZE // 10})"))
                self.assertEqual(hashlib.sha256(self.answer(session, 60).encode()).hexdigest(),
                                 hashlib.sha256(b"0123456789" * (SIZE // 10)).hexdigest())
                took = re.findall(r"re-attached after (\S+ s)", clients[name].stderr())
                print(f"\n{name}: silent for {SILENCE} s; re-attached after {', '.join(took) or 'nothing'}")
                self.assertGreaterEqual(len(took), least)

    def answer(self, session, timeout):
        messages = session.receive_until("Z", timeout=timeout)
        self.assertEqual([m.fields() for m in messages if m.type == "E"], [])
        return [m.row()[0].decode() for m in messages if m.type == "D"][0]

    def test_a_silent_statement(self):
        self.survive({
            f"nginx, proxy_read_timeout {IDLE}": (Nginx, {"target": self.server.http_port, "idle": IDLE}),
            f"haproxy, timeout tunnel {IDLE}": (Haproxy, {"target": self.server.http_port, "idle": IDLE}),
            "squid, CONNECT with a password, read_timeout 5 s": (Squid, {}),
            "tinyproxy, CONNECT with a password, Timeout 5": (Tinyproxy, {}),
        }, least=1)

    @needs_http_carrier
    def test_a_silent_statement_without_upgrades(self):
        plain = {"target": self.server.http_port, "idle": IDLE, "upgrades": False}
        self.survive({
            "nginx that strips Upgrade": (Nginx, plain),
            "nginx that strips Upgrade and buffers bodies": (Nginx, {**plain, "buffers": True}),
        }, least=0)


if __name__ == "__main__":
    unittest.main()
