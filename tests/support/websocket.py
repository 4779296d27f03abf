"""A minimal, independent WebSocket client (RFC 6455), able to break every rule on request.

A WebSocket has sendall, recv, settimeout and close like a socket, so that wire.Connection runs on it.
"""

import base64
import hashlib
import os
import socket
import struct
import time

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The upgrade was answered by something else than 101."""

    def __init__(self, response):
        super().__init__(f"{response.status}: {response.body[:200]!r}")
        self.response = response
        self.status = response.status


class Response:
    """An HTTP response's status, headers (names in lower case) and body."""

    def __init__(self, head, body=b""):
        lines = head.decode("latin-1").split("\r\n")
        self.version, status, *reason = lines[0].split(" ", 2)
        self.status = int(status)
        self.reason = reason[0] if reason else ""
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.body = body


class WebSocket:
    """An open WebSocket. `close_code` and `close_reason` are set when the peer's Close arrives."""

    def __init__(self, sock, response, received=b""):
        self.socket = sock
        self.response = response
        self.close_code = None
        self.close_reason = ""
        self.pings = 0
        self.pongs = []
        self.kinds = set()
        self._received = bytearray(received)
        self._partial = b""  # of a frame that is not complete yet
        self._timeout = 10.0
        self._closed = False

    # -- like a socket ------------------------------------------------------------------------

    def settimeout(self, timeout):
        self._timeout = timeout

    def sendall(self, data):
        self.send_frame(BINARY, data)

    def recv(self, _size=0):
        """The next data frame's payload; b"" after Close or the end. Answers pings on the way."""
        deadline = time.monotonic() + self._timeout
        while not self._closed:
            frame = self.receive_frame(deadline - time.monotonic())
            if frame is None:
                return b""
            opcode, payload = frame
            if opcode in (TEXT, BINARY, CONTINUATION):
                self.kinds.add(opcode)
                if payload:
                    return payload
            elif opcode == PING:
                self.pings += 1
                self.send_frame(PONG, payload)
            elif opcode == PONG:
                self.pongs.append(payload)
        return b""

    def close(self, code=1000):
        """Sends Close unless the peer has, then shuts the socket."""
        try:
            if not self._closed:
                self.send_close(code)
        except OSError:
            pass
        self.socket.close()

    # -- frames -------------------------------------------------------------------------------

    def send_frame(self, opcode, payload=b"", fin=True, mask=True, reserved=0, length=None):
        """One frame; `reserved` are the three RSV bits, `length` lies about the payload's length."""
        self.send_raw(encode_frame(opcode, payload, fin, mask, reserved, length))

    def send_raw(self, data):
        self.socket.settimeout(self._timeout)
        self.socket.sendall(data)

    def send_close(self, code=1000, reason=b""):
        self.send_frame(CLOSE, struct.pack("!H", code) + reason if code is not None else b"")

    def receive_frame(self, timeout=None):
        """(opcode, payload) of the next frame; None at the end of the stream. A server never masks.

        After a TimeoutError in the middle of a frame the next call goes on with it."""
        self._received[:0], self._partial = self._partial, b""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        head = self._take(2, deadline)
        if head is None:
            return None
        if head[0] & 0x70 or head[1] & 0x80:
            raise AssertionError(f"reserved bits or a mask from the server: {head.hex()}")
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._take(2 if size == 126 else 8, deadline), "big")
        payload = self._take(size, deadline) if size else b""
        if payload is None:
            return None
        self._partial = b""
        if head[0] & 0x0F == CLOSE:
            self._closed = True
            self.close_code = struct.unpack_from("!H", payload)[0] if len(payload) >= 2 else 1005
            self.close_reason = payload[2:].decode("utf-8")
        return head[0] & 0x0F, payload

    def wait_close(self, timeout=10.0):
        """Reads and drops everything up to the peer's Close or end; the close code, None without."""
        deadline = time.monotonic() + timeout
        while self.close_code is None and self.receive_frame(deadline - time.monotonic()) is not None:
            pass
        return self.close_code

    def _take(self, count, deadline):
        while len(self._received) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no WebSocket frame in time")
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(262144)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._received += data
        data = bytes(self._received[:count])
        del self._received[:count]
        self._partial += data
        return data


def encode_frame(opcode, payload=b"", fin=True, mask=True, reserved=0, length=None):
    length = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode])
    flag = 0x80 if mask else 0
    if length < 126:
        head += bytes([flag | length])
    elif length < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", length)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", length)
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + apply_mask(payload, key)


def apply_mask(payload, key):
    """XOR of the whole payload as one big number: quick enough for megabytes."""
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(mask, "little")).to_bytes(size, "little")


def connect(port, path="/proxy", host="127.0.0.1", headers=None, protocols=(), timeout=10.0):
    """Asks for the upgrade; raises Refused unless it is granted properly."""
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        return upgrade(sock, f"{host}:{port}", path, headers, protocols)
    except BaseException:
        sock.close()
        raise


def upgrade(sock, host, path="/proxy", headers=None, protocols=()):
    key = base64.b64encode(os.urandom(16))
    wanted = {"Host": host, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": key.decode(),
              "Sec-WebSocket-Version": "13"}
    if protocols:
        wanted["Sec-WebSocket-Protocol"] = ", ".join(protocols)
    wanted.update(headers or {})
    lines = [f"{name}: {value}" for name, value in wanted.items() if value is not None]
    sock.sendall(("\r\n".join([f"GET {path} HTTP/1.1", *lines]) + "\r\n\r\n").encode("latin-1"))
    response, rest = receive_response(sock)
    if response.status != 101:
        raise Refused(response)
    expected = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
    if response.headers.get("sec-websocket-accept") != expected:
        raise AssertionError("wrong Sec-WebSocket-Accept")
    if "sec-websocket-extensions" in response.headers:
        raise AssertionError("an extension nobody offered")
    return WebSocket(sock, response, rest)


def receive_response(sock, head_only=False):
    """Reads one HTTP response: (Response, bytes behind it). `head_only` for answers to HEAD."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise ConnectionError(f"closed within the response's head: {data!r}")
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    response = Response(head)
    if response.status in (101, 204, 304) or head_only:
        return response, rest
    if "content-length" in response.headers:
        size = int(response.headers["content-length"])
        while len(rest) < size:
            more = sock.recv(65536)
            if not more:
                raise ConnectionError("closed within the response's body")
            rest += more
        response.body, rest = rest[:size], rest[size:]
        return response, rest
    while True:
        more = sock.recv(65536)
        if not more:
            response.body = rest
            return response, b""
        rest += more


def request(port, path="/", method="GET", headers=None, version="1.1", body=b"", timeout=10.0, tls=None):
    """One HTTP request on a connection of its own: a Response. `tls`: the ssl context to encrypt with."""
    with socket.create_connection(("127.0.0.1", port), timeout) as plain, (
            tls.wrap_socket(plain, server_hostname="localhost") if tls else plain) as sock:
        sock.sendall(encode_request(f"127.0.0.1:{port}", path, method, headers, version, body))
        return receive_response(sock, method == "HEAD")[0]


def encode_request(host, path="/", method="GET", headers=None, version="1.1", body=b""):
    wanted = {"Host": host}
    if body or method == "POST":
        wanted["Content-Length"] = str(len(body))
    wanted.update(headers or {})
    lines = [f"{method} {path} HTTP/{version}"]
    lines += [f"{name}: {value}" for name, value in wanted.items() if value is not None]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body
