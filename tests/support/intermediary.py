"""An HTTP proxy that passes on whole requests and whole answers, and can be told to do so badly.

    with Intermediary(server.http_port) as between:
        between.meddle = lambda request, pass_on: pass_on(request) and BUSY

Each connection runs in a thread of its own; connections to the target are not kept. A WebSocket is
`upgrade`d with by a rule of its own.
"""

import re
import socket

from tests.support.carrier import Answer
from tests.support.service import Ended, Listener

HEAD_END = b"\r\n\r\n"
UPSTREAM_PATIENCE = 120


class Request:
    """One request as it came."""

    def __init__(self, head, body):
        self.head, self.body = head, body
        self.method, self.target = head.split(b" ", 2)[:2]
        self.query = dict(re.findall(rb"[?&](\w+)=(\w+)", self.target))

    @property
    def upgrades(self):
        return re.search(rb"\r\nupgrade:", self.head, re.IGNORECASE) is not None

    @property
    def polls(self):
        return b"down" in self.query

    @property
    def posts(self):
        return b"up" in self.query

    @property
    def opens(self):
        return self.method == b"POST" and not self.posts

    def encode(self, version=b"1.1"):
        head = re.sub(rb"(?i)\r\n(connection|upgrade|keep-alive):[^\r]*", b"", self.head)
        return head.replace(b" HTTP/1.1\r\n", b" HTTP/" + version + b"\r\nConnection: close\r\n", 1) + HEAD_END + self.body


def answer(status, body=b"", **headers):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    return "\r\n".join(lines).encode() + HEAD_END + body


class Intermediary(Listener):
    """`meddle(request, pass_on)` gives the answer's bytes; None ends the connection instead. `upgrade(connection,
    request)` takes over a connection on which a WebSocket is asked for; without it such a request is passed on as any
    other, without Upgrade. `version`: of HTTP, towards the target."""

    def __init__(self, target, version="1.1"):
        super().__init__()
        self.target, self.version = target, version.encode()
        self.meddle = lambda request, pass_on: pass_on(request)
        self.upgrade = None
        self.requests = []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def handle(self, connection):
        connection.settimeout(None)
        data = b""
        while True:
            request, data = self._read(connection, data)
            self.requests.append(request)
            if request.upgrades and self.upgrade is not None:
                self.upgrade(connection, request)
                return
            reply = self.meddle(request, self.pass_on)
            if reply is None:
                return
            connection.sendall(reply)

    @staticmethod
    def _read(connection, data):
        def more():
            piece = connection.recv(1 << 18)
            if not piece:
                raise Ended
            return piece

        while HEAD_END not in data:
            data += more()
        head, _, data = data.partition(HEAD_END)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length.group(1)) if length else 0
        while len(data) < size:
            data += more()
        return Request(head, data[:size]), data[size:]

    def pass_on(self, request):
        """The whole answer, of known length; None when there was none."""
        try:
            with socket.create_connection(("127.0.0.1", self.target), UPSTREAM_PATIENCE) as upstream:
                upstream.sendall(request.encode(self.version))
                return self._receive(upstream)
        except OSError:
            return None

    @staticmethod
    def _receive(upstream):
        raw = b""
        while piece := upstream.recv(1 << 18):
            raw += piece
        head, end, body = raw.partition(HEAD_END)
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if not end or (length and len(body) < int(length.group(1))):
            return None
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            reply = Answer()
            reply.feed(raw)
            if not reply.complete:
                return None
            body = reply.body
        head = re.sub(rb"(?i)\r\n(connection|keep-alive|transfer-encoding|content-length):[^\r]*", b"", head)
        return head + b"\r\nContent-Length: " + str(len(body)).encode() + HEAD_END + body
