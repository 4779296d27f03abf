"""The server's reader of the ledger: it sees what commits, whoever made it, and survives its connection."""

import re
import time

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Server, psql


class LedgerTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())
        self.server = self.start(Server(self.cluster.url(), CAPTURE="true"))

    def migrate(self, sql, server=None):
        done = psql((server or self.server).url(), "-c", sql)
        self.assertEqual((done.returncode, done.stderr.count("ERROR")), (0, 0), done.stderr)

    def captured(self, server=None):
        return re.findall(r"migration (\d\S*) captured: (.*)", (server or self.server).stderr())

    def test_a_line_for_each_migration(self):
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password, application_name="shell") as session:
            for sql in ("CREATE TABLE items (id int PRIMARY KEY, a text, b text)", "ALTER TABLE items ENABLE ELECTRIC",
                        "ALTER TABLE items ADD qty int"):
                self.assertFalse([m.fields() for m in session.query(sql) if m.type == "E"])
            self.server.wait_for(r"captured: items \(add column qty\), application shell$")
        self.assertEqual([text for _, text in self.captured()],
                         ["items (create table, 3 columns), application shell", "items (add column qty), application shell"])

    def test_framework_and_label_are_named(self):
        self.migrate("CREATE TABLE schema_migrations (version text PRIMARY KEY)")
        self.migrate("BEGIN; CREATE TABLE items (id int PRIMARY KEY); CALL electric.enable('items');"
                     " INSERT INTO schema_migrations VALUES ('20240101000002'); COMMIT")
        self.server.wait_for(r"migration 20240101000002 captured: items \(create table, 1 column\)"
                             r" by rails \(20240101000002\), application psql$")

    def test_what_another_replica_made(self):
        with Server(self.cluster.url(), CAPTURE="true") as other:
            self.migrate("CREATE TABLE items (id int PRIMARY KEY)")
            self.migrate("ALTER TABLE items ENABLE ELECTRIC")
            started = time.monotonic()
            other.wait_for(r"captured: items")
            self.assertLess(time.monotonic() - started, 3)

    def test_a_lost_connection_is_made_again_and_nothing_is_missed(self):
        self.migrate("CREATE TABLE items (id int PRIMARY KEY)")
        self.cluster.psql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'electric-proxy'")
        self.server.wait_for(r"ledger: .*trying again until it works")
        self.migrate("ALTER TABLE items ENABLE ELECTRIC")
        self.server.wait_for(r"ledger: connected again")
        self.server.wait_for(r"captured: items")
        self.assertEqual(len(self.captured()), 1)

    def test_postgres_restarts(self):
        self.migrate("CREATE TABLE items (id int PRIMARY KEY)")
        self.cluster.restart()
        self.server.wait_for(r"ledger: connected again")
        self.migrate("ALTER TABLE items ENABLE ELECTRIC")
        self.server.wait_for(r"captured: items")

    def test_a_replaced_ledger_is_noticed(self):
        self.migrate("CREATE TABLE items (id int PRIMARY KEY)")
        self.migrate("ALTER TABLE items ENABLE ELECTRIC")
        self.server.wait_for(r"captured: items")
        self.cluster.psql("BEGIN; DELETE FROM electric.migrations; UPDATE electric.head SET seq = 0, version = '', hash = '';"
                          "COMMIT")
        self.server.wait_for(r"ledger was replaced: it ends at migration 0 now, not at 1")

    def test_many_at_once(self):
        """More than one page, in order and each once."""
        self.migrate("CREATE TABLE items (id int PRIMARY KEY)")
        self.migrate("ALTER TABLE items ENABLE ELECTRIC")
        self.migrate("DO $$ BEGIN FOR n IN 1..450 LOOP EXECUTE format('ALTER TABLE items ADD c%s int', n); COMMIT;"
                     " END LOOP; END $$")
        wait_until(lambda: len(self.captured()) == 451, 20, "451 lines")
        self.assertEqual([text.split(" ")[3] for _, text in self.captured()[1:]], [f"c{n})," for n in range(1, 451)])

    def test_nothing_is_read_without_capture(self):
        with Cluster() as cluster, Server(cluster.url(), CAPTURE="false") as server:
            self.assertNotIn("ledger", server.stderr())
            readers = cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                                   " AND (query LIKE '%electric_migrations%' OR query LIKE '%electric.head%')")
            self.assertEqual(readers, "0")

    def test_idle_costs_nothing(self):
        self.assert_idle(self.server, seconds=2)


if __name__ == "__main__":
    import unittest
    unittest.main()
