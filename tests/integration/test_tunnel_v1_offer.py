"""How electric-tunnel finds out whether a service keeps sessions, and what it does when told no."""

import socket
import struct
import time

from tests.integration.test_tunnel_connect import ConnectTest
from tests.integration.test_tunnel_forward import STARTUP, postgres
from tests.support import carrier, tunnel, wire
from tests.support.process import wait_until
from tests.support.service import echo

PROTOCOL = "electric-tunnel.v1"
OPEN, OPENED, RESUME, REFUSED, DATA, FIN, RESET = 0x01, 0x02, 0x03, 0x07, 0x10, 0x12, 0x13
UNKNOWN, DENIED, FULL = 1, 4, 7
LOST = 4
INSTANCE = b"instance"


def offer(peer):
    return peer.headers.get("sec-websocket-protocol")


def agree(peer, **headers):
    peer.accept(Sec_WebSocket_Protocol=PROTOCOL, **headers)


def opened():
    """Instance, window, max_frame, retain, ping."""
    return bytes([OPENED]) + INSTANCE + struct.pack("!IIHH", 1 << 20, 1 << 18, 120, 20)


def refused(reason, retry_after=0, text=b""):
    return bytes([REFUSED]) + struct.pack("!HH", reason, retry_after) + text


def reset(reason, outcome=4):
    return bytes([RESET]) + struct.pack("!HBQ", reason, outcome, 0)


class AutoTest(ConnectTest):
    def serve(self, behave, *flags, **variables):
        # What would be asked for instead of a WebSocket is tested in test_tunnel_http.py.
        return super().serve(behave, *(flags or ("--protocol", "auto")), "--transport", "websocket", **variables)


class Offers(AutoTest):
    def requests(self):
        return [(offer(peer), peer.session is not None) for peer in self.service.peers]

    def assert_echoes_twice(self):
        self.assert_echoes()
        self.assert_echoes()

    def test_a_service_that_agrees_to_nothing_is_used_raw(self):
        self.serve(echo)
        self.assert_echoes_twice()
        self.assertEqual(self.requests(), [(PROTOCOL, True)] * 2)
        self.assertEqual(self.client.stderr().count("this service cannot resume sessions"), 1)

    def test_raw_mode_offers_nothing(self):
        self.serve(echo, "--protocol", "raw")
        self.assert_echoes()
        self.assertEqual(self.requests(), [(None, False)])
        self.assertNotIn("cannot resume", self.client.stderr())

    def test_v1_alone_does_without_a_service_that_does_not_agree(self):
        self.serve(echo, "--protocol", "v1")
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08004")
        self.assertIn(PROTOCOL, message)
        self.assertIn("--protocol", hint)

    def stumble(self, refuse):
        """A service that takes no offer."""

        def behave(peer):
            peer.read_request()
            if offer(peer):
                refuse(peer)
            else:
                echo(peer)

        return behave

    def test_a_refused_offer_is_not_made_again(self):
        for status in ("400 Bad Request", "426 Upgrade Required"):
            with self.subTest(status):
                self.serve(self.stumble(lambda peer: peer.answer(status, {"Content-Length": 0})))  # pylint: disable=cell-var-from-loop
                self.assert_echoes_twice()
                self.assertEqual(self.requests(), [(PROTOCOL, True), (None, False), (None, False)])

    def test_an_offer_without_an_answer_is_not_made_again(self):
        self.serve(self.stumble(lambda peer: peer.cut()))
        self.assert_echoes_twice()
        self.assertEqual(self.requests(), [(PROTOCOL, True), (None, False), (None, False)])

    def test_an_offer_that_was_taken_once_is_made_to_the_end(self):
        """A 400 that a proxy answers, since the request was cut short, says nothing about the service."""

        def behave(peer):
            peer.read_request()
            if len(self.service.peers) > 1:
                peer.answer("400 Bad Request", {"Content-Length": 0})
                return
            agree(peer)
            while peer.receive():
                pass

        self.serve(behave)
        with socket.create_connection(("127.0.0.1", self.client.port), 10) as first:
            first.sendall(STARTUP)
            wait_until(lambda: self.service.peers and self.service.peers[0].frames, 20, "OPEN")
            self.failure()
            self.assertEqual({offered for offered, _ in self.requests()}, {PROTOCOL})

    def test_other_refusals_are_final(self):
        self.serve(self.stumble(lambda peer: peer.answer("503 Service Unavailable", {"Content-Length": 0})))
        self.assertEqual(self.failure()[0], "08001")
        self.assertEqual(self.requests(), [(PROTOCOL, True)])

    def test_v1_alone_never_asks_without_the_offer(self):
        self.serve(self.stumble(lambda peer: peer.answer("400 Bad Request", {"Content-Length": 0})), "--protocol", "v1")
        self.assertEqual(self.failure()[0], "08004")
        self.assertEqual(self.requests(), [(PROTOCOL, True)])

    def test_a_refusal_of_both_says_nothing_about_the_offer(self):
        self.serve(lambda peer: peer.refuse("400 Bad Request"))
        self.assertEqual(self.failure()[0], "08004")
        self.assertEqual(self.requests(), [(PROTOCOL, True), (None, False)])
        self.service.behave = postgres(lambda peer: peer.end())
        self.session()
        self.assertEqual(self.requests()[2], (PROTOCOL, True), "whose fault it was is not known")

    def test_another_subprotocol_than_offered_is_refused(self):
        self.serve(lambda peer: peer.accept(Sec_WebSocket_Protocol="chat"))
        self.assertIn("subprotocol", self.failure()[1])


class Attachments(AutoTest):
    """A service that speaks just as much of the protocol as a test needs: `steps` are what its
    connections do, one after the other."""

    def serve_steps(self, *steps):
        remaining = list(steps)
        self.received = []

        def behave(peer):
            peer.read_request()
            step = remaining.pop(0)
            step(peer)

        self.serve(behave, "--protocol", "auto", "--log-level", "debug")

    def take(self, peer):
        frame = peer.receive()
        self.received.append(frame)
        return frame

    def open_and_cut(self, peer, **headers):
        agree(peer, **headers)
        assert self.take(peer)[0] == OPEN
        peer.send(opened())
        while self.take(peer)[0] != DATA:
            pass
        peer.cut()

    def answer(self, frame, **headers):
        def step(peer):
            agree(peer, **headers)
            self.take(peer)
            peer.send(frame)
            peer.wait_close()

        return step

    def start_session(self):
        sock = self.dial()
        connection = wire.Connection(sock)
        connection.send(STARTUP)
        return connection

    def fatal(self, connection, timeout=30):
        message = connection.receive(timeout=timeout)
        self.assertEqual(message.type, "E")
        return message.fields()

    def test_later_connections_name_the_session_and_return_its_cookies(self):
        self.serve_steps(lambda peer: self.open_and_cut(peer, Set_Cookie="route=a1; Path=/"),
                         self.answer(reset(LOST)))
        self.assertEqual(self.fatal(self.start_session())["C"], "08006")
        first, second = self.service.peers
        self.assertEqual(first.session, second.session)
        self.assertEqual(self.received[0][1:9].hex(), first.session)
        self.assertNotIn("cookie", first.headers)
        self.assertEqual(second.headers["cookie"], "route=a1")
        self.assertEqual(self.received[-1][0], RESUME)
        self.assertEqual(self.received[-1][17:25], INSTANCE)

    def test_sessions_share_no_cookies(self):
        self.serve_steps(self.answer(reset(LOST), Set_Cookie="route=a1"), self.answer(reset(LOST)))
        for _ in range(2):
            self.fatal(self.start_session())
        self.assertNotIn("cookie", self.service.peers[1].headers)
        self.assertNotEqual(self.service.peers[0].session, self.service.peers[1].session)

    def test_a_session_that_never_was_opened_is_opened_anew(self):
        """OPEN and the StartupMessage are lost, and the service says so."""

        def lose(peer):
            agree(peer)
            while self.take(peer)[0] != DATA:
                pass
            peer.cut()

        self.serve_steps(lose, self.answer(refused(UNKNOWN)), self.answer(reset(LOST)))
        self.assertEqual(self.fatal(self.start_session())["C"], "08006")
        sessions = [peer.session for peer in self.service.peers]
        self.assertEqual(sessions[0], sessions[1])
        self.assertNotEqual(sessions[1], sessions[2])
        self.assertEqual([frame[0] for frame in self.received if frame[0] < 8], [OPEN, RESUME, OPEN])

    def test_a_session_that_is_not_known_after_more_than_the_startup_is_lost(self):
        def lose(peer):
            agree(peer)
            received = b""
            while len(received) < len(STARTUP) + 5:
                frame = self.take(peer)
                received += frame[9:] if frame[0] == DATA else b""
            peer.cut()

        self.serve_steps(lose, self.answer(refused(UNKNOWN)))
        connection = self.start_session()
        connection.send(wire.query(""))
        fields = self.fatal(connection)
        self.assertEqual(fields["C"], "08007")
        self.assertIn("does not know", fields["M"])

    def test_a_denied_resume_is_final(self):
        self.serve_steps(self.open_and_cut, self.answer(refused(DENIED)))
        self.assertIn("not authorised", self.fatal(self.start_session())["M"])
        self.assertEqual(self.service.connections, 2)

    def test_a_request_that_was_cut_short_is_made_again(self):
        """A proxy answers 400 to it; of a service that takes such requests this is no refusal."""

        def stumble(peer):
            peer.answer("400 Bad Request", {"Content-Length": 0})

        self.serve_steps(self.answer(reset(LOST)), stumble, stumble, self.answer(reset(LOST)))
        for _ in range(2):
            self.assertEqual(self.fatal(self.start_session())["C"], "08006")
        self.assertEqual([frame[0] for frame in self.received if frame[0] < 8], [OPEN, OPEN])

    def test_last_words_arrive_before_the_end(self):
        """Over HTTP one answer may bring all of a session."""
        words = wire.message("E", b"SFATAL\0C57P03\0Mnot today\0\0")
        body = carrier.body_of(opened(), tunnel.data_frame(0, words), tunnel.fin_frame(len(words)))

        def behave(peer):
            peer.read_request()
            if "&" not in peer.target:
                peer.answer("200 OK", {"Content-Type": carrier.TYPE, "Electric-Tunnel": 1, "Content-Length": len(body)}, body)
            while peer.socket.recv(4096):
                pass

        ConnectTest.serve(self, behave, "--transport", "http")
        connection = self.start_session()
        self.assertEqual(self.fatal(connection)["M"], "not today")
        self.assertTrue(connection.is_closed(30))

    def test_a_full_service_is_asked_again_when_it_says(self):
        self.serve_steps(self.answer(refused(FULL, retry_after=1)), self.answer(reset(LOST)))
        started = time.monotonic()
        self.fatal(self.start_session())
        self.assertGreaterEqual(time.monotonic() - started, 0.9)
        self.assertEqual([frame[0] for frame in self.received if frame[0] < 8], [OPEN, OPEN])

    def test_a_full_service_that_does_not_say_when(self):
        self.serve_steps(self.answer(refused(FULL, text=b"500 sessions")))
        fields = self.fatal(self.start_session())
        self.assertEqual(fields["C"], "53300")
        self.assertIn("500 sessions", fields["M"])

    def test_a_service_that_forgets_the_protocol_is_asked_again(self):
        """On re-attaching, a connection without it is of no use, and raw mode even less."""
        self.serve_steps(self.open_and_cut, lambda peer: peer.accept(), self.answer(reset(LOST)))
        self.fatal(self.start_session())
        self.assertEqual([offer(peer) for peer in self.service.peers], [PROTOCOL] * 3)

    def test_what_breaks_the_protocol_ends_the_session(self):
        def babble(peer):
            agree(peer)
            self.take(peer)
            peer.send(opened())
            peer.send(bytes([DATA]) + struct.pack("!Q", 1000) + b"from nowhere")
            while self.take(peer)[:1] not in (bytes([RESET]), b""):
                pass

        self.serve_steps(babble)
        self.assertIn("protocol violation", self.fatal(self.start_session())["M"])
        wait_until(lambda: self.received[-1][:1] == bytes([RESET]), 5, "RESET")

    def test_the_local_end_is_told_and_waited_for(self):
        ended = []

        def finish(peer):
            agree(peer)
            self.take(peer)
            peer.send(opened())
            while (frame := self.take(peer))[0] != FIN:
                pass
            end = struct.unpack("!Q", frame[1:9])[0]
            peer.send(bytes([FIN]) + struct.pack("!Q", 0))
            peer.send(b"\x11" + struct.pack("!Q", end + 1))
            ended.append(peer.wait_close())

        self.serve_steps(finish)
        self.start_session().close()
        wait_until(lambda: ended, 5, "Close")
        self.assertEqual(ended, [1000])
        self.client.wait_for("session .*: 1 attachments")
