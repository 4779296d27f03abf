"""GET /metrics: Prometheus can read it, and it counts what happens."""

import re

from tests.support import api, wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Relay, Server, psql

SAMPLE = re.compile(r'^([a-z_]+)(\{[a-z_]+="[^"\\\n]*"(?:,[a-z_]+="[^"\\\n]*")*\})? (\+Inf|[0-9.e+-]+)$')


def parse(text):
    """Samples by name with labels; every name must be announced, once, with a type."""
    types, samples = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if name in types:
                raise AssertionError(f"{name} is announced twice")
            types[name] = kind
        elif line.startswith("# HELP "):
            continue
        else:
            match = SAMPLE.match(line)
            if match is None:
                raise AssertionError(f"not a sample: {line!r}")
            name, labels, value = match.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            if name not in types and types.get(family) != "histogram":
                raise AssertionError(f"{name} has no type")
            key = name + (labels or "")
            if key in samples:
                raise AssertionError(f"{key} is there twice")
            samples[key] = float(value)
    return samples


class MetricsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), CAPTURE="true", API_TOKEN="t0ken"))

    def scrape(self):
        answer = api.get(self.server.http_port, "/metrics", api.bearer("t0ken"))
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return parse(answer.body.decode())

    def grown(self, name, before):
        return self.scrape().get(name, 0) - before.get(name, 0)

    def test_needs_credentials(self):
        self.assertEqual(api.get(self.server.http_port, "/metrics").status, 401)
        self.assertEqual(api.get(self.server.http_port, "/metrics", api.basic(self.server.password)).status, 200)

    def test_build_info(self):
        self.assertTrue([name for name in self.scrape() if re.fullmatch(r'electric_build_info\{version="[0-9.]+"\}', name)])

    def test_histograms_add_up(self):
        samples = self.scrape()
        for family in ("electric_event_loop_lag_seconds", "electric_upstream_connect_seconds"):
            buckets = [value for name, value in samples.items() if name.startswith(f"{family}_bucket")]
            self.assertEqual(buckets, sorted(buckets))
            self.assertEqual(buckets[-1], samples[f"{family}_count"])

    def test_the_loop_is_watched(self):
        name = "electric_event_loop_lag_seconds_count"
        before = self.scrape()
        wait_until(lambda: self.grown(name, before) >= 1, 10, "a look at the loop")

    def test_requests(self):
        before = self.scrape()
        for path, status, count in (("/api/migrations?dialect=x", 403, 3), ("/healthz", 200, 2), ("/nowhere", 404, 2), ("/else", 404, 1)):
            for _ in range(count):
                self.assertEqual(api.get(self.server.http_port, path, api.bearer("t0ken")).status, status)
        self.assertEqual(self.grown('electric_http_requests_total{path="/api/migrations",status="403"}', before), 3)
        self.assertEqual(self.grown('electric_http_requests_total{path="/healthz",status="200"}', before), 2)
        self.assertEqual(self.grown('electric_http_requests_total{path="other",status="404"}', before), 3)

    def test_migrations_and_streams(self):
        before = self.scrape()
        for sql in ("CREATE TABLE items (id int PRIMARY KEY)", "ALTER TABLE items ENABLE ELECTRIC", "ALTER TABLE items ADD a text"):
            self.assertEqual(psql(self.server.url(), "-c", sql).returncode, 0)
        wait_until(lambda: self.grown("electric_migrations_captured_total", before) == 2, 10, "two migrations")
        with api.EventStream(self.server.http_port, "/api/migrations/stream?dialect=sqlite", api.bearer("t0ken")):
            self.assertEqual(self.scrape()["electric_stream_listeners"], 1)
        wait_until(lambda: self.scrape()["electric_stream_listeners"] == 0, 10, "the stream to end")

    def test_sessions(self):
        name = 'electric_sessions{entrance="tcp",mode="electric",state="open"}'
        before = self.scrape()
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as session:
            session.query("SELECT 1")
            self.assertEqual(self.scrape().get(name), 1)
        wait_until(lambda: name not in self.scrape(), 10, "the session to end")
        self.assertEqual(self.grown('electric_sessions_total{entrance="tcp"}', before), 1)
        self.assertEqual(self.grown("electric_upstream_connect_seconds_count", before), 1)
        self.assertGreater(self.grown('electric_bytes_total{direction="up"}', before), 50)
        self.assertGreater(self.grown('electric_bytes_total{direction="down"}', before), 200)

    def test_statements_and_refusals(self):
        before = self.scrape()
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password) as session:
            session.query("CREATE TABLE refused (id int PRIMARY KEY, a text)")
            session.query("ELECTRIC ENABLE refused")
            session.query("ALTER TABLE refused DROP COLUMN a")
            session.query("SELECT 1")
        for kind, count in (("schema", 2), ("ddlx", 1), ("other", 1)):
            self.assertEqual(self.grown(f'electric_statements_total{{class="{kind}"}}', before), count, kind)
        self.assertEqual(self.grown('electric_refusals_total{sqlstate="EX010"}', before), 1)

    def test_a_relay_has_metrics_too(self):
        with Relay(self.cluster.port, API_TOKEN="t0ken") as relay:
            self.assertEqual(api.get(relay.http_port, "/metrics").status, 401)
            answer = api.get(relay.http_port, "/metrics", api.bearer("t0ken"))
            self.assertIn("electric_http_connections", parse(answer.body.decode()))


if __name__ == "__main__":
    import unittest
    unittest.main()
