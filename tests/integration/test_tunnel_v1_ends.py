"""Sessions of electric-tunnel.v1 that cannot be saved, or that take another way: what their client is told."""

import signal
import socket
import time

from tests.support import wire
from tests.support.cutter import BLACK_HOLE, RESET
from tests.support.process import wait_until
from tests.support.sessions import SessionTest

SLEEP = "SELECT pg_sleep(60)"


class EndTest(SessionTest):
    def fatal(self, session, sqlstate, message, hint, timeout=30):
        """What comes next is the end, and it says so."""
        received = session.receive(timeout=timeout)
        self.assertEqual(received.type, "E")
        fields = received.fields()
        self.assertEqual((fields["S"], fields["C"]), ("FATAL", sqlstate))
        self.assertRegex(fields["M"], message)
        self.assertIn(hint, fields["H"])
        self.assertTrue(session.is_closed())

    def let_sleep(self, session):
        session.send(wire.query(SLEEP))
        wait_until(lambda: self.running() == "1", 10, "the statement to run")

    def running(self):
        return self.cluster.psql(
            f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{SLEEP}'")


class Losses(EndTest):
    def replace_server(self):
        """The server dies without a word, and another one takes its place."""
        self.server.clean_exit = (-9,)
        self.server.process.kill()
        self.server.wait()
        self.server = self.serve()
        self.cutter.target = self.server.http_port

    def test_the_server_dies_while_nothing_is_open(self):
        self.start()
        session = self.connect()
        session.query("SELECT 1")
        self.replace_server()
        self.fatal(session, "08006", "the server that had the session is gone", "No transaction was open")

    def test_the_server_dies_inside_a_transaction(self):
        self.start()
        session = self.connect()
        session.query("BEGIN")
        self.replace_server()
        self.fatal(session, "08006", "the server that had the session is gone", "rolled back")

    def test_the_server_dies_while_something_runs(self):
        self.start()
        session = self.connect()
        self.let_sleep(session)
        self.replace_server()
        self.fatal(session, "08007", "the server that had the session is gone", "not known")

    def test_a_network_that_is_away_for_too_long(self):
        self.start(server=self.serve(SESSION_RETAIN="1s"))
        session = self.connect()
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.fatal(session, "08006", rf"could not be continued in time: .*127\.0\.0\.1:{self.cutter.port}",
                   "No transaction was open")

    def test_a_network_that_is_away_for_too_long_inside_a_transaction(self):
        self.start(server=self.serve(SESSION_RETAIN="1s"))
        session = self.connect()
        session.query("BEGIN")
        self.let_sleep(session)
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.fatal(session, "08007", "could not be continued in time", "not known")

    def test_a_service_that_is_gone(self):
        self.start(server=self.serve(SESSION_RETAIN="1s"))
        session = self.connect()
        self.server.clean_exit = (-9,)
        self.server.process.kill()
        self.fatal(session, "08006", "could not be continued in time", "No transaction was open")

    def test_a_service_that_is_gone_before_a_login_is_not_waited_for_long(self):
        """Nobody keeps such a session for longer than 10 s, whatever the service says of others."""
        self.start()
        session = wire.connect("127.0.0.1", self.client.port, timeout=30)
        self.addCleanup(session.close)
        session.send(wire.startup({"user": "postgres"}))
        session.receive_until("R")
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.fatal(session, "08006", "could not be continued in time", "No transaction was open", timeout=60)

    def sleep_through(self, session):
        """The machine is suspended until the server has given the session up."""
        self.client.send_signal(signal.SIGSTOP)
        if self.cutter.blocked:
            self.assertNotIn("detached for too long", self.server.stderr())
        else:
            self.cutter.cut(RESET)
        self.server.wait_for("detached for too long")
        self.cutter.blocked = False
        self.client.send_signal(signal.SIGCONT)
        self.fatal(session, "08006", "detached for too long", "No transaction was open")

    def test_a_client_that_wakes_up_too_late_asks(self):
        self.start(server=self.serve(SESSION_RETAIN="1s"))
        self.sleep_through(self.connect())

    def test_a_detached_client_that_wakes_up_too_late_asks_once_more(self):
        self.start(server=self.serve(SESSION_RETAIN="5s"))
        session = self.connect()
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.client.wait_for("is detached")
        self.sleep_through(session)

    def test_new_connections_work_after_a_loss(self):
        self.start()
        session = self.connect()
        self.replace_server()
        self.fatal(session, "08006", "the session was lost", "connect again")
        self.assertEqual(self.psql("SELECT 5"), "5\n")


class Silence(EndTest):
    def test_a_path_that_swallows_everything_is_left(self):
        """It takes the 15 s after which an attachment with something unanswered is dead."""
        self.start(hole=60)
        session = self.connect()
        session.send(wire.query("SELECT 'before'"))
        self.answer(session)
        started = time.monotonic()
        self.cutter.cut(BLACK_HOLE)
        self.assertEqual(self.value(session, "SELECT 'heard'", timeout=40), "heard")
        self.assertLess(time.monotonic() - started, 25)


    def test_a_path_that_swallows_everything_and_no_other_way(self):
        """Nobody says that the connection is gone, and it is given up all the same."""
        self.start(hole=300, server=self.serve(SESSION_RETAIN="1s"))
        session = self.connect()
        session.send(wire.query("SELECT 'before'"))
        self.answer(session)
        self.cutter.blocked = True
        self.cutter.cut(BLACK_HOLE)
        session.send(wire.query("SELECT 'unheard'"))
        self.fatal(session, "08007", "could not be continued in time", "not known", timeout=90)


class Cancelling(EndTest):
    def cancel(self, session):
        with socket.create_connection(("127.0.0.1", self.client.port), 10) as request:
            request.sendall(wire.cancel_request(session.pid, session.secret))
            self.assertEqual(request.recv(1), b"")

    def assert_cancelled(self, session):
        errors = [m.fields()["C"] for m in session.receive_until("Z", timeout=20) if m.type == "E"]
        self.assertEqual(errors, ["57014"])

    def test_a_cancel_request_takes_the_way_of_its_session(self):
        self.start()
        session, other = self.connect(), self.connect()
        self.let_sleep(session)
        self.cancel(session)
        self.assert_cancelled(session)
        self.assertIn("is a CancelRequest for tunnel", self.client.stderr())
        self.assertEqual(self.value(other, "SELECT 1"), "1")

    def test_a_cancel_request_waits_for_its_session_to_be_attached(self):
        self.start()
        session = self.connect()
        self.let_sleep(session)
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.client.wait_for("is detached")
        self.cancel(session)
        self.assertEqual(self.running(), "1")
        self.cutter.blocked = False
        self.assert_cancelled(session)

    def test_a_foreign_cancel_request_is_passed_on(self):
        self.start()
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as session:
            self.let_sleep(session)
            self.cancel(session)
            self.assert_cancelled(session)
