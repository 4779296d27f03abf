"""A TCP proxy that harms the connections through it: at byte offsets that follow from a seed, or on demand.

    with Cutter(server.http_port, seed=1, mean=50_000) as cutter:
        Client(cutter.url, "--protocol", "v1")
        ...
        print(cutter.counts)

Each connection gets a plan when it is accepted, which follows from the seed and from how many came
before it: after so many bytes, or inside the exchange that opens or resumes a session, one harm is done
to it. Without `mean` nothing happens until asked for. One thread serves all connections.

A client that encrypts is harmed in front of the program that decrypts (haproxy, which sends a PROXY
line), and watched behind it:

    cutter = Cutter(seed=1)
    haproxy = ...(bind a port, server 127.0.0.1:{cutter.inner_port} send-proxy)
    cutter.target, cutter.inner_target = haproxy.port, server.http_port
"""

import collections
import queue
import random
import selectors
import socket
import struct
import threading
import time

from tests.support.tunnel import MOVE, OPEN, OPENED, RESUME, RESUMED
from tests.support.wiretap import DOWN, REQUESTS, UP, UPGRADES, Tap  # pylint: disable=unused-import

RESET = "reset"  # both ends get a reset
TRUNCATE = "truncate"  # both ends get an orderly end, in the middle of whatever it is
HALF_CLOSE = "half-close"  # one end gets an orderly end; the other direction goes on
BLACK_HOLE = "black-hole"  # everything is swallowed for a while, then both ends get a reset
ABANDON = "abandon"  # the client gets a reset; the server the rest of its bytes once another attachment is up
STALL = "stall"  # one direction pauses
DELAY = "delay"  # from here on everything takes longer
OVERLAP = "overlap"  # after a MOVE everything is held back until another attachment is up
ENDING = (RESET, TRUNCATE, HALF_CLOSE, BLACK_HOLE, ABANDON)
HARMS = (*ENDING, STALL, DELAY)  # what is chosen from if nothing else is said

# What is counted besides the harms.
UNACKNOWLEDGED = "with unacknowledged bytes"
IN_EXCHANGE = "inside OPEN or RESUME"
IN_UPGRADE = "before the upgrade was done"
REFUSED = "refused"
LEFT_READABLE = "left with something to read"
ANSWERED = "opened or resumed"

CHUNK = 65536
QUEUE_MAX = 4 * CHUNK
EARLY = 2000  # bytes: the upgrade, and the opening or resuming of a session
LEFT_MAX = 20.0  # seconds that an attachment is kept for another one to come
PROXY_LINE_END = b"\r\n"


class Cutter:
    """The settings, which may be changed at any time for connections to come:
    `target` (a port); `mean` bytes until the harm; `harms` to choose from; `spare` so many first
    connections; `early`, the share of connections that are harmed while they begin; `inside`, the share
    that is ended inside of OPEN and OPENED or RESUME and RESUMED; `hole`, how long a black hole is open;
    `age`, seconds after which each connection is ended, as many an edge does; `times`: so many connections
    are harmed by plan, and no more; `overlap`: attachments that the server wants left are held back until
    they are; `blocked`: no connection gets through; `refuses` UPGRADES or REQUESTS (of the HTTP carrier),
    as a proxy does; `blind`: what passes is encrypted, and nobody decrypts it where it could be watched."""

    def __init__(self, target=None, seed=1, mean=None, harms=HARMS, spare=0, early=0.1, inside=0.0, hole=1.0,
                 times=None, overlap=False, age=None, blind=False):
        self.target, self.mean, self.harms, self.spare = target, mean, harms, spare
        self.early, self.inside, self.hole, self.overlap, self.blocked = early, inside, hole, overlap, False
        self.age, self.times, self.refuses, self.blind = age, times, None, blind
        self.inner_target = None
        self.counts = collections.Counter()
        self.seed = seed
        self.sessions = {}
        self.links = set()
        self.selector = selectors.DefaultSelector()
        self._listener, self._inner_listener = _listen(), _listen()
        self._orders = queue.SimpleQueue()
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._over = False
        self._failure = None
        self.port = self._listener.getsockname()[1]
        self.inner_port = self._inner_listener.getsockname()[1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over = True
        self._bell.send(b"!")
        self._thread.join(10)
        if self._failure is not None:
            raise self._failure

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def cuts(self):
        """How many connections were ended, or left."""
        return sum(self.counts[harm] for harm in (*ENDING, OVERLAP))

    def cut(self, harm=RESET):
        """Does that to all connections now; answers how many there were."""
        answer = queue.SimpleQueue()
        self._orders.put((harm, answer))
        self._bell.send(b"!")
        return answer.get(timeout=20)

    # -- inside, all in the one thread --------------------------------------------------------

    def _serve(self):
        try:
            self._loop()
        except BaseException as error:  # pylint: disable=broad-exception-caught
            self._failure = error
        for link in list(self.links):
            link.end()
        self._listener.close()
        self._inner_listener.close()
        self.selector.close()

    def _loop(self):
        self.selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self.selector.register(self._inner_listener, selectors.EVENT_READ, self._accept_inner)
        self.selector.register(self._ear, selectors.EVENT_READ, self._obey)
        while not self._over:
            for key, _ in self.selector.select(self._until_next()):
                if callable(key.data):
                    key.data()
            now = time.monotonic()
            for link in list(self.links):
                link.turn(now)

    def _until_next(self):
        times = [at for link in self.links for at in link.times()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _obey(self):
        self._ear.recv(4096)
        while not self._orders.empty():
            harm, answer = self._orders.get()
            victims = [link for link in self.links if link.may_be_harmed()]
            for link in victims:
                link.harm(DOWN, harm)
            answer.put(len(victims))

    def _accept(self):
        near, far = self._connect(self._listener, self.target)
        if near is not None:
            self.counts["connections"] += 1
            self.links.add(Link(self, near, far, self.counts["connections"]))

    def _accept_inner(self):
        """Behind haproxy: its first line says which of our connections it is."""
        near, far = self._connect(self._inner_listener, self.inner_target)
        if near is None:
            return
        line = b""
        while not line.endswith(PROXY_LINE_END):
            line += near.recv(1)
        port = int(line.split()[4])
        front = [link for link in self.links if link.number and link.far_port == port]
        inner = Link(self, near, far, 0)
        self.links.add(inner)
        if front:
            inner.front, front[0].inner = front[0], inner

    def _connect(self, listener, target):
        try:
            near, _ = listener.accept()
        except OSError:
            return None, None
        try:
            if self.blocked:
                raise OSError
            return near, socket.create_connection(("127.0.0.1", target), 5)
        except OSError:
            _reset(near)
            return None, None


def _listen():
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setblocking(False)
    return listener


class _Way:
    """One direction of a connection: what was read and not written yet."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.queue = collections.deque()  # (when it may go on, bytes)
        self.queued = 0
        self.passed = 0
        self.ended = False  # nothing more is read
        self.end_passed = False
        self.held_until = 0.0

    def put(self, due, data):
        self.queue.append((due, data))
        self.queued += len(data)

    def forget(self):
        self.queue.clear()
        self.queued = 0

    def reads(self):
        return not self.ended and self.queued < QUEUE_MAX

    def due(self):
        """When something can be written; None: there is nothing."""
        return max(self.queue[0][0], self.held_until) if self.queue else None


class Link:  # pylint: disable=too-many-instance-attributes
    """One connection. `number` 0: behind haproxy, where nothing is harmed but `front`."""

    def __init__(self, cutter, near, far, number):
        self.cutter, self.near, self.far, self.number = cutter, near, far, number
        self.ways = (_Way(near, far), _Way(far, near))
        self.far_port = far.getsockname()[1]
        self.front = self.inner = None
        self.tap = Tap(cutter.sessions, self._on_frame)
        self.dice = random.Random(f"{cutter.seed} {number}")
        self.latency = 0.0
        self.swallow_until = 0.0
        self.left_until = 0.0  # it is held back until another attachment is up
        self.look_at = 0.0  # whether it is
        self.ends_at = 0.0  # until then what comes is thrown away
        self.over = False
        self.too_old_at = time.monotonic() + cutter.age if cutter.age and number else 0.0
        self.inside = None  # the harm to do inside of the exchange
        self.at = None  # (direction, position, harm): of that direction alone
        self.plan = None  # (position, harm): of both together
        self._make_plan()
        for end in (near, far):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._watch(0.0)

    # -- plans --------------------------------------------------------------------------------

    def _make_plan(self):
        cutter, dice = self.cutter, self.dice
        if cutter.mean is None or 0 < self.number <= cutter.spare or self.number == 0:
            return
        if cutter.times is not None:
            if cutter.times == 0:
                return
            cutter.times -= 1
        if dice.random() < cutter.inside and not cutter.blind:
            self.inside = dice.choice([harm for harm in cutter.harms if harm in ENDING])
            return
        self._plan_offset(EARLY if dice.random() < cutter.early else 2 * cutter.mean)

    def _plan_offset(self, limit):
        passed = sum(way.passed for way in self.ways)
        self.plan = (passed + self.dice.randrange(1, limit), self.dice.choice(self.cutter.harms))

    def _planned(self):
        """The link whose plan counts for the frames seen here: in front of haproxy, where harm is done."""
        return self.front or self

    def _on_frame(self, direction, kind, position, size):
        planned = self._planned()
        self.cutter.counts[ANSWERED] += kind in (OPENED, RESUMED)
        if planned.inside is not None and kind in (OPEN, RESUME):
            dice, harm = planned.dice, planned.inside
            if dice.random() < 0.5:
                # In the midst of it, or when all of it has arrived and no answer has.
                self.at = (UP, position + dice.randint(1, size), harm)
                planned.inside = None
        elif planned.inside is not None and kind in (OPENED, RESUMED):
            self.at = (DOWN, position + planned.dice.randrange(size), planned.inside)
            planned.inside = None
        elif kind == MOVE and self.cutter.overlap and direction == DOWN:
            self.at = (DOWN, position + size, OVERLAP)

    # -- turns --------------------------------------------------------------------------------

    def may_be_harmed(self):
        return self.number > 0 and not self.left_until and not self.ends_at and not self.swallow_until and not self.over

    def times(self):
        marks = [self.swallow_until, self.ends_at, self.look_at, self.too_old_at]
        for way in self.ways:
            marks += [way.held_until, way.due() or 0.0]
        return [at for at in marks if at > 0]

    def turn(self, now):
        if self.over:
            return
        if any(at and now >= at for at in (self.swallow_until, self.ends_at, self.too_old_at)):
            self.end(RESET)
            return
        if self.left_until:
            self._wait_to_be_left(now)
        try:
            for direction in (UP, DOWN):
                self._read(direction, now)
                self._write(direction, now)
        except OSError:
            self.end(RESET)
        if not self.over:
            if all(way.ended and way.end_passed for way in self.ways):
                self.end()
            else:
                self._watch(now)

    def _read(self, direction, now):
        way = self.ways[direction]
        if not way.reads():
            return
        try:
            data = way.source.recv(CHUNK)
        except BlockingIOError:
            return
        if not data:
            way.ended = True
        elif not self.swallow_until and not self.ends_at:
            if not self.cutter.blind:
                self.tap.feed(direction, data)
            if direction == UP and self.tap.asked is not None and self.tap.asked == self.cutter.refuses:
                self._refuse()
                return
            way.put(now + self.latency if self.latency else 0.0, data)

    def _until_harm(self, direction):
        """How many bytes of that direction may go until the harm is to be done."""
        if self.at is not None and self.at[0] == direction:
            return self.at[1] - self.ways[direction].passed
        if self.plan is not None:
            return self.plan[0] - sum(way.passed for way in self.ways)
        return None

    def _passes(self):
        return not (self.over or self.swallow_until or self.left_until)

    def _write(self, direction, now):
        way = self.ways[direction]
        while self._passes() and way.queue and way.due() <= now:
            limit = self._until_harm(direction)
            if limit == 0:
                self._do_harm(direction)
                continue
            due, data = way.queue[0]
            try:
                count = way.sink.send(data[:limit])
            except BlockingIOError:
                return
            way.passed += count
            if direction == DOWN:
                self.tap.passed(way.passed)
            way.queued -= count
            way.queue.popleft()
            if count < len(data):
                way.queue.appendleft((due, data[count:]))
            if self._until_harm(direction) == 0:
                self._do_harm(direction)
        if self._passes() and way.ended and not way.queue and not way.end_passed:
            way.end_passed = True
            way.sink.shutdown(socket.SHUT_WR)

    def _watch(self, now):
        """Each socket is read for its own direction and written for the other one."""
        for direction, way in enumerate(self.ways):
            back = self.ways[1 - direction]
            writes = back.queue and back.due() <= now and self._passes()
            events = (selectors.EVENT_READ if way.reads() else 0) | (selectors.EVENT_WRITE if writes else 0)
            self._register(way.source, events)

    def _register(self, end, events):
        selector = self.cutter.selector
        if end.fileno() < 0:
            return
        known = selector.get_map().get(end.fileno())
        if known is not None and known.events != events:
            selector.unregister(end)
            known = None
        if known is None and events:
            selector.register(end, events)

    # -- harm ---------------------------------------------------------------------------------

    def _refuse(self):
        """Like a proxy that does not know such things."""
        self.cutter.counts[REFUSED] += 1
        self.near.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.ends_at = time.monotonic() + 1.0
        self._close(*self.ways)

    def _do_harm(self, direction):
        if self.at is not None and self.at[0] == direction:
            harm, self.at = self.at[2], None
        else:
            harm, self.plan = self.plan[1], None
        (self.front or self).harm(direction, harm)

    def harm(self, direction, harm):
        if self.over:
            return
        if harm == ABANDON and self._tap().session is None:
            harm = RESET  # nobody will take over
        self._count(harm)
        self.plan = self.at = self.inside = None
        now = time.monotonic()
        if harm == BLACK_HOLE:
            self.swallow_until = now + self.cutter.hole
            for way in self.ways:
                way.forget()
        elif harm == STALL:
            self.ways[direction].held_until = now + self.dice.uniform(0.05, 0.5)
            self._go_on()
        elif harm == DELAY:
            self.latency = self.dice.uniform(0.002, 0.05)
            self._go_on()
        elif harm == TRUNCATE:
            self.ends_at = now + 1.0
            self._close(*self.ways)
        elif harm == HALF_CLOSE:
            self.ways[direction].ended = True
            self._close(self.ways[direction])
        elif harm in (ABANDON, OVERLAP):
            self._leave(now, harm)
        else:
            self.end(harm)

    def _tap(self):
        return (self.inner or self).tap

    def _count(self, harm):
        counts, seen = self.cutter.counts, self.inner or self
        counts[harm] += 1
        if harm not in (*ENDING, OVERLAP) or self.cutter.blind:
            return
        passed = [way.passed for way in seen.ways]
        counts[IN_EXCHANGE] += seen.tap.inside_exchange(*passed)
        counts[IN_UPGRADE] += not seen.tap.upgraded
        counts[UNACKNOWLEDGED] += seen.tap.session is not None and seen.tap.session.unacknowledged

    def _go_on(self):
        if self.cutter.mean is not None:
            self._plan_offset(2 * self.cutter.mean)

    def _close(self, *ways):
        """The rest is lost; whoever reads finds an orderly end."""
        for way in ways:
            way.end_passed = True
            way.forget()
            try:
                way.sink.shutdown(socket.SHUT_WR)
            except OSError:
                self.end(RESET)

    # -- attachments that are left, and still there -------------------------------------------

    def _leave(self, now, harm):
        """Nothing passes any more until another attachment is up."""
        self.left_until = now + LEFT_MAX
        up, down = self.ways
        up.held_until = down.held_until = self.left_until
        if harm == ABANDON:
            self._register(self.near, 0)
            _reset(self.near)
            up.ended = down.ended = True
            down.forget()

    def _wait_to_be_left(self, now):
        is_left = self._tap().is_left()
        self.look_at = now + 0.02
        if not is_left and now < self.left_until:
            return
        self.cutter.counts[LEFT_READABLE] += is_left and any(way.queued for way in self.ways)
        self.left_until = self.look_at = 0.0
        self.ends_at = now + 2.0
        for way in self.ways:
            way.held_until = 0.0
        self.ways[DOWN].ended = False  # until its end comes

    def end(self, harm=TRUNCATE):
        self.over = True
        self.cutter.links.discard(self)
        for end in (self.near, self.far):
            self._register(end, 0)
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
