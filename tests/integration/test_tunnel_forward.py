"""electric-tunnel between a Postgres client and scripted services: bytes, ends, failures in mid-session."""

import contextlib
import os
import socket
import struct
import threading
import time

from tests.support import wire
from tests.support.process import wait_until
from tests.support.programs import Client, ProgramTest
from tests.support.service import Service, echo, frame
from tests.support.websocket import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

AUTHENTICATION_OK = wire.message("R", struct.pack("!I", 0))
READY = wire.message("Z", b"I")
STARTUP = wire.startup({"user": "u", "database": "d"})


def postgres(then):
    """A service that takes a StartupMessage, says ReadyForQuery, and goes on with `then(peer)`."""

    def behave(peer):
        peer.accept()
        assert peer.receive_all(len(STARTUP)) == STARTUP
        peer.send(AUTHENTICATION_OK + READY)
        then(peer)

    return behave


class TunnelTest(ProgramTest):
    def serve(self, behave, *flags, **variables):
        """A service and a tunnel to it."""
        self.service = self.start(Service(behave))
        self.client = self.start(Client(self.service.url, *flags, **variables))
        return self.client

    def dial(self):
        sock = wire.dial("127.0.0.1", self.client.port)
        self.addCleanup(sock.close)
        sock.settimeout(20)
        return sock

    def session(self):
        """A connection that has got past ReadyForQuery."""
        connection = wire.Connection(self.dial())
        connection.send(STARTUP)
        self.assertEqual([m.type for m in connection.receive_until("Z")], ["R", "Z"])
        return connection

    def assert_alive(self):
        """The program still forwards."""
        self.service.behave = echo
        sock = self.dial()
        sock.sendall(b"still here")
        self.assertEqual(receive(sock, 10), b"still here")


def receive(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(1 << 20)
        if not more:
            break
        data += more
    return data


class Bytes(TunnelTest):
    def test_bytes_pass_unchanged_in_both_directions(self):
        self.serve(echo)
        sock = self.dial()
        for size in (1, 2, 7, 125, 126, 127, 4096, 65535, 65536, 65537, 262143, 262144, 262145, 3 << 20):
            data = os.urandom(size)
            writer = threading.Thread(target=sock.sendall, args=(data,))
            writer.start()
            self.assertEqual(receive(sock, size), data, size)
            writer.join()

    def test_the_request_is_what_rfc_6455_wants(self):
        self.serve(echo)
        sock = self.dial()
        sock.sendall(b"x")
        self.assertEqual(receive(sock, 1), b"x")
        peer = self.service.peers[0]
        self.assertEqual((peer.method, peer.path, peer.version), ("GET", "/proxy", "HTTP/1.1"))
        self.assertEqual(peer.headers["host"], f"127.0.0.1:{self.service.port}")
        self.assertEqual(peer.headers["upgrade"].lower(), "websocket")
        self.assertIn("upgrade", peer.headers["connection"].lower())
        self.assertEqual(peer.headers["sec-websocket-version"], "13")
        self.assertNotIn("origin", peer.headers)
        self.assertNotIn("sec-websocket-extensions", peer.headers)
        self.assertNotIn("authorization", peer.headers)

    def test_masks_and_keys_differ_every_time(self):
        self.serve(echo)
        keys = []
        for _ in range(3):
            sock = self.dial()
            for _ in range(20):
                sock.sendall(b"ping!")
                receive(sock, 5)
            sock.close()
        masks = [key for peer in self.service.peers for _, _, key in peer.frames]
        keys = [peer.headers["sec-websocket-key"] for peer in self.service.peers]
        self.assertEqual(len(set(masks)), len(masks))
        self.assertEqual(len(set(keys)), 3)

    def test_one_read_is_one_frame(self):
        def behave(peer):
            peer.accept()
            peer.send(b"go")
            peer.receive_all(4 << 20)
            peer.end()

        self.serve(behave)
        sock = self.dial()
        receive(sock, 2)
        sock.sendall(bytes(4 << 20))
        self.assertEqual(sock.recv(1), b"")
        sizes = [size for opcode, size, _ in self.service.peers[0].frames if opcode == BINARY]
        self.assertEqual(sum(sizes), 4 << 20)
        self.assertLessEqual(max(sizes), 256 << 10)

    def test_fragments_and_control_frames_in_between(self):
        parts = [os.urandom(n) for n in (1, 5, 0, 300, 70000, 3)]

        def behave(peer):
            peer.accept()
            out = frame(BINARY, parts[0], fin=False) + frame(PING, b"are you there")
            for part in parts[1:-1]:
                out += frame(CONTINUATION, part, fin=False)
            out += frame(PONG, b"unasked") + frame(CONTINUATION, parts[-1])
            # In odd pieces, so that headers are cut everywhere.
            for at in range(0, len(out), 997):
                peer.send_raw(out[at : at + 997])
            peer.receive_frame()
            peer.end()

        self.serve(behave)
        sock = self.dial()
        expected = b"".join(parts)
        self.assertEqual(receive(sock, len(expected)), expected)
        self.assertEqual(sock.recv(1), b"")
        self.assertEqual(self.service.peers[0].pongs, [b"are you there"])

    def test_many_tiny_frames(self):
        chunks = [os.urandom(1 + i % 40) for i in range(20000)]

        def behave(peer):
            peer.accept()
            peer.send_raw(b"".join(frame(BINARY, chunk) for chunk in chunks))
            peer.end()

        self.serve(behave)
        expected = b"".join(chunks)
        self.assertEqual(receive(self.dial(), len(expected) + 1), expected)

    def test_frames_in_the_segment_of_the_upgrade_s_answer(self):
        def behave(peer):
            peer.accept(behind=frame(BINARY, b"early bird"))
            peer.receive()
            peer.end()

        self.serve(behave)
        sock = self.dial()
        self.assertEqual(receive(sock, 10), b"early bird")
        sock.sendall(b"x")
        self.assertEqual(sock.recv(1), b"")

    def test_a_service_that_takes_a_single_byte_at_a_time(self):
        def behave(peer):
            peer.accept()
            for byte in frame(BINARY, b"slowly") + frame(CLOSE, b"\x03\xe8"):
                peer.send_raw(bytes([byte]))
                time.sleep(0.002)
            peer.wait_close()

        self.serve(behave)
        self.assertEqual(receive(self.dial(), 7), b"slowly")


class StartUp(TunnelTest):
    def test_encryption_is_declined_before_the_tunnel_is_up(self):
        release = threading.Event()

        def behave(peer):
            peer.read_request()
            release.wait(20)
            peer.accept()
            assert peer.receive_all(len(STARTUP)) == STARTUP
            peer.send(AUTHENTICATION_OK + READY)
            peer.wait_close()

        self.serve(behave)
        connection = wire.Connection(self.dial())
        connection.send(wire.gssenc_request())
        self.assertEqual(connection.receive_bytes(1), b"N")
        connection.send(wire.ssl_request())
        self.assertEqual(connection.receive_bytes(1), b"N")
        connection.send(STARTUP)
        release.set()
        self.assertEqual([m.type for m in connection.receive_until("Z")], ["R", "Z"])

    def test_requests_in_pieces_and_pipelined(self):
        self.serve(postgres(lambda peer: peer.wait_close()))
        connection = wire.Connection(self.dial())
        for byte in wire.ssl_request():
            connection.send(bytes([byte]))
            time.sleep(0.005)
        self.assertEqual(connection.receive_bytes(1), b"N")
        connection.send(wire.gssenc_request() + STARTUP)
        self.assertEqual(connection.receive_bytes(1), b"N")
        self.assertEqual([m.type for m in connection.receive_until("Z")], ["R", "Z"])

    def test_a_cancel_request_gets_a_connection_of_its_own(self):
        request = wire.cancel_request(1234, b"\x01\x02\x03\x04")
        got = []

        def behave(peer):
            peer.accept()
            got.append(peer.receive_all(len(request)))
            peer.end()

        self.serve(behave)
        sock = self.dial()
        sock.sendall(request)
        self.assertEqual(sock.recv(1), b"")
        self.assertEqual(got, [request])

    def test_a_cancel_request_whose_sender_does_not_wait(self):
        request = wire.cancel_request(1, b"abcd")
        got = []

        def behave(peer):
            peer.accept()
            got.append(peer.receive_all(len(request)))
            peer.wait_close()
            peer.send_close()

        self.serve(behave)
        sock = self.dial()
        sock.sendall(request)
        sock.close()
        wait_until(lambda: got, 5, "the CancelRequest")
        self.assertEqual(got, [request])

    def test_what_is_not_postgres_passes(self):
        self.serve(echo)
        for hello in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/1.0\r\n\r\n", b"\x00\x01", b"\xff", b"\x00\x00\x00\x08\x01",
                      b"\x00\x00\x00\x09\x04\xd2\x16\x2f\x00", b"\x00\x00\x00\x08\x00\x02\x00\x00"):
            sock = self.dial()
            sock.sendall(hello)
            self.assertEqual(receive(sock, len(hello)), hello)
            sock.close()

    def test_leaving_before_anything_was_said(self):
        self.serve(echo)
        for _ in range(20):
            self.dial().close()
        self.assert_alive()


class Ends(TunnelTest):
    def test_the_local_end_becomes_close_1000_after_everything_was_sent(self):
        size = 8 << 20
        got = []

        def behave(peer):
            peer.accept()
            peer.send(b"go")
            got.append(len(peer.receive_all(size)))
            peer.wait_close()
            peer.send_close()

        self.serve(behave)
        sock = self.dial()
        receive(sock, 2)
        sock.sendall(bytes(size))
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(sock.recv(1), b"")
        self.assertEqual(got, [size])
        self.assertEqual(self.service.peers[0].close_code, 1000)

    def test_bytes_that_come_after_our_close_still_arrive(self):
        def behave(peer):
            peer.accept()
            peer.wait_close()
            peer.send(b"last words")
            peer.send_close()

        self.serve(behave)
        sock = self.dial()
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        self.assertEqual(receive(sock, 11), b"last words")

    def test_the_service_s_close_comes_after_its_bytes(self):
        size = 5 << 20

        def behave(peer):
            peer.accept()
            peer.send(bytes(size))
            peer.end()

        self.serve(behave)
        sock = self.dial()
        time.sleep(0.3)
        self.assertEqual(len(receive(sock, size + 1)), size)
        wait_until(lambda: self.service.peers[0].close_code == 1000, 5, "the answer to Close")

    def test_a_service_that_never_answers_close(self):
        def behave(peer):
            peer.accept()
            peer.wait_close()
            time.sleep(20)

        self.serve(behave)
        sock = self.dial()
        sock.sendall(b"x")
        sock.shutdown(socket.SHUT_WR)
        started = time.monotonic()
        self.assertEqual(sock.recv(1), b"")
        self.assertLess(time.monotonic() - started, 10)

    def test_a_local_reset_ends_only_its_own_tunnel(self):
        self.serve(echo)
        other = self.dial()
        other.sendall(b"a")
        receive(other, 1)
        sock = self.dial()
        sock.sendall(b"b")
        receive(sock, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        wait_until(lambda: self.service.peers[1].close_code, 5, "Close")
        other.sendall(b"c")
        self.assertEqual(receive(other, 1), b"c")

    def test_a_reset_while_data_flows(self):
        def behave(peer):
            peer.accept()
            while True:
                peer.send(bytes(1 << 20))

        self.serve(behave)
        for _ in range(5):
            sock = self.dial()
            receive(sock, 3 << 20)
            sock.close()
        self.assert_alive()


class Failures(TunnelTest):
    def assert_fatal(self, connection, sqlstate, *words):
        message = connection.receive()
        self.assertEqual(message.type, "E")
        fields = message.fields()
        self.assertEqual((fields["S"], fields["V"], fields["C"]), ("FATAL", "FATAL", sqlstate))
        for word in words:
            self.assertIn(word, fields["M"] + " " + fields.get("H", ""))
        self.assertTrue(connection.is_closed())
        return fields

    def test_a_cut_at_a_message_boundary(self):
        self.serve(postgres(lambda peer: peer.cut()))
        self.assert_fatal(self.session(), "08006", "was lost", self.service.url)
        self.assert_alive()

    def test_an_end_without_close_at_a_boundary(self):
        self.serve(postgres(lambda peer: None))
        self.assert_fatal(self.session(), "08006", "without a Close frame")

    def test_a_cut_inside_a_message_resets(self):
        def half(peer):
            peer.send(wire.message("D", bytes(100))[:50])
            time.sleep(0.1)
            peer.cut()

        self.serve(postgres(half))
        connection = self.session()
        with self.assertRaises((ConnectionResetError, wire.Closed)) as raised:
            connection.receive()
        if isinstance(raised.exception, wire.Closed):
            self.assertEqual(len(raised.exception.rest), 50)
        self.client.wait_for("in the middle of a message")

    def test_boundaries_are_found_in_any_pieces(self):
        messages = [wire.message("T", bytes(n)) for n in (0, 1, 3, 700)] + [wire.message("D", bytes(70000)), READY]

        def in_sevens(peer):
            data = b"".join(messages)
            peer.send_raw(b"".join(frame(BINARY, data[i : i + 7]) for i in range(0, len(data), 7)))
            time.sleep(0.3)
            peer.cut()

        self.serve(postgres(in_sevens))
        connection = self.session()
        self.assertEqual([m.type for m in connection.receive_until("Z")], ["T"] * 4 + ["D", "Z"])
        self.assert_fatal(connection, "08006")

    def test_a_close_with_a_reason(self):
        def fail(peer):
            peer.send_close(1011, b"the database is on fire")
            peer.wait_close()

        self.serve(postgres(fail))
        self.assert_fatal(self.session(), "08006", "1011", "the database is on fire")

    def test_nothing_is_added_to_an_error_the_service_sent_itself(self):
        error = wire.message("E", b"SFATAL\0C57P01\0Mterminating\0\0")

        def fail(peer):
            peer.send(error)
            peer.send_close(1001)
            peer.wait_close()

        self.serve(postgres(fail))
        connection = self.session()
        messages = connection.receive_to_end()
        self.assertEqual([m.fields()["C"] for m in messages], ["57P01"])

    def test_an_orderly_close_adds_nothing(self):
        self.serve(postgres(lambda peer: peer.end()))
        self.assertEqual(self.session().receive_to_end(), [])

    def violate(self, raw, code):
        def behave(peer):
            peer.send_raw(raw)
            peer.wait_close()

        self.serve(postgres(behave))
        connection = self.session()
        self.assert_fatal(connection, "08006", "was lost")
        wait_until(lambda: self.service.peers[0].close_code == code, 5, f"Close {code}")

    def test_a_text_message(self):
        self.violate(frame(TEXT, b"hello"), 1003)

    def test_a_masked_frame(self):
        self.violate(frame(BINARY, b"hello", masked=True), 1002)

    def test_reserved_bits(self):
        self.violate(b"\xc2\x01x", 1002)

    def test_an_unknown_opcode(self):
        self.violate(b"\x83\x00", 1002)

    def test_a_control_frame_that_is_too_long(self):
        self.violate(b"\x89\x7e\x00\x80" + bytes(128), 1002)

    def test_a_continuation_of_nothing(self):
        self.violate(frame(CONTINUATION, b"x"), 1002)

    def test_being_stopped_is_told_at_a_boundary(self):
        self.serve(postgres(lambda peer: peer.wait_close()))
        connection = self.session()
        self.client.stop()
        self.assert_fatal(connection, "57P01", "being stopped")


class BackPressure(TunnelTest):
    LIMIT = 3 << 20

    def memory(self):
        with open(f"/proc/{self.client.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) << 10
        return 0

    def test_a_service_that_does_not_read(self):
        self.serve(lambda peer: (peer.accept(), peer.send(b"go"), time.sleep(30)))
        sock = self.dial()
        receive(sock, 2)
        before = self.memory()
        sock.settimeout(1)
        sent = 0
        with self.assertRaises(TimeoutError):
            while sent < 1 << 30:
                sent += sock.send(bytes(1 << 20))
        self.assertLess(sent, 64 << 20)
        self.assertLess(self.memory() - before, self.LIMIT)

    def test_a_client_that_does_not_read(self):
        progress = []

        def behave(peer):
            peer.accept()
            peer.socket.settimeout(1)
            try:
                for _ in range(1024):
                    peer.send(bytes(1 << 20))
                    progress.append(1)
            except TimeoutError:
                progress.append("stalled")
                time.sleep(20)

        self.serve(behave)
        sock = self.dial()
        sock.sendall(b"x")
        time.sleep(0.2)
        before = self.memory()
        wait_until(lambda: progress and progress[-1] == "stalled", 20, "the service to stall")
        self.assertLess(len(progress), 64)
        self.assertLess(self.memory() - before, self.LIMIT)
        # Others are not kept waiting.
        self.assert_alive()

    def fill_both_directions(self):
        """Neither side reads, both write until nothing more is taken; then the service resets."""
        full = threading.Event()
        cut = threading.Event()

        def flood(peer):
            peer.socket.settimeout(1)
            with contextlib.suppress(TimeoutError):
                while True:
                    peer.send(wire.message("D", bytes(100000)))
            full.set()
            cut.wait(20)
            peer.cut()

        self.serve(postgres(flood))
        connection = self.session()
        sock = connection.stream
        sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                sock.send(bytes(1 << 20))
        self.assertTrue(full.wait(20))
        cut.set()
        return sock

    def test_a_reset_while_both_directions_are_full_frees_a_writer_that_does_not_read(self):
        sock = self.fill_both_directions()
        sock.settimeout(15)
        # What is sent before the end is discarded: how much that is depends on who is faster.
        until = time.monotonic() + 60
        with self.assertRaises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() < until:
                sock.sendall(bytes(1 << 20))
        self.client.wait_for("was lost: it broke before everything was sent")
        self.client.wait_for("closed: the tunnel failed")
        self.assert_alive()

    def test_a_reset_while_both_directions_are_full_leaves_what_came_before_to_a_reader(self):
        sock = self.fill_both_directions()
        time.sleep(1)
        sock.settimeout(15)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while more := len(sock.recv(1 << 20)):
                received += more
                time.sleep(0.01)
        # More than the program's own queue: what its socket still held, too.
        self.assertGreater(received, 1 << 20)
        self.client.wait_for("closed: the tunnel failed")

    def test_flow_resumes_and_nothing_is_lost(self):
        data = os.urandom(1 << 20) * 24

        def behave(peer):
            peer.accept()
            peer.send(b"go")
            time.sleep(0.7)
            got = peer.receive_all(len(data))
            assert got == data
            peer.send(got)
            peer.end()

        self.serve(behave)
        sock = self.dial()
        receive(sock, 2)
        writer = threading.Thread(target=sock.sendall, args=(data,))
        writer.start()
        writer.join()
        time.sleep(0.7)
        self.assertEqual(receive(sock, len(data) + 1), data)


class Many(TunnelTest):
    def test_two_hundred_at_once_and_no_descriptor_is_left(self):
        self.serve(echo)
        before = self.client.file_descriptors()
        socks = [self.dial() for _ in range(200)]
        for number, sock in enumerate(socks):
            sock.sendall(b"%04d" % number)
        for number, sock in enumerate(socks):
            self.assertEqual(receive(sock, 4), b"%04d" % number)
        for sock in socks:
            sock.close()
        wait_until(lambda: self.client.file_descriptors() <= before + 1, 10, "descriptors to be closed")

    def test_running_out_of_descriptors_is_survived(self):
        self.serve(echo)
        import resource

        used = self.client.file_descriptors()
        resource.prlimit(self.client.pid, resource.RLIMIT_NOFILE, (used + 10, used + 10))
        socks = [self.dial() for _ in range(30)]
        self.client.wait_for("open files|Too many open files")
        for sock in socks:
            sock.close()
        time.sleep(0.5)
        self.assert_alive()


class Silence(TunnelTest):
    def test_pings_when_idle_and_gives_up_on_a_dead_path(self):
        def behave(peer):
            if peer is self.service.peers[0]:
                peer.accept()
                peer.receive_all(len(STARTUP))
                peer.send(AUTHENTICATION_OK + READY)
                peer.wait_close()  # answers nothing
            elif peer is self.service.peers[1]:
                peer.accept()
                while peer.receive():
                    pass
            else:
                peer.accept()
                peer.send(b"go")
                time.sleep(54)  # reads nothing, as a service whose database is busy
                peer.send(b"done")
                peer.wait_close()

        self.serve(behave)
        deaf = self.session()
        lively = self.dial()
        lively.sendall(b"x")
        wait_until(lambda: len(self.service.peers) == 2, 5, "the second tunnel")
        busy = self.dial()
        receive(busy, 2)
        busy.sendall(bytes(300000))
        started = time.monotonic()
        message = deaf.receive(timeout=60)
        self.assertEqual((message.type, message.fields()["C"]), ("E", "08006"))
        self.assertIn("45 s", message.fields()["M"])
        self.assertTrue(40 < time.monotonic() - started < 52)
        self.assertGreaterEqual(self.service.peers[0].pings, 2)
        self.assertGreaterEqual(self.service.peers[1].pings, 2)
        lively.settimeout(0.2)
        with self.assertRaises(TimeoutError):
            lively.recv(1)
        self.assertEqual(receive(busy, 4), b"done")
