"""Migrations through the real programs, capture switched on: what they run on and how they are watched.

ELECTRIC_LONG=1 chooses the long form of these tests; ELECTRIC_SEED repeats a run of those that try
things at random, which print their seed.
"""

import os
import random

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.ledger import LedgerChecks
from tests.support.programs import Client, ProgramTest, Server
from tests.support.schema import Session, major_of

LONG = os.environ.get("ELECTRIC_LONG", "0") not in ("", "0")
DATABASE = "app"
MODEL = "model"


def extent(short, long):
    """How much a test does: `short` unless the long form is asked for."""
    return long if LONG else short


def seed():
    """For a test to print, and to make its random numbers from."""
    return int(os.environ.get("ELECTRIC_SEED") or random.randrange(1 << 31))


class Proxied(Session):
    """A conversation through the programs, by TCP."""

    def __init__(self, port, password, database=DATABASE, **login):
        wire.Connection.__init__(self, wire.dial("127.0.0.1", port), timeout=60.0)
        try:
            self.login(password, database=database, **login)
        except BaseException:
            self.close()
            raise


def extended(session, *statements):
    """All in one pipeline with one Sync: the answers up to ReadyForQuery."""
    session.send(*(one for sql in statements for one in (
        wire.parse(sql), wire.bind(), wire.describe_portal(), wire.execute())), wire.sync())
    return session.receive_until("Z")


def error_of(answers):
    """The fields of the first ErrorResponse among `answers`, or None."""
    return next((one.fields() for one in answers if one.type == "E"), None)


def tags(answers):
    return [one.tag() for one in answers if one.type == "C"]


def notices(answers):
    return [one.fields()["M"] for one in answers if one.type == "N"]


class MigrationTest(LedgerChecks, ProgramTest):
    """A cluster, a server that captures in the database DATABASE, a tunnel to it.

    Each test begins with a fresh copy of what `prepare` made, with `session` beside the programs.
    """

    bindir = None
    settings = {"max_prepared_transactions": 10, "deadlock_timeout": "50ms"}

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(bindir=cls.bindir, settings=cls.settings))
        cls.major = major_of(cls.cluster.bindir)
        with Session(cls.cluster) as session:
            session.run(f"CREATE DATABASE {MODEL}")
        with Server(cls.cluster.url(MODEL), CAPTURE="true") as server, \
                Proxied(server.pg_port, server.password, MODEL) as session:
            cls.prepare(session)
        cls.copy_model()
        cls.server = cls.start_once(Server(cls.cluster.url(DATABASE), CAPTURE="true"))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    @classmethod
    def prepare(cls, session):
        """What every test finds; `session` goes through a server."""

    @classmethod
    def copy_model(cls):
        """The server notices nothing but a connection lost: its sessions are made when clients come."""
        with Session(cls.cluster) as session:
            session.run(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE); CREATE DATABASE {DATABASE} TEMPLATE {MODEL}")

    def setUp(self):
        self.copy_model()
        self.session = self.beside()
        self.before = self.head()

    def through(self, entrance="tcp", **login):
        """A session through the server's TCP port or, with "tunnel", through both programs."""
        port = {"tcp": self.server.pg_port, "tunnel": self.tunnel.port}[entrance]
        return self.enterContext(Proxied(port, self.server.password, **login))

    def beside(self, user="postgres", **parameters):
        """A session directly on Postgres."""
        return self.enterContext(Session(self.cluster, DATABASE, user, **parameters))

    def assert_captured(self, *migrations):
        """These, and no others, since `before`."""
        self.assertEqual(self.migrations(self.before), list(migrations))
        self.assert_sound()

    def assert_refused(self, code, sql, session):
        error, _ = session.ask(sql)
        self.assertIsNotNone(error, f"{sql} succeeded")
        self.assertEqual(error["C"], code, error)
        return error

    def assert_done(self, sql, session):
        error, _ = session.ask(sql)
        self.assertIsNone(error, sql)
