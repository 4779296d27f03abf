"""Tunnels that live long: nothing ends one that is idle, or busy, by its age.

libwebsockets' own limits are 300 and 310 s, so this takes minutes: IDLE_SECONDS says how long (0: skipped).
"""

import os
import threading
import time
import unittest

from tests.integration.test_relay import Echo
from tests.support import websocket
from tests.support.programs import ProgramTest, Relay

IDLE_SECONDS = int(os.environ.get("IDLE_SECONDS", "0"))
PING, PONG, CLOSE = 9, 10, 8


@unittest.skipUnless(IDLE_SECONDS, "set IDLE_SECONDS (tests/run --long does)")
class PatienceTest(ProgramTest):
    def live(self, stream, until, interval, ended):
        """Answers pings, sends something every `interval` seconds (None: never); notes how it ended."""
        due = time.monotonic()
        while (now := time.monotonic()) < until:
            if interval is not None and now >= due:
                stream.sendall(b"still here")
                due = now + interval
            try:
                frame = stream.receive_frame(1)
            except TimeoutError:
                continue
            if frame is None or frame[0] == CLOSE:
                ended.append(f"{'idle' if interval is None else 'busy'} tunnel ended: {frame}")
                return
            if frame[0] == PING:
                stream.send_frame(PONG, frame[1])

    def test_age_ends_no_tunnel(self):
        with Echo() as echo:
            relay = self.start(Relay(echo.port))
            until, ended = time.monotonic() + IDLE_SECONDS, []
            threads = [threading.Thread(target=self.live, args=(websocket.connect(relay.http_port), until, interval, ended))
                       for interval in (None, 5)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(ended, [])


if __name__ == "__main__":
    unittest.main()
