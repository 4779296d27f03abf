"""Connections that electric-tunnel makes ahead of need (--prewarm)."""

import os
import signal
import threading
import time

from tests.integration.test_tunnel_forward import STARTUP
from tests.integration.test_tunnel_v1_offer import (DATA, LOST, OPEN, PROTOCOL, RESUME, AutoTest, agree, offer, opened,
                                                    reset)
from tests.support import libpq, tunnel, wire
from tests.support.cutter import RESET
from tests.support.delay import Delay
from tests.support.process import free_port, wait_until
from tests.support.programs import Client
from tests.support.service import echo
from tests.support.sessions import SessionTest

LONG = os.environ.get("ELECTRIC_LONG") == "1"
PREWARMED_MAX = 64  # of a server
PREWARMED_S = 600
READY = r"prewarmed connection [0-9a-f]{16} is ready"
LOSS = r"prewarmed connection [0-9a-f]{16} is lost: "


class Stock(AutoTest):
    """A service of a script, and a tunnel that keeps two connections."""

    def serve_stock(self, behave, count=2):
        self.received = []
        self.started = threading.Event()  # it connects at once
        self.serve(behave, "--prewarm", str(count), "--protocol", "auto", "--log-level", "debug")
        self.started.set()

    def take(self, peer):
        frame = peer.receive()
        self.received.append((peer, frame))
        return frame

    def kinds(self, peer):
        return [frame[:1] for one, frame in list(self.received) if one is peer]

    def idle(self, peer):
        """Agrees, and takes what comes."""
        agree(peer)
        while self.take(peer):
            pass

    def wait_stock(self, connections):
        wait_until(lambda: len(self.service.peers) == connections, 10, f"{connections} connections")
        wait_until(lambda: self.client.stderr().count("is ready") == connections, 10, "them to be ready")

    def start_session(self):
        connection = wire.Connection(self.dial())
        connection.send(STARTUP)
        return connection

    def test_they_are_made_before_anybody_comes(self):
        self.serve_stock(self.idle)
        self.wait_stock(2)
        self.assertEqual([offer(peer) for peer in self.service.peers], [PROTOCOL] * 2)
        self.assertEqual(len({peer.session for peer in self.service.peers}), 2)
        self.assertEqual(self.received, [])

    def test_a_session_speaks_at_once_and_its_place_is_filled(self):
        self.serve_stock(self.idle)
        self.wait_stock(2)
        self.start_session()
        first, second = self.service.peers[:2]
        wait_until(lambda: len(self.kinds(first) + self.kinds(second)) == 2, 10, "OPEN and the StartupMessage")
        peer, frame = self.received[0]
        self.assertEqual([frame[0], self.received[1][1][0]], [OPEN, DATA])
        self.assertEqual(frame[1:9].hex(), peer.session, "a balancer knows this session by the id of its connection")
        self.assertEqual(self.received[1][1][9:], STARTUP)
        self.wait_stock(3)

    def test_what_is_not_in_stock_is_made(self):
        self.serve_stock(self.idle)
        self.wait_stock(2)
        for _ in range(5):
            self.start_session()
        wait_until(lambda: [frame[0] for _, frame in list(self.received)].count(DATA) == 5, 10, "five sessions")

    def test_the_session_returns_to_where_its_connection_led(self):
        def lose(peer):
            agree(peer, Set_Cookie="route=a1")
            frame = self.take(peer)
            if frame[:1] == bytes([OPEN]):
                peer.send(opened())
                while self.take(peer)[0] != DATA:
                    pass
                peer.cut()
            elif frame[:1] == bytes([RESUME]):
                peer.send(reset(LOST))
                peer.wait_close()

        self.serve_stock(lose, count=1)
        self.wait_stock(1)
        connection = self.start_session()
        self.assertEqual(connection.receive(timeout=20).fields()["C"], "08006")
        resumer, _ = next((peer, frame) for peer, frame in self.received if frame[:1] == bytes([RESUME]))
        self.assertEqual(resumer.session, self.service.peers[0].session)
        self.assertEqual(resumer.headers["cookie"], "route=a1")

    def test_those_that_are_lost_are_replaced(self):
        cut = []

        def lose_first(peer):
            if len(cut) < 2:
                agree(peer)
                cut.append(peer)
                self.started.wait(20)
                self.client.wait_for(rf"prewarmed connection {peer.session} is ready")
                peer.cut()
            else:
                self.idle(peer)

        self.serve_stock(lose_first)
        wait_until(lambda: len(self.service.peers) == 4, 20, "two others")

    def test_a_service_that_is_down_is_not_hammered(self):
        port = free_port()
        client = self.start(Client(f"http://127.0.0.1:{port}", "--prewarm", "8", "--log-level", "debug"))
        client.wait_for(LOSS + "could not connect")
        started = time.monotonic()
        client.wait_for(rf"(?s)(?:{LOSS}.*?){{13}}", 20)
        self.assertGreater(time.monotonic() - started, 0.1 + 0.2 + 0.4 + 0.8, "after eight at once, one at a time")

    def test_a_service_that_speaks_first_is_not_believed(self):
        def babble(peer):
            agree(peer)
            peer.send(opened())
            peer.wait_close()

        self.serve_stock(babble, count=1)
        self.client.wait_for(LOSS + "the service spoke first")

    def test_a_service_that_only_speaks_raw_is_used_as_ever(self):
        self.serve_stock(echo)
        self.client.wait_for(LOSS + "the service cannot resume sessions")
        self.assertNotIn("this service cannot", self.client.stderr(), "before anybody asks")
        for _ in range(3):
            self.assert_echoes()
        self.assertLessEqual(len(self.service.peers), 5, "two that were made ahead, and those that are used")
        self.assertEqual(self.client.stderr().count("this service cannot resume sessions"), 1)
        self.assertNotRegex(self.client.stderr(), "(?i)warn")

    def test_raw_mode_has_no_use_for_it(self):
        client = Client("http://127.0.0.1:1", "--prewarm", "1", "--protocol", "raw")
        client.clean_exit = (2,)
        with self.assertRaisesRegex(RuntimeError, "--prewarm"):
            self.start(client)

    def test_they_are_closed_in_order_at_the_end(self):
        codes = []

        def note(peer):
            agree(peer)
            codes.append(peer.wait_close())

        self.serve_stock(note)
        self.wait_stock(2)
        self.client.stop()
        wait_until(lambda: codes == [1000, 1000], 10, "both Close frames")


class Sessions(SessionTest):
    """With electric-proxy."""

    def wait_ready(self, count):
        self.client.wait_for(rf"(?s)(?:{READY}.*?){{{count}}}")

    def test_logins_and_statements(self):
        self.start("--prewarm", "3")
        for i in range(10):
            self.assertEqual(self.psql(f"SELECT {i}"), f"{i}\n")
        self.wait_ready(10)

    def test_a_first_row_takes_four_round_trips(self):
        """One for the start-up, two for SCRAM, one for the statement; directly and without TLS it takes five."""
        server = self.server = self.serve()
        network = self.enterContext(Delay(server.http_port, 0.02))
        self.client = self.enterContext(Client(network.url, "--prewarm", "1", "--log-level", "debug"))
        url = self.client.url(server.password, gssencmode="disable")
        fewest = 100
        for i in range(1, 10):
            self.wait_ready(i)
            network.count_from_now()
            # A timer that happens to fire in the meantime may look like one more.
            fewest = min(fewest, libpq.first_row(url, lambda: network.round_trips(prewarmed=True)))
            if fewest == 4:
                break
        self.assertEqual(fewest, 4)

    def test_postgres_hears_nothing_of_them(self):
        self.start("--prewarm", "3")
        self.wait_ready(4)
        wait_until(lambda: self.cluster.clients() == 0, what="Postgres to be left alone")

    def test_those_that_break_while_nobody_uses_them(self):
        self.start("--prewarm", "2")
        self.wait_ready(3)
        for i in range(5):
            self.cutter.cut(RESET)
            self.assertEqual(self.psql(f"SELECT {i}"), f"{i}\n")

    def test_a_machine_that_wakes_up_does_not_use_what_it_had(self):
        """The service has closed them; nobody could tell the stopped client."""
        self.start("--prewarm", "2")
        self.wait_ready(3)
        self.client.send_signal(signal.SIGSTOP)
        self.cutter.cut(RESET)
        self.client.send_signal(signal.SIGCONT)
        self.assertEqual(self.psql("SELECT 1"), "1\n")

    def test_a_server_that_drains_closes_them(self):
        self.start("--prewarm", "2", server=self.serve(DRAIN_TIMEOUT="20s"))
        self.wait_ready(3)
        session = self.connect()
        self.wait_ready(4)
        self.server.send_signal(signal.SIGTERM)
        self.client.wait_for(rf"(?s)(?:{LOSS}the server is shutting down.*?){{2}}")
        self.assertEqual(self.value(session, "SELECT 1"), "1")
        session.send(wire.terminate())
        self.assertEqual(self.server.wait(15), 0, "those that are made meanwhile keep it from nothing")

    def test_a_server_has_room_for_so_many(self):
        """Beyond them it waits for 10 s only, and says so; sessions are not affected."""
        self.start(server=self.serve(MAX_HTTP="300"))
        for _ in range(PREWARMED_MAX):
            attachment = tunnel.attach(self.server.http_port)
            self.addCleanup(attachment.close)
        client = self.enterContext(Client(self.cutter.url, "--prewarm", "1", "--log-level", "debug"))
        client.wait_for(READY)
        client.wait_for(LOSS + "nothing came", 30)
        self.assertEqual(self.psql("SELECT 1"), "1\n")

    def test_they_are_renewed_before_they_are_too_old(self):
        """The longest that this may take: what is in stock is never closed by the server."""
        if not LONG:
            self.skipTest("takes ten minutes; ELECTRIC_LONG=1 runs it")
        self.start("--prewarm", "2")
        self.wait_ready(3)
        stranger = tunnel.attach(self.server.http_port)
        self.assertIsNone(tunnel.receive(stranger, PREWARMED_S + 60))
        self.assertEqual(stranger.close_reason, "nothing came")
        self.wait_ready(5)
        self.assertNotIn("nothing came", self.client.stderr())
        self.assertEqual(self.psql("SELECT 1"), "1\n")
