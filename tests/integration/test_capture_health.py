"""The server looks after the engine: at start and every few minutes, saying once what is wrong and once when it is over."""

import os
import unittest

from tests.integration.test_capture import HERE
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Server, psql
from tests.support.schema import Session


class HealthTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster(settings={"max_prepared_transactions": 5}))
        with Server(self.cluster.url(), HEALTH_INTERVAL="off", CAPTURE="true"), Session(self.cluster) as session, \
                open(os.path.join(HERE, "capture_base.sql"), encoding="utf-8") as file:
            session.run("CREATE ROLE dev LOGIN")
            session.run(file.read())
        self.session = self.enterContext(Session(self.cluster))

    def serve(self, **variables):
        return self.start(Server(self.cluster.url(), **{"HEALTH_INTERVAL": "200ms", "CAPTURE": "true", **variables}))

    def disable(self, change):
        self.session.run("ALTER EVENT TRIGGER electric_ddl DISABLE; ALTER EVENT TRIGGER electric_drop DISABLE;"
                         f"{change}; ALTER EVENT TRIGGER electric_ddl ENABLE ALWAYS; ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS")

    def looks(self):
        """How often one has begun, since each connects anew."""
        return int(self.session.value("SELECT sessions FROM pg_stat_database WHERE datname = 'postgres'"))

    def test_problems_are_said_once_and_when_they_are_over(self):
        server = self.serve()
        self.disable("ALTER TABLE items DROP b")
        server.wait_for(r'engine: table "public"."items": it was changed beside the proxy .* Cannot drop column "b".*'
                        r"Change it back, or run ALTER TABLE")
        self.session.run("ALTER TABLE electric.pending DISABLE TRIGGER ALL")
        server.wait_for("engine: commit hook: the trigger on electric.pending does not fire. Run ALTER TABLE")
        self.session.run("ALTER TABLE electric.pending ENABLE ALWAYS TRIGGER on_commit")
        server.wait_for("engine: commit hook: no longer: ")
        before = self.looks()
        wait_until(lambda: self.looks() > before + 3, 30, "more looks")
        self.session.run("CALL electric.disable('items')")
        server.wait_for('engine: table "public"."items": no longer')
        log = server.stderr()
        self.assertEqual([log.count(text) for text in ("Change it back", "does not fire. Run")], [1, 1])

    def test_what_can_be_captured_is(self):
        server = self.serve()
        self.disable("ALTER TABLE items ADD c int")
        server.wait_for('engine: table "public"."items": changes made beside the proxy are captured')
        self.assertEqual(self.session.value("SELECT source FROM electric.migrations ORDER BY seq DESC LIMIT 1"), "sweep")

    def test_a_look_that_fails(self):
        server = self.serve()
        self.session.run("ALTER FUNCTION electric.health() RENAME TO unhealthy")
        server.wait_for("engine: check: .*health.* does not exist")
        self.session.run("ALTER FUNCTION electric.unhealthy() RENAME TO health")
        # Not after 200 ms: whatever is the matter, it is not asked about all the time.
        self.assertNotIn("check: no longer", server.stderr())

    def test_nothing_waits_for_it(self):
        """A sweep that hangs on a lock keeps neither cancels nor the end waiting."""
        self.session.run("UPDATE electric.settings SET value = 'capture' WHERE name = 'direct_ddl';"
                         "CREATE INDEX ON items (lower(a))")
        blocker = self.enterContext(Session(self.cluster))
        blocker.run("BEGIN; LOCK TABLE items")
        server = self.serve()
        wait_until(lambda: self.session.value("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sweep_report%'"
                                              " AND wait_event_type = 'Lock'") == "1", 20, "the sweep to wait")
        done = psql(server.url(), "-c", "SELECT 1")
        self.assertEqual(done.returncode, 0, done.stderr)
        server.stop()

    def test_fallback_mode_is_said(self):
        self.session.run("CREATE ROLE app LOGIN PASSWORD 'app'; CREATE DATABASE d OWNER app")
        server = self.start(Server(self.cluster.url("d", "app", "app"), CAPTURE="true"))
        server.wait_for("engine: mode: this role may not create event triggers: .* Make role app a superuser")


if __name__ == "__main__":
    unittest.main()
