"""A client cannot tell the proxy from Postgres: the same scripts, sent directly and through each entrance.

A few hundred scripts (`differential/`) are played against Postgres itself and through the TCP port,
a raw WebSocket and electric-tunnel, and the answers are compared message by message, byte by byte.
What may differ, and is therefore normalised, all of it:

- BackendKeyData: the pid, and the secret, which is the proxy's own;
- NotificationResponse: the pid, told apart only as our own or another session's;
- oids of what a script creates (16384 and up) in RowDescription and ParameterDescription;
- the number in `pg_temp_N` in the texts of errors and notices;
- the order of the ParameterStatus messages of the start-up, which goes through libpq;
- where Postgres closes without a word (a length that cannot be), the proxy says 08006 first.

Everything else must be equal, down to the source lines in the error fields.

    DIFFERENTIAL_ONLY='regex' picks scripts by name; DIFFERENTIAL_DIRECT=1 plays them against Postgres
    twice and needs no program: that is how to try a new script.
"""

import os
import re
import struct
import unittest

from tests.integration import differential
from tests.integration.differential import BYTES, END, GLUED, STEPS, Elsewhere
from tests.integration.differential.followed import followed_scripts
from tests.integration.differential.protocol import protocol_scripts
from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.programs import Client, ProgramTest, Server

FIRST_USER_OID = 16384
STEP_TIMEOUT = float(os.environ.get("DIFFERENTIAL_TIMEOUT", "20"))
SHOWN_DIFFERENCES = 15
LOGIN = {"user": "postgres", "database": "postgres", "application_name": "differential", "client_encoding": "UTF8"}


# -- playing ----------------------------------------------------------------------------------------


def play(script, connection, way, elsewhere):
    """Plays `script` and answers the normalised messages, a list a step."""
    connection.bytewise = way == BYTES
    if way == GLUED:
        connection.send(*(step.data for step in script.steps), wire.terminate())
        return [normalise(receive(connection, END, 1), connection.pid)]
    answers = []
    for step in script.steps:
        if isinstance(step, Elsewhere):
            elsewhere(step.sql)
            received = receive(connection, step.until, 1) if step.until else []
        else:
            connection.send(step.data)
            received = receive(connection, step.until, step.count)
        answers.append(normalise(received, connection.pid))
        if received and received[-1].type in ("closed", "silence"):
            break
    return answers


def leave_as_new(connection, answers):
    """Undoes what a script did to its session; False when the session is not to be trusted any more."""
    connection.bytewise = False
    if not answers[-1] or answers[-1][-1].type != "Z" or connection.buffered():
        return False
    try:
        return all([one.tag() for one in connection.query(sql) if one.type == "C"] == [sql]
                   for sql in ("ROLLBACK", "DISCARD ALL"))
    except (wire.Closed, TimeoutError):
        return False


def receive(connection, until, count):
    """Messages as told; the end of the stream and silence become pseudo messages."""
    try:
        return connection.receive_until("" if until == END else until, count)
    except wire.Closed as closed:
        return without_explanation(closed.so_far) + [wire.Message("closed", closed.rest)]
    except TimeoutError as error:
        return error.so_far + [wire.Message("silence", connection.buffered())]


def without_explanation(messages):
    """Without the proxy's own word that Postgres is gone; only ever the last message."""
    if messages and messages[-1].type == "E" and messages[-1].fields()["M"] == "the connection to Postgres was lost":
        return messages[:-1]
    return messages


# -- what may differ --------------------------------------------------------------------------------


def normalise(messages, own_pid):
    return [wire.Message(one.type, NORMALISERS.get(one.type, _same)(one.body, own_pid)) for one in messages]


def _same(body, _):
    return body


def _key_data(body, _):
    return b"pid, secret of %d bytes" % (len(body) - 4)


def _notification(body, own_pid):
    (pid,) = struct.unpack_from("!I", body)
    return (b"own" if pid == own_pid else b"other") + body[4:]


def _row_description(body, _):
    (columns,) = struct.unpack_from("!H", body)
    result, at = bytearray(body), 2
    for _ in range(columns):
        at = body.index(b"\0", at) + 1
        for oid_at in (at, at + 6):  # the table's, the type's
            _hide_user_oid(result, oid_at)
        at += 18
    return bytes(result)


def _parameter_description(body, _):
    result = bytearray(body)
    for at in range(2, len(body), 4):
        _hide_user_oid(result, at)
    return bytes(result)


def _hide_user_oid(body, at):
    if struct.unpack_from("!I", body, at)[0] >= FIRST_USER_OID:
        struct.pack_into("!I", body, at, FIRST_USER_OID)


def _fields(body, _):
    return re.sub(rb"pg_temp_\d+", b"pg_temp_N", body)


NORMALISERS = {"K": _key_data, "A": _notification, "T": _row_description, "t": _parameter_description, "E": _fields,
               "N": _fields}


def startup_answer(messages):
    """The messages of the start-up: ParameterStatus in any order, then the others in theirs."""
    statuses = sorted(one for one in messages if one.type == "S")
    return normalise(statuses + [one for one in messages if one.type != "S"], None)


# -- comparing --------------------------------------------------------------------------------------


def difference(expected, actual):
    """None, or where and how the answers differ."""
    for number, (want, got) in enumerate(zip(expected, actual), 1):
        for index in range(max(len(want), len(got))):
            one = want[index] if index < len(want) else None
            other = got[index] if index < len(got) else None
            if one != other:
                return (f"step {number}, message {index + 1} of {len(want)}:\n"
                        f"    Postgres: {show(one, other)}\n    proxied:  {show(other, one)}")
    if len(expected) != len(actual):
        return f"{len(expected)} steps directly, {len(actual)} through the proxy"
    return None


def show(message, beside):
    if message is None:
        return "nothing"
    if message.type in "EN":
        return f"{message.type} {message.fields()}"
    start = 0
    if beside is not None and len(message.body) > 200:
        start = next((i for i, (a, b) in enumerate(zip(message.body, beside.body)) if a != b), 0)
    return f"{message.type} {len(message.body)} bytes, from {start}: {message.body[start:start + 200]!r}"


# -- the test ---------------------------------------------------------------------------------------


class DifferentialTest(ProgramTest):
    login = LOGIN

    @classmethod
    def prepare(cls):
        cls.run_fixture("postgres")

    @classmethod
    def run_fixture(cls, database):
        with open(os.path.join(differential.DIRECTORY, "fixture.sql"), encoding="utf-8") as file:
            cls.cluster.psql(file.read(), database)

    @classmethod
    def serve(cls):
        return Server(cls.cluster.url())

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(auth="trust", settings={"max_prepared_transactions": 4}))
        cls.prepare()
        cls.direct_only = bool(os.environ.get("DIFFERENTIAL_DIRECT"))
        if not cls.direct_only:
            cls.server = cls.start_once(cls.serve())
            cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.other = wire.connect("127.0.0.1", cls.cluster.port, cls.cluster.password, database=cls.login["database"])
        cls.addClassCleanup(cls.other.close)
        only = re.compile(os.environ.get("DIFFERENTIAL_ONLY", ""))
        cls.protocol_scripts = [one for one in (*protocol_scripts(), *followed_scripts()) if only.search(one.name)]
        cls.scripts = [one for one in differential.statement_scripts() if only.search(one.name)] + cls.protocol_scripts
        names = [one.name for one in cls.scripts]
        assert len(set(names)) == len(names), "two scripts of one name"
        cls.references = {}

    def setUp(self):
        self.sessions = {}
        self.addCleanup(lambda: [one.close() for one in self.sessions.values()])

    # -- entrances: each answers a Connection that has not begun, and the password it takes ------

    def direct(self):
        return wire.connect("127.0.0.1", self.cluster.port, timeout=STEP_TIMEOUT), self.cluster.password

    def tcp(self):
        if self.direct_only:
            return self.direct()
        return wire.connect("127.0.0.1", self.server.pg_port, timeout=STEP_TIMEOUT), self.server.password

    def web_socket(self):
        if self.direct_only:
            return self.direct()
        return wire.Connection(websocket.connect(self.server.http_port), STEP_TIMEOUT), self.server.password

    def through_tunnel(self):
        if self.direct_only:
            return self.direct()
        return wire.connect("127.0.0.1", self.tunnel.port, timeout=STEP_TIMEOUT), self.server.password

    # -- tests -----------------------------------------------------------------------------------

    def test_start_up(self):
        connection, password = self.direct()
        with connection:
            expected = startup_answer(connection.login(password, **self.login))
        for entrance in (self.tcp, self.web_socket, self.through_tunnel):
            with self.subTest(entrance.__name__):
                connection, password = entrance()
                with connection:
                    self.assertEqual(startup_answer(connection.login(password, **self.login)), expected)

    def test_tcp(self):
        self.compare(self.tcp, STEPS)

    def test_tcp_in_one_write(self):
        self.compare(self.tcp, GLUED)

    def test_tcp_byte_by_byte(self):
        self.compare(self.tcp, BYTES)

    def test_web_socket(self):
        self.compare(self.web_socket, STEPS)

    def test_web_socket_in_one_write(self):
        self.compare(self.web_socket, GLUED, self.protocol_scripts)

    def test_tunnel(self):
        self.compare(self.through_tunnel, STEPS)

    def test_tunnel_in_one_write(self):
        self.compare(self.through_tunnel, GLUED, self.protocol_scripts)

    # -- inside ----------------------------------------------------------------------------------

    def compare(self, entrance, way, scripts=None):
        found, compared = [], 0
        for script in scripts or self.scripts:
            if way not in script.ways:
                continue
            compared += 1
            unlike = difference(self.reference(script, way), self.answers(script, entrance, way))
            if unlike is not None:
                found.append(f"\n{script.name}: {unlike}")
                if len(found) == SHOWN_DIFFERENCES:
                    break
        if found:
            self.fail(f"{len(found)} of {compared} scripts answered differently:" + "".join(found))

    def reference(self, script, way):
        """Postgres's own answers; bytes one by one are the same to it as whole messages."""
        key = (script.name, GLUED if way == GLUED else STEPS)
        if key not in self.references:
            answers = self.answers(script, self.direct, key[1])
            if answers[-1] and answers[-1][-1].type == "silence":
                self.fail(f"the script {script.name!r} waits in vain, even with Postgres itself: {answers[-1]}")
            self.references[key] = answers
        return self.references[key]

    def answers(self, script, entrance, way):
        """Plays `script` on the session that the last script left, when it is as good as new."""
        connection = self.sessions.pop((entrance, way), None)
        if connection is None:
            connection, password = entrance()
            connection.login(password, **self.login)
        answers = play(script, connection, way, self.other.query)
        if way != GLUED and leave_as_new(connection, answers):
            self.sessions[entrance, way] = connection
        else:
            connection.close()
        return answers


if __name__ == "__main__":
    unittest.main()
