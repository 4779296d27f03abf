"""electric-tunnel.v1 from the client's end: the frames, and a small client that can resume, break off and lie.

    with Tunnel(server.http_port) as tunnel:
        tunnel.login(server.password)           # a wire.Connection over the numbered streams
        tunnel.cut()
        tunnel.resume()

Independent of the programs under test. One thread: the attachment is read while somebody waits for something.
"""

import hashlib
import hmac
import os
import socket
import struct
import time

from tests.support import websocket, wire

PROTOCOL = "electric-tunnel.v1"

OPEN, OPENED, RESUME, RESUMED, MOVE, CANCEL, REFUSED = range(1, 8)
DATA, ACK, FIN, RESET, KEEPALIVE, TXN = range(0x10, 0x16)

# REFUSED
UNKNOWN, NOT_HERE, STALE, DENIED, EXISTS, DRAINING, FULL, MALFORMED = range(1, 9)
# RESET
FINISHED, VIOLATION, EXPIRED, SHUTDOWN, LOST, LIMIT, ABORTED, INTERNAL = range(8)

FIRST_WINDOW = 65536  # what may be sent before OPENED

TERMS = struct.Struct("!QIIHH")


class Frame:
    """What the server sent; the attributes are the fields."""

    def __init__(self, data):
        self.type, body = data[0], data[1:]
        if self.type == RESUMED:
            self.attempt, self.next = struct.unpack_from("!IQ", body)
            body = body[12:]
        if self.type in (OPENED, RESUMED):
            self.instance, self.window, self.max_frame, self.retain, self.ping = TERMS.unpack(body)
        elif self.type == REFUSED:
            self.reason, self.retry = struct.unpack_from("!HH", body)
            self.text = body[4:].decode()
        elif self.type == RESET:
            self.reason, self.outcome, self.xid = struct.unpack_from("!HBQ", body)
            self.text = body[11:].decode()
        elif self.type == DATA:
            (self.offset,), self.data = struct.unpack_from("!Q", body), body[8:]
        elif self.type in (ACK, FIN):
            (self.offset,) = struct.unpack("!Q", body)
        elif self.type == MOVE:
            (self.within,) = struct.unpack("!H", body)
        elif self.type == TXN:
            (self.xid, self.offset, self.system, self.timeline, self.generation,
             self.proof) = struct.unpack("!QQQIQ16s", body)
        elif self.type != KEEPALIVE or body:
            raise AssertionError(f"no frame of a server's: {data[:40].hex()}")

    def __repr__(self):
        return f"Frame({ {name: value if name != 'data' else len(value) for name, value in vars(self).items()} })"


def open_frame(session, key, window=1 << 20, max_frame=1 << 18, info=b""):
    return bytes([OPEN]) + session + key + struct.pack("!II", window, max_frame) + info


def resume_frame(session, key, instance, attempt, offset, seal=None):
    fields = session + struct.pack("!QIQ", instance, attempt, offset)
    if seal is None:
        seal = hmac.digest(key, b"electric-tunnel.v1 resume" + fields, hashlib.sha256)
    return bytes([RESUME]) + fields + seal


def data_frame(offset, data):
    return bytes([DATA]) + struct.pack("!Q", offset) + data


def ack_frame(offset):
    return bytes([ACK]) + struct.pack("!Q", offset)


def fin_frame(offset):
    return bytes([FIN]) + struct.pack("!Q", offset)


def reset_frame(reason=ABORTED, outcome=4, text=b""):
    return bytes([RESET]) + struct.pack("!HBQ", reason, outcome, 0) + text


def cancel_frame(pid, key):
    return bytes([CANCEL]) + struct.pack("!I", pid) + key


class Gone(Exception):
    """The session has ended by RESET: `frame`."""

    def __init__(self, frame):
        super().__init__(repr(frame))
        self.frame = frame


class Lost(Exception):
    """The attachment ended."""


def attach(port, session=b"\0" * 16, **options):
    """A WebSocket on which the protocol is agreed, and nothing was sent."""
    attachment = websocket.connect(port, f"/proxy?session={session[:8].hex()}", protocols=[PROTOCOL], **options)
    if attachment.response.headers.get("sec-websocket-protocol") != PROTOCOL:
        raise AssertionError("the server did not agree to the protocol")
    return attachment


def receive(attachment, timeout=10.0):
    """The next frame on a WebSocket; None when it ends."""
    attachment.settimeout(timeout)
    data = attachment.recv()
    return Frame(data) if data else None


class Tunnel:
    """One session. Like a socket for wire.Connection: sendall, recv, settimeout, close.

    `acknowledges`: whether what recv() has handed on is acknowledged. `pieces(data)`: how DATA is cut.
    """

    def __init__(self, port, window=1 << 20, max_frame=1 << 18, token=None, early=b"", opens=True):
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}"} if token else None
        self.session, self.key = os.urandom(16), os.urandom(32)
        self.window, self.max_frame = window, max_frame
        self.attempt = 0
        self.instance = 0
        self.terms = None
        self.acknowledges = True
        self.pieces = lambda data: [data]
        self.attachment = None
        self.timeout = 10.0
        self.start, self.sent = 0, 0  # our stream: offset of `kept`, and of what was sent
        self.kept = bytearray()
        self.ended = self.end_acknowledged = False
        self.next = self.acked = 0  # the server's stream
        self.received = bytearray()
        self.peer_ended = False
        self.peer_consumed = 0
        self.counts = {"resent": 0, "resumes": 0, "doubled": 0}
        self.frames = []  # those that are no answer to anything
        if opens:
            self.open(early)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- attachments --------------------------------------------------------------------------

    def attach(self):
        self.attachment = attach(self.port, self.session, headers=self.headers)
        return self.attachment

    def open(self, early=b""):
        self.attach().sendall(open_frame(self.session, self.key, self.window, self.max_frame))
        self.kept += early
        self._send_kept()
        frame = self._first(OPENED)
        self.instance, self.terms = frame.instance, frame
        self._send_kept()
        return frame

    def resume_frame(self, **wrong):
        """The next attempt's frame; `wrong` replaces fields."""
        self.attempt += 1
        fields = {"session": self.session, "key": self.key, "instance": self.instance, "attempt": self.attempt,
                  "offset": self.next + self.peer_ended, **wrong}
        return resume_frame(**fields)

    def resume(self):
        """A new attachment takes over; the old one, if any, is left as it is, and returned."""
        old = self.attachment
        self.attach().sendall(self.resume_frame())
        frame = self._first(RESUMED)
        if frame.attempt != self.attempt:
            raise AssertionError(f"RESUMED for attempt {frame.attempt}, not {self.attempt}")
        self.instance, self.terms = frame.instance, frame
        self.counts["resumes"] += 1
        self._go_back(frame.next)
        if self.acknowledges and self.next + self.peer_ended > 0:
            self._acknowledge()
        return old

    def cut(self, reset=True):
        """The network is gone; what lies unread in the attachment is lost."""
        if reset:
            self.attachment.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.attachment.socket.close()
        self.attachment = None

    def break_off(self, size):
        """Cuts within a DATA frame, if there is anything to send: `size` bytes of it go out."""
        limit = min(len(self.kept), self.allowed() - self.start)
        piece = bytes(self.kept[self.sent - self.start:limit][:16384])
        if piece:
            message = websocket.encode_frame(websocket.BINARY, data_frame(self.sent, piece))
            self.attachment.send_raw(message[:size])
            self.sent += len(piece)
        self.cut()

    def _first(self, wanted):
        frame = receive(self.attachment)  # recv()'s timeout may be short
        if frame is None:
            raise Lost(f"{self.attachment.close_code} {self.attachment.close_reason}")
        if frame.type == RESET:
            raise Gone(frame)
        if frame.type != wanted:
            raise AssertionError(f"{frame} instead of {wanted}")
        return frame

    # -- our stream ---------------------------------------------------------------------------

    def _go_back(self, offset):
        end = self.start + len(self.kept)
        if not self.start <= offset <= end + self.ended:
            raise AssertionError(f"the server wants {offset}, we have {self.start} to {end}")
        self.counts["resent"] += max(self.sent - offset, 0)
        self.sent = min(offset, end)
        self._forget(min(offset, end))
        self._send_kept()
        if self.ended and offset <= end and self.sent == end:
            self.attachment.sendall(fin_frame(end))

    def _forget(self, offset):
        del self.kept[:offset - self.start]
        self.start = offset

    def allowed(self):
        return self.peer_consumed + (self.terms.window if self.terms else FIRST_WINDOW)

    def _send_kept(self):
        while self.sent < min(self.start + len(self.kept), self.allowed()):
            at = self.sent - self.start
            limit = min(len(self.kept), at + (self.terms.max_frame if self.terms else 16384) - 9,
                        self.allowed() - self.start)
            for piece in self.pieces(bytes(self.kept[at:limit])):
                self.attachment.sendall(data_frame(self.sent, piece))
                self.sent += len(piece)

    def sendall(self, data):
        self.kept += data
        self._send_kept()
        deadline = time.monotonic() + self.timeout
        while self.sent < self.start + len(self.kept):  # the window is full
            self.turn(deadline - time.monotonic())

    def finish(self):
        self.ended = True
        self.attachment.sendall(fin_frame(self.start + len(self.kept)))

    # -- what comes ---------------------------------------------------------------------------

    def turn(self, timeout):
        """Takes one frame in, and returns it."""
        frame = receive(self.attachment, max(timeout, 0.001))
        if frame is None:
            raise Lost(f"{self.attachment.close_code} {self.attachment.close_reason}")
        if frame.type == DATA:
            self._take(frame)
        elif frame.type == ACK:
            self.peer_consumed = max(self.peer_consumed, frame.offset)
            end = self.start + len(self.kept)
            self.end_acknowledged = self.ended and frame.offset == end + 1
            self._forget(max(self.start, min(frame.offset, end)))
            self._send_kept()
        elif frame.type == FIN:
            if frame.offset != self.next:
                raise AssertionError(f"FIN at {frame.offset}, {self.next} bytes came")
            self.peer_ended = True
            if self.acknowledges:
                self._acknowledge()
        elif frame.type == RESET:
            raise Gone(frame)
        elif frame.type != KEEPALIVE:
            self.frames.append(frame)
        return frame

    def _take(self, frame):
        if frame.offset > self.next or self.peer_ended:
            raise AssertionError(f"a gap: {frame.offset} after {self.next}")
        fresh = frame.data[self.next - frame.offset:]
        self.counts["doubled"] += len(frame.data) - len(fresh)
        self.next += len(fresh)
        if self.next > self.acked + self.window:
            raise AssertionError("more than the window")
        self.received += fresh

    def _acknowledge(self):
        self.acked = self.next + self.peer_ended - len(self.received)
        self.attachment.sendall(ack_frame(self.acked))

    # -- like a socket ------------------------------------------------------------------------

    def settimeout(self, timeout):
        self.timeout = timeout

    def recv(self, size=1 << 20):
        deadline = time.monotonic() + self.timeout
        while not self.received and not self.peer_ended:
            self.turn(deadline - time.monotonic())
        data = bytes(self.received[:size])
        del self.received[:len(data)]
        if data and self.acknowledges:
            self._acknowledge()
        return data

    def close(self):
        """Leaves without a word, like a client that is killed."""
        if self.attachment is not None:
            self.attachment.socket.close()
            self.attachment = None

    # -- conversations ------------------------------------------------------------------------

    def login(self, password, **parameters):
        connection = wire.Connection(self)
        connection.login(password, **parameters)
        return connection

    def wait_for(self, kind, timeout=10.0):
        """Turns until a frame of this type comes."""
        deadline = time.monotonic() + timeout
        while (frame := self.turn(deadline - time.monotonic())).type != kind:
            pass
        return frame

    def wait_end(self, timeout=10.0):
        """The RESET that ends the session."""
        try:
            self.wait_for(RESET, timeout)
        except Gone as gone:
            return gone.frame
