"""The HTTP carrier: sessions made of requests and answers that are lost, repeated, overtaken, delayed and forged."""

import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

from tests.integration.test_tunnel_server import TunnelTest
from tests.support import carrier, tunnel, websocket, wire
from tests.support.carrier import CarriedTunnel
from tests.support.intermediary import Intermediary, answer
from tests.support.loads import digest
from tests.support.middlebox import Nginx
from tests.support.process import wait_until
from tests.support.programs import Client, environment, psql, sanitized
from tests.support.service import GUID, Service

PATIENCE = 60


class CarrierTest(TunnelTest):
    def open(self, server, **options):
        return self.enterContext(CarriedTunnel(server.http_port, **options))

    def assert_works(self, connection):
        self.assertEqual(connection.value("SELECT 6 * 7", timeout=PATIENCE), "42")

    def status(self, attachment, *arguments, **fields):
        return attachment.ask(attachment.encode(*arguments, **fields)).head.status


# -- the server -------------------------------------------------------------------------------------


class Forgeries(CarrierTest):
    def setUp(self):
        self.server = self.serve()
        self.session, self.connection = self.login(self.server)
        self.attachment = self.session.attachment

    def tearDown(self):
        self.assert_works(self.connection)

    def post(self, at, content, **wrong):
        """A POST whose proof is for something else."""
        sealed = {"session": self.attachment.session, "key": self.attachment.key, "attempt": self.attachment.attempt,
                  "method": "POST", "number": at, "body": content, **wrong}
        return self.status(self.attachment, "POST", f"&up={at}", at, content, Electric_Tunnel=carrier.signature(**sealed))

    def test_proofs_of_something_else(self):
        number = self.attachment.posts + 1
        body = carrier.body_of(tunnel.data_frame(self.session.sent, wire.query("DROP SCHEMA public CASCADE")))
        for wrong in ({"key": os.urandom(32)}, {"method": "GET"}, {"number": number + 1}, {"got": 1}, {"body": b""}):
            self.assertEqual(self.post(number, body, **wrong), 403, wrong)
        self.assertEqual(self.post(number, body, attempt=7), 409)
        self.assertEqual(self.post(number, body, session=os.urandom(16)), 409)

    def test_another_session_s_proof(self):
        other, connection = self.login(self.server)
        number = self.attachment.posts + 1
        self.assertEqual(self.post(number, b"", key=other.key), 403)
        self.assertEqual(self.post(number, b"", session=other.session), 403)
        self.assert_works(connection)

    def test_malformed_proofs(self):
        good = carrier.signature(self.attachment.session, self.attachment.key, 0, "GET", 99, 0)
        for wrong in (good[:-1], good + "0", good.upper(), good.replace(" 0 ", " 00 "), good.replace(" 0 ", "  "),
                      good.replace(" 0 ", " 4294967296 "), "x"):
            status = self.status(self.attachment, "GET", "&down=99&got=0", 99, Electric_Tunnel=wrong)
            self.assertEqual(status, 400, wrong)

    def test_malformed_queries(self):
        for method, query in (("GET", "&down=0&got=0"), ("GET", "&down=1"), ("GET", "&got=1"), ("GET", "&down=-1&got=0"),
                              ("GET", "&down=01&got=0"), ("GET", "&down=1&got=0&up=1"), ("POST", "&up=0"), ("POST", "&up=x"),
                              ("POST", "&up=1&down=1"), ("POST", "&up=99999999999999999999"), ("GET", "&down=1&got=0&wait=x")):
            self.assertEqual(self.status(self.attachment, method, query, 1), 400, query)

    def test_callers_that_are_no_tunnels(self):
        number = self.attachment.posts + 1
        for fields in ({"Content_Type": "text/plain"}, {"Content_Type": "application/x-www-form-urlencoded"},
                       {"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            self.assertEqual(self.status(self.attachment, "POST", f"&up={number}", number, **fields), 403, fields)
            self.assertEqual(self.status(self.attachment, "POST", "", 0, **fields), 403, fields)

    def test_replayed_requests(self):
        old = self.attachment.encode("POST", f"&up={self.attachment.posts}", self.attachment.posts,
                                     carrier.body_of(tunnel.reset_frame()))
        self.assertEqual(self.attachment.ask(old).head.status, 204)  # and has no effect
        get = self.attachment.encode("GET", "&down=1&got=0", 1, got=0)
        self.assert_works(self.connection)
        self.assertEqual(self.attachment.ask(get).head.status, 409)
        self.assert_works(self.connection)
        self.session.resume()
        for request in (old, get):
            self.assertEqual(self.attachment.ask(request).head.status, 409)

    def test_a_gap(self):
        number = self.attachment.posts + 2
        frame = tunnel.data_frame(self.session.sent, wire.query("SELECT 1"))
        self.assertEqual(self.attachment.up(frame, number=number).head.status, 409)


class Requests(CarrierTest):
    def test_repeated_gets_bring_the_same_again(self):
        server = self.serve()
        session, connection = self.login(server)
        attachment = session.attachment
        connection.send(wire.query("SELECT repeat('x', 100000)"))
        wait_until(lambda: self.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%repeat%x%' "
                                             "AND state = 'idle'"), PATIENCE, "the statement to end")
        # Whatever was under way on the connection that is kept is answered to nobody.
        if attachment.socket is not None:
            attachment.socket.close()
            attachment.socket = attachment.answer = None
        request = attachment.down_request()
        answers = [attachment.ask(request) for _ in range(3)]
        serials = [int(answer.head.headers["electric-tunnel"]) for answer in answers]
        self.assertEqual(len(set(serials)), 3)
        data = [[frame for frame in carrier.frames_of(answer.body) if frame[0] == tunnel.DATA] for answer in answers]
        self.assertTrue(data[0])
        self.assertEqual(data[0][0][:9], data[1][0][:9])
        self.assertEqual(data[0][0][:9], data[2][0][:9])
        value = [m.row()[0] for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"]
        self.assertEqual(value, [b"x" * 100000])
        self.assert_works(connection)

    def test_an_answer_that_never_arrives(self):
        server = self.serve()
        session, connection = self.login(server)
        for _ in range(5):
            attachment = session.attachment
            connection.send(wire.query("SELECT repeat('y', 300000)"))
            if attachment.answer is None:
                attachment.poll()
            attachment.socket.settimeout(PATIENCE)
            attachment.socket.recv(100)
            attachment.socket.close()
            attachment.socket = attachment.answer = None
            value = [m.row()[0] for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"]
            self.assertEqual(value, [b"y" * 300000])

    def test_lengths(self):
        server = self.serve()
        session, connection = self.login(server)
        attachment = session.attachment
        number = attachment.posts + 1
        self.assertEqual(self.status(attachment, "POST", f"&up={number}", number, b"", Content_Length=str((1 << 20) + 1)), 413)
        self.assertEqual(self.status(attachment, "POST", "", 0, b"", Content_Length=str((1 << 17) + 1)), 413)
        head = attachment.encode("POST", f"&up={number}", number).replace(b"Content-Length: 0\r\n", b"")
        self.assertIn(attachment.ask(head).head.status, (411, 403, 400))
        self.assertEqual(self.status(attachment, "POST", f"&up={number}", number, b"x" * (1 << 20), Content_Type="x"), 403)
        self.assert_works(connection)

    def test_a_body_that_is_cut_or_slow(self):
        server = self.serve()
        session, connection = self.login(server)
        attachment = session.attachment
        number = attachment.posts + 1
        query = wire.query("SELECT 'once'")
        request = attachment.encode("POST", f"&up={number}", number,
                                    carrier.body_of(tunnel.data_frame(session.sent, query)))
        for cut in (len(request) - 1, len(request) - len(query), 10):
            with socket.create_connection(("127.0.0.1", server.http_port), 10) as sock:
                sock.sendall(request[:cut])
        with socket.create_connection(("127.0.0.1", server.http_port), 10) as sock:
            for at in range(0, len(request), 5):
                sock.sendall(request[at:at + 5])
            self.assertEqual(carrier.receive(sock).head.status, 204)
        attachment.posts += 1
        session.kept += query
        session.sent += len(query)
        self.assertEqual([m.row() for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"], [[b"once"]])

    def test_bodies_that_are_no_frames(self):
        server = self.serve()
        for body in (b"\0\0\0\x05\x10", b"\0\0\0\0", b"\xff\xff\xff\xff" + b"x" * 100, b"\0\0\0\x01\x02"):
            session, _ = self.login(server)
            attachment = session.attachment
            attachment.posts += 1
            self.assertEqual(self.status(attachment, "POST", f"&up={attachment.posts}", attachment.posts, body), 204)
            self.assert_gone(session, tunnel.VIOLATION)

    def test_first_bodies_that_are_no_frames(self):
        server = self.serve()
        attachment = carrier.Carrier(server.http_port, os.urandom(16), os.urandom(32))
        opening = tunnel.open_frame(attachment.session, attachment.key)
        for body in (b"", b"\0\0\0\x05", b"\0\0\0\x01\x10", carrier.body_of(tunnel.data_frame(0, b"x")), os.urandom(1000),
                     carrier.body_of(opening)[:-1]):
            answers = attachment.ask(attachment.encode("POST", "", 0, body))
            self.assertEqual(answers.head.status, 200)
            (frame,) = carrier.frames_of(answers.body)
            self.assert_refused(tunnel.Frame(frame), tunnel.MALFORMED)
        session, connection = self.login(server)
        again = session.attachment.ask(session.attachment.encode(
            "POST", "", 0, carrier.body_of(tunnel.open_frame(session.session, session.key))))
        self.assert_refused(tunnel.Frame(carrier.frames_of(again.body)[0]), tunnel.EXISTS)
        self.assert_works(connection)

    def test_bodies_that_are_announced_take_no_memory_from_others(self):
        server = self.serve(TUNNEL_MEMORY="8MiB", MAX_HTTP="500")
        session, connection = self.login(server)
        attachment = session.attachment
        body = carrier.body_of(tunnel.data_frame(session.sent, bytes(200_000))) * 5
        request = attachment.encode("POST", f"&up={attachment.posts + 2}", attachment.posts + 2, body)
        stranger = carrier.Carrier(server.http_port, os.urandom(16), os.urandom(32))
        before = server.memory()
        waiting = []
        for _ in range(2):  # a quarter of the memory
            waiting.append(self.enterContext(socket.create_connection(("127.0.0.1", server.http_port), 10)))
            waiting[-1].sendall(request[:-1])
        wait_until(lambda: attachment.ask(request).head.status == 503, PATIENCE, "the server to be busy")
        self.assertEqual(self.status(stranger, "POST", "&up=1", 1, body), 409)
        for sock in waiting:
            sock.close()
        wait_until(lambda: attachment.up().head.status == 204, PATIENCE, "room for bodies")
        self.assert_works(connection)
        if not sanitized():
            self.assertLess(server.memory() - before, 16 << 10)

    def test_tokens(self):
        server = self.serve(ELECTRIC_TUNNEL_TOKEN="t0ken")
        for token, wanted in ((None, 401), ("wrong", 401)):
            with self.assertRaises(websocket.Refused) as refused:
                self.open(server, token=token)
            self.assertEqual(refused.exception.status, wanted)
        session, connection = self.login(server, token="t0ken")
        attachment = session.attachment
        attachment.headers = {}
        self.assertEqual(self.status(attachment, "POST", f"&up={attachment.posts + 1}", attachment.posts + 1), 401)
        attachment.headers = {"Authorization": "Bearer t0ken"}
        self.assert_works(connection)

    def test_http_1_0(self):
        server = self.serve()
        session, connection = self.login(server, version="1.0")
        self.assert_works(connection)
        self.assertEqual(len(connection.value("SELECT repeat('z', 2000000)", timeout=PATIENCE)), 2000000)

    def test_an_answer_comes_when_it_is_wanted(self):
        """Before something in between loses patience."""
        server = self.serve()
        session, connection = self.login(server)
        attachment = session.attachment
        began = time.monotonic()
        attachment.gets += 1
        request = attachment.encode("GET", f"&down={attachment.gets}&got={attachment.serial}&wait=1", attachment.gets,
                                    got=attachment.serial)
        reply = attachment.ask(request)
        self.assertEqual(reply.head.status, 200)
        self.assertLess(time.monotonic() - began, 19)
        attachment.frames += carrier.frames_of(reply.body)
        attachment.serial = int(reply.head.headers["electric-tunnel"])
        self.assert_works(connection)


class Life(CarrierTest):
    def test_moving_between_carriers_in_the_middle(self):
        server = self.serve()
        session, connection = self.login(server)
        for carried in (False, True, True, False, False, True):
            connection.send(wire.query("SELECT repeat('m', 500000) || pg_sleep(0.2)"))
            session.turn(PATIENCE)
            session.carried = carried
            old = session.resume()
            value = [m.row()[0] for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"]
            self.assertEqual(value, [b"m" * 500000])
            old.close()
        self.assert_works(connection)

    def test_a_client_that_is_away(self):
        server = self.serve()
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(1), 'back'"))
        session.cut()
        server.wait_for("HTTP carrier gone", PATIENCE)
        session.resume()
        self.assertEqual([m.row()[1] for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"], [b"back"])

    def test_a_client_that_never_comes_back(self):
        server = self.serve(SESSION_RETAIN="2s")
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(600)"))
        session.turn(PATIENCE)
        session.cut()
        self.wait_backend_gone(connection.pid, PATIENCE)
        self.assertNotIn("Sanitizer", server.stderr())

    def test_a_client_that_asks_for_nothing_any_more(self):
        """A session whose requests stop is detached, though its connections are open."""
        server = self.serve(SESSION_RETAIN="2s")
        session, connection = self.login(server)
        session.attachment.up(tunnel.ack_frame(session.next))
        self.wait_backend_gone(connection.pid, PATIENCE)

    def test_errors_at_the_start_arrive(self):
        server = self.serve()
        for _ in range(5):
            with self.assertRaises(wire.ServerError) as refused:
                self.open(server).login("wrong")
            self.assertEqual(refused.exception.sqlstate, "28P01")

    def test_the_end_arrives(self):
        server = self.serve()
        session, connection = self.login(server)
        self.cluster.psql(f"SELECT pg_terminate_backend({connection.pid})")
        self.assertEqual(connection.receive(PATIENCE).fields()["C"], "57P01")
        self.assertTrue(connection.is_closed(PATIENCE))

    def test_draining_with_a_get_open(self):
        server = self.serve(DRAIN_TIMEOUT="3s")
        session, connection = self.login(server)
        connection.send(wire.query("SELECT pg_sleep(0.5), 'done'"))
        server.send_signal(signal.SIGTERM)
        server.wait_for("shutting down", PATIENCE)
        with self.assertRaises((websocket.Refused, AssertionError, tunnel.Lost)):
            self.open(server)
        self.assertEqual([m.row()[1] for m in connection.receive_until("Z", timeout=PATIENCE) if m.type == "D"], [b"done"])
        self.assert_works(connection)
        self.assertEqual(connection.receive(PATIENCE).fields()["C"], "57P01")
        self.assertEqual(server.wait(PATIENCE), 0)


# -- the client -------------------------------------------------------------------------------------


class ProgramsTest(TunnelTest):
    """The real client, on HTTP requests alone unless said otherwise."""

    def tunnel(self, service, *flags):
        flags = flags or ("--transport", "http")
        self.client = self.start(Client(service, "--log-level", "debug", "--connect-timeout", "60s", *flags))
        return self.client

    def between(self, server, **options):
        return self.start(Intermediary(server.http_port, **options))

    def connect(self, server):
        return self.enterContext(wire.connect("127.0.0.1", self.client.port, server.password, timeout=PATIENCE))

    def psql(self, server, *commands, script=None):
        arguments = [word for command in commands for word in ("-c", command)]
        done = psql(self.client.url(server.password) + "?options=-cclient_min_messages%3Dwarning", *arguments,
                    script=script, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def pgbench(self, server, *arguments):
        done = subprocess.run([os.path.join(self.cluster.bindir, "pgbench"), *arguments, self.client.url(server.password)],
                              env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotRegex(done.stderr, "error|FATAL|aborted")
        return done.stdout

    def exercise(self, server, rows=20000):
        """Every direction and size, once each."""
        self.pgbench(server, "-i", "-s", "1", "-q")
        out = self.pgbench(server, "-n", "-c", "3", "-t", "15", "-M", "prepared")
        done = int(re.search(r"transactions actually processed: (\d+)", out).group(1))
        self.assertEqual(self.cluster.psql("SELECT count(*) FROM pgbench_history"), str(done))
        source = os.path.join(self.cluster.directory, "rows")
        with open(source, "w", encoding="ascii") as file:
            file.writelines(f"{i}\t{'r' * (i % 100)}\n" for i in range(rows))
        self.psql(server, "DROP TABLE IF EXISTS copied", "CREATE TABLE copied (id int, text text)", f"\\copy copied FROM '{source}'")
        self.psql(server, f"\\copy (SELECT * FROM copied ORDER BY id) TO '{source}.back'")
        self.assertEqual(digest(source + ".back"), digest(source))

    def assert_clean(self, client):
        """No session had to be found again."""
        self.assertNotIn("re-attached", client.stderr())


class OverHttp(ProgramsTest):
    def test_everything(self):
        server = self.serve()
        client = self.tunnel(server.service)
        self.exercise(server)
        session = self.connect(server)
        session.query("LISTEN events")
        for i in range(20):
            self.cluster.psql(f"NOTIFY events, '{i}'")
        got = [session.receive(PATIENCE) for _ in range(20)]
        self.assertEqual([m.body[4:].split(b"\0")[1] for m in got], [str(i).encode() for i in range(20)])
        session.send(wire.query("SELECT pg_sleep(600)"))
        self.wait_running(session.pid, "pg_sleep")
        with socket.create_connection(("127.0.0.1", client.port), 10) as canceller:
            canceller.sendall(wire.cancel_request(session.pid, session.secret))
        self.assertEqual([m.fields()["C"] for m in session.receive_until("Z") if m.type == "E"], ["57014"])
        self.assert_clean(client)

    def wait_running(self, pid, what):
        query = f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND query LIKE '%{what}%'"
        wait_until(lambda: self.cluster.psql(query) == "1", PATIENCE, "the statement to run")

    def test_errors_at_the_start(self):
        server = self.serve()
        client = self.tunnel(server.service)
        for _ in range(5):
            done = psql(client.url("wrong"), "-c", "SELECT 1")
            self.assertIn("password authentication failed", done.stderr)
        done = psql(client.url(server.password, dbname="nowhere"), "-c", "SELECT 1")
        self.assertIn('database "nowhere" does not exist', done.stderr)

    def test_a_client_that_is_stopped_says_so(self):
        server = self.serve()
        client = self.tunnel(server.service)
        session = self.connect(server)
        session.send(wire.query("SELECT pg_sleep(600)"))
        self.wait_running(session.pid, "pg_sleep")
        client.stop()
        self.wait_backend_gone(session.pid, PATIENCE)
        self.assertIn("the client was stopped", server.stderr())  # not missed for 10 s, and then kept for a while

    def test_a_client_that_is_killed(self):
        server = self.serve(SESSION_RETAIN="2s")
        client = self.tunnel(server.service)
        client.clean_exit = (-signal.SIGKILL,)
        session = self.connect(server)
        session.send(wire.query("SELECT pg_sleep(600)"))
        self.wait_running(session.pid, "pg_sleep")
        client.kill()
        self.wait_backend_gone(session.pid, PATIENCE)

    def test_what_was_said_while_it_was_away_arrives(self):
        """The end of a session comes in the same answer as what stands before it."""
        server = self.serve()
        between = self.between(server)
        self.tunnel(between.url)
        session = self.connect(server)
        away = True
        between.meddle = lambda request, pass_on: None if away else pass_on(request)
        self.cluster.psql(f"SELECT pg_terminate_backend({session.pid})")
        self.client.wait_for("is detached", PATIENCE)
        away = False
        self.assertEqual(session.receive(PATIENCE).fields()["C"], "57P01")
        self.assertTrue(session.is_closed(PATIENCE))

    def test_a_server_that_drains(self):
        server = self.serve(DRAIN_TIMEOUT="3s")
        self.tunnel(server.service)
        session = self.connect(server)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(session.receive(PATIENCE).fields()["C"], "57P01")
        self.assertEqual(server.wait(PATIENCE), 0)
        self.assertTrue(session.is_closed(PATIENCE))


class Meddling(ProgramsTest):
    """What HTTP allows everybody in between to do, and what they do all the same."""

    def go(self, meddle, **options):
        server = self.serve()
        between = self.between(server, **options)
        between.meddle = meddle
        client = self.tunnel(between.url)
        self.exercise(server, rows=5000)
        return between, client

    def test_whole_bodies(self):
        _, client = self.go(lambda request, pass_on: pass_on(request))
        self.assert_clean(client)

    def test_http_1_0(self):
        _, client = self.go(lambda request, pass_on: pass_on(request), version="1.0")
        self.assert_clean(client)

    def test_every_request_twice(self):
        dice = random.Random(1)

        def twice(request, pass_on):
            if request.opens:
                return pass_on(request)
            first, second = pass_on(request), pass_on(request)
            return dice.choice((first, second))

        _, client = self.go(twice)
        self.assert_clean(client)

    def test_older_requests_once_more(self):
        dice = random.Random(2)
        old = []

        def late(request, pass_on):
            reply = pass_on(request)
            if not request.opens:
                if old and dice.random() < 0.3:
                    pass_on(dice.choice(old[-20:]))
                if request.posts:
                    old.append(request)
            return reply

        _, client = self.go(late)
        self.assert_clean(client)

    def test_answers_that_get_lost(self):
        dice = random.Random(3)

        def lossy(request, pass_on):
            if dice.random() < 0.03:
                return None
            reply = pass_on(request)
            return None if dice.random() < 0.03 else reply

        self.go(lossy)

    def test_refusals_that_pass(self):
        dice = random.Random(4)

        def busy(request, pass_on):
            status = dice.choice((None,) * 40 + ("429 Too Many Requests", "502 Bad Gateway", "503 Service Unavailable",
                                                 "504 Gateway Timeout", "200 OK"))
            if request.opens or status is None:
                return pass_on(request)
            return answer(status, b"<html>", Content_Type="text/html")

        self.go(busy)

    def test_connections_that_are_closed_without_a_word(self):
        """Between two requests; what was asked on them meanwhile is asked once more."""
        dice = random.Random(5)
        server = self.serve()
        between = self.between(server)
        left = {}  # requests that a connection still answers, by thread

        def close(request, pass_on):
            thread = threading.get_ident()
            left[thread] = left.get(thread, dice.randrange(1, 6)) - 1
            if left[thread] < 0:
                del left[thread]
                return None
            return pass_on(request)

        between.meddle = close
        self.tunnel(between.url)
        self.exercise(server, rows=2000)

    def test_a_get_that_may_not_take_long(self):
        """The service is asked to answer sooner; the session is never lost."""
        server = self.serve()
        between = self.between(server)
        limit = 4.0

        def hasty(request, pass_on):
            wait = float(request.query.get(b"wait", b"20"))
            if request.polls and wait > limit and idle:
                time.sleep(limit)
                return answer("504 Gateway Timeout", b"<html>", Content_Type="text/html")
            return pass_on(request)

        idle = False
        between.meddle = hasty
        client = self.tunnel(between.url)
        session = self.connect(server)
        idle = True
        self.assertEqual(session.value("SELECT 'awake' || pg_sleep(20)", timeout=PATIENCE), "awake")
        self.assert_works_twice(session)
        self.assert_clean(client)
        self.assertIn(b"wait", b"".join(request.target for request in between.requests))

    def assert_works_twice(self, session):
        for _ in range(2):
            self.assertEqual(session.value("SELECT 1", timeout=PATIENCE), "1")

    def test_a_limit_on_requests_at_the_start(self):
        refused = []

        def limited(request, pass_on):
            if request.opens and len(refused) < 3:
                refused.append(request)
                return answer("429 Too Many Requests", b"slower\n", Content_Type="text/plain", Retry_After=1)
            return pass_on(request)

        server = self.serve()
        between = self.between(server)
        between.meddle = limited
        self.tunnel(between.url)
        self.assertEqual(self.psql(server, "SELECT 1"), "1\n")
        self.assertEqual(len(refused), 3)

    def test_nobody_home(self):
        """What a session would never get through is told at once."""
        server = self.serve()
        between = self.between(server)
        for status in ("502 Bad Gateway", "404 Not Found", "403 Forbidden"):
            between.meddle = lambda request, pass_on: answer(status, b"<html>", Content_Type="text/html")  # pylint: disable=cell-var-from-loop
            client = self.tunnel(between.url)
            done = psql(client.url(server.password), "-c", "SELECT 1")
            self.assertEqual(done.returncode, 2)
            self.assertIn(status[:3], done.stderr)

    def test_nginx(self):
        server = self.serve()
        for buffers in (False, True):
            with self.subTest(buffers=buffers):
                box = self.start(Nginx(server.http_port, idle="5s", upgrades=False, buffers=buffers))
                self.tunnel(box.url)
                session = self.connect(server)
                session.send(wire.query("SELECT 'awake' || pg_sleep(12)"))
                self.exercise(server, rows=5000)
                messages = session.receive_until("Z", timeout=PATIENCE)
                self.assertEqual([m.row() for m in messages if m.type == "D"], [[b"awake"]])


class Choosing(ProgramsTest):
    def mute(self, connection, request):
        """Agrees to the upgrade, and lets nothing through."""
        key = re.search(rb"(?i)\r\nsec-websocket-key: *(\S+)", request.head).group(1).decode()
        accept = websocket.base64.b64encode(websocket.hashlib.sha1(key.encode() + GUID).digest()).decode()
        connection.sendall((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            f"Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {tunnel.PROTOCOL}\r\n\r\n").encode())
        while connection.recv(65536):
            pass

    def test_upgrades_that_are_stripped(self):
        server = self.serve()
        between = self.between(server)
        client = self.tunnel(between.url, "--transport", "auto")
        for _ in range(3):
            self.assertEqual(self.psql(server, "SELECT 1"), "1\n")
        self.assertEqual(sum(request.upgrades for request in between.requests), 1, "it is remembered")
        self.assertEqual(client.stderr().count("WebSockets do not get through"), 1)

    def test_websockets_on_which_nothing_comes(self):
        server = self.serve()
        between = self.between(server)
        between.upgrade = self.mute
        self.tunnel(between.url, "--transport", "auto")
        self.assertEqual(self.psql(server, "SELECT 1"), "1\n")
        self.assertEqual(sum(request.upgrades for request in between.requests), 2)
        self.assertEqual(self.psql(server, "SELECT 1"), "1\n")
        self.assertEqual(sum(request.upgrades for request in between.requests), 2, "it is remembered")

    def test_websockets_alone(self):
        server = self.serve()
        between = self.between(server)
        client = self.tunnel(between.url, "--transport", "websocket")
        self.assertEqual(psql(client.url(server.password), "-c", "SELECT 1").returncode, 2)
        self.assertFalse([request for request in between.requests if not request.upgrades])

    def test_our_own_refusals_are_believed(self):
        server = self.serve(ELECTRIC_TUNNEL_TOKEN="t0ken")
        between = self.between(server)

        def upgrade(connection, request):
            with socket.create_connection(("127.0.0.1", server.http_port)) as upstream:
                upstream.sendall(request.head + b"\r\n\r\n")
                connection.sendall(upstream.recv(65536))

        between.upgrade = upgrade
        client = self.tunnel(between.url, "--transport", "auto")
        self.assertIn("token", psql(client.url(server.password), "-c", "SELECT 1").stderr)
        self.assertFalse([request for request in between.requests if not request.upgrades])

    def test_services_that_are_none(self):
        """Without the service behind it nothing is made of a 404; what it said is told."""
        service = self.start(Service(lambda peer: peer.refuse("404 Not Found", b"nothing here\n")))
        client = self.tunnel(service.url, "--transport", "auto")
        done = psql(client.url("x"), "-c", "SELECT 1")
        self.assertIn("404", done.stderr)
        self.assertLessEqual(len(service.peers), 2)

    def test_carriers_by_turns(self):
        """Now WebSockets get through, now HTTP requests."""
        server = self.serve()
        between = self.between(server)
        self.tunnel(between.url, "--transport", "auto")
        session = self.connect(server)  # on HTTP
        self.assert_value(session)

        def relay(connection, request):
            import select  # pylint: disable=import-outside-toplevel
            with socket.create_connection(("127.0.0.1", server.http_port)) as upstream:
                upstream.sendall(request.head + b"\r\n\r\n")
                while True:
                    for source in select.select([connection, upstream], [], [])[0]:
                        data = source.recv(65536)
                        if not data or blocked:
                            return
                        (upstream if source is connection else connection).sendall(data)

        blocked = False
        between.upgrade = relay
        between.meddle = lambda request, pass_on: answer("403 Forbidden", b"no\n", Content_Type="text/plain")
        session.send(wire.query("SELECT 'moved' || pg_sleep(1)"))
        self.assertEqual(self.row(session), b"moved")  # on a WebSocket
        blocked, between.upgrade = True, None
        between.meddle = lambda request, pass_on: pass_on(request)
        session.send(wire.query("SELECT 'back' || pg_sleep(1)"))
        self.assertEqual(self.row(session), b"back")
        self.assertGreaterEqual(self.client.stderr().count("re-attached"), 2)

    def row(self, session):
        return [m.row()[0] for m in session.receive_until("Z", timeout=PATIENCE) if m.type == "D"][0]

    def assert_value(self, session):
        self.assertEqual(session.value("SELECT 1", timeout=PATIENCE), "1")


if __name__ == "__main__":
    unittest.main()
