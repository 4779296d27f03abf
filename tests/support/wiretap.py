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
UPGRADES, REQUESTS = "upgrades", "requests"  # what a client can ask for: a WebSocket, or the HTTP carrier


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
        self.upgraded = False  # or, of the HTTP carrier, answered
        self.asked = None  # UPGRADES or REQUESTS

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

    def http_request(self, identifier):
        self.asked = REQUESTS
        self.session = self._sessions.setdefault(identifier, Session())

    def http_answer(self):
        """Whatever request came before it on another connection has been done with."""
        self.upgraded = True
        self.session.current = self

    def _know(self, direction, units):
        self.session.known[direction] = max(self.session.known[direction], units)


class _Reader:
    """One direction of a connection: HTTP messages, and WebSocket frames after an upgrade.

    A parser looks at what is pending, and answers how many bytes it has done with; more than there are,
    if what comes is of no interest; 0, if it has to see more.
    """

    def __init__(self, tap, direction):
        self.tap, self.direction = tap, direction
        self.position = 0  # of what is pending
        self._pending = b""
        self._skip = 0
        self._parse = self._head
        self._frames = _Frames(self)

    def feed(self, data):
        if self._parse is None:
            return
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
        """The head of a request or an answer."""
        end = self._pending.find(HEAD_END)
        if end < 0:
            if len(self._pending) > HEAD_MAX:
                self._parse = None
            return 0
        fields = {name.strip().lower(): value.strip() for name, _, value in
                  (line.partition(b":") for line in self._pending[:end].split(b"\r\n")[1:])}
        self._begin_body(self._pending[:end].split(b"\r\n")[0], fields)
        return end + len(HEAD_END)

    def _begin_body(self, line, fields):
        if b"upgrade" in fields and (self.direction == UP or line.startswith(b"HTTP/1.1 101")):
            self._parse = self._websocket
            if self.direction == UP:
                self.tap.asked = UPGRADES
            else:
                self.tap.upgraded = True
            return
        if self.direction == UP and b"electric-tunnel" in fields:
            self.tap.http_request(bytes.fromhex(fields[b"electric-tunnel"][:32].decode()))
        self._frames = _Frames(self)
        self._left = int(fields.get(b"content-length", b"0"))
        if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
            self._parse = self._chunk_size
        elif self._left > 0:
            self._parse = self._body
        else:
            self._end_body()

    def _end_body(self):
        self._parse = self._head
        if self.direction == DOWN and self.tap.asked == REQUESTS:
            self.tap.http_answer()

    def _body(self):
        count = min(self._left, len(self._pending))
        self._frames.feed(self._pending[:count])
        self._left -= count
        if self._left == 0:
            self._end_body()
        return count

    def _chunk_size(self):
        end = self._pending.find(b"\r\n")
        if end < 0:
            return 0
        self._left = int(self._pending[:end].split(b";")[0], 16)
        self._parse = self._chunk if self._left > 0 else self._last_chunk
        return end + 2

    def _chunk(self):
        count = min(self._left, len(self._pending))
        self._frames.feed(self._pending[:count])
        self._left -= count
        if self._left == 0:
            self._parse = self._chunk_end
        return count

    def _chunk_end(self):
        self._parse = self._chunk_size
        return 2

    def _last_chunk(self):
        self._end_body()
        return 2

    def _websocket(self):
        """One frame."""
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


class _Frames:
    """Frames in the body of an HTTP message, each behind its length."""

    def __init__(self, reader):
        self._reader = reader
        self._pending = b""
        self._skip = 0

    def feed(self, data):
        at = 0
        while at < len(data):
            if self._skip > 0:
                count = min(self._skip, len(data) - at)
                self._skip -= count
                at += count
                continue
            wanted = 4 if len(self._pending) < 4 else 4 + min(int.from_bytes(self._pending[:4], "big"), LOOK)
            piece = data[at:at + wanted - len(self._pending)]
            self._pending += piece
            at += len(piece)
            if len(self._pending) >= 4:
                self._look(self._reader.position + at)

    def _look(self, position):
        """`position`: of what comes behind what is pending."""
        length = int.from_bytes(self._pending[:4], "big")
        if length == 0 or len(self._pending) < 4 + min(length, LOOK):
            return
        head = self._pending[4:]
        self._reader.tap.frame(self._reader.direction, position - len(self._pending), 4 + length, length, head)
        self._skip = length - len(head)
        self._pending = b""
