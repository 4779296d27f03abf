"""Round trips of the network until libpq has its first row: through the tunnel, and directly by TLS.

    ELECTRIC_PROXY=… ELECTRIC_TUNNEL=… python3 -m tests.benchmarks.round_trips [--delay 100] [--rounds 9]

One of the direct way's is owed to ssl_ecdh_curve, which before Postgres 18 cannot be what a client with
OpenSSL guesses, X25519, so that TLS begins twice.

All ways in turn, in each round, through the same added delay. Prints the round trips (the fewest: a
timer that happens to fire may look like one) and milliseconds: the least and the median. No test, since
nothing is asserted; test_tunnel_v1_prewarm has one.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time

from tests.support import libpq
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.delay import Delay
from tests.support.programs import Client, Server


class Direct:
    """Postgres with TLS, beyond the network."""

    def __init__(self, stack, cluster, delay, **parameters):
        self.network = stack.enter_context(Delay(cluster.port, delay))
        self.url = cluster.url(port=self.network.port, gssencmode="disable", **parameters)

    def measure(self):
        """(round trips, milliseconds)"""
        self.network.count_from_now()
        began = time.perf_counter()
        ended, trips = libpq.first_row(self.url, lambda: (time.perf_counter(), self.round_trips()))
        return trips, 1000 * (ended - began)

    def round_trips(self):
        return self.network.round_trips()


class Tunnel(Direct):
    """electric-proxy beside Postgres, beyond the network; electric-tunnel here."""

    def __init__(self, stack, server, delay, authority, *flags, prewarmed=False):  # pylint: disable=super-init-not-called
        self.network = stack.enter_context(Delay(server.http_port, delay))
        self.prewarmed, self.used = prewarmed, 0
        flags += ("--log-level", "debug", *(("--prewarm", "1") if prewarmed else ()))
        trust = ("--cacert", authority) if authority else ()
        url = self.network.url.replace("http:", "https:") if authority else self.network.url
        self.client = stack.enter_context(Client(url, *trust, *flags))
        self.url = self.client.url(server.password, gssencmode="disable")

    def measure(self):
        if self.prewarmed:
            self.used += 1
            self.client.wait_for(rf"(?s)(?:prewarmed connection \w+ is ready.*?){{{self.used}}}")
        return super().measure()

    def round_trips(self):
        return self.network.round_trips(self.prewarmed)


def ways(stack, delay):
    authority = Authority(os.path.join(stack.enter_context(tempfile.TemporaryDirectory()), "tls"))
    certificate, key = authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])
    cluster = stack.enter_context(Cluster(tls=True))
    plain = stack.enter_context(Server(cluster.url(sslmode="require"), CAPTURE="false", DRAIN_TIMEOUT="1s"))
    secure = stack.enter_context(Server(cluster.url(sslmode="require"), CAPTURE="false", DRAIN_TIMEOUT="1s",
                                        HTTP_TLS_CERT=certificate, HTTP_TLS_KEY=key))
    trust = authority.certificate
    found = {
        "directly, sslmode=require": Direct(stack, cluster, delay, sslmode="require"),
        "cold tunnel, https": Tunnel(stack, secure, delay, trust),
        "cold tunnel, https, raw mode": Tunnel(stack, secure, delay, trust, "--protocol", "raw"),
        "cold tunnel, http": Tunnel(stack, plain, delay, None),
        "prewarmed tunnel, https": Tunnel(stack, secure, delay, trust, prewarmed=True),
        "prewarmed tunnel, http": Tunnel(stack, plain, delay, None, prewarmed=True),
    }
    if libpq.version() >= 170000 and int(cluster.psql("SHOW server_version_num")) >= 170000:
        found["directly, sslnegotiation=direct"] = Direct(stack, cluster, delay, sslmode="require", sslnegotiation="direct")
    else:
        print("sslnegotiation=direct, which saves one round trip, takes libpq and Postgres 17: left out")
    return found


def run(delay, rounds):
    """Round trips and milliseconds of each way, the first time left out."""
    with contextlib.ExitStack() as stack:
        found = ways(stack, delay)
        measured = {name: [] for name in found}
        for i in range(rounds + 1):
            for name, way in found.items():
                answer = way.measure()
                if i > 0:
                    measured[name].append(answer)
    return measured


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--delay", type=float, default=100, help="of a round trip, in milliseconds")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    print(f"{'':34}{'round trips':>12}{'least':>9}{'median':>9}")
    for name, answers in run(arguments.delay / 2000, arguments.rounds).items():
        trips, times = zip(*answers)
        print(f"{name:34}{min(trips):12}{min(times):6.0f} ms{statistics.median(times):6.0f} ms")


if __name__ == "__main__":
    main()
