"""electric-tunnel.v1 at the server: sessions that outlive their WebSockets, and clients that break every rule."""

import os
import random
import re
import select
import signal
import socket
import time
import unittest

from tests.support import tunnel, websocket, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Relay, Server, sanitized
from tests.support.tunnel import Gone, Lost, Tunnel


class TunnelTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def serve(self, **variables):
        settings = {"CAPTURE": "false", "DRAIN_TIMEOUT": "1s", "LOG_LEVEL": "debug", "API_TOKEN": "api", **variables}
        return self.start(Server(self.cluster.url(), **settings))

    def open(self, server, **options):
        return self.enterContext(Tunnel(server.http_port, **options))

    def login(self, server, **options):
        """A session past authentication: the tunnel, and the wire.Connection on it."""
        session = self.open(server, **options)
        return session, session.login(server.password)

    def assert_gone(self, session, reason, timeout=10.0):
        frame = session.wait_end(timeout)
        self.assertEqual(frame.reason, reason, frame)
        return frame

    def assert_resume_gone(self, session, reason):
        with self.assertRaises(Gone) as gone:
            session.resume()
        self.assertEqual(gone.exception.frame.reason, reason, gone.exception.frame)

    def answer_to(self, server, *messages, session=b"\0" * 16):
        """What a WebSocket that sends these gets; None: it is closed without a frame."""
        attachment = tunnel.attach(server.http_port, session)
        # Many of them, left open, would reach the limit of connections on a fast machine.
        with attachment.socket:
            for message in messages:
                attachment.sendall(message)
            return tunnel.receive(attachment)

    def assert_refused(self, frame, reason):
        self.assertEqual((frame.type, frame.reason), (tunnel.REFUSED, reason), frame)

    def backend_runs(self, pid):
        return self.cluster.psql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}").strip() == "1"

    def wait_backend_gone(self, pid, timeout=10.0):
        wait_until(lambda: not self.backend_runs(pid), timeout, f"backend {pid} to end")

    def metrics(self, server):
        body = websocket.request(server.http_port, "/metrics", headers={"Authorization": "Bearer api"}).body.decode()
        return {name: float(value) for name, value in re.findall(r"^(electric_tunnel_\w+) (\S+)$", body, re.MULTILINE)}


class OpeningTest(TunnelTest):
    def test_startup_message_before_opened(self):
        server = self.serve()
        early = wire.startup({"user": "postgres", "database": "postgres"})
        session = self.open(server, early=early)
        connection = wire.Connection(session)
        connection.authenticate("postgres", server.password)
        connection.receive_until("Z")
        self.assertEqual(connection.value("SELECT 42"), "42")

    def test_messages_in_pieces_and_in_many_fragments(self):
        server = self.serve()
        session, connection = self.login(server)
        session.pieces = lambda data: [data[at:at + 7] for at in range(0, len(data), 7)]
        self.assertEqual(connection.value("SELECT length('" + "x" * 1000 + "')"), "1000")
        query = wire.query("SELECT length('" + "y" * 3000 + "')")
        message = tunnel.data_frame(session.sent, query)
        for at, byte in enumerate(message):
            session.attachment.send_frame(websocket.BINARY if at == 0 else websocket.CONTINUATION, bytes([byte]),
                                          fin=at == len(message) - 1)
        session.kept += query
        session.sent += len(query)
        self.assertEqual([m.row() for m in connection.receive_until("Z") if m.type == "D"], [[b"3000"]])

    def test_open_twice(self):
        server = self.serve()
        session, connection = self.login(server)
        again = tunnel.open_frame(session.session, session.key)
        self.assert_refused(self.answer_to(server, again), tunnel.EXISTS)
        self.assertEqual(connection.value("SELECT 1"), "1")
        session.attachment.sendall(again)
        self.assert_gone(session, tunnel.VIOLATION)

    def test_raw_bytes_in_spite_of_the_subprotocol(self):
        server = self.serve()
        for size in (None, 1):  # in one message, or in one fragment a byte
            attachment = tunnel.attach(server.http_port)
            startup = wire.startup({"user": "postgres", "database": "postgres"})
            if size is None:
                attachment.sendall(startup)
            else:
                attachment.send_raw(b"".join(
                    websocket.encode_frame(websocket.BINARY if at == 0 else websocket.CONTINUATION, startup[at:at + 1],
                                           fin=at == len(startup) - 1) for at in range(len(startup))))
            connection = wire.Connection(attachment)
            connection.authenticate("postgres", server.password)
            connection.receive_until("Z")
            self.assertEqual(connection.value("SELECT 42"), "42")
            connection.close()

    def test_malformed_first_messages(self):
        server = self.serve()
        good = tunnel.open_frame(os.urandom(16), os.urandom(32))
        for name, message in {"short": good[:40], "window": tunnel.open_frame(b"i" * 16, b"k" * 32, window=1000),
                              "info": good + b"no newline", "data": tunnel.data_frame(0, b"x"),
                              "keepalive": b"\x14", "long": good + b"a=b\n" * 1000}.items():
            with self.subTest(name):
                self.assert_refused(self.answer_to(server, message), tunnel.MALFORMED)

    def test_text_message(self):
        server = self.serve()
        session, connection = self.login(server)
        session.attachment.send_frame(websocket.TEXT, b"hello")
        self.assertEqual(session.attachment.wait_close(), 1003)
        session.cut()
        session.resume()
        self.assertEqual(connection.value("SELECT 1"), "1")
        attachment = tunnel.attach(server.http_port)
        attachment.send_frame(websocket.TEXT, b"hello")
        self.assertEqual(attachment.wait_close(), 1003)
        attachment.socket.close()

    def test_token_at_open_and_at_resume(self):
        server = self.serve(ELECTRIC_TUNNEL_TOKEN="t0ken")
        session, connection = self.login(server, token="t0ken")
        session.cut()
        session.headers = None
        with self.assertRaises(websocket.Refused) as refused:
            session.resume()
        self.assertEqual(refused.exception.status, 401)
        session.headers = {"Authorization": "Bearer t0ken"}
        session.resume()
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_max_sessions_in_postgres_words(self):
        server = self.serve(MAX_SESSIONS="1")
        _, first = self.login(server)
        session = self.open(server)
        with self.assertRaises(wire.ServerError) as error:
            session.login(server.password)
        self.assertEqual(error.exception.sqlstate, "53300")
        session.wait_for(tunnel.FIN)
        session.finish()
        self.assertEqual(session.attachment.wait_close(), 1000)
        self.assertEqual(first.value("SELECT 1"), "1")

    def test_silent_connections_make_way(self):
        """More attachments than may wait: the oldest ones are closed, not the newest refused."""
        server = self.serve()
        silent = [tunnel.attach(server.http_port) for _ in range(164)]
        time.sleep(1.1)  # younger ones than a second are left alone
        _, connection = self.login(server)
        self.assertEqual(connection.value("SELECT 1"), "1")
        self.assertIsNone(silent[0].receive_frame(5.0))
        for attachment in silent:
            attachment.socket.close()

    def test_flood_of_opens(self):
        server = self.serve(MAX_HTTP="400")
        before = server.file_descriptors()
        for _ in range(3):
            flood = []
            for _ in range(150):
                session, key = os.urandom(16), os.urandom(32)
                flood.append(tunnel.attach(server.http_port, session))
                flood[-1].sendall(tunnel.open_frame(session, key))
            for attachment in flood:
                attachment.socket.close()
        _, connection = self.login(server)
        self.assertEqual(connection.value("SELECT 1"), "1")
        connection.close()
        wait_until(lambda: server.file_descriptors() <= before + 10, 20, "descriptors to be given back")


class ResumeTest(TunnelTest):
    def test_cuts_at_random_points(self):
        """Bytes on their way in both directions at every cut; nothing is lost or doubled."""
        server = self.serve(TUNNEL_WINDOW="64KiB")
        seed = int(os.environ.get("TUNNEL_SEED", "5"))
        dice = random.Random(seed)
        session, connection = self.login(server, window=65536)
        rounds = int(os.environ.get("TUNNEL_CUTS", "60"))
        cuts = 0
        for number in range(rounds):
            size = dice.randrange(1, 200_000)
            text = f"{number:08d}" * (size // 8)
            session.acknowledges = dice.random() < 0.7
            session.kept += wire.query(f"SELECT '{text}', repeat('{number:04d}', {size // 4})")
            # The query and its answer come in pieces between the cuts.
            rows = None
            while rows is None:
                turns = dice.randrange(0, 6)
                try:
                    if dice.random() < 0.6:
                        session._send_kept()
                    for _ in range(turns):
                        session.turn(0.05)
                    if dice.random() < 0.5:
                        raise Lost
                    session.acknowledges = True
                    rows = [m.row() for m in connection.receive_until("Z", timeout=0.2) if m.type == "D"]
                except (Lost, TimeoutError) as error:
                    self.unread(connection, getattr(error, "so_far", []))
                    rows = self.harm(session, dice, connection)
                    cuts += 1
            self.assertEqual(rows, [[text.encode(), f"{number:04d}".encode() * (size // 4)]], f"seed {seed}")
        self.assertGreater(session.counts["resent"], 0)
        self.assertGreater(session.counts["doubled"] + self.metrics(server)["electric_tunnel_resent_bytes_total"], 0)
        print(f"\n{cuts} cuts, {session.counts}, server {self.metrics(server)}")

    def harm(self, session, dice, connection):
        """Cuts or leaves the attachment and resumes. The answer's rows if they came meanwhile."""
        if session.attachment is not None and dice.random() < 0.3:
            old = session.resume()  # which is left readable
            self.addCleanup(old.socket.close)
        else:
            if session.attachment is not None:
                if dice.random() < 0.6:  # whatever comes is lost unread
                    select.select([session.attachment.socket], [], [], 0.05)
                session.break_off(dice.randrange(1, 16384))
            session.resume()
        session.acknowledges = True
        try:
            return [m.row() for m in self.receive_slowly(connection, dice) if m.type == "D"]
        except TimeoutError as error:
            self.unread(connection, error.so_far)
            return None

    @staticmethod
    def receive_slowly(connection, dice):
        return connection.receive_until("Z", timeout=dice.choice((0.001, 0.01, 5.0)))

    @staticmethod
    def unread(connection, messages):
        """Puts messages back, in front of what is buffered."""
        data = b"".join(wire.message(m.type, m.body) for m in messages)
        connection._received[:0] = data

    def test_old_attachment_left_readable(self):
        server = self.serve()
        session, connection = self.login(server)
        old = session.resume()
        # What is said on the old one counts for nothing, whatever it is.
        old.sendall(tunnel.data_frame(session.sent, wire.query("SELECT 'from the old one'")))
        old.sendall(tunnel.fin_frame(1 << 60))
        self.assertEqual(connection.value("SELECT 'new'"), "new")
        self.assertEqual(old.wait_close(), 1000)
        old.socket.close()

    def test_resumes_that_are_refused(self):
        server = self.serve()
        session, connection = self.login(server)
        instance = session.instance
        genuine = session.resume_frame()
        cases = {
            "forged": (session.resume_frame(seal=b"\0" * 32), tunnel.DENIED),
            "wrong key": (session.resume_frame(key=os.urandom(32)), tunnel.DENIED),
            "unknown id": (session.resume_frame(session=os.urandom(16), instance=0), tunnel.UNKNOWN),
            "foreign instance": (session.resume_frame(instance=instance ^ 1), tunnel.NOT_HERE),
        }
        for name, (frame, reason) in cases.items():
            with self.subTest(name):
                self.assert_refused(self.answer_to(server, frame), reason)
        self.assertEqual(connection.value("SELECT 1"), "1")
        # A replay of one that was accepted, and an older one than that.
        session.attempt = 10
        later = session.resume_frame()
        session.attempt = 10
        session.resume()
        self.assertEqual(connection.value("SELECT 2"), "2")
        for frame in (later, genuine):
            self.assert_refused(self.answer_to(server, frame), tunnel.STALE)
        self.assertEqual(connection.value("SELECT 3"), "3")

    def test_resume_with_an_offset_never_sent(self):
        server = self.serve()
        session, _ = self.login(server)
        answer = self.answer_to(server, session.resume_frame(offset=session.next + 1))
        self.assertEqual((answer.type, answer.reason), (tunnel.RESET, tunnel.VIOLATION))

    def test_own_instance_and_unknown_id(self):
        server = self.serve()
        session, _ = self.login(server)
        answer = self.answer_to(server, session.resume_frame(session=os.urandom(16)))
        self.assertEqual((answer.type, answer.reason), (tunnel.RESET, tunnel.EXPIRED))

    def test_a_server_that_is_gone(self):
        """Its successor says so at once; another one that lives is respected."""
        first, second = self.serve(), self.serve()
        first.clean_exit = (-signal.SIGKILL,)
        session, _ = self.login(first)
        frame = session.resume_frame()
        wait_until(lambda: self.advisory_locks() >= 2, 10, "both servers to hold their locks")
        self.assert_refused(self.answer_to(second, frame), tunnel.NOT_HERE)
        first.kill()
        wait_until(lambda: self.advisory_locks() == 1, 10, "Postgres to notice")
        started = time.monotonic()
        answer = self.answer_to(second, frame)
        self.assertEqual((answer.type, answer.reason), (tunnel.RESET, tunnel.LOST))
        self.assertLess(time.monotonic() - started, 2)

    def advisory_locks(self):
        return int(self.cluster.psql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1"))

    def test_frames_behind_resume(self):
        server = self.serve()
        session, connection = self.login(server)
        attachment = tunnel.attach(server.http_port)
        attachment.send_raw(b"".join(websocket.encode_frame(websocket.BINARY, frame) for frame in (
            session.resume_frame(session=os.urandom(16), instance=session.instance ^ 1), b"\x14")))
        self.assert_refused(tunnel.receive(attachment), tunnel.MALFORMED)
        attachment.close()
        self.assertEqual(connection.value("SELECT 1"), "1")


class ViolationTest(TunnelTest):
    def test_each_ends_its_own_session_only(self):
        server = self.serve(TUNNEL_WINDOW="64KiB")
        _, other = self.login(server)
        for name, message in {
            "above": lambda s: tunnel.data_frame(s.sent + 1, b"x"),
            "empty data": lambda s: tunnel.data_frame(s.sent, b""),
            "offset": lambda s: tunnel.data_frame(1 << 63, b"x"),
            "ack": lambda s: tunnel.ack_frame(s.next + 1),
            "fin": lambda s: tunnel.fin_frame(s.sent + 1),
            "resume": lambda s: s.resume_frame(),
            "of a server": lambda s: tunnel.data_frame(0, b"").replace(b"\x10", b"\x02", 1),
            "unknown": lambda s: b"\x7f",
            "zero": lambda s: b"\0\0\0\x08\x04\xd2\x16\x2f",
        }.items():
            with self.subTest(name):
                session, connection = self.login(server)
                session.attachment.sendall(message(session))
                self.assert_gone(session, tunnel.VIOLATION)
                self.assertEqual(session.attachment.wait_close(), 1000)
                self.wait_backend_gone(connection.pid)
        self.assertEqual(other.value("SELECT 1"), "1")

    def test_more_than_the_window(self):
        server = self.serve(TUNNEL_WINDOW="64KiB")
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(20)"))  # so that nothing is taken for long
        flood = wire.query("SELECT '" + "x" * 600_000 + "'")
        flood += b"\0" * 16_000_000
        for at in range(0, len(flood), 16000):
            session.attachment.sendall(tunnel.data_frame(session.sent + at, flood[at:at + 16000]))
        self.assert_gone(session, tunnel.VIOLATION)

    def test_ignored_types_are_ignored(self):
        server = self.serve()
        session, connection = self.login(server)
        session.attachment.sendall(b"\x80" + b"x" * 5000)
        session.attachment.sendall(b"\xff")
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_reset_of_the_client(self):
        server = self.serve()
        session, connection = self.login(server)
        session.attachment.sendall(tunnel.reset_frame())
        self.assertEqual(session.attachment.wait_close(), 1000)
        self.wait_backend_gone(connection.pid)

    def test_reset_of_a_client_that_is_gone_before_its_answer(self):
        server = self.serve()
        session, connection = self.login(server)

        def activity(state):
            return self.cluster.psql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {connection.pid} AND state = '{state}'")

        connection.send(wire.query("SELECT pg_sleep(1), repeat('x', 100000)"))
        wait_until(lambda: activity("active").strip(), 20, "the statement to run")
        # The answer is there first, and finds a socket that takes no more; behind it is what was said before.
        server.send_signal(signal.SIGSTOP)
        wait_until(lambda: activity("idle").strip(), 20, "Postgres to answer")
        session.attachment.sendall(tunnel.reset_frame())
        session.cut()
        server.send_signal(signal.SIGCONT)
        server.wait_for("closed: aborted")
        self.wait_backend_gone(connection.pid)


class FlowTest(TunnelTest):
    def test_a_client_that_takes_nothing(self):
        """The window bounds what the server holds, attached or not."""
        server = self.serve(TUNNEL_WINDOW="256KiB")
        session, connection = self.login(server, window=262144)
        session.acknowledges = False
        before = server.memory("VmHWM")
        connection.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 60)"))
        deadline = time.monotonic() + 1
        try:
            while time.monotonic() < deadline:
                session.turn(0.3)
        except TimeoutError:
            pass
        self.assertLessEqual(session.next - session.acked, 262144)
        self.assertGreaterEqual(session.next - session.acked, 131072)  # Postgres is not read for the last few bytes
        session.cut()
        session.acknowledges = True
        session.resume()
        rows = [m.row()[0] for m in connection.receive_until("Z", timeout=60) if m.type == "D"]
        self.assertEqual((len(rows), set(rows)), (60, {b"x" * 1000000}))
        if not sanitized():
            self.assertLess(server.memory("VmHWM") - before, 6000)

    def test_a_postgres_that_takes_nothing(self):
        """A COPY into a locked table: our window fills, the server stops acknowledging, nothing is lost."""
        server = self.serve(TUNNEL_WINDOW="256KiB")
        self.cluster.psql("CREATE TABLE taken (line text)")
        session, connection = self.login(server)
        blocker = wire.connect("127.0.0.1", server.pg_port, server.password)
        self.addCleanup(blocker.close)
        # The trigger of each row waits for the lock.
        self.cluster.psql("""CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(77); RETURN new; END $$;
            CREATE TRIGGER wait BEFORE INSERT ON taken FOR EACH ROW EXECUTE FUNCTION wait()""")
        blocker.value("SELECT pg_advisory_lock(77)")
        before = server.memory("VmHWM")
        connection.send(wire.query("COPY taken FROM STDIN"))
        connection.receive_until("G")
        line = b"x" * 9999 + b"\n"
        rows = 3000
        session.kept += b"".join(wire.copy_data(line) for _ in range(rows)) + wire.copy_done()
        session._send_kept()
        try:
            while True:
                session.turn(0.7)
        except TimeoutError:
            pass
        stuck = session.start
        self.assertLess(session.sent, len(line) * rows)
        session.cut()
        session.resume()
        self.assertGreaterEqual(session.start, stuck)
        blocker.value("SELECT pg_advisory_unlock(77)")
        tags = [m for m in connection.receive_until("Z", timeout=60) if m.type == "C"]
        self.assertEqual(tags[0].body, f"COPY {rows}\0".encode())
        self.assertEqual(connection.value(f"SELECT count(*) FROM taken WHERE line = repeat('x', 9999)"), str(rows))
        if not sanitized():
            self.assertLess(server.memory("VmHWM") - before, 8000)

    def test_an_idle_session_costs_nothing(self):
        server = self.serve()
        session, connection = self.login(server)
        connection.value("SELECT 1")
        self.assert_idle(server)
        session.cut()
        self.assert_idle(server)


class EndTest(TunnelTest):
    def test_terminate_and_fin(self):
        server = self.serve()
        session, connection = self.login(server)
        connection.send(wire.terminate())
        session.finish()
        while not (session.peer_ended and session.end_acknowledged):
            session.turn(5)
        self.assertEqual(session.attachment.wait_close(), 1000)
        self.wait_backend_gone(connection.pid)
        self.assertEqual(self.metrics(server)["electric_tunnel_expiries_total"], 0)
        # Who asks again is told that all is well.
        self.assert_resume_gone(session, tunnel.FINISHED)

    def test_fin_of_the_server_first(self):
        server = self.serve()
        session, connection = self.login(server)
        self.cluster.psql(f"SELECT pg_terminate_backend({connection.pid})")
        with self.assertRaises(wire.Closed):
            connection.receive_until("Z")
        self.assertTrue(session.peer_ended)
        session.finish()
        self.assertEqual(session.attachment.wait_close(), 1000)

    def test_fin_is_sent_again(self):
        server = self.serve()
        session, connection = self.login(server)
        session.acknowledges = False
        session.cut()
        self.cluster.psql(f"SELECT pg_terminate_backend({connection.pid})")
        self.wait_backend_gone(connection.pid)
        for _ in range(3):
            session.peer_ended = False  # as if it had not come
            session.resume()
            session.wait_for(tunnel.FIN)
            session.cut()
        session.acknowledges = True
        session.peer_ended = False
        session.resume()
        with self.assertRaises(wire.Closed):
            connection.receive_until("Z")
        session.finish()
        self.assertEqual(session.attachment.wait_close(), 1000)

    def test_client_gone_for_too_long(self):
        server = self.serve(SESSION_RETAIN="1s")
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(120)"))
        wait_until(lambda: self.cluster.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid = {connection.pid} AND wait_event = 'PgSleep'") == "1",
            10, "the statement to run")
        session.cut()
        wait_until(lambda: self.metrics(server)["electric_tunnel_detached"] == 1, 10, "the server to notice")
        self.wait_backend_gone(connection.pid, 5)
        self.assertEqual(self.metrics(server)["electric_tunnel_expiries_total"], 1)
        self.assertEqual(self.metrics(server)["electric_tunnel_detached"], 0)
        server.wait_for(r"session 1 127\.0\.0\.1: closed: the session was detached for too long")
        self.assert_resume_gone(session, tunnel.EXPIRED)
        self.assertIn("canceling statement due to user request", self.cluster.log())

    def test_many_cut_at_once(self):
        """MAX_DETACHED holds however many break in the same moment; the oldest make way."""
        server = self.serve(MAX_DETACHED="3")
        sessions = [self.login(server) for _ in range(8)]
        for session, _ in sessions:
            session.cut()
        wait_until(lambda: self.metrics(server)["electric_tunnel_detached"] == 3, 10, "all but three to be given up")
        ends = []
        for session, connection in sessions:
            try:
                session.resume()
                self.assertEqual(connection.value("SELECT 1"), "1")
                ends.append(None)
            except Gone as gone:
                ends.append(gone.frame.reason)
        self.assertEqual(sorted(ends, key=str), [tunnel.LIMIT] * 5 + [None] * 3)

    def test_before_login_less_is_kept(self):
        server = self.serve(AUTH_TIMEOUT="60s")
        session = self.open(server, early=wire.startup({"user": "postgres", "database": "postgres"}))
        session.cut()
        wait_until(lambda: self.metrics(server)["electric_tunnel_detached"] == 1, 10, "the server to notice")
        started = time.monotonic()
        wait_until(lambda: self.metrics(server)["electric_tunnel_detached"] == 0, 20, "the session to be given up", 0.1)
        self.assertGreater(time.monotonic() - started, 8)  # and not the 120 s of those who have logged in
        self.assert_resume_gone(session, tunnel.EXPIRED)

    def test_wrong_password_and_a_client_that_stays(self):
        """Its session is not kept for a client that has read all and does not go."""
        server = self.serve()
        session = self.open(server)
        with self.assertRaises(wire.ServerError) as error:
            session.login("wrong")
        self.assertEqual(error.exception.sqlstate, "28P01")
        self.assert_gone(session, tunnel.ABORTED, 5)

    def test_cancel(self):
        server = self.serve()
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(60)"))
        wait_until(lambda: self.cluster.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE pid = {connection.pid} AND wait_event = 'PgSleep'") == "1",
            10, "the statement to run")
        session.attachment.sendall(tunnel.cancel_frame(connection.pid, b"\0\0\0\0"))
        for _ in range(1000):
            session.attachment.sendall(tunnel.cancel_frame(connection.pid, connection.secret))
        errors = [m.fields()["C"] for m in connection.receive_until("Z") if m.type == "E"]
        self.assertEqual(errors, ["57014"])

    def test_move_before_the_greatest_age(self):
        server = self.serve(TUNNEL_MAX_AGE="2s")
        started = time.monotonic()
        session, connection = self.login(server)
        self.assertEqual(session.wait_for(tunnel.MOVE, 5).within, 1)
        self.assertGreater(time.monotonic() - started, 1.4)
        old = session.resume()
        self.assertEqual(old.wait_close(), 1000)
        old.socket.close()
        self.assertEqual(connection.value("SELECT 1"), "1")
        session.wait_for(tunnel.MOVE, 5)

    def test_metrics(self):
        server = self.serve()
        session, connection = self.login(server)
        session.cut()
        session.resume()
        connection.value("SELECT 1")
        counted = self.metrics(server)
        self.assertEqual({name: counted[f"electric_tunnel_{name}"] for name in ("attachments_total", "resumes_total",
                                                                                 "expiries_total", "detached")},
                         {"attachments_total": 2, "resumes_total": 1, "expiries_total": 0, "detached": 0})


class DrainTest(TunnelTest):
    def drained(self, server):
        server.send_signal(signal.SIGTERM)
        server.wait_for("shutting down")

    def test_detached_sessions_may_come_back(self):
        server = self.serve(DRAIN_TIMEOUT="20s")
        session, connection = self.login(server)
        prewarmed = tunnel.attach(server.http_port)
        session.cut()
        self.drained(server)
        self.assertEqual(prewarmed.wait_close(), 1001)
        prewarmed.socket.close()
        self.assert_refused(self.answer_to(server, tunnel.open_frame(os.urandom(16), os.urandom(32))), tunnel.DRAINING)
        session.resume()
        self.assertEqual(connection.value("SELECT 1"), "1")
        connection.send(wire.terminate())
        session.finish()
        session.attachment.wait_close()
        self.assertEqual(server.wait(10), 0)

    def test_the_end_of_patience(self):
        server = self.serve(DRAIN_TIMEOUT="1s")
        attached, connection = self.login(server)
        detached, _ = self.login(server)
        detached.cut()
        connection.send(wire.query("SELECT pg_sleep(60)"))
        started = time.monotonic()
        self.drained(server)
        with self.assertRaises(wire.Closed) as closed:
            connection.receive_until("Z")
        self.assertEqual(closed.exception.so_far[-1].fields()["C"], "57P01")
        attached.finish()
        self.assertEqual(server.wait(15), 0)
        self.assertLess(time.monotonic() - started, 1 + 6)
        self.wait_backend_gone(connection.pid)

    def test_what_was_sent_last_is_waited_for(self):
        """A slow client gets the whole answer of a session that ended while the server drains."""
        server = self.serve(DRAIN_TIMEOUT="20s")
        session, connection = self.login(server, window=1 << 22)
        session.acknowledges = False
        connection.send(wire.query("SELECT repeat('x', 3000000)"), wire.terminate())
        self.drained(server)
        time.sleep(2.5)  # longer than a closed client lingers
        session.acknowledges = True
        rows = [m.row()[0] for m in connection.receive_until("Z") if m.type == "D"]
        self.assertEqual(rows, [b"x" * 3000000])
        session.finish()
        self.assertEqual(server.wait(10), 0)


class RelayTest(TunnelTest):
    def relay(self, port=None, **variables):
        return self.start(Relay(port or self.cluster.port, LOG_LEVEL="debug", DRAIN_TIMEOUT="1s", **variables))

    def test_sessions_survive(self):
        relay = self.relay()
        session = self.enterContext(Tunnel(relay.http_port))
        connection = session.login(self.cluster.password)
        session.cut()
        session.resume()
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_raw_bytes_in_spite_of_the_subprotocol(self):
        """The first bytes come before the destination is connected, and must not be lost."""
        relay = self.relay()
        attachment = tunnel.attach(relay.http_port)
        connection = wire.Connection(attachment)
        connection.login(self.cluster.password)
        self.assertEqual(connection.value("SELECT 42"), "42")
        connection.close()

    def test_unreachable(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            relay = self.relay(unused.getsockname()[1])
            session = self.enterContext(Tunnel(relay.http_port))
            frame = self.assert_gone(session, tunnel.ABORTED)
            self.assertIn("could not connect", frame.text)

    def test_max_sessions(self):
        relay = self.relay(MAX_SESSIONS="1")
        session = self.enterContext(Tunnel(relay.http_port))
        connection = session.login(self.cluster.password)
        self.assert_refused(self.answer_to(relay, tunnel.open_frame(os.urandom(16), os.urandom(32))), tunnel.FULL)
        raw = tunnel.attach(relay.http_port)
        raw.sendall(wire.startup({"user": "postgres"}))
        self.assertEqual(raw.wait_close(), 1011)
        raw.socket.close()
        self.assertEqual(connection.value("SELECT 1"), "1")


if __name__ == "__main__":
    unittest.main()
