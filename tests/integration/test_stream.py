"""GET /api/migrations/stream: every migration once and in order, whoever listens however slowly."""

import os
import signal
import socket
import threading
import time

from tests.support import api, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Server, psql, sanitized

PATH = "/api/migrations/stream?dialect=sqlite"
LISTENERS = int(os.environ.get("STREAM_LISTENERS", "200"))
MIGRATIONS = int(os.environ.get("STREAM_MIGRATIONS", "100"))
WRITERS = 4


class StreamTest(ProgramTest):
    settings = {}

    def setUp(self):
        self.cluster = self.enterContext(Cluster(settings={"max_connections": 50}))
        self.server = self.start(self.serve())
        psql(self.server.url(), "-c", "CREATE TABLE items (id int PRIMARY KEY)")
        self.migrate("ALTER TABLE items ENABLE ELECTRIC")

    def serve(self, **variables):
        return Server(self.cluster.url(), CAPTURE="true", **{"API_AUTH": "none", **self.settings, **variables})

    def migrate(self, sql, server=None):
        done = psql((server or self.server).url(), "-c", sql)
        self.assertEqual((done.returncode, done.stderr.count("ERROR")), (0, 0), done.stderr)

    def add(self, first, last):
        """Migrations of one column each."""
        self.migrate(f"DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE format('ALTER TABLE items ADD c%s text', n); COMMIT;"
                     " END LOOP; END $$")

    def listen(self, path=PATH, headers=None, server=None, **keywords):
        stream = api.EventStream((server or self.server).http_port, path, headers, **keywords)
        self.addCleanup(stream.close)
        return stream

    def assert_events(self, events, first, last):
        self.assertEqual([number for number, _, _ in events], list(range(first, last + 1)))
        self.assertEqual({kind for _, kind, _ in events}, {"migration"})
        self.assertEqual([data["seq"] for _, _, data in events], list(range(first, last + 1)))


class PositionTest(StreamTest):
    def test_head_of_the_answer(self):
        stream = self.listen()
        self.assertEqual((stream.status, stream.headers["content-type"]), (200, "text/event-stream"))
        self.assertEqual(stream.headers["cache-control"], "no-store, no-transform")
        self.assertEqual(stream.block(), "retry: 2000")

    def test_begins_with_the_next_one(self):
        stream = self.listen()
        self.migrate("ALTER TABLE items ADD a text")
        events = stream.take(1)
        self.assert_events(events, 2, 2)
        self.assertEqual(events[0][2]["sql"], ['ALTER TABLE "items" ADD COLUMN "a" TEXT'])

    def test_all_from_the_start(self):
        self.add(2, 500)
        self.assert_events(self.listen(PATH + "&after=0").take(500), 1, 500)
        self.assert_events(self.listen(PATH + "&after=450").take(50), 451, 500)

    def test_last_event_id_counts_more_than_the_address(self):
        self.add(2, 10)
        self.assert_events(self.listen(PATH + "&after=0", {"Last-Event-ID": "7"}).take(3), 8, 10)

    def test_resumes_strictly_after_and_goes_on(self):
        stream = self.listen(headers={"Last-Event-ID": "1"})
        self.add(2, 3)
        self.assert_events(stream.take(2), 2, 3)

    def test_an_unknown_id(self):
        for position in ("999", "99999999999999999999999", "x", "-1", "1x"):
            stream = self.listen(headers={"Last-Event-ID": position})
            self.assertEqual(stream.take(1)[0][:2], (1, "reset"), position)
            stream.close()
        stream = self.listen(PATH + "&after=77")
        self.assertEqual(stream.take(1)[0][:2], (1, "reset"))
        self.migrate("ALTER TABLE items ADD a text")
        self.assert_events(stream.take(1), 2, 2)

    def test_an_id_that_only_another_replica_knows_yet(self):
        with self.serve() as other:
            for n in range(2, 22, 2):
                self.migrate(f"ALTER TABLE items ADD c{n} text", other)
                stream = self.listen(headers={"Last-Event-ID": str(n)})
                self.migrate(f"ALTER TABLE items ADD d{n} text", other)
                self.assert_events(stream.take(1), n + 1, n + 1)
                stream.close()

    def test_a_ledger_without_its_beginning(self):
        """What followed the client's position is there no more."""
        self.add(2, 10)
        self.cluster.psql("DELETE FROM electric.migrations WHERE seq <= 5")
        stream = self.listen(PATH + "&after=2")
        self.assertEqual(stream.take(1)[0][:2], (10, "reset"))
        self.assert_events(self.listen(PATH + "&after=5").take(5), 6, 10)
        self.assert_idle(self.server, seconds=1)
        self.migrate("ALTER TABLE items ADD a text")
        self.assert_events(stream.take(1), 11, 11)

    def test_both_dialects(self):
        streams = [self.listen(f"/api/migrations/stream?dialect={dialect}") for dialect in ("sqlite", "postgresql")]
        self.migrate("ALTER TABLE items ADD a int")
        sql = [stream.take(1)[0][2]["sql"][0] for stream in streams]
        self.assertIn("INTEGER", sql[0])
        self.assertNotIn("INTEGER", sql[1])

    def test_requests_that_are_refused(self):
        for path, status in (("/api/migrations/stream", 403), ("/api/migrations/stream?dialect=x", 403)):
            self.assertEqual(api.get(self.server.http_port, path).status, status)
        self.assertEqual(api.get(self.server.http_port, PATH, method="OPTIONS").status, 204)
        head = api.get(self.server.http_port, PATH, method="HEAD")
        self.assertEqual((head.status, head.headers["content-type"], head.body), (200, "text/event-stream", b""))

    def test_the_ledger_is_replaced(self):
        stream = self.listen()
        self.cluster.psql("BEGIN; DELETE FROM electric.migrations; UPDATE electric.head SET seq = 0, version = '', hash = ''; COMMIT")
        self.assertEqual(stream.take(1), [(0, "reset", {"seq": 0, "version": ""})])

    def test_http_1_0(self):
        with socket.create_connection(("127.0.0.1", self.server.http_port), 10) as sock:
            sock.sendall(f"GET {PATH}&after=0 HTTP/1.0\r\n\r\n".encode())
            data = b""
            while b"\n\n" not in data.partition(b"retry: 2000\n\n")[2]:
                data += sock.recv(4096)
        self.assertNotIn(b"chunked", data)
        self.assertIn(b"\r\n\r\nretry: 2000\n\nid: 1\nevent: migration\n", data)

    def test_heartbeats(self):
        stream = self.listen(timeout=20)
        self.assertEqual(stream.block(), "retry: 2000")
        self.assertEqual(stream.block(), ":")


class EndTest(StreamTest):
    def test_ends_cleanly_when_the_server_drains(self):
        stream = self.listen()
        started = time.monotonic()
        self.server.send_signal(signal.SIGTERM)
        self.assertIsNone(stream.event())
        self.assertTrue(stream.ended_cleanly)
        self.server.wait()
        self.assertLess(time.monotonic() - started, 5)

    def test_clients_that_leave_are_forgotten(self):
        before = self.server.file_descriptors()
        streams = [self.listen() for _ in range(20)]
        for number, stream in enumerate(streams):
            if number % 2:  # with a reset
                stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            stream.close()
        # Those to Postgres come and go meanwhile.
        wait_until(lambda: self.server.file_descriptors() < before + 10, 10, "their connections to be closed")

    def test_idle_streams_cost_nothing(self):
        streams = [self.listen() for _ in range(20)]
        self.assertEqual({stream.block() for stream in streams}, {"retry: 2000"})
        self.assert_idle(self.server, seconds=2)

    def test_postgres_restarts(self):
        stream = self.listen()
        self.cluster.restart()
        self.migrate("ALTER TABLE items ADD a text")
        self.assert_events(stream.take(1), 2, 2)

    def test_places_are_kept_for_others(self):
        with self.serve(MAX_HTTP="16") as server:
            for _ in range(14):
                self.listen(server=server).block()
            refused = api.get(server.http_port, PATH)
            self.assertEqual((refused.status, refused.headers["retry-after"]), (503, "10"))
            self.assertEqual(api.get(server.http_port, "/healthz").status, 200)


class SlowTest(StreamTest):
    def test_a_slow_reader_costs_little_and_misses_nothing(self):
        self.migrate("CALL electric.sqlite('CREATE VIEW v AS SELECT ''" + "x" * 20000 + "''')")
        slow = [self.listen(PATH + "&after=0", receive_buffer=4096, timeout=60) for _ in range(10)]
        quick = self.listen(PATH + "&after=2")
        before = self.server.memory("VmHWM")
        for n in range(10):
            self.migrate("DO $$ BEGIN FOR n IN 1..50 LOOP CALL electric.sqlite('CREATE VIEW v AS SELECT ''" + "x" * 20000 + "''');"
                         " COMMIT; END LOOP; END $$")
            self.assert_events(quick.take(50), 3 + n * 50, 52 + n * 50)
        grown = self.server.memory("VmHWM") - before
        print(f"\n10 slow readers, 500 events of 50 kB: {grown} KiB more")
        if not sanitized():
            self.assertLess(grown, 64 * 1024)
        self.assert_events(slow[0].take(502, 120), 1, 502)


class TicketTest(StreamTest):
    settings = {"API_AUTH": "password", "API_TOKEN": "t0ken"}

    def ticket(self, server=None):
        answer = api.get((server or self.server).http_port, "/api/ticket", api.bearer("t0ken"))
        self.assertEqual((answer.status, answer.json()["expires_in"]), (200, 600))
        self.assertEqual(answer.headers["cache-control"], "no-store")
        return answer.json()["token"]

    def test_a_ticket_opens_the_stream_and_nothing_else(self):
        token = self.ticket()
        stream = self.listen(f"{PATH}&token={token}")
        self.assertEqual(stream.status, 200)
        self.assertEqual(api.get(self.server.http_port, f"/api/migrations?dialect=sqlite&token={token}").status, 401)
        self.assertEqual(api.get(self.server.http_port, f"/api/ticket?token={token}").status, 401)

    def test_needs_credentials(self):
        self.assertEqual(api.get(self.server.http_port, "/api/ticket").status, 401)
        self.assertEqual(api.get(self.server.http_port, PATH).status, 401)

    def test_forged_and_expired(self):
        token = self.ticket()
        other = f"{int(token[:16], 16) + 1:016x}" + token[16:]
        for forged in (other, token[:-1], token + "0", "", "0" * 80):
            self.assertEqual(api.get(self.server.http_port, f"{PATH}&token={forged}").status, 401, forged)

    def test_is_good_for_every_replica_of_these_credentials(self):
        token = self.ticket()
        with self.serve() as other:
            self.assertEqual(self.listen(f"{PATH}&token={token}", server=other).status, 200)
        with self.serve(API_TOKEN="another") as other:
            self.assertEqual(api.get(other.http_port, f"{PATH}&token={token}").status, 401)


class Listener(threading.Thread):
    """Comes again whenever its stream ends, and goes on where it was."""

    def __init__(self, ports, last):
        super().__init__(daemon=True)
        self.ports = ports
        self.last = last
        self.position = None
        self.seen = []
        self.at = {}
        self.opened = threading.Event()
        self.failure = None

    def run(self):
        try:
            while not self.seen or self.seen[-1] < self.last:
                self.listen()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def listen(self):
        headers = {"Last-Event-ID": str(self.position)} if self.position is not None else {}
        try:
            stream = api.EventStream(self.ports(), PATH, headers, timeout=60)
        except (OSError, ValueError, IndexError):
            time.sleep(0.2)
            return
        with stream:
            if stream.status != 200:
                time.sleep(0.2)
                return
            stream.block()
            self.opened.set()
            try:
                while not self.seen or self.seen[-1] < self.last:
                    event = stream.event()
                    if event is None:
                        return
                    self.position = event[0]
                    self.seen.append(event[0])
                    self.at[event[0]] = time.monotonic()
            except OSError:
                return


class CrowdTest(StreamTest):
    settings = {"MAX_HTTP": str(max(1000, LISTENERS * 2))}

    def write(self, port, writer, count, committed):
        with wire.connect("127.0.0.1", port, self.server.password, timeout=60) as session:
            for n in range(count):
                failed = [m.fields() for m in session.query(f"ALTER TABLE items ADD w{writer}_{n} text") if m.type == "E"]
                if failed:
                    raise AssertionError(failed)
                committed.append(time.monotonic())

    def run_writers(self, port, name, total):
        committed = []
        writers = [threading.Thread(target=self.write, args=(port, f"{name}{n}", total // WRITERS, committed)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(120)
        self.assertEqual(len(committed), total // WRITERS * WRITERS)

    def test_every_listener_gets_every_migration_once_across_a_restart(self):
        total = MIGRATIONS // (2 * WRITERS) * 2 * WRITERS
        port = [self.server.http_port]
        listeners = [Listener(lambda: port[0], 1 + total) for _ in range(LISTENERS)]
        for listener in listeners:
            listener.start()
        for listener in listeners:
            self.assertTrue(listener.opened.wait(30))
        self.run_writers(self.server.pg_port, "a", total // 2)
        with self.serve() as second:
            port[0] = second.http_port
            self.server.stop()
            self.run_writers(second.pg_port, "b", total // 2)
            for listener in listeners:
                listener.join(120)
                self.assertIsNone(listener.failure)
                self.assertEqual(listener.seen, list(range(2, 2 + total)))
            print(f"\n{LISTENERS} listeners, {total} migrations of {WRITERS} writers, one restart;"
                  f" VmHWM {second.memory('VmHWM')} KiB")

    def test_latency(self):
        """From the end of a commit to its event, on this replica and on another."""
        with self.serve() as other:
            for server, limit in ((self.server, 1.5), (other, 2.5)):
                stream = self.listen(server=server)
                stream.block()
                delays = []
                with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as session:
                    for n in range(10):
                        session.query(f"ALTER TABLE items ADD l{server.http_port}_{n} text")
                        committed = time.monotonic()
                        stream.take(1)
                        delays.append(time.monotonic() - committed)
                        time.sleep(0.05)
                delays.sort()
                print(f"\nwake-up: median {delays[5] * 1000:.1f} ms, worst {delays[-1] * 1000:.1f} ms")
                self.assertLess(delays[-1], limit)


if __name__ == "__main__":
    import unittest
    unittest.main()
