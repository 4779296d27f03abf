"""Postgres behind TLS: what DATABASE_URL and DATABASE_REQUIRE_SSL ask for is what happens."""

import os
import unittest

from tests.support import wire
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server, UnreadyServer, login_error


class UpstreamTlsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(tls="only"))

    def log_in(self, server):
        session = wire.connect("127.0.0.1", server.pg_port, server.password, timeout=30)
        self.addCleanup(session.close)
        return session

    def assert_encrypted(self, session):
        self.assertEqual(session.value("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), "t")

    def assert_works(self, session):
        """Much both ways, a COPY, an error: the hand-off from libpq lost nothing."""
        self.assert_encrypted(session)
        self.assertEqual(session.value("SELECT length('" + "x" * 5_000_000 + "')"), "5000000")
        rows = session.query("SELECT repeat('y', 10000) FROM generate_series(1, 1000)")
        self.assertEqual(sum(len(one.body) for one in rows if one.type == "D"), 1000 * 10006)
        session.query("CREATE TEMP TABLE t (a text)")
        session.send(wire.query("COPY t FROM STDIN"))
        session.receive_until("G")
        session.send(*(wire.copy_data("z" * 9999 + "\n") for _ in range(500)), wire.copy_done())
        self.assertEqual(session.receive_until("Z")[0].tag(), "COPY 500")
        self.assertEqual(session.query("SELECT nope")[0].fields()["C"], "42703")

    def refusal(self, server):
        fields = login_error(server.pg_port, server.password)
        self.assertIsNotNone(fields)
        self.assertEqual(fields["S"], "FATAL")
        return fields

    def test_require(self):
        server = self.start(Server(self.cluster.url(sslmode="require")))
        self.assert_works(self.log_in(server))

    def test_verify_full(self):
        server = self.start(Server(self.cluster.url(host="localhost", sslmode="verify-full",
                                                    sslrootcert=self.cluster.ca_file())))
        self.assert_works(self.log_in(server))

    def test_channel_binding(self):
        server = self.start(Server(self.cluster.url(sslmode="require", channel_binding="require")))
        self.assert_works(self.log_in(server))

    def test_require_ssl_without_sslmode(self):
        server = self.start(Server(self.cluster.url(), DATABASE_REQUIRE_SSL="true"))
        self.assert_encrypted(self.log_in(server))

    def test_preferred_without_require_ssl(self):
        server = self.start(Server(self.cluster.url(), DATABASE_REQUIRE_SSL="false"))
        self.assert_encrypted(self.log_in(server))

    def test_many_statements_one_by_one(self):
        session = self.log_in(self.start(Server(self.cluster.url(sslmode="require"))))
        for i in range(300):
            self.assertEqual(session.value(f"SELECT {i}"), str(i))

    def test_cancel(self):
        server = self.start(Server(self.cluster.url(sslmode="require")))
        session = self.log_in(server)
        session.send(wire.query("SELECT pg_sleep(60)"))
        with wire.connect("127.0.0.1", server.pg_port) as canceller:
            canceller.send(wire.cancel_request(session.pid, session.secret))
            self.assertTrue(canceller.is_closed())
        self.assertEqual(session.receive_until("E", timeout=5)[-1].fields()["C"], "57014")

    def test_authority_that_is_not_trusted(self):
        other = Authority(os.path.join(self.cluster.directory, "other-tls"))
        server = self.start(UnreadyServer(self.cluster.url(host="localhost", sslmode="verify-full",
                                                           sslrootcert=other.certificate)))
        fields = self.refusal(server)
        self.assertEqual(fields["C"], "08001")
        self.assertIn("certificate verify failed", fields["M"])

    def test_name_that_is_not_in_the_certificate(self):
        server = self.start(UnreadyServer(self.cluster.url(
            host="127.0.0.2", sslmode="verify-full", sslrootcert=self.cluster.ca_file(), hostaddr="127.0.0.1")))
        self.assertEqual(self.refusal(server)["C"], "08001")


class PlainUpstreamTest(ProgramTest):
    def test_clear_text_is_refused_unless_allowed(self):
        cluster = self.enterContext(Cluster())
        server = self.start(UnreadyServer(cluster.url(), DATABASE_REQUIRE_SSL="true"))
        fields = login_error(server.pg_port, server.password)
        self.assertEqual(fields["C"], "08001")
        self.assertIn("SSL", fields["M"])

    def test_md5_upstream(self):
        cluster = self.enterContext(Cluster(auth="md5"))
        server = self.start(Server(cluster.url()))
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")

    def test_unix_socket_upstream(self):
        cluster = self.enterContext(Cluster())
        server = self.start(Server(f"postgresql://postgres@/postgres?host={cluster.directory}&port={cluster.port}"))
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")


if __name__ == "__main__":
    unittest.main()
