"""Sessions of electric-tunnel.v1 through trouble of one kind after the other. (test_cuts.py has all at once.)"""

import os
import signal
import time

from tests.support import wire
from tests.support.cutter import HARMS, RESET, TRUNCATE
from tests.support.process import wait_until
from tests.support.sessions import SessionTest

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
