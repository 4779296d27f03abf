"""What sessions of electric-tunnel.v1 live through, and how they end when an end of theirs does."""

import os
import re
import signal
import subprocess
import time

from tests.support import websocket, wire
from tests.support.cutter import RESET
from tests.support.middlebox import Haproxy
from tests.support.process import wait_until
from tests.support.programs import Client, environment, psql
from tests.support.sessions import SessionTest

LONG = os.environ.get("ELECTRIC_LONG") == "1"
SLEEP = "SELECT pg_sleep(60)"


class Moves(SessionTest):
    """An edge that ends each connection at some age, and a server that knows."""

    age = 8  # seconds; the server is told of half
    moves = 30 if LONG else 3

    def test_they_come_before_the_edge_ends_a_connection(self):
        self.start(server=self.serve(TUNNEL_MAX_AGE=f"{self.age // 2}s"), age=self.age)
        idle, busy = self.connect(), self.connect()
        idle.query("BEGIN; CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT 1 AS one")
        statements = 0
        while self.client.stderr().count("re-attached without a gap") < 2 * self.moves:
            statements += 1
            self.assertEqual(self.value(busy, f"SELECT {statements}"), str(statements))
        self.assertEqual(self.value(idle, "SELECT one FROM kept"), "1")
        self.assertNotIn("re-attached after", self.client.stderr())
        print(f"\n{statements} statements during {self.moves} moves")

    def test_bulk_data_goes_on(self):
        self.start(server=self.serve(TUNNEL_MAX_AGE=f"{self.age // 2}s"), age=self.age)
        session = self.connect()
        session.send(wire.query("SELECT i FROM generate_series(1, 3000000) AS i"))
        expected = 1
        while (message := session.receive(timeout=30)).type != "C":
            if message.type == "D":
                self.assertEqual(message.row(), [str(expected).encode()])
                expected += 1
        self.assertEqual(expected, 3000001)
        wait_until(lambda: "without a gap" in self.client.stderr(), 20, "a move")
        self.assertNotIn("re-attached after", self.client.stderr())


class Killed(SessionTest):
    """The client is gone for good, and cannot say so."""

    def running(self):
        return self.cluster.psql(f"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '{SLEEP}'")

    def test_what_it_ran_is_cancelled_and_its_upstream_goes(self):
        self.start(server=self.serve(SESSION_RETAIN="3s"))
        session, other = self.connect(), self.connect()
        other.query("BEGIN")
        session.send(wire.query(SLEEP))
        wait_until(lambda: self.running() == "1", 10, "the statement to run")
        self.client.clean_exit = (-signal.SIGKILL,)
        self.client.kill()
        self.assertEqual((self.running(), self.cluster.clients()), ("1", 2), "a client that only lost its network would return")
        wait_until(lambda: self.running() == "0", 20, "the statement to be cancelled")
        wait_until(lambda: self.cluster.clients() == 0, 20, "Postgres to be left alone")
        self.assertIn("canceling statement", self.cluster.log())

    def test_before_a_login_nothing_is_kept_for_long(self):
        self.start(server=self.serve(AUTH_TIMEOUT="60s"))
        session = wire.connect("127.0.0.1", self.client.port)
        self.addCleanup(session.close)
        session.send(wire.startup({"user": "postgres"}))
        session.receive_until("R")
        self.client.clean_exit = (-signal.SIGKILL,)
        self.client.kill()
        self.server.wait_for("detached for too long", 40)


class Replicas(SessionTest):
    """Two servers behind a balancer that pins by the query's `session`, and one of them is told to end."""

    def test_a_balancer_that_asks_whether_they_are_ready(self):
        self.replace("/readyz")

    def test_a_balancer_that_asks_whether_they_live(self):
        """It still gives new sessions to the one that ends, which sends them to the other."""
        self.replace("/healthz")

    def attachments(self, server):
        answer = websocket.request(server.http_port, "/metrics", headers={"Authorization": "Bearer api"})
        return int(re.search(rb"^electric_tunnel_attachments_total (\d+)", answer.body, re.MULTILINE).group(1))

    def connect_to(self, server, client):
        """A session that the balancer has given to this server."""
        for _ in range(40):
            before = self.attachments(server)
            session = self.enterContext(
                wire.connect("127.0.0.1", client.port, server.password, timeout=30))
            if self.attachments(server) > before:
                return session
            session.close()
        self.fail("the balancer never chooses that server")

    def replace(self, check):
        settings = {"DRAIN_TIMEOUT": "8s", "API_TOKEN": "api"}
        leaving, staying = self.serve(**settings), self.serve(**settings)
        box = self.enterContext(Haproxy(leaving.http_port, staying.http_port, check=check))
        self.start(server=leaving)
        self.cutter.target = box.port
        client = self.enterContext(Client(box.url, "--log-level", "debug"))
        finishing, busy, detached = (self.connect_to(leaving, one) for one in (client, client, self.client))
        elsewhere = self.connect_to(staying, client)

        finishing.query("BEGIN")
        elsewhere.query("BEGIN")
        busy.send(wire.query(SLEEP))
        self.cutter.blocked = True
        self.cutter.cut(RESET)
        self.client.wait_for("is detached")
        leaving.send_signal(signal.SIGTERM)
        leaving.wait_for("shutting down")

        self.assertEqual(self.value(finishing, "SELECT 1"), "1", "what is attached stays")
        finishing.query("COMMIT")
        finishing.send(wire.terminate())
        self.assertTrue(finishing.is_closed())
        for i in range(6):
            done = psql(client.url(staying.password), "-c", f"SELECT {i}")
            self.assertEqual((done.stdout, done.stderr), (f"{i}\n", ""))
        self.assertEqual(busy.receive(timeout=30).fields()["C"], "57P01")
        self.assertTrue(busy.is_closed())
        self.assertEqual(leaving.wait(), 0)

        self.cutter.blocked = False
        fields = detached.receive(timeout=60).fields()
        self.assertEqual(fields["C"], "08006")
        self.assertIn("the server that had the session is gone", fields["M"])
        self.assertIn("connect again", fields["H"])
        self.assertTrue(detached.is_closed())
        self.assertEqual(self.value(elsewhere, "SELECT 2"), "2")
        elsewhere.query("COMMIT")
        for _ in range(3):
            self.assertEqual(psql(client.url(staying.password), "-c", "SELECT 3").stdout, "3\n")
