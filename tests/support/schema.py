"""Databases with the schema `electric` in them, for the tests of its SQL.

ENABLE_INSTALL is the program built from enable_install.c, which prepares a database as the server does
at start. Tests run on the newest Postgres installed, and some also on each of the majors found in
PG_BINDIRS, a list of directories with initdb and postgres, separated by colons.
"""

import itertools
import os
import re
import socket
import subprocess
import unittest

from tests.support import wire
from tests.support.cluster import Cluster, find_bindir

OLDEST, NEWEST = 14, 18


def major_of(bindir):
    done = subprocess.run([os.path.join(bindir, "postgres"), "--version"], check=True, capture_output=True, text=True)
    return int(re.search(r"\) (\d+)", done.stdout).group(1))


def bindirs():
    """Majors and where they are; the default one wins."""
    extra = [directory for directory in os.environ.get("PG_BINDIRS", "").split(":") if directory]
    return {major_of(directory): directory for directory in [*extra, find_bindir()]}


def statements(script):
    """The statements of a script whose quotes are all single ones."""
    return [part.strip() for part in re.split(r";(?=(?:[^']*'[^']*')*[^']*$)", script) if part.strip()]


class Session(wire.Connection):
    """A connection over the unix socket, which trusts everybody."""

    def __init__(self, cluster, dbname="postgres", user="postgres", **parameters):
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(os.path.join(cluster.directory, f".s.PGSQL.{cluster.port}"))
        super().__init__(stream, timeout=60.0)
        self.login("", user=user, database=dbname, **parameters)

    def run(self, script):
        """Runs statement by statement; raises ServerError."""
        for sql in statements(script):
            self.value(sql)
        return self

    def ask(self, sql):
        """An ErrorResponse's fields, or None, and the notices as (severity, text)."""
        answers = self.query(sql)
        notices = [(m.fields()["V"], m.fields()["M"]) for m in answers if m.type == "N"]
        errors = [m.fields() for m in answers if m.type == "E"]
        return (errors[0] if errors else None), notices

    def column(self, sql):
        answers = self.query(sql)
        for answer in answers:
            if answer.type == "E":
                raise wire.ServerError(answer.fields())
        return [answer.row()[0].decode() for answer in answers if answer.type == "D"]

    def electrified(self):
        return self.column('SELECT name FROM electric.electrified ORDER BY name COLLATE "C"')


def install(url, capture=False):
    """What enable_install printed, by key."""
    program = os.environ.get("ENABLE_INSTALL")
    if not program:
        raise RuntimeError("set ENABLE_INSTALL to the path of the built program")
    done = subprocess.run([program, url, *(["capture"] if capture else [])], capture_output=True, text=True, timeout=60)
    if done.returncode not in (0, 1) or done.stderr:
        raise AssertionError(f"enable_install exited with {done.returncode}: {done.stderr}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


class DatabaseTest(unittest.TestCase):
    """A cluster for the class, and for each test a database of its own with the schema in it."""

    bindir = None
    settings = {}
    capture = False
    numbers = itertools.count(1)
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(bindir=cls.bindir, settings=cls.settings))
        cls.major = major_of(cls.cluster.bindir)
        with Session(cls.cluster) as session:
            session.run("CREATE DATABASE model")
            session.run("CREATE ROLE alice; CREATE ROLE bob; CREATE ROLE carol LOGIN IN ROLE alice")
        answer = install(cls.cluster.url("model"), cls.capture)
        if answer["status"] != "OK":
            raise AssertionError(answer)

    def createdb(self, template="model"):
        name = f"db{next(self.numbers)}"
        with Session(self.cluster) as session:
            session.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def setUp(self):
        self.dbname = self.createdb()
        self.addCleanup(self.dropdb, self.dbname)
        self.session = self.connect()

    def dropdb(self, name):
        with Session(self.cluster) as session:
            session.run(f"DROP DATABASE {name} WITH (FORCE)")

    def connect(self, user="postgres", dbname=None, **parameters):
        return self.enterContext(Session(self.cluster, dbname or self.dbname, user, **parameters))

    def assert_refused(self, sqlstate, message, sql, session=None):
        error, _ = (session or self.session).ask(sql)
        self.assertIsNotNone(error, f"{sql} succeeded")
        self.assertEqual((error["C"], error["M"]), (sqlstate, message))
        return error

    def assert_ok(self, sql, session=None):
        error, _ = (session or self.session).ask(sql)
        self.assertIsNone(error)


def on_each_major(loader, standard_tests, *kinds):
    """A suite in which the classes `kinds` are run once a major, named after it."""
    found = bindirs()
    suite = unittest.TestSuite(test for test in standard_tests if not any(contains(test, kind) for kind in kinds))
    for kind, major in itertools.product(kinds, range(OLDEST, NEWEST + 1)):
        one = type(f"{kind.__name__}On{major}", (kind,), {"bindir": found.get(major)})
        if major not in found:
            one = unittest.skip(f"no Postgres {major} in PG_BINDIRS")(one)
        suite.addTests(loader.loadTestsFromTestCase(one))
    return suite


def contains(suite, kind):
    return any(type(test) is kind for test in suite)
