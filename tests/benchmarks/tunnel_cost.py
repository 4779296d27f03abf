"""What electric-tunnel.v1 costs against raw mode: relay mode on loopback, both protocols by turns.

    ELECTRIC_PROXY=… ELECTRIC_TUNNEL=… python3 -m tests.benchmarks.tunnel_cost [--reps 9] [--mib 512]

One server and a client of each protocol, between this process and a target of its own. Prints medians and
their ratios: CPU seconds of each program for a GiB in each direction, the round trip of 64 bytes, and the
memory that an idle connection adds to the server. On a busy machine ratios say more than figures. No
test, since nothing is asserted; `--check` makes it one.
"""

import argparse
import multiprocessing
import os
import signal
import socket
import statistics
import struct
import sys
import threading
import time

from tests.support.programs import Client, Relay

PROTOCOLS = ("raw", "v1")
PIECE = 1 << 20
HEADER = struct.Struct("!cQ7x")  # mode, number of bytes; long enough to be no start of a Postgres session
DEADLINE = 120
TARGETS = {"bulk": 1.20, "round trip": 1.10, "idle": 2048}  # ratios, and bytes more


# -- the target ---------------------------------------------------------------------------------------------------------


def receive(sock, count):
    """Takes `count` bytes in, and throws them away."""
    into = memoryview(bytearray(min(count, PIECE)))
    while count > 0:
        got = sock.recv_into(into, min(count, len(into)))
        if got == 0:
            raise ConnectionError(f"the connection ended {count} bytes early")
        count -= got


def send(sock, count):
    piece = memoryview(bytes(min(count, PIECE)))
    while count > 0:
        sock.sendall(piece[:count])
        count -= len(piece)


def serve(sock):
    """Does what each header asks for, one after the other."""
    with sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while header := sock.recv(HEADER.size, socket.MSG_WAITALL):
            mode, count = HEADER.unpack(header)
            if mode == b"U":
                receive(sock, count)
                sock.sendall(b"!")
            elif mode == b"D":
                send(sock, count)
            else:
                while data := sock.recv(PIECE):
                    sock.sendall(data)


def run_target(listener):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=serve, args=(sock,), daemon=True).start()


class Target:
    """A process of its own, so that its CPU time and ours do not wait for each other."""

    def __enter__(self):
        with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
            self.port = listener.getsockname()[1]
            self._process = multiprocessing.get_context("fork").Process(target=run_target, args=(listener,), daemon=True)
            self._process.start()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join()


# -- what is measured ---------------------------------------------------------------------------------------------------


def cpu_seconds(pid):
    """Of all threads, in units of nanoseconds where /proc/PID/stat has hundredths of a second."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def private_bytes(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Private_Dirty:"))


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def transfer(sock, mode, count):
    sock.sendall(HEADER.pack(mode, count))
    if mode == b"U":
        send(sock, count)
        receive(sock, 1)
    else:
        receive(sock, count)


def measure_bulk(programs, port, mode, mib):
    """CPU seconds per GiB of each program, and MiB a second."""
    with connect(port) as sock:
        transfer(sock, mode, 32 << 20)  # queues, rings and windows have grown
        before = [cpu_seconds(program.pid) for program in programs]
        began = time.perf_counter()
        transfer(sock, mode, mib << 20)
        took = time.perf_counter() - began
        return [(cpu_seconds(program.pid) - spent) * 1024 / mib for program, spent in zip(programs, before)], mib / took


def measure_round_trips(port, count):
    """The median of `count` round trips of 64 bytes, in microseconds."""
    message = b"x" * 64
    times = []
    with connect(port) as sock:
        sock.sendall(HEADER.pack(b"E", 0))
        for _ in range(count + 50):
            began = time.perf_counter_ns()
            sock.sendall(message)
            receive(sock, len(message))
            times.append((time.perf_counter_ns() - began) / 1000)
    return statistics.median(times[50:])


def measure_idle(target, protocol, count):
    """Private bytes of the server for each connection that has echoed a byte and then is silent."""
    with Relay(target.port, MAX_SESSIONS=count + 30) as relay, \
            Client(relay.service, "--protocol", protocol) as client:
        def echo():
            sock = connect(client.port)
            sock.sendall(HEADER.pack(b"E", 0) + b"x")
            receive(sock, 1)
            return sock

        held = [echo() for _ in range(20)]
        before = private_bytes(relay.pid)
        held += [echo() for _ in range(count)]
        time.sleep(0.5)  # acknowledgements that are due, and what they free
        added = private_bytes(relay.pid) - before
        for sock in held:
            sock.close()
    return added / count


# -- the run ------------------------------------------------------------------------------------------------------------


class Figures:
    """Samples by (name, protocol), in the order in which they were first added."""

    def __init__(self):
        self._samples = {}

    def add(self, name, protocol, value):
        self._samples.setdefault(name, {}).setdefault(protocol, []).append(value)

    def rows(self):
        for name, samples in self._samples.items():
            yield name, *(statistics.median(samples[protocol]) for protocol in PROTOCOLS)

    def ratios(self, name):
        """Of the pairs: how far the ratio of medians can be trusted."""
        raw, v1 = (self._samples[name][protocol] for protocol in PROTOCOLS)
        return sorted(b / a for a, b in zip(raw, v1))


def run_traffic(figures, arguments):
    with Target() as target, Relay(target.port) as relay, \
            Client(relay.service, "--protocol", "raw") as raw, Client(relay.service, "--protocol", "v1") as v1:
        clients = {"raw": raw, "v1": v1}
        for repetition in range(arguments.reps):
            order = PROTOCOLS if repetition % 2 == 0 else PROTOCOLS[::-1]
            for mode, direction in ((b"U", "up"), (b"D", "down")):
                for protocol in order:
                    client = clients[protocol]
                    cpu, speed = measure_bulk((relay, client), client.port, mode, arguments.mib)
                    for name, spent in zip(("server", "client"), cpu):
                        figures.add(f"{direction}, {name}, CPU s/GiB", protocol, spent)
                    figures.add(f"{direction}, MiB/s", protocol, speed)
            for protocol in order:
                figures.add("64 B round trip, us", protocol, measure_round_trips(clients[protocol].port, arguments.trips))


def run_idle(figures, arguments):
    with Target() as target:
        for _ in range(arguments.idle_reps):
            for protocol in PROTOCOLS:
                figures.add("idle connection, server, B", protocol, measure_idle(target, protocol, arguments.idle))


def report(figures):
    """Prints the table; the names of those beyond their target."""
    beyond = []
    print(f"{'':28}{'raw':>10}{'v1':>10}{'ratio':>9}   of pairs{'':8}target")
    for name, raw, v1 in figures.rows():
        pairs = figures.ratios(name)
        line = f"{name:28}{raw:10.3f}{v1:10.3f}{v1 / raw:9.2f}   {pairs[0]:.2f} .. {pairs[-1]:.2f}"
        if "CPU" in name or "trip" in name:
            target = TARGETS["bulk" if "CPU" in name else "round trip"]
            missed, wanted = v1 / raw > target, f"<= {target:.2f}"
        elif "idle" in name:
            missed, wanted = v1 - raw > TARGETS["idle"], f"{v1 - raw:+.0f}, <= +{TARGETS['idle']}"
        else:
            missed, wanted = False, ""
        print(f"{line:68}{wanted}{'  MISSED' if missed else ''}", flush=True)
        if missed:
            beyond.append(name)
    return beyond


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--reps", type=int, default=9)
    parser.add_argument("--mib", type=int, default=512, help="of each transfer")
    parser.add_argument("--trips", type=int, default=2000, help="in each repetition")
    parser.add_argument("--idle", type=int, default=500, help="connections")
    parser.add_argument("--idle-reps", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    arguments = parser.parse_args()
    figures = Figures()
    if arguments.reps > 0:
        run_traffic(figures, arguments)
    if arguments.idle_reps > 0:
        run_idle(figures, arguments)
    sys.exit(1 if report(figures) and arguments.check else 0)


if __name__ == "__main__":
    main()
