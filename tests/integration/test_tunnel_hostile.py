"""electric-tunnel.v1 at the server, attacked: sessions of others are neither taken, nor ended, nor slowed by it."""

import contextlib
import os
import time

from tests.integration.test_tunnel_server import TunnelTest
from tests.support import tunnel, wire
from tests.support.process import wait_until
from tests.support.programs import sanitized
from tests.support.tunnel import Gone, Lost

U32, U64 = (1 << 32) - 1, (1 << 64) - 1


class ResumeTest(TunnelTest):
    def test_a_replay_while_nobody_is_attached(self):
        """It does not attach, and does not put off the expiry either."""
        server = self.serve(SESSION_RETAIN="3s")
        session, connection = self.login(server)
        session.resume()
        replay = session.resume_frame()
        session.attempt -= 1
        session.resume()  # the very bytes of `replay`
        self.assertEqual(connection.value("SELECT 1"), "1")
        session.cut()
        wait_until(lambda: self.metrics(server)["electric_tunnel_detached"] == 1, 10, "the server to notice")
        deadline = time.monotonic() + 20
        answers = set()
        while self.metrics(server)["electric_tunnel_detached"] == 1 and time.monotonic() < deadline:
            answer = self.answer_to(server, replay)
            answers.add((answer.type, answer.reason))
        self.assertIn((tunnel.REFUSED, tunnel.STALE), answers)
        self.assertLessEqual(answers, {(tunnel.REFUSED, tunnel.STALE), (tunnel.RESET, tunnel.EXPIRED)})
        self.wait_backend_gone(connection.pid)

    def test_one_that_was_held_back_on_the_way(self):
        """Whoever sends it later than its client's next one gets nothing, and nothing of what follows counts."""
        server = self.serve()
        session, connection = self.login(server)
        held = session.resume_frame()
        session.resume()
        thief = tunnel.attach(server.http_port)
        thief.sendall(held)
        thief.sendall(tunnel.data_frame(session.sent, wire.query("SELECT 'stolen'")))
        thief.sendall(tunnel.reset_frame())
        self.assert_refused(tunnel.receive(thief), tunnel.STALE)
        thief.socket.close()
        self.assertEqual(connection.value("SELECT 'mine'"), "mine")

    def test_one_that_was_stolen_on_the_way(self):
        """It is genuine, so it is answered; the client's next one takes the session back, whole."""
        server = self.serve()
        session, connection = self.login(server)
        thief = tunnel.attach(server.http_port)
        thief.sendall(session.resume_frame())
        self.assertEqual(tunnel.receive(thief).type, tunnel.RESUMED)
        self.assertEqual(session.attachment.wait_close(), 1000)
        session.attachment.socket.close()
        session.resume()
        self.assertEqual(thief.wait_close(), 1000)
        thief.socket.close()
        self.assertEqual(connection.value("SELECT 'mine'"), "mine")

    def test_attempts_that_are_none(self):
        server = self.serve()
        session, connection = self.login(server)
        session.attempt = -1
        self.assert_refused(self.answer_to(server, session.resume_frame()), tunnel.STALE)  # attempt 0
        self.assertEqual(connection.value("SELECT 1"), "1")
        # The last there is: accepted, and then there is no further one.
        session.attempt = U32 - 1
        session.resume()
        self.assertEqual(connection.value("SELECT 2"), "2")
        session.attempt = U32 - 1
        self.assert_refused(self.answer_to(server, session.resume_frame()), tunnel.STALE)
        self.assertEqual(connection.value("SELECT 3"), "3")

    def test_offsets_that_are_none(self):
        """Genuine, so the client itself is mad: its session ends, and nobody else's."""
        server = self.serve()
        _, other = self.login(server)
        for offset in (0, 1 << 62, 1 << 63, U64):  # 0: below what it has acknowledged
            with self.subTest(offset):
                session, connection = self.login(server)
                connection.value("SELECT 1")
                answer = self.answer_to(server, session.resume_frame(offset=offset))
                self.assertIn((answer.type, answer.reason),
                              ((tunnel.RESET, tunnel.VIOLATION), (tunnel.REFUSED, tunnel.MALFORMED)))
                if answer.type == tunnel.RESET:
                    self.wait_backend_gone(connection.pid)
                else:
                    self.assertEqual(connection.value("SELECT 1"), "1")
        self.assertEqual(other.value("SELECT 1"), "1")

    def test_what_is_over(self):
        """Who cannot prove to be its client is not told how it ended, and its id is taken."""
        server = self.serve()
        session, connection = self.login(server)
        connection.send(wire.terminate())
        session.finish()
        while not (session.peer_ended and session.end_acknowledged):
            session.turn(10)
        self.assertEqual(session.attachment.wait_close(), 1000)
        self.assert_refused(self.answer_to(server, session.resume_frame(seal=b"\0" * 32)), tunnel.DENIED)
        self.assert_refused(self.answer_to(server, tunnel.open_frame(session.session, os.urandom(32))), tunnel.EXISTS)
        self.assert_resume_gone(session, tunnel.FINISHED)

    def test_changed_bits(self):
        """Each bit of a genuine RESUME is sealed, the seal's own included."""
        server = self.serve()
        session, connection = self.login(server)
        genuine = session.resume_frame()
        for at in range(1, len(genuine)):
            forged = bytearray(genuine)
            forged[at] ^= 1 << at % 8
            answer = self.answer_to(server, bytes(forged))
            self.assertNotEqual(answer.type, tunnel.RESUMED, at)
        self.assertEqual(connection.value("SELECT 1"), "1")
        session.attempt -= 1
        session.resume()
        self.assertEqual(connection.value("SELECT 2"), "2")

    def test_a_flood_of_forgeries(self):
        server = self.serve()
        session, connection = self.login(server)
        before, memory = server.file_descriptors(), server.memory()
        for _ in range(300):
            attachment = tunnel.attach(server.http_port)
            attachment.sendall(session.resume_frame(seal=os.urandom(32)))
            attachment.socket.close()
        self.assertEqual(connection.value("SELECT 1"), "1")
        self.assertEqual(self.metrics(server)["electric_tunnel_resumes_total"], 0)
        wait_until(lambda: server.file_descriptors() <= before + 2, 20, "descriptors to be given back")
        if not sanitized():
            self.assertLess(server.memory() - memory, 4000)

    def test_a_flood_of_genuine_ones(self):
        """A client that attaches without end has one attachment in the end, like everybody."""
        server = self.serve()
        session, connection = self.login(server)
        before = server.file_descriptors()
        for number in range(200):
            old = session.resume()
            self.assertEqual(connection.value(f"SELECT {number}"), str(number))
            old.socket.close()
        wait_until(lambda: server.file_descriptors() <= before + 2, 20, "descriptors to be given back")


class SizeTest(TunnelTest):
    def test_huge_windows(self):
        """What a client would take does not decide what the server holds for it."""
        server = self.serve(TUNNEL_WINDOW="256KiB")
        _, other = self.login(server)
        before = server.memory("VmHWM")
        for number in range(5):
            session, connection = self.login(server, window=U32, max_frame=U32)
            session.acknowledges = False
            connection.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 100)"))
            while session.next - session.acked < 128 << 10:  # what is left is too little for another read
                session.turn(20)
            with contextlib.suppress(TimeoutError, Lost):
                while True:
                    session.turn(0.3)
            self.assertLessEqual(session.next - session.acked, 256 << 10)
            self.assertEqual(other.value(f"SELECT {number}"), str(number))
        if not sanitized():
            self.assertLess(server.memory("VmHWM") - before, 12000)

    def test_terms_that_are_none(self):
        server = self.serve()
        for window, max_frame in ((0, 1 << 18), (65535, 1 << 18), (1 << 20, 0), (1 << 20, 16383)):
            with self.subTest(window=window, max_frame=max_frame):
                frame = tunnel.open_frame(os.urandom(16), os.urandom(32), window, max_frame)
                self.assert_refused(self.answer_to(server, frame), tunnel.MALFORMED)

    def test_offsets_in_frames(self):
        server = self.serve()
        _, other = self.login(server)
        for name, message in {
            "ack of nothing that is": lambda s: tunnel.ack_frame(U64),
            "ack far ahead": lambda s: tunnel.ack_frame(s.next + (1 << 40)),
            "fin of nothing that is": lambda s: tunnel.fin_frame(U64),
            "fin behind": lambda s: tunnel.fin_frame(0),
            "data that wraps round": lambda s: tunnel.data_frame(U64, b"xx"),
        }.items():
            with self.subTest(name):
                session, connection = self.login(server)
                session.attachment.sendall(message(session))
                self.assert_gone(session, tunnel.VIOLATION)
                self.wait_backend_gone(connection.pid)
        self.assertEqual(other.value("SELECT 1"), "1")

    def test_acknowledgements_that_go_back(self):
        """They say nothing new, and harm nothing."""
        server = self.serve()
        session, connection = self.login(server)
        for offset in (0, 1, session.acked - 1):
            session.attachment.sendall(tunnel.ack_frame(offset))
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_data_that_is_known(self):
        """However often it comes, it counts once."""
        server = self.serve()
        session, connection = self.login(server)
        query = wire.query("SELECT 'once'")
        at = session.sent
        session.kept += query
        session.sent += len(query)
        for _ in range(50):
            session.attachment.sendall(tunnel.data_frame(at, query))
            session.attachment.sendall(tunnel.data_frame(at + 3, query[3:9]))
        self.assertEqual([m.row() for m in connection.receive_until("Z") if m.type == "D"], [[b"once"]])
        # With something new behind it, it is trimmed.
        more = wire.query("SELECT 'more'")
        session.kept += more
        session.sent += len(more)
        session.attachment.sendall(tunnel.data_frame(at, query + more))
        self.assertEqual([m.row() for m in connection.receive_until("Z") if m.type == "D"], [[b"more"]])
        self.assertEqual(connection.value("SELECT 'last'"), "last")

    def test_memory_that_all_share(self):
        """Those who take nothing do not keep others from their answers."""
        server = self.serve(TUNNEL_MEMORY="1MiB", TUNNEL_WINDOW="256KiB")
        before = server.memory("VmHWM")
        for _ in range(30):
            session, connection = self.login(server)
            session.acknowledges = False
            connection.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 20)"))
        _, other = self.login(server)
        self.assertEqual(other.value("SELECT length(repeat('x', 500000)), repeat('y', 500000)"), "500000")
        if not sanitized():
            self.assertLess(server.memory("VmHWM") - before, 40_000)

    def test_a_session_that_ends_in_violation_can_not_be_resumed(self):
        server = self.serve()
        session, _ = self.login(server)
        session.attachment.sendall(tunnel.ack_frame(U64))
        self.assert_gone(session, tunnel.VIOLATION)
        with self.assertRaises(Gone) as gone:
            session.resume()
        self.assertEqual(gone.exception.frame.reason, tunnel.VIOLATION)
