"""Scripted services for electric-tunnel to talk to, and proxies to stand in between.

    def behave(peer):
        peer.accept()
        assert peer.receive() == b"hello"
        peer.send(b"world")
        peer.close()

    with Service(behave) as service:
        Client(service.url)

Each connection runs `behave` in a thread of its own; what it raises fails the test at the end of the
`with` block. Independent of the programs under test, and able to break every rule.
"""

import base64
import hashlib
import os
import re
import select
import socket
import ssl
import struct
import subprocess
import threading

from tests.support.certificates import Authority
from tests.support.websocket import BINARY, CLOSE, CONTINUATION, GUID, PING, PONG, TEXT, apply_mask

HEAD_END = b"\r\n\r\n"


class Ended(Exception):
    """The tunnel closed its connection."""


class Listener:
    """A thread that accepts, and one more for each connection."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.socket = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.host = f"[{host}]" if ":" in host else host
        self.port = self.socket.getsockname()[1]
        self.connections = 0
        self.failures = []
        self._tls = tls
        self._open = []
        self._lock = threading.Lock()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind, *_):
        # shutdown() wakes the accept() of the other thread, which close() alone does not.
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        with self._lock:
            for connection in self._open:
                shut(connection)
        if kind is None and self.failures:
            raise self.failures[0]

    def handle(self, connection):
        raise NotImplementedError

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.append(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection):
        try:
            connection.settimeout(30)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                with self._lock:
                    self._open.append(connection)
            self.handle(connection)
        except (Ended, OSError):
            pass  # a tunnel that goes away is the test's business, not the service's
        except BaseException as failure:  # pylint: disable=broad-except
            self.failures.append(failure)
        finally:
            shut(connection)


class Service(Listener):
    """A service that does what `behave(peer)` says."""

    def __init__(self, behave, tls=None, host="127.0.0.1"):
        super().__init__(tls, host)
        self.behave = behave
        self.peers = []

    def handle(self, connection):
        peer = Peer(connection)
        self.peers.append(peer)
        self.behave(peer)

    @property
    def url(self):
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"


class Peer:
    """One connection of the tunnel, seen from the service. After `read_request`: `method`, `target`,
    `headers`, `session` (None, or what the tunnel names for balancers) and `path`, the target without it.
    After Close: `close_code`."""

    def __init__(self, connection):
        self.socket = connection
        self.headers = None
        self.close_code = None
        self.pings = 0
        self.pongs = []
        self.frames = []
        self._received = b""

    # -- HTTP ---------------------------------------------------------------------------------

    def read_request(self):
        while HEAD_END not in self._received:
            self._fill()
        head, _, self._received = self._received.partition(HEAD_END)
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        match = re.search(r"[?&]session=([0-9a-f]{16})$", self.target)
        self.session = match.group(1) if match else None
        self.path = self.target[: match.start()] if match else self.target
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}

    def answer(self, status, headers=None, body=b""):
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
        self.send_raw("\r\n".join(lines).encode() + HEAD_END + body)

    def refuse(self, status, body=b"", **headers):
        self.read_request()
        self.answer(status, {"Content-Type": "text/plain", "Content-Length": len(body), "Connection": "close",
                             **{name.replace("_", "-"): value for name, value in headers.items()}}, body)

    def accept_value(self):
        return base64.b64encode(hashlib.sha1(self.headers["sec-websocket-key"].encode() + GUID).digest()).decode()

    def accept(self, behind=b"", **headers):
        """Grants the upgrade; `behind` are bytes in the same segment as the head."""
        if self.headers is None:
            self.read_request()
        self.answer("101 Switching Protocols",
                    {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": self.accept_value(),
                     **{name.replace("_", "-"): value for name, value in headers.items()}}, behind)

    # -- frames -------------------------------------------------------------------------------

    def send_raw(self, data):
        self.socket.sendall(data)

    def send(self, data):
        self.send_raw(frame(BINARY, data))

    def send_close(self, code=1000, reason=b""):
        self.send_raw(frame(CLOSE, struct.pack("!H", code) + reason))

    def receive(self):
        """The next data frame's payload; b"" once Close has come. Answers pings."""
        while True:
            opcode, payload = self.receive_frame()
            if opcode in (BINARY, TEXT, CONTINUATION):
                return payload
            if opcode == CLOSE:
                return b""
            if opcode == PING:
                self.send_raw(frame(PONG, payload))

    def receive_all(self, size):
        data = b""
        while len(data) < size:
            more = self.receive()
            if not more:
                break
            data += more
        return data

    def receive_frame(self):
        """(opcode, payload); checks what a client's frame must be."""
        head = self._take(2)
        assert head[0] & 0x70 == 0, "reserved bits"
        assert head[0] & 0x80, "the tunnel never fragments"
        assert head[1] & 0x80, "a client masks"
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self._take(2), "big")
            assert size >= 126, "not the shortest length"
        elif size == 127:
            size = int.from_bytes(self._take(8), "big")
            assert size >= 65536, "not the shortest length"
        key = self._take(4)
        payload = apply_mask(self._take(size), key)
        opcode = head[0] & 0x0F
        self.frames.append((opcode, size, key))
        if opcode == CLOSE:
            self.close_code = struct.unpack_from("!H", payload)[0] if payload else 1005
        elif opcode == PING:
            self.pings += 1
        elif opcode == PONG:
            self.pongs.append(payload)
        return opcode, payload

    def wait_close(self):
        """Drops everything up to the tunnel's Close; its code."""
        while self.close_code is None:
            self.receive_frame()
        return self.close_code

    def end(self):
        """Close 1000, and the tunnel's answer."""
        self.send_close()
        self.wait_close()

    def cut(self):
        """Resets the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _take(self, count):
        while len(self._received) < count:
            self._fill()
        data, self._received = self._received[:count], self._received[count:]
        return data

    def _fill(self):
        more = self.socket.recv(262144)
        if not more:
            raise Ended
        self._received += more


def frame(opcode, payload=b"", fin=True, masked=False):
    """One frame as a server sends it; `masked` breaks the rule."""
    size, flag = len(payload), 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([flag | size])
    elif size < 65536:
        head += bytes([flag | 126]) + struct.pack("!H", size)
    else:
        head += bytes([flag | 127]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload


def echo(peer):
    """Grants the upgrade and sends everything back until Close."""
    peer.accept()
    while True:
        data = peer.receive()
        if not data:
            break
        peer.send(data)
    if peer.close_code is not None:
        peer.send_close(peer.close_code if peer.close_code != 1005 else 1000)


class Proxy(Listener):
    """An HTTP proxy that only knows CONNECT. `login` ("user:password") is demanded as Basic;
    `refuse` is a status that every CONNECT gets; `dial` overrides where a host leads."""

    def __init__(self, login=None, refuse=None, tls=None, dial=None):
        super().__init__(tls)
        self.login = login
        self.refuse = refuse
        self.dial = dial or {}
        self.asked = []

    def handle(self, connection):
        rest = b""
        while True:
            head, rest = _read_head(connection, rest)
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            assert method == "CONNECT", f"{method} on a proxy for CONNECT only"
            self.asked.append((target, headers))
            if self._authorized(headers):
                break
            connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                               b'Proxy-Authenticate: Basic realm="test"\r\nContent-Length: 0\r\n\r\n')
        if self.refuse:
            connection.sendall(f"HTTP/1.1 {self.refuse}\r\nContent-Length: 0\r\n\r\n".encode())
            return
        host, _, port = target.rpartition(":")
        with socket.create_connection(self.dial.get(host, (host.strip("[]"), int(port)))) as onward:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            onward.sendall(rest)
            self.carry(connection, onward, host.strip("[]"))

    def carry(self, connection, onward, host):
        """What goes both ways once `host` is reached."""
        pump(connection, onward)

    def _authorized(self, headers):
        if self.login is None:
            return True
        return headers.get("proxy-authorization") == "Basic " + base64.b64encode(self.login.encode()).decode()


class SocksProxy(Listener):
    """A SOCKS5 proxy without authentication (RFC 1928) that resolves names itself."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def handle(self, connection):
        version, count = _exactly(connection, 2)
        assert version == 5
        _exactly(connection, count)
        connection.sendall(b"\x05\x00")
        _, command, _, kind = _exactly(connection, 4)
        assert command == 1, "CONNECT"
        if kind == 3:
            host = _exactly(connection, _exactly(connection, 1)[0]).decode()
        else:
            host = socket.inet_ntop(*((socket.AF_INET, _exactly(connection, 4)) if kind == 1 else
                                      (socket.AF_INET6, _exactly(connection, 16))))
        port = int.from_bytes(_exactly(connection, 2), "big")
        self.asked.append((host, port))
        with socket.create_connection((host, port)) as onward:
            connection.sendall(b"\x05\x00\x00\x01\0\0\0\0\0\0")
            pump(connection, onward)


def server_context(certificate, key, client_authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["http/1.1"])
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)
    return context


class DatedAuthority(Authority):
    """An authority that can also issue certificates whose time is over."""

    def issue_expired(self, name, alternative_names):
        certificate, key = self.issue(name, alternative_names)
        request = os.path.join(self.directory, name + ".csr")
        database = os.path.join(self.directory, "index.txt")
        config = os.path.join(self.directory, "ca.cnf")
        with open(database, "w", encoding="ascii"):
            pass
        with open(config, "w", encoding="ascii") as file:
            file.write(f"[ca]\ndefault_ca=x\n[x]\ndatabase={database}\nnew_certs_dir={self.directory}\n"
                       f"rand_serial=yes\ndefault_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
                       f"[ext]\nsubjectAltName={','.join(alternative_names)}\n")
        subprocess.run(["openssl", "ca", "-batch", "-config", config, "-cert", self.certificate, "-keyfile",
                        os.path.join(self.directory, "ca.key"), "-in", request, "-out", certificate, "-notext",
                        "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", "-extensions", "ext"],
                       check=True, capture_output=True, timeout=60)
        return certificate, key


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


def _exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise Ended
        data += more
    return data


def _read_head(connection, data):
    while HEAD_END not in data:
        more = connection.recv(65536)
        if not more:
            raise Ended
        data += more
    head, _, rest = data.partition(HEAD_END)
    return head, rest


def pump(one, other, idle=30):
    """Both ways, until either ends, or neither has said anything for `idle` seconds."""
    while True:
        # What TLS has decrypted already shows in no select().
        ready = [end for end in (one, other) if isinstance(end, ssl.SSLSocket) and end.pending()]
        ready = ready or select.select([one, other], [], [], idle)[0]
        if not ready:
            return
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (other if source is one else one).sendall(data)
