"""The HTTP API as its clients use it: requests with credentials, and server-sent events."""

import base64
import http.client
import json
import socket
import time


class Answer:
    """A response, read to its end; header names in lower case."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.challenges = response.headers.get_all("WWW-Authenticate") or []
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def error(self):
        return self.json()["error"]


def basic(password, user="anybody"):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def get(port, path, headers=None, method="GET", timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, headers=headers or {})
        return Answer(connection.getresponse())
    finally:
        connection.close()


class EventStream:
    """An open live stream; `events` yields (id, kind, data) until it ends."""

    def __init__(self, port, path, headers=None, timeout=30, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(("127.0.0.1", port))
        lines = [f"GET {path} HTTP/1.1", "Host: test", "Accept: text/event-stream",
                 *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.file = self.socket.makefile("rb")
        self.status = int(self.file.readline().split()[1])
        self.headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.comments = 0
        self.ended_cleanly = False
        self._rest = b""

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _chunk(self):
        size = self.file.readline()
        if not size:
            return b""
        data = self.file.read(int(size, 16))
        self.file.readline()
        if not data:
            self.ended_cleanly = True
        return data

    def block(self):
        """The next block of lines, None at the end."""
        while b"\n\n" not in self._rest:
            data = self._chunk()
            if not data:
                return None
            self._rest += data
        block, _, self._rest = self._rest.partition(b"\n\n")
        return block.decode()

    def event(self):
        """The next event, None at the end; comments and the like are passed over."""
        while (block := self.block()) is not None:
            fields = {}
            for line in block.split("\n"):
                name, _, value = line.partition(":")
                if name:
                    fields[name] = value.removeprefix(" ")
                else:
                    self.comments += 1
            if "data" in fields:
                return int(fields["id"]), fields["event"], json.loads(fields["data"])
        return None

    def take(self, count, within=30):
        deadline = time.monotonic() + within
        taken = []
        while len(taken) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(taken)} of {count} events in {within} s")
            event = self.event()
            if event is None:
                raise EOFError(f"the stream ended after {len(taken)} of {count} events")
            taken.append(event)
        return taken
