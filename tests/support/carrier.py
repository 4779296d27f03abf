"""The HTTP carrier from the client's end: a small client that can repeat, overtake, cut short and lie.

    with CarriedTunnel(server.http_port) as tunnel:
        tunnel.login(server.password)       # as on a WebSocket; see tests.support.tunnel
        tunnel.resume()                     # on another carrier of the same kind

Independent of the programs under test.
"""

import hashlib
import hmac
import socket
import struct
import time

from tests.support import tunnel, websocket

TYPE = "application/vnd.electric-tunnel"


def signature(session, key, attempt, method, number, got=0, body=b""):
    """The value of the field Electric-Tunnel."""
    sealed = (b"electric-tunnel.v1 http" + session + struct.pack("!L", attempt) + method.encode() +
              struct.pack("!QQ", number, got) + hashlib.sha256(body).digest())
    return f"{session.hex()} {attempt} {hmac.digest(key, sealed, hashlib.sha256).hex()}"


def body_of(*frames):
    return b"".join(struct.pack("!I", len(frame)) + frame for frame in frames)


def frames_of(body):
    """Frames in a body, as bytes."""
    frames = []
    while body:
        (size,) = struct.unpack_from("!I", body)
        if len(body) < 4 + size:
            raise AssertionError("a body ends inside a frame")
        frames.append(body[4:4 + size])
        body = body[4 + size:]
    return frames


def path(session, query=""):
    return f"/proxy?session={session[:8].hex()}{query}"


class Answer:
    """An HTTP response as it comes, chunked or of a known length."""

    def __init__(self):
        self.data = b""
        self.head = None
        self.body = b""
        self.complete = False
        self.left = None  # of a known length

    def feed(self, data):
        self.data += data
        if self.head is None and b"\r\n\r\n" in self.data:
            head, _, self.data = self.data.partition(b"\r\n\r\n")
            self.head = websocket.Response(head)
            if self.head.headers.get("transfer-encoding") != "chunked":
                self.left = int(self.head.headers.get("content-length", 0))
        if self.head is not None and self.left is not None:
            self.body += self.data[:self.left]
            self.left -= len(self.data[:self.left])
            self.data = b""
            self.complete = self.left == 0
        while self.head is not None and self.left is None and not self.complete and b"\r\n" in self.data:
            line, _, rest = self.data.partition(b"\r\n")
            size = int(line, 16)
            if len(rest) < size + 2:
                return
            self.body += rest[:size]
            self.data = rest[size + 2:]
            self.complete = size == 0


class Carrier:
    """As an attachment for tunnel.Tunnel: sendall() takes a frame, recv() gives one."""

    close_code, close_reason = None, ""

    def __init__(self, port, session, key, attempt=0, token=None, version="1.1"):
        self.port, self.session, self.key, self.attempt = port, session, key, attempt
        self.version = version
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.opened = False
        self.posts = self.gets = self.serial = 0
        self.frames = []
        self.timeout = 10.0
        self.connection = None  # the POSTs'
        self.socket = None  # the GETs'
        self.answer = None  # of the GET under way
        self.given = 0  # bytes of it whose frames were given out

    def settimeout(self, timeout):
        self.timeout = timeout

    # -- requests ------------------------------------------------------------------------------

    def encode(self, method, query, number, body=b"", got=0, **fields):
        headers = {**self.headers,
                   "Electric-Tunnel": signature(self.session, self.key, self.attempt, method, number, got, body)}
        if method == "POST":
            headers["Content-Type"] = TYPE
        headers.update({name.replace("_", "-"): value for name, value in fields.items()})
        return websocket.encode_request("localhost", path(self.session, query), method, headers, self.version, body)

    def ask(self, request):
        """One request on a connection of its own: its Answer."""
        with socket.create_connection(("127.0.0.1", self.port), self.timeout) as sock:
            sock.sendall(request)
            return receive(sock)

    def post(self, request):
        """On the connection that is kept."""
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.connection.sendall(request)
        answer = receive(self.connection)
        if answer.head.headers.get("connection") == "close":
            self.connection.close()
            self.connection = None
        return answer

    def open(self, *frames, **fields):
        answer = self.post(self.encode("POST", "", 0, body_of(*frames), **fields))
        if answer.head.status != 200:
            raise websocket.Refused(answer.head)
        self.opened = True
        self.serial = int(answer.head.headers["electric-tunnel"])
        self.frames += frames_of(answer.body)

    def up(self, *frames, number=None):
        """POSTs frames; the number is the next one."""
        if number is None:
            self.posts += 1
            number = self.posts
        return self.post(self.encode("POST", f"&up={number}", number, body_of(*frames)))

    def down_request(self, number=None, got=None):
        if number is None:
            self.gets += 1
            number = self.gets
        got = self.serial if got is None else got
        return self.encode("GET", f"&down={number}&got={got}", number, got=got)

    # -- like a WebSocket ----------------------------------------------------------------------

    def sendall(self, frame):
        if not self.opened:
            self.open(frame)
            return
        answer = self.up(frame)
        if answer.head.status != 204:
            raise websocket.Refused(answer.head)

    def poll(self):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.socket.sendall(self.down_request())
        self.answer, self.given = Answer(), 0

    def recv(self, _size=0):
        """A frame; b"": there is nothing to ask any more."""
        deadline = time.monotonic() + self.timeout
        while not self.frames:
            if self.answer is None:
                self.poll()
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            data = self.socket.recv(1 << 18)
            if not data and self.answer.head is None:
                self.close_reason = "closed without an answer"
                return b""
            self.answer.feed(data)
            if not self._take():
                return b""
        return self.frames.pop(0)

    def _take(self):
        answer = self.answer
        if answer.head is not None and answer.head.status != 200:
            self.close_reason = f"{answer.head.status}"
            return False
        while len(answer.body) >= self.given + 4:
            (size,) = struct.unpack_from("!I", answer.body, self.given)
            if len(answer.body) < self.given + 4 + size:
                break
            self.frames.append(answer.body[self.given + 4:self.given + 4 + size])
            self.given += 4 + size
        if answer.complete:
            if self.given != len(answer.body):
                raise AssertionError("an answer ends inside a frame")
            self.serial = int(answer.head.headers["electric-tunnel"])
            self.answer = None
            if answer.head.headers.get("connection") == "close":
                self.socket.close()
                self.socket = None
        return True

    def close(self):
        for sock in (self.connection, self.socket):
            if sock is not None:
                sock.close()
        self.connection = self.socket = self.answer = None


def receive(sock):
    answer = Answer()
    while not answer.complete:
        data = sock.recv(1 << 18)
        if not data:
            raise ConnectionError(f"closed within an answer: {answer.data!r}")
        answer.feed(data)
    return answer


class CarriedTunnel(tunnel.Tunnel):
    """A session on the HTTP carrier. `kind`: of its next attachment."""

    def __init__(self, port, version="1.1", token=None, **options):
        self.version, self.token = version, token
        self.carried = True
        super().__init__(port, token=token, **options)

    def attach(self):
        if not self.carried:
            return super().attach()
        self.attachment = Carrier(self.port, self.session, self.key, self.attempt, self.token, self.version)
        return self.attachment

    def resume(self):
        # The proof of a request names the attempt, which resume_frame() is about to count.
        self.attempt += 1
        try:
            old = self.attachment
            self.attach()
        finally:
            self.attempt -= 1
        attachment, attach = self.attachment, self.attach
        self.attachment, self.attach = old, lambda: setattr(self, "attachment", attachment) or attachment
        try:
            return super().resume()
        finally:
            self.attach = attach

    def cut(self, reset=True):
        if isinstance(self.attachment, Carrier):
            self.attachment.close()
            self.attachment = None
        else:
            super().cut(reset)

    def close(self):
        if isinstance(self.attachment, Carrier):
            self.cut()
        else:
            super().close()
