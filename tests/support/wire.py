"""An independent client of the Postgres frontend/backend protocol 3, message by message.

It shares no code with the programs under test. Frontend messages are built by the functions below,
one a message; `Connection` sends bytes and reads backend messages against a deadline.
"""

import base64
import functools
import hashlib
import hmac
import os
import socket
import ssl as tls
import struct
import time
from typing import NamedTuple

PROTOCOL_3_0 = 3 << 16
PROTOCOL_3_2 = 3 << 16 | 2
CANCEL_CODE = 1234 << 16 | 5678
SSL_CODE = 1234 << 16 | 5679
GSSENC_CODE = 1234 << 16 | 5680


class Closed(Exception):
    """The peer closed the connection; `message` has what had arrived of an unfinished message."""

    def __init__(self, rest=b""):
        super().__init__(f"connection closed{f' inside a message: {rest[:80]!r}' if rest else ''}")
        self.rest = rest


class ServerError(Exception):
    """An ErrorResponse during start-up; `fields` maps field letters to text."""

    def __init__(self, fields):
        super().__init__(f"{fields.get('S')} {fields.get('C')}: {fields.get('M')}")
        self.fields = fields
        self.sqlstate = fields.get("C")


class Message(NamedTuple):
    """One backend message."""

    type: str
    body: bytes

    def fields(self):
        """An ErrorResponse's or NoticeResponse's fields, by letter."""
        parts = self.body.split(b"\0")
        return {part[:1].decode(): part[1:].decode("utf-8", "replace") for part in parts if part}

    def tag(self):
        return self.body[:-1].decode()

    def row(self):
        """A DataRow's values; None is NULL."""
        values, at = [], 2
        for _ in range(struct.unpack_from("!H", self.body)[0]):
            (size,) = struct.unpack_from("!i", self.body, at)
            at += 4
            values.append(None if size < 0 else self.body[at:at + size])
            at += max(size, 0)
        return values


# -- frontend messages ------------------------------------------------------------------------------


def text(value):
    """A protocol String."""
    return (value.encode() if isinstance(value, str) else value) + b"\0"


def message(kind, body=b""):
    return kind.encode("latin-1") + struct.pack("!I", len(body) + 4) + body


def headless(code, body=b""):
    """A message without a type byte: how every connection begins."""
    return struct.pack("!II", len(body) + 8, code) + body


def startup(parameters, version=PROTOCOL_3_0):
    return headless(version, b"".join(text(name) + text(value) for name, value in parameters.items()) + b"\0")


def ssl_request():
    return headless(SSL_CODE)


def gssenc_request():
    return headless(GSSENC_CODE)


def cancel_request(pid, secret):
    return headless(CANCEL_CODE, struct.pack("!I", pid) + secret)


def query(sql):
    return message("Q", text(sql))


def parse(sql, name="", oids=()):
    return message("P", text(name) + text(sql) + struct.pack(f"!H{len(oids)}I", len(oids), *oids))


def _values(values):
    def one(value):
        if value is None:
            return struct.pack("!i", -1)
        data = value.encode() if isinstance(value, str) else value
        return struct.pack("!I", len(data)) + data

    return struct.pack("!H", len(values)) + b"".join(one(value) for value in values)


def _codes(codes):
    return struct.pack(f"!H{len(codes)}H", len(codes), *codes)


def bind(portal="", statement="", values=(), formats=(), results=()):
    return message("B", text(portal) + text(statement) + _codes(formats) + _values(values) + _codes(results))


def describe_statement(name=""):
    return message("D", b"S" + text(name))


def describe_portal(name=""):
    return message("D", b"P" + text(name))


def close_statement(name=""):
    return message("C", b"S" + text(name))


def close_portal(name=""):
    return message("C", b"P" + text(name))


def execute(portal="", rows=0):
    return message("E", text(portal) + struct.pack("!I", rows))


def sync():
    return message("S")


def flush():
    return message("H")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data.encode() if isinstance(data, str) else data)


def copy_done():
    return message("c")


def copy_fail(reason):
    return message("f", text(reason))


def function_call(oid, values=(), formats=(), result=0):
    return message("F", struct.pack("!I", oid) + _codes(formats) + _values(values) + struct.pack("!H", result))


# -- a connection -----------------------------------------------------------------------------------


class Connection:
    """Talks over `stream`: a socket, or anything with its sendall, recv, settimeout and close."""

    def __init__(self, stream, timeout=10.0):
        self.stream = stream
        self.timeout = timeout
        self.bytewise = False
        self.pid = None
        self.secret = None
        self.parameters = {}
        self._received = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stream.close()

    def send(self, *messages):
        """Sends the bytes of all messages in one write, or one write a byte when `bytewise`."""
        data = b"".join(messages)
        self.stream.settimeout(self.timeout)
        if not self.bytewise:
            self.stream.sendall(data)
            return
        for at in range(len(data)):
            self.stream.sendall(data[at:at + 1])

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        self.stream.settimeout(left)
        try:
            data = self.stream.recv(262144)
        except (ConnectionResetError, tls.SSLError) as error:
            raise Closed(bytes(self._received)) from error
        if not data:
            raise Closed(bytes(self._received))
        self._received += data

    def receive_bytes(self, count, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self._received) < count:
            self._fill(deadline)
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def receive(self, timeout=None):
        """The next message; raises Closed at the end of the stream, TimeoutError at the deadline."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self._received) < 5:
            self._fill(deadline)
        kind, size = struct.unpack_from("!cI", self._received)
        while len(self._received) < size + 1:
            self._fill(deadline)
        body = bytes(self._received[5:size + 1])
        del self._received[:size + 1]
        return Message(kind.decode("latin-1"), body)

    def receive_until(self, kinds="Z", count=1, timeout=None):
        """All messages up to and with the `count`th whose type is in `kinds`."""
        deadline = time.monotonic() + (timeout or self.timeout)
        messages = []
        while count > 0:
            try:
                messages.append(self.receive(max(deadline - time.monotonic(), 0.001)))
            except (Closed, TimeoutError) as error:
                # `so_far` lets a caller that expects the end still see what came before it.
                error.so_far = messages
                error.add_note("received so far: " + " ".join(m.type for m in messages))
                raise
            count -= messages[-1].type in kinds
        return messages

    def receive_to_end(self, timeout=None):
        """All messages until the peer closes."""
        try:
            self.receive_until("", timeout=timeout)
        except Closed as closed:
            return closed.so_far

    def buffered(self):
        return bytes(self._received)

    def is_closed(self, timeout=5.0):
        """Whether the peer closes within `timeout` without sending anything more."""
        try:
            self.receive_bytes(1, timeout)
            return False
        except Closed:
            return True
        except TimeoutError:
            return False

    # -- conversations ------------------------------------------------------------------------

    def login(self, password, user="postgres", database="postgres", version=PROTOCOL_3_0, binding=None, **parameters):
        """Start-up and authentication; answers all messages after AuthenticationOk, up to ReadyForQuery.

        A `database` of None is left out. Raises ServerError when the server says FATAL.
        """
        named = {"user": user, **({"database": database} if database is not None else {}), **parameters}
        self.send(startup(named, version))
        self.authenticate(user, password, binding)
        messages = []
        while not messages or messages[-1].type != "Z":
            messages.append(self._receive_or_raise())
            self._note(messages[-1])
        return messages

    def authenticate(self, user, password, binding=None):
        """Answers what the server asks for, until AuthenticationOk. `binding`: the TLS server certificate (DER)."""
        self.negotiated = None
        exchange = None
        while True:
            received = self._receive_or_raise()
            if received.type == "v":
                self.negotiated = received.body
                continue
            if received.type != "R":
                raise AssertionError(f"unexpected {received} during authentication")
            (kind,) = struct.unpack_from("!I", received.body)
            data = received.body[4:]
            if kind == 0:
                if exchange is not None and not exchange.verified:
                    raise AssertionError("AuthenticationOk before the server's SCRAM signature")
                return
            if kind == 3:
                self.send(message("p", text(password)))
            elif kind == 5:
                self.send(message("p", text(md5_response(user, password, data))))
            elif kind == 10:
                exchange = Scram(password, data, binding)
                self.send(message("p", exchange.first()))
            elif kind == 11:
                self.send(message("p", exchange.final(data)))
            elif kind == 12:
                exchange.verify(data)
            else:
                raise AssertionError(f"unknown authentication request {kind}")

    def _receive_or_raise(self):
        received = self.receive()
        if received.type == "E":
            raise ServerError(received.fields())
        return received

    def _note(self, received):
        if received.type == "K":
            self.pid = struct.unpack_from("!I", received.body)[0]
            self.secret = received.body[4:]
        elif received.type == "S":
            name, value = received.body[:-1].split(b"\0")
            self.parameters[name.decode()] = value.decode()

    def query(self, sql, timeout=None):
        """A simple Query's answers up to ReadyForQuery."""
        self.send(query(sql))
        return self.receive_until("Z", timeout=timeout)

    def value(self, sql, timeout=None):
        """The first column of the first row, as text. Raises ServerError."""
        answers = self.query(sql, timeout)
        for answer in answers:
            if answer.type == "E":
                raise ServerError(answer.fields())
        rows = [answer.row() for answer in answers if answer.type == "D"]
        return rows[0][0].decode() if rows and rows[0][0] is not None else None


def connect(host, port, password=None, timeout=10.0, **login):
    """A logged-in Connection over TCP; without `password` only connected."""
    connection = Connection(dial(host, port, timeout), timeout)
    if password is not None:
        try:
            connection.login(password, **login)
        except BaseException:
            connection.close()
            raise
    return connection


def dial(host, port, timeout=10.0):
    sock = socket.create_connection((host, port), timeout)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def start_tls(sock, context):
    """SSLRequest, and TLS if the server agrees; else None."""
    sock.sendall(ssl_request())
    if sock.recv(1) != b"S":
        return None
    return context.wrap_socket(sock, server_hostname="localhost")


# -- authentication ---------------------------------------------------------------------------------


def md5_response(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


@functools.lru_cache
def _salted_password(password, salt, iterations):
    """The costly part of SCRAM; thousands of test sessions share its result."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations)


class Scram:
    """The client's half of SCRAM-SHA-256 (RFC 5802, RFC 7677), with -PLUS when given a certificate."""

    def __init__(self, password, mechanisms, certificate=None):
        self.verified = False
        self.offered = [name.decode() for name in mechanisms.split(b"\0") if name]
        self._password = password.encode()
        self._nonce = base64.b64encode(os.urandom(18)).decode()
        self._plus = certificate is not None and "SCRAM-SHA-256-PLUS" in self.offered
        if self._plus:
            self._header = b"p=tls-server-end-point,,"
            self._binding = self._header + hashlib.sha256(certificate).digest()
        else:
            self._header = self._binding = b"n,,"
        if not self._plus and "SCRAM-SHA-256" not in self.offered:
            raise AssertionError(f"the server offers only {self.offered}")

    def first(self):
        self._bare = f"n=,r={self._nonce}"
        data = self._header + self._bare.encode()
        return text("SCRAM-SHA-256-PLUS" if self._plus else "SCRAM-SHA-256") + struct.pack("!I", len(data)) + data

    def final(self, server_first):
        fields = dict(part.split("=", 1) for part in server_first.decode().split(","))
        if not fields["r"].startswith(self._nonce) or fields["r"] == self._nonce:
            raise AssertionError("the server's nonce does not extend ours")
        salted = _salted_password(self._password, base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        bare = f"c={base64.b64encode(self._binding).decode()},r={fields['r']}"
        signed = f"{self._bare},{server_first.decode()},{bare}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        self._expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256")
        return f"{bare},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        if server_final != b"v=" + base64.b64encode(self._expected):
            raise AssertionError(f"the server's signature is wrong: {server_final!r}")
        self.verified = True
