"""Fallback mode: the server's role owns the database but may not create event triggers.

A statement of the proxy's own follows each of the client's that may change tables, and the client's
answer is held until that one has judged. The verdicts are those of capture_cases.tsv but for the rows
of OTHERWISE.
"""

import os
import unittest

from tests.integration import test_migrations_cases as migrations_cases
from tests.integration.test_capture import HERE
from tests.support.cluster import Cluster
from tests.support.migrations import DATABASE, MODEL, MigrationTest, Proxied
from tests.support.programs import Client, Server
from tests.support.schema import Session, major_of, on_each_major

OWNER = "owner"
OWNERS_PASSWORD = "0wner's p@ss"

# What fallback mode judges otherwise.
OTHERWISE = migrations_cases.OTHERWISE | {
    # A block or function is judged by what it leaves, not statement by statement.
    "a refused change that is caught": "EX010",
    # What a procedure commits is found when it has ended.
    "a procedure that commits in between": "add_column,add_column",
    # No event trigger fires for REINDEX, but the proxy asks behind it.
    "a broken index repaired by REINDEX": "create_index",
    # No event trigger needs the function, so it can go; the health check tells.
    "the engine's function dropped": "escape",
} | {
    # Only a superuser may.
    "everything of its owner given away": "42501",
    "all triggers disabled": "42501",
    "event triggers disabled": "42704",
    "an event trigger dropped": "42704",
    "a name changed in the catalog by hand": "42501",
    "a table made part of an extension": "42501",
}


class FallbackTest(MigrationTest):
    """A cluster whose database belongs to an ordinary role, and a server that works as that role."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(bindir=cls.bindir, settings=cls.settings))
        cls.major = major_of(cls.cluster.bindir)
        with Session(cls.cluster) as session:
            password = OWNERS_PASSWORD.replace("'", "''")
            session.value(f"CREATE ROLE {OWNER} LOGIN CREATEDB PASSWORD '{password}'")
            session.run(f"CREATE ROLE dev LOGIN; GRANT dev TO {OWNER}; CREATE DATABASE {MODEL} OWNER {OWNER}")
        with cls.serve(MODEL) as server, Proxied(server.pg_port, server.password, MODEL) as session:
            cls.prepare(session)
        cls.copy_model()
        cls.server = cls.start_once(cls.serve(DATABASE))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    @classmethod
    def serve(cls, database):
        return Server(cls.cluster.url(database, OWNER, OWNERS_PASSWORD), CAPTURE="true")

    @classmethod
    def copy_model(cls):
        with Session(cls.cluster) as session:
            session.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE);"
                        f"CREATE DATABASE {DATABASE} TEMPLATE {MODEL} OWNER {OWNER}")

    def complaints(self, session=None):
        """Without that of the mode itself, which is always there."""
        return [one for one in super().complaints(session) if not one.startswith("mode: ")]

    @classmethod
    def prepare(cls, session):
        with open(os.path.join(HERE, "capture_base.sql"), encoding="utf-8") as file:
            session.run(file.read())


class FallbackCases(FallbackTest, migrations_cases.Cases):
    """Each row; run on every major that is there."""

    otherwise = OTHERWISE


def load_tests(loader, standard_tests, _pattern):
    return on_each_major(loader, standard_tests, FallbackTest, FallbackCases)


if __name__ == "__main__":
    unittest.main()
