"""Sessions of electric-tunnel.v1 through trouble of one kind after the other. (test_cuts.py has all at once.)"""

import os
import signal
import time

from tests.support import wire
from tests.support.cutter import HARMS, REFUSED, REQUESTS, RESET, TRUNCATE, UPGRADES
from tests.support.process import wait_until
from tests.support.sessions import SessionTest, needs_http_carrier

LONG = os.environ.get("ELECTRIC_LONG") == "1"
STOPPED_SECONDS = 30 if LONG else 3


class Trouble(SessionTest):
    def test_every_harm_to_a_session_in_a_transaction(self):
        self.start(hole=0.3)
        session = self.connect()
        session.query("BEGIN")
        for i, harm in enumerate(HARMS * (10 if LONG else 2)):
            session.send(wire.query(f"SELECT {i}"))
            wait_until(lambda: self.cutter.cut(harm), 10, "a connection to harm")  # pylint: disable=cell-var-from-loop
            self.assertEqual(self.answer(session), str(i))
        session.query("COMMIT")
        self.assertGreater(self.reattached(), 3)

    def test_a_session_begins_though_connections_break(self):
        """In the upgrade, and in the handshake of TLS: four in a row are not taken for an answer."""
        for encrypted in (False, True):
            with self.subTest(encrypted=encrypted):
                self.start(encrypted=encrypted, early=0, harms=(RESET, TRUNCATE), times=4)
                self.cutter.mean = 100
                self.psql("SELECT 1")
                self.assertEqual(self.cutter.cuts, 4)

    @needs_http_carrier
    def test_a_session_begins_whatever_is_remembered_of_the_network(self):
        """WebSockets were blocked, then nothing but those gets through, then they are blocked again."""
        self.start("--transport", "auto")
        for refused in (UPGRADES, REQUESTS, UPGRADES):
            self.cutter.refuses = refused
            self.psql("SELECT 1")
            # What an older session gets to know would be remembered, too.
            wait_until(lambda: self.open_sessions() == 0, 60, "the session to end")
        self.assertGreaterEqual(self.cutter.counts[REFUSED], 3)

    @needs_http_carrier
    def test_a_session_begins_though_connections_break_and_requests_are_refused(self):
        """WebSockets that break are suspected to be blocked, but nothing else gets through, either."""
        self.start("--transport", "auto", early=0, harms=(RESET, TRUNCATE), times=3)
        self.cutter.mean, self.cutter.refuses = 100, REQUESTS
        self.psql("SELECT 1")
        self.assertEqual((self.cutter.cuts, self.cutter.counts[REFUSED]), (3, 1))

    @needs_http_carrier
    def test_last_words_arrive_before_the_end(self):
        """Both come at once, to whoever was away."""
        for transport in ("websocket", "http"):
            with self.subTest(transport):
                self.start("--transport", transport)
                session = self.connect()
                self.cutter.blocked = True
                self.cutter.cut()
                self.cluster.psql(f"SELECT pg_terminate_backend({session.pid})")
                wait_until(lambda: self.cluster.psql(  # pylint: disable=cell-var-from-loop
                    f"SELECT count(*) FROM pg_stat_activity WHERE pid = {session.pid}") == "0", 60, "the backend to end")
                self.cutter.blocked = False
                self.assertEqual(session.receive(timeout=60).fields()["C"], "57P01")
                self.assertTrue(session.is_closed(60))

    def test_a_stopped_client_goes_on(self):
        self.start()
        session = self.connect()
        session.query("BEGIN")
        self.client.send_signal(signal.SIGSTOP)
        session.send(wire.query("SELECT 7"))
        time.sleep(STOPPED_SECONDS)  # the time that passes is what is tested
        self.client.send_signal(signal.SIGCONT)
        self.assertEqual(self.answer(session), "7")
        session.query("COMMIT")
