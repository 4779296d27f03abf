"""Sessions survive the network: psql, pgbench and COPY notice nothing, however often the connection below breaks.

    python3 -m tests.integration.test_cuts --cuts 10000 --seed 7

A cutter between client and server resets, half-closes, truncates, swallows, stalls and delays at byte
offsets that follow from the seed, while each load runs over each way that there is: WebSocket, WebSocket
inside TLS (haproxy's, or the server's own), HTTP requests, and these by turns. Nothing may be lost or
doubled, and no Postgres client may see an error. Prints what was done; the long form (--cuts, or
ELECTRIC_LONG=1) also checks that the cuts came when they hurt most.
"""

import argparse
import collections
import itertools
import os
import sys
import threading
import time
import unittest

from tests.support import cutter, loads
from tests.support.process import wait_until
from tests.support.sessions import SessionTest, has_http_carrier, needs_http_carrier

LONG = os.environ.get("ELECTRIC_LONG") == "1"
CUTS = 10_000 if LONG else 0
MEGABYTES = 1024  # to copy each way in the long form
SEED = int(os.environ.get("ELECTRIC_SEED", "1"))

LOADS = {"pgbench": loads.Pgbench, "script": loads.Script, "notifications": loads.Notifications,
         "idle": loads.Idle, "copy": loads.Copy}
CHOSEN = tuple(LOADS)  # in the long form
SHARES = {"pgbench": 0.35, "script": 0.25, "notifications": 0.15, "idle": 0.1, "copy": 0.15}
total = collections.Counter()


class Cuts(SessionTest):
    def go(self, transport, names=tuple(LOADS), started=None, settings=None, **connecting):
        """Runs the loads until each has had its share of the cuts: once in the short form."""
        encrypted = bool(connecting)
        flags = ("--transport", transport) if has_http_carrier() else ()
        print(f"\nseed {SEED}")
        # A MOVE inside of TLS cannot be told from other bytes where connections are held back, and costs handshakes.
        self.start(*flags, seed=SEED, inside=0.2, hole=0.3, overlap=not encrypted,
                   server=self.serve(TUNNEL_MAX_AGE="10s" if encrypted else "2s", AUTH_TIMEOUT="120s", API_TOKEN="api", **(settings or {})),
                   **connecting)
        # Five connections in a row that do not get as far as the upgrade are an error, and rightly so; and so is a
        # log-in that takes longer than the server keeps such a session, which needs some requests.
        self.handshake, self.cutter.early = (15_000, 0.02) if encrypted else (0, 0.1)
        if transport != "websocket":
            self.handshake = 3000
        if started is not None:
            started()
        for name in CHOSEN if CUTS else names:
            with self.subTest(name):
                self.run_load(name, CUTS // WAYS * SHARES[name])
        counts = +self.cutter.counts
        counts.update({"cuts": self.cutter.cuts, "re-attached": self.reattached(),
                       "bytes sent again by the client": self.resent(),
                       "bytes sent again by the server": self.resent_by_server()})
        self.show(self.id().rpartition(".")[2], counts)
        total.update(counts)
        self.assertGreater(counts["bytes sent again by the client"], 0)
        self.assertGreater(counts["bytes sent again by the server"], 0)
        if not self.cutter.blind:
            self.assertGreater(counts[cutter.UNACKNOWLEDGED], 0)

    def run_load(self, name, quota):
        began, before, counts = time.monotonic(), self.cutter.cuts, self.cutter.counts.copy()
        options = {"megabytes": MEGABYTES} if name == "copy" and CUTS else {}
        self.cutter.mean = None
        load = LOADS[name](self, bool(CUTS), **options)
        self.cutter.mean = self.handshake + (load.mean if not quota or name != "copy" else int(1.5 * load.size / quota))
        try:
            while True:
                was = self.cutter.cuts
                load.round()
                if quota:
                    self.assertGreater(self.cutter.cuts, was, "nothing was cut")
                if self.cutter.cuts - before >= quota:
                    break
        finally:
            load.close()
            self.cutter.mean = None
        # Both ends have got the other's end: the client would not wait for longer than 30 s.
        wait_until(lambda: self.open_sessions() == 0, 25, "all sessions to end in order")
        self.show(f"  {name}, {time.monotonic() - began:.0f} s", self.cutter.counts - counts + collections.Counter(cuts=self.cutter.cuts - before))

    @staticmethod
    def show(what, counts):
        print(f"{what}: {counts['cuts']} cuts;",
              ", ".join(f"{count} {name}" for name, count in counts.most_common() if name != "cuts"), flush=True)

    def test_websocket(self):
        self.go("websocket")

    def test_websocket_in_tls(self):
        self.go("websocket", encrypted=True, names=("copy", "pgbench"))

    def test_websocket_in_tls_of_the_server(self):
        """Nobody can watch what is cut: only what comes of it counts."""
        authority, (certificate, key) = self.certify()
        self.go("websocket", trusted=authority, names=("copy", "pgbench"),
                settings={"HTTP_TLS_CERT": certificate, "HTTP_TLS_KEY": key})

    @needs_http_carrier
    def test_http(self):
        self.go("http", names=("copy", "pgbench"))

    @needs_http_carrier
    def test_by_turns(self):
        """What is in between lets now WebSockets through, now HTTP requests, now both."""
        over = threading.Event()

        def turn():
            for refused in itertools.cycle((cutter.UPGRADES, None, cutter.REQUESTS, None)):
                answered, least = self.cutter.counts[cutter.ANSWERED], 1.5
                # So long that somebody got through: a slow machine may need more time than that for a connection.
                while not over.wait(least) and self.cutter.counts[cutter.ANSWERED] == answered:
                    least = 0.1
                if over.is_set():
                    return
                self.cutter.refuses = refused
                self.cutter.cut(cutter.RESET)

        turning = threading.Thread(target=turn)
        self.addCleanup(turning.join)
        self.addCleanup(over.set)
        self.go("auto", names=("copy", "pgbench"), started=turning.start)


WAYS = len([name for name in dir(Cuts) if name.startswith("test_")]) - (0 if has_http_carrier() else 2)


def tearDownModule():
    """All in all the cuts must have come when they hurt most."""
    if not CUTS or total["cuts"] < CUTS:
        return
    Cuts.show("all together", total)
    for what, least in ((cutter.UNACKNOWLEDGED, CUTS // 2), (cutter.IN_EXCHANGE, CUTS // 10),
                        (cutter.LEFT_READABLE, CUTS // 20)):
        if total[what] < least:
            raise AssertionError(f"only {total[what]} {what}, not {least}")


def main():
    global CUTS, MEGABYTES, SEED, CHOSEN  # pylint: disable=global-statement
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=10_000, help="how many connections are to be ended in all")
    parser.add_argument("--megabytes", type=int, default=MEGABYTES, help="how much is copied, over each way")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=CHOSEN, help="which; all if not said")
    arguments, rest = parser.parse_known_args()
    CUTS, MEGABYTES, SEED = arguments.cuts, arguments.megabytes, arguments.seed
    CHOSEN = arguments.loads
    unittest.main(argv=[sys.argv[0], "-v", *rest])


if __name__ == "__main__":
    main()
