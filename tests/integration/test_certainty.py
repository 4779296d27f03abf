"""What is said of a transaction whose COMMIT is not answered, against what the table holds.

ELECTRIC_LONG=1 makes it 200 losses of each kind.
"""

import collections
import os
import random
import re
import signal
import threading
import urllib.error
import urllib.request

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.holder import ANSWER, COMMIT, Holder
from tests.support.migrations import extent, seed
from tests.support.process import wait_until
from tests.support.programs import Server
from tests.support.sessions import SessionTest
from tests.support.tunnel import EXPIRED, TXN, Gone, Tunnel

LOSSES = extent(10, 200)
UNKNOWN_SHARE = 0.05  # at most

# RESET's outcomes
NONE, COMMITTED, ROLLED_BACK, IN_PROGRESS, UNKNOWN = range(5)

# Texts of a Query, and ways of the extended protocol.
FORMS = ("COMMIT", "END", "COMMIT; BEGIN", "extended", "pipelined")


def commit_message(form):
    if form == "extended":
        return wire.parse("COMMIT") + wire.bind() + wire.execute() + wire.sync()
    if form == "pipelined":
        return (wire.parse("SELECT 1") + wire.bind() + wire.execute("", 1) +
                wire.parse("COMMIT") + wire.bind() + wire.execute() + wire.sync())
    return wire.query(form)


class Load:
    """Others who write and commit, so that numbers of transactions go by and the log is busy."""

    def __init__(self, cluster, writers=3):
        self.cluster, self.over = cluster, threading.Event()
        self.threads = [threading.Thread(target=self._write, daemon=True) for _ in range(writers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def _write(self):
        while not self.over.is_set():
            try:
                with wire.connect(self.cluster.host, self.cluster.port, self.cluster.password,
                                  user=self.cluster.user) as session:
                    while not self.over.is_set():
                        session.query("INSERT INTO noise DEFAULT VALUES")
                        self.over.wait(0.01)
            except (OSError, wire.Closed, wire.ServerError, AssertionError):
                self.over.wait(0.2)  # Postgres is recovering


class CertaintyTest(SessionTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster.psql("CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE noise (id serial)")

    def hold(self):
        self.holder = self.enterContext(Holder(self.cluster.port))
        return self.holder

    def serve_held(self, **variables):
        """A server whose Postgres is behind the holder."""
        settings = {"CAPTURE": "false", "DRAIN_TIMEOUT": "1s", **variables}
        return self.enterContext(Server(self.cluster.url(port=self.holder.port), **settings))

    def begin(self, session, number):
        session.query("BEGIN")
        session.query(f"INSERT INTO items VALUES ({number})")

    def fatal(self, session):
        """The fields of what ends the session; what comes before it is no answer to COMMIT."""
        while (message := session.receive(timeout=60)).type not in ("E", "Z"):
            self.assertIn(message.type, ("1", "2", "T", "D", "C", "N", "s"))
            self.assertNotIn(b"COMMIT", message.body)
        self.assertEqual(message.type, "E")
        fields = message.fields()
        self.assertEqual(fields["S"], "FATAL")
        return fields

    def verdict(self, fields):
        """True: said to be committed; False: rolled back; None: not known."""
        hint, sqlstate = fields["H"], fields["C"]
        if "was committed; do not repeat" in hint:
            self.assertEqual(sqlstate, "08007")
            return True
        if "was rolled back" in hint:
            self.assertEqual(sqlstate, "08006")
            return False
        self.assertRegex(hint, "not known|may yet be")
        self.assertEqual(sqlstate, "08007")
        return None

    def is_there(self, number):
        """Once nobody is at it any more."""
        wait_until(lambda: self.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
                                             " AND query NOT LIKE '%noise%'") == "0", 30, "the transaction to end")
        return self.cluster.psql(f"SELECT count(*) FROM items WHERE id = {number}") == "1"

    def judge(self, counts, number, fields, what):
        verdict = self.verdict(fields)
        there = self.is_there(number)
        counts[{True: "committed", False: "rolled back", None: "unknown"}[verdict]] += 1
        if verdict is not None:
            self.assertEqual(verdict, there, f"{what}: {fields}")

    def conclude(self, what, counts, losses):
        print(f"\n{what}: {losses} losses in COMMIT: {dict(counts)}; unknown {counts['unknown'] / losses:.1%}")
        self.assertLessEqual(counts["unknown"], UNKNOWN_SHARE * losses)


class ServerLost(CertaintyTest):
    """kill -9 of the server between COMMIT and its answer."""

    def kill(self, server):
        server.clean_exit = (-signal.SIGKILL,)
        server.process.kill()
        server.wait()

    def wait_told(self, count):
        """The client has heard of as many COMMITs. It need not: then the outcome will be unknown."""
        try:
            wait_until(lambda: len(re.findall("COMMIT of transaction", self.client.stderr())) >= count, 5, "TXN")
        except TimeoutError:
            print("TXN did not come")

    def test_the_answer_equals_the_table(self):
        dice, counts = random.Random(seed()), collections.Counter()
        self.hold()
        other = self.serve()
        self.start(server=other)
        with Load(self.cluster):
            for number in range(LOSSES):
                server = self.serve_held()
                self.cutter.target = server.http_port
                with wire.connect("127.0.0.1", self.client.port, self.server.password, timeout=60) as session:
                    what = dice.choice((ANSWER, ANSWER, COMMIT))
                    form, passes = dice.choice(FORMS), dice.random() < 0.7
                    self.begin(session, number)
                    self.holder.arm(what)
                    session.send(commit_message(form))
                    self.holder.wait()
                    self.wait_told(number + 1)
                    self.cutter.target = other.http_port
                    self.kill(server)
                    (self.holder.let_go if passes else self.holder.lose)()
                    self.judge(counts, number, self.fatal(session), (what, form, passes))
        self.conclude("server killed", counts, LOSSES)
        self.assertGreater(counts["committed"], 0)
        self.assertRegex(self.client.stderr(), r"transaction \d+: committed")

    def test_what_wrote_nothing_or_has_failed_is_not_asked_about(self):
        self.hold()
        other, server = self.serve(), self.serve_held()
        self.start(server=server)
        session = self.connect()
        for statement in ("SELECT 1", "SELECT nonsense"):
            session.send(wire.query("BEGIN"))
            session.receive_until("Z")
            session.send(wire.query(statement))
            session.receive_until("Z")
            session.send(wire.query("COMMIT"))
            session.receive_until("Z")
        self.cutter.target = other.http_port
        self.kill(server)
        self.assertEqual(self.fatal(session)["C"], "08006")
        self.assertNotIn("asking what became", self.client.stderr())


class PostgresLost(CertaintyTest):
    """The session's backend dies in COMMIT; the server lives."""

    def pid(self, session):
        return int(self.value(session, "SELECT pg_backend_pid()"))

    def lose(self, number, session, dice):
        pid = self.pid(session)
        self.begin(session, number)
        what = dice.choice((ANSWER, ANSWER, COMMIT))
        form, how = dice.choice(FORMS), dice.choice((signal.SIGKILL, signal.SIGTERM))
        self.holder.arm(what)
        session.send(commit_message(form))
        self.holder.wait()
        os.kill(pid, how)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), 20, "the backend to end")
        self.holder.lose()
        return what, form, how

    def test_the_answer_equals_the_table(self):
        dice, counts = random.Random(seed()), collections.Counter()
        self.hold()
        self.start(server=self.serve_held())
        with Load(self.cluster):
            for number in range(1000, 1000 + LOSSES):
                with wire.connect("127.0.0.1", self.client.port, self.server.password, timeout=60) as session:
                    how = self.lose(number, session, dice)
                    fields = self.fatal(session)
                    self.assertIn("during COMMIT", fields["M"])
                wait_until(lambda: self.cluster.psql("SELECT 1", check=False) == "1", 60, "Postgres to recover")
                self.judge(counts, number, fields, how)
        self.conclude("Postgres killed", counts, LOSSES)
        self.assertGreater(counts["committed"], 0)

    def test_a_fatal_in_commit_is_told_with_its_outcome(self):
        self.start()
        session = self.connect()
        session.query("CREATE TABLE slow (id int)")
        session.query("CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS"
                      " 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'")
        session.query("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED"
                      " FOR EACH ROW EXECUTE FUNCTION dawdle()")
        pid = self.pid(session)
        session.query("BEGIN")
        session.query("INSERT INTO slow VALUES (1)")
        session.send(wire.query("COMMIT"))
        wait_until(lambda: self.cluster.psql(f"SELECT wait_event FROM pg_stat_activity WHERE pid = {pid}") == "PgSleep",
                   20, "COMMIT to run")
        self.cluster.psql(f"SELECT pg_terminate_backend({pid})")
        fields = self.fatal(session)
        self.assertIn("terminating connection due to administrator command", fields["M"])
        self.assertIs(self.verdict(fields), False)


class ClientLost(CertaintyTest):
    """The client stays away while the server has its COMMIT."""

    def open(self, **variables):
        self.hold()
        self.server = self.serve_held(SESSION_RETAIN="1s", **variables)
        tunnel = self.enterContext(Tunnel(self.server.http_port))
        return tunnel, tunnel.login(self.server.password)

    def end_of(self, tunnel):
        """What a client is told that comes back after all."""
        try:
            tunnel.resume()
        except (Gone, AssertionError) as end:
            return end.frame if isinstance(end, Gone) else self.fail(end)
        return self.fail("the session lives")

    def test_a_commit_under_way_is_waited_for(self):
        tunnel, session = self.open()
        self.begin(session, 5000)
        self.holder.arm(ANSWER)
        session.send(wire.query("COMMIT"))
        self.holder.wait()
        xid = tunnel.wait_for(TXN).xid
        tunnel.close()
        self.server.wait_for("waiting for the answer to COMMIT")
        self.holder.let_go()
        self.server.wait_for(f"its client is given up; transaction {xid}: committed")
        end = self.end_of(tunnel)
        self.assertEqual((end.reason, end.outcome, end.xid), (EXPIRED, COMMITTED, xid))
        self.assertTrue(self.is_there(5000))

    def test_anything_else_is_cancelled(self):
        tunnel, session = self.open()
        self.begin(session, 5001)
        session.send(wire.query("SELECT pg_sleep(600)"))
        wait_until(lambda: self.sleeping() == "1", 20, "the statement to run")
        tunnel.close()
        self.server.wait_for("its client is given up; transaction: rolled back")
        wait_until(lambda: self.sleeping() == "0", 20, "the statement to be cancelled")
        end = self.end_of(tunnel)
        self.assertEqual((end.reason, end.outcome), (EXPIRED, ROLLED_BACK))
        self.assertFalse(self.is_there(5001))

    def sleeping(self):
        return self.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
                                 " AND query = 'SELECT pg_sleep(600)'")

    def unheard(self, tunnel, session, statement):
        """It is answered, and the client goes without having said that it got that."""
        tunnel.acknowledges = False
        session.send(wire.query(statement))
        session.receive_until("Z")
        tunnel.close()

    def test_an_answer_that_may_not_have_come_is_told(self):
        tunnel, session = self.open()
        self.begin(session, 5002)
        self.unheard(tunnel, session, "COMMIT")
        self.server.wait_for("its client is given up; transaction [0-9]+: committed")
        end = self.end_of(tunnel)
        self.assertEqual((end.reason, end.outcome), (EXPIRED, COMMITTED))
        self.assertGreater(end.xid, 0)
        self.assertTrue(self.is_there(5002))

    def test_of_a_statement_by_itself_that_is_not_known(self):
        tunnel, session = self.open()
        self.unheard(tunnel, session, "INSERT INTO items VALUES (5003)")
        self.server.wait_for("its client is given up; transaction: unknown")
        self.assertEqual(self.end_of(tunnel).outcome, UNKNOWN)
        self.assertTrue(self.is_there(5003))

    def test_what_came_is_not_told_again(self):
        tunnel, session = self.open()
        self.begin(session, 5004)
        session.query("COMMIT")
        session.query("SELECT 1")
        tunnel.close()
        self.server.wait_for("its client is given up; transaction: none")
        self.assertEqual(self.end_of(tunnel).outcome, NONE)

    def test_what_was_idle_lost_nothing(self):
        tunnel, _ = self.open()
        tunnel.close()
        self.server.wait_for("its client is given up; transaction: none")
        self.assertEqual(self.end_of(tunnel).outcome, NONE)


class Asking(CertaintyTest):
    def ask(self, server, query, token=None):
        request = urllib.request.Request(f"{server.service}/api/outcome?{query}")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read().decode()

    def commit(self, server):
        with Tunnel(server.http_port) as tunnel:
            session = tunnel.login(server.password)
            session.query("BEGIN")
            session.query("INSERT INTO noise DEFAULT VALUES")
            session.query("COMMIT")
            (frame,) = [frame for frame in tunnel.frames if frame.type == TXN]
            session.send(wire.terminate())
        return frame

    def test_any_server_of_the_database_tells(self):
        first, second = self.serve(), self.serve()
        txn = self.commit(first)
        proof = f"&system={txn.system}&timeline={txn.timeline}&generation={txn.generation}&proof={txn.proof.hex()}"
        expected = (200, f'{{"xid":"{txn.xid}","outcome":"committed"}}\n')
        self.assertEqual(self.ask(first, f"xid={txn.xid}{proof}"), expected)
        self.assertEqual(self.ask(second, f"xid={txn.xid}{proof}"), expected)

    def test_a_proof_is_good_for_one_transaction_of_one_postgres(self):
        server = self.serve()
        txn = self.commit(server)
        parts = {"xid": txn.xid, "system": txn.system, "timeline": txn.timeline, "generation": txn.generation,
                 "proof": txn.proof.hex()}
        for name, other in (("xid", txn.xid - 1), ("system", txn.system + 1), ("timeline", txn.timeline + 1), ("generation", 0),
                            ("proof", "0" * 32), ("proof", ""), ("proof", txn.proof.hex()[:-1])):
            query = "&".join(f"{key}={value}" for key, value in {**parts, name: other}.items())
            self.assertEqual(self.ask(server, query)[0], 401, name)
        self.assertEqual(self.ask(server, f"xid={txn.xid}")[0], 401)

    def test_whoever_may_use_the_api_may_ask_for_any(self):
        token = "a token of some length"
        server = self.serve(API_TOKEN=token)
        txn = self.commit(server)
        self.assertEqual(self.ask(server, f"xid={txn.xid}", token)[1],
                         f'{{"xid":"{txn.xid}","outcome":"committed"}}\n')
        self.assertIn('"unknown"', self.ask(server, f"xid={txn.xid}&system={txn.system}&timeline=7&generation=0", token)[1])
        self.assertIn('"unknown"', self.ask(server, f"xid={txn.xid + 1_000_000}", token)[1])
        for wrong in ("", "xid=", "xid=0", "xid=x", "xid=-1", "xid=99999999999999999999999"):
            self.assertEqual(self.ask(server, wrong, token)[0], 400, wrong)
