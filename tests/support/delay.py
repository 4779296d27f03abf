"""A network that takes its time: a TCP forwarder that delays and counts round trips.

    with Delay(server.http_port, 0.05) as network:   # each way, so that a round trip takes 100 ms
        Client(network.url)
        ...
        network.round_trips()

Counted is what depends on what, not the time it took, so a busy machine changes nothing: bytes from the
client carry the number of the answer that it had seen, answers one more than what the server had seen.
"""

import queue
import socket
import threading
import time

from tests.support.service import shut

CHUNK = 65536


class _Link:
    """One connection. `seen`: the number of the newest answer that the client has, and the server knows of."""

    def __init__(self, near, target, delay):
        self.near, self.delay = near, delay
        self.far = socket.create_connection(("127.0.0.1", target), 10)
        self.lock = threading.Lock()
        self.seen = {"client": 1, "server": 0}  # the connection itself has cost a round trip
        opened = time.monotonic() + 2 * delay
        for end in (self.near, self.far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, sink, kind, begin in ((self.near, self.far, "client", opened), (self.far, self.near, "server", 0)):
            way = queue.SimpleQueue()
            threading.Thread(target=self._read, args=(source, kind, way, begin), daemon=True).start()
            threading.Thread(target=self._write, args=(sink, kind, way), daemon=True).start()

    def _read(self, source, kind, way, begin):
        data = b"begin"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            with self.lock:
                number = self.seen[kind] + (kind == "server")
            way.put((max(time.monotonic(), begin) + self.delay, number, data))

    def _write(self, sink, kind, way):
        other = "server" if kind == "client" else "client"
        data = b"begin"
        while data:
            due, number, data = way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            with self.lock:
                self.seen[other] = max(self.seen[other], number)
            try:
                if data:
                    sink.sendall(data)
                else:
                    sink.shutdown(socket.SHUT_WR)
            except OSError:
                return

    def count_from_now(self):
        with self.lock:
            self.seen = {"client": 0, "server": 0}

    def close(self):
        for end in (self.near, self.far):
            shut(end)


class Delay:
    """A way to the port `target` on which bytes take `delay` seconds."""

    def __init__(self, target, delay):
        self.target, self.delay = target, delay
        self.links = []
        self._old = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self.links:
            link.close()

    def _accept(self):
        while True:
            try:
                near, _ = self._listener.accept()
                self.links.append(_Link(near, self.target, self.delay))
            except OSError:
                return

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def count_from_now(self):
        """What was connected before this costs nothing any more."""
        self._old = len(self.links)
        for link in self.links:
            link.count_from_now()

    def round_trips(self, prewarmed=False):
        """Of the connection that took most since: a new one, or one that was there before."""
        links = self.links[:self._old] if prewarmed else self.links[self._old:]
        return max(link.seen["client"] for link in links)
