"""Follows electric-tunnel.v1 on the connections through a cutter: which session, in which phase, with what unacknowledged.

Reads no more of each frame than its first bytes, so that bulk data passes at speed. Encrypted
connections are followed behind the program that decrypts them.
"""

import re
import struct

from tests.support.tunnel import ACK, DATA, FIN, OPEN, OPENED, RESUME, RESUMED

UP, DOWN = 0, 1

HEAD_END = b"\r\n\r\n"
HEAD_MAX = 65536
LOOK = 40  # bytes of a frame: as far as the last field that is looked at
BINARY_FINAL = 0x82


class Session:
    """What an observer knows of one session, over all its connections."""

    def __init__(self):
        self.sent = [0, 0]  # units that were seen under way, by direction
        self.known = [0, 0]  # units of which the other end has said that it has them
        self.current = None  # the tap of the connection that has come up last

    @property
    def unacknowledged(self):
        return any(sent > known for sent, known in zip(self.sent, self.known))


class Tap:
    """One connection. feed() what was read of it; positions count the bytes of a direction.

    `on_frame(direction, type, position, size)` is called when a frame begins.
    """

    def __init__(self, sessions, on_frame=lambda *_: None):
        self.session = None
        self.exchange = None  # (where OPEN or RESUME begins, its size), upwards
        self.answered = None  # where OPENED or RESUMED ends, downwards
        self.up = False  # the client has that
        self.on_frame = on_frame
        self._sessions = sessions  # by id
        self._readers = (_Reader(self, UP), _Reader(self, DOWN))
        self.upgraded = False

    def feed(self, direction, data):
        self._readers[direction].feed(data)

    def passed(self, down):
        """So much has reached the client."""
        if self.answered is not None and down >= self.answered and not self.up:
            self.up = True
            self.session.current = self

    def inside_exchange(self, up, down):
        """Whether a connection of which so many bytes have passed has asked for a session, and was not answered."""
        return (self.exchange is not None and up > self.exchange[0]
                and (self.answered is None or down < self.answered))

    def is_left(self):
        """Another connection has taken the session over, and both ends know."""
        return self.session is not None and self.session.current not in (None, self)

    def frame(self, direction, position, size, length, head):
        """`length` is the frame's, `size` that of whatever carries it."""
        kind = head[0]
        if direction == UP and kind in (OPEN, RESUME) and self.exchange is None:
            self.session = self._sessions.setdefault(head[1:17], Session())
            self.exchange = (position, size)
            if kind == RESUME:
                self._know(DOWN, struct.unpack_from("!Q", head, 29)[0])
        elif direction == DOWN and kind in (OPENED, RESUMED) and self.session is not None:
            self.answered = position + size
            if kind == RESUMED:
                self._know(UP, struct.unpack_from("!Q", head, 5)[0])
        elif self.session is not None and kind in (DATA, ACK, FIN):
            (offset,) = struct.unpack_from("!Q", head, 1)
            if kind == ACK:
                self._know(1 - direction, offset)
            else:
                end = offset + (length - 9 if kind == DATA else 1)
                self.session.sent[direction] = max(self.session.sent[direction], end)
        self.on_frame(direction, kind, position, size)

    def _know(self, direction, units):
        self.session.known[direction] = max(self.session.known[direction], units)


class _Reader:
    """One direction of a connection: HTTP first, WebSocket frames after an upgrade."""

    def __init__(self, tap, direction):
        self.tap, self.direction = tap, direction
        self.position = 0  # of what is pending
        self._pending = b""
        self._skip = 0
        self._parse = self._head

    def feed(self, data):
        self._pending += data
        while self._pending and self._parse is not None:
            if self._skip == 0:
                self._skip = self._parse()
                if self._skip == 0:
                    return
            count = min(self._skip, len(self._pending))
            self._pending = self._pending[count:]
            self._skip -= count
            self.position += count

    def _head(self):
        """The head of a request or an answer; only an upgrade is of interest."""
        end = self._pending.find(HEAD_END)
        if end < 0:
            if len(self._pending) > HEAD_MAX:
                self._parse = None
            return 0
        head = self._pending[:end]
        if self.direction == DOWN and not head.startswith(b"HTTP/1.1 101") or not re.search(rb"(?i)\nupgrade:", head):
            self._parse = None
        else:
            self._parse = self._websocket
            self.tap.upgraded = self.direction == DOWN
        return end + len(HEAD_END)

    def _websocket(self):
        """One frame; answers its size, or 0 when its beginning is not all there."""
        data = self._pending
        if len(data) < 2:
            return 0
        length, header = data[1] & 127, 2
        if length >= 126:
            header = 4 if length == 126 else 10
            if len(data) < header:
                return 0
            length = int.from_bytes(data[2:header], "big")
        mask = None
        if data[1] & 128:
            mask = data[header:header + 4]
            header += 4
        head = data[header:header + min(length, LOOK)]
        if len(data) < header + min(length, LOOK):
            return 0
        if data[0] == BINARY_FINAL and length > 0:
            if mask:
                head = bytes(byte ^ mask[i & 3] for i, byte in enumerate(head))
            self.tap.frame(self.direction, self.position, header + length, length, head)
        return header + length
