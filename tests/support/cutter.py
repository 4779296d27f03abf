"""A TCP proxy that harms the connections through it: at byte offsets that follow from a seed, or on demand.

    with Cutter(server.http_port, seed=1, mean=50_000) as cutter:
        Client(cutter.url, "--protocol", "v1")
        ...
        print(cutter.counts)

Each connection gets a plan when it is accepted: after so many bytes, whichever way they went, one harm
is done to it. Without `mean` nothing happens until asked for. One thread serves all connections.
"""

import collections
import queue
import random
import selectors
import socket
import struct
import threading
import time

RESET = "reset"  # both ends get a reset
TRUNCATE = "truncate"  # both ends get an orderly end, in the middle of whatever it is
HALF_CLOSE = "half-close"  # one end gets an orderly end; the other direction goes on
STALL = "stall"  # one direction pauses
BLACK_HOLE = "black-hole"  # everything is swallowed for a while, then both ends get a reset
HARMS = (RESET, TRUNCATE, HALF_CLOSE, STALL, BLACK_HOLE)

UP, DOWN = 0, 1
CHUNK = 65536
EARLY = 2000  # bytes: the upgrade, and the opening or resuming of a session


class Cutter:
    """The settings, which may be changed at any time for connections to come:
    `target` (a port); `mean` bytes until the harm; `harms` to choose from; `spare` so many first
    connections; `early`, the share of connections that are harmed while they begin; `hole`, how long
    a black hole is open; `blocked`: no connection gets through."""

    def __init__(self, target, seed=1, mean=None, harms=HARMS, spare=0, early=0.1, hole=1.0):
        self.target, self.mean, self.harms, self.spare = target, mean, harms, spare
        self.early, self.hole, self.blocked = early, hole, False
        self.counts = collections.Counter()
        self._random = random.Random(seed)
        self._links = set()
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._orders = queue.SimpleQueue()
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._over = False
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        self._bell.send(b"!")
        self._thread.join(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def cuts(self):
        """How many connections were ended."""
        return sum(self.counts[harm] for harm in HARMS if harm != STALL)

    def cut(self, harm=RESET):
        """Does that to all connections now; answers how many there were."""
        answer = queue.SimpleQueue()
        self._orders.put((harm, answer))
        self._bell.send(b"!")
        return answer.get(timeout=20)

    # -- inside, all in the one thread --------------------------------------------------------

    def _serve(self):
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(self._ear, selectors.EVENT_READ, self._obey)
        while not self._over:
            for key, _ in self._selector.select(self._until_next()):
                if callable(key.data):
                    key.data()
            now = time.monotonic()
            for link in list(self._links):
                link.turn(now)
        for link in list(self._links):
            link.end()
        self._listener.close()
        self._selector.close()

    def _until_next(self):
        times = [at for link in self._links for at in link.times()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _obey(self):
        self._ear.recv(4096)
        while not self._orders.empty():
            harm, answer = self._orders.get()
            links = list(self._links)
            for link in links:
                link.harm(DOWN, harm)
            answer.put(len(links))

    def _accept(self):
        try:
            near, _ = self._listener.accept()
        except OSError:
            return
        try:
            if self.blocked:
                raise OSError
            far = socket.create_connection(("127.0.0.1", self.target), 5)
        except OSError:
            _reset(near)
            return
        self.counts["connections"] += 1
        self._links.add(_Link(self, near, far))


class _Link:
    """One connection. What goes in a direction is read from sockets[direction]."""

    def __init__(self, cutter, near, far):
        self.cutter = cutter
        self.sockets = (near, far)
        self.queues = [b"", b""]
        self.passed = 0
        self.ended = [False, False]
        self.held_until = [0.0, 0.0]
        self.swallow_until = 0.0
        self.plan = self._make_plan()
        for end in self.sockets:
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch(0.0)

    def _make_plan(self):
        """(offset, harm), or None."""
        cutter = self.cutter
        if cutter.mean is None or cutter.counts["connections"] <= cutter.spare:
            return None
        dice = cutter._random  # pylint: disable=protected-access
        limit = EARLY if dice.random() < cutter.early else 2 * cutter.mean
        return self.passed + dice.randrange(1, limit), dice.choice(cutter.harms)

    def times(self):
        return [at for at in (*self.held_until, self.swallow_until) if at > 0]

    def turn(self, now):
        if self.swallow_until:
            if now >= self.swallow_until:
                self.end(RESET)
                return
            self.queues = [b"", b""]
        try:
            for direction in (UP, DOWN):
                self._read(direction, now)
                self._write(direction)
        except OSError:
            self.end(RESET)
        if self in self.cutter._links:  # pylint: disable=protected-access
            if all(self.ended):
                self.end()
            else:
                self._watch(now)

    def _read(self, direction, now):
        if self.held_until[direction] > now:
            return
        self.held_until[direction] = 0.0
        if self.queues[direction] or self.ended[direction] or self.sockets[UP].fileno() < 0:
            return
        try:
            self.queues[direction] = self.sockets[direction].recv(CHUNK)
        except BlockingIOError:
            return
        if not self.queues[direction]:
            self.ended[direction] = True
            if not self.swallow_until:
                self.sockets[1 - direction].shutdown(socket.SHUT_WR)

    def _write(self, direction):
        data = self.queues[direction]
        if self.plan is not None:
            data = data[: self.plan[0] - self.passed]
        if not data or self.held_until[direction] or self.swallow_until:
            return
        try:
            count = self.sockets[1 - direction].send(data)
        except BlockingIOError:
            return
        self.passed += count
        self.queues[direction] = self.queues[direction][count:]
        if self.plan is not None and self.passed == self.plan[0]:
            harm, self.plan = self.plan[1], None
            self.harm(direction, harm)

    def _watch(self, now):
        """Each socket is read for its own direction and written for the other one."""
        selector = self.cutter._selector  # pylint: disable=protected-access
        for direction, end in enumerate(self.sockets):
            back = 1 - direction
            reads = not self.ended[direction] and not self.queues[direction] and self.held_until[direction] <= now
            writes = self.queues[back] and self.held_until[back] <= now and not self.swallow_until
            events = (selectors.EVENT_READ if reads else 0) | (selectors.EVENT_WRITE if writes else 0)
            known = selector.get_map().get(end.fileno())
            if known is not None and known.events != events:
                selector.unregister(end)
                known = None
            if known is None and events:
                selector.register(end, events)

    def harm(self, direction, harm):
        self.cutter.counts[harm] += 1
        dice = self.cutter._random  # pylint: disable=protected-access
        if harm == BLACK_HOLE:
            self.swallow_until = time.monotonic() + self.cutter.hole
        elif harm == STALL:
            self.held_until[direction] = time.monotonic() + dice.uniform(0.05, 0.5)
            self.plan = self._make_plan()
        elif harm == HALF_CLOSE:
            self.ended[direction], self.queues[direction] = True, b""
            try:
                self.sockets[1 - direction].shutdown(socket.SHUT_WR)
            except OSError:
                self.end(RESET)
        else:
            self.end(harm)

    def end(self, harm=TRUNCATE):
        self.cutter._links.discard(self)  # pylint: disable=protected-access
        self.ended = [True, True]
        for end in self.sockets:
            if end.fileno() >= 0 and end.fileno() in self.cutter._selector.get_map():  # pylint: disable=protected-access
                self.cutter._selector.unregister(end)  # pylint: disable=protected-access
            if harm == RESET:
                _reset(end)
            else:
                end.close()


def _reset(connection):
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    connection.close()
