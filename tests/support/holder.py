"""A forwarder in front of Postgres that holds a COMMIT, or the answer to it, until told what to do with it.

    with Holder(cluster.port) as holder:
        server = Server(cluster.url(port=holder.port))
        ...
        holder.arm(ANSWER)
        session.send(wire.query("COMMIT"))
        holder.wait()
        holder.let_go()         # or holder.lose()

It reads the messages of both directions, and holds whatever comes in that direction behind the held one.
"""

import socket
import struct
import threading

from tests.support import wire
from tests.support.service import shut

COMMIT, ANSWER = "commit", "answer"

# The end of the answer to the question that goes in front of a COMMIT, in either protocol.
TOLD = {b"V": 1, b"3": 3}

COMMITS = (wire.query("COMMIT"), wire.query("END"), wire.query("COMMIT; BEGIN"), wire.execute("", 0))
ANSWERS = (wire.message("C", b"COMMIT\0"), wire.message("C", b"ROLLBACK\0"))


class Holder:
    """`held`: how many were held since it was armed."""

    def __init__(self, target):
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self._lock = threading.Condition()
        self._links = []
        self._what = None
        self._verdict = None
        self.held = 0

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.lose()
        self._listener.close()

    def arm(self, what):
        """The next COMMIT, or answer to one, is held; `what` None: none is."""
        with self._lock:
            self._what, self._verdict, self.held = what, None, 0

    def wait(self, timeout=20):
        with self._lock:
            if not self._lock.wait_for(lambda: self.held, timeout):
                raise TimeoutError("no COMMIT came")

    def let_go(self):
        """What is held goes on its way."""
        self._decide(True)

    def lose(self):
        """What is held is lost, and the connection with it."""
        self._decide(False)

    def _decide(self, verdict):
        with self._lock:
            self._what, self._verdict = None, verdict
            self._lock.notify_all()

    def note(self, link, kind):
        """Called by a link: a message for the server has gone on."""
        if kind in TOLD:
            with self._lock:
                link.answers[kind] += 1
                self._lock.notify_all()

    def hold(self, link, what):
        """Called by a link: True when the message may go on."""
        with self._lock:
            if self._what != what:
                return True
            self._what = None
            if what == COMMIT:
                self._lock.wait_for(lambda: any(link.answers[kind] >= TOLD[kind] for kind in TOLD), 20)
            self.held += 1
            self._lock.notify_all()
            self._lock.wait_for(lambda: self._verdict is not None)
            return self._verdict

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            link = _Link(self, near, far)
            for direction in (link.upward, link.downward):
                threading.Thread(target=direction, daemon=True).start()


class _Link:
    """One connection."""

    def __init__(self, holder, near, far):
        self.holder, self.near, self.far = holder, near, far
        self.answers = {kind: 0 for kind in TOLD}

    def upward(self):
        data = b""
        started = False
        while (piece := _read(self.near)) and data is not None:
            data += piece
            sending = b""
            while (size := _size(data, started)) and len(data) >= size:
                message, data = data[:size], data[size:]
                # SSLRequest and its like are followed by another one without a type.
                started = started or struct.unpack_from("!I", message, 4)[0] == wire.PROTOCOL_3_0
                if message in COMMITS and self.holder._what == COMMIT:  # pylint: disable=protected-access
                    _write(self.far, sending)
                    sending = b""
                    if not self.holder.hold(self, COMMIT):
                        self.close()
                        return
                sending += message
            _write(self.far, sending)
        # Postgres does what it was sent before it notices.
        _finish(self.far)

    def downward(self):
        data = b""
        started = False
        while piece := _read(self.far):
            data += piece
            if not started and data[:1] == b"N":
                _write(self.near, data[:1])
                data = data[1:]
            started = started or len(data) > 0
            sending, told = b"", []
            while len(data) >= 5 and len(data) >= (size := 1 + struct.unpack_from("!I", data, 1)[0]):
                message, data = data[:size], data[size:]
                if message in ANSWERS and self.holder._what == ANSWER:  # pylint: disable=protected-access
                    _write(self.near, sending)
                    sending = b""
                    if not self.holder.hold(self, ANSWER):
                        self.close()
                        return
                sending += message
                told.append(message[:1])
            _write(self.near, sending)
            for kind in told:
                self.holder.note(self, kind)
        _finish(self.near)

    def close(self):
        for end in (self.near, self.far):
            shut(end)


def _size(data, started):
    """Of the first message; 0 when that cannot be told yet."""
    at = 1 if started else 0
    return at + struct.unpack_from("!I", data, at)[0] if len(data) >= at + 4 else 0


def _read(end):
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _write(end, data):
    try:
        end.sendall(data)
    except OSError:
        pass


def _finish(end):
    try:
        end.shutdown(socket.SHUT_WR)
    except OSError:
        pass
