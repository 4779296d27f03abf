"""The rig of the end-to-end tests: one Postgres, electric-proxy, and every way in.

A driver is a program of its own that finds DATABASE_URL and TABLE (a name of its own to begin its
tables' names with) in its environment, prints "ok <step>" a step, and exits with 0. Its test names
the steps, so that a driver that stops early does not pass.
"""

import os
import re
import shutil
import signal
import subprocess

from tests.end_to_end import tools
from tests.support.cluster import Cluster
from tests.support.process import free_port
from tests.support.programs import Client, Program, ProgramTest, Server, environment, postgres_url

DRIVER_TIMEOUT = 100


class LegacyClient(Program):
    """The legacy CLI's tunnel: a foreign client of the raw protocol."""

    name = "legacy-cli"
    clean_exit = (-signal.SIGTERM, 128 + signal.SIGTERM, 0)

    def __init__(self, service):
        self.port = free_port()
        self.directory = tools.legacy_cli()
        # Not through node_modules/.bin or npx, so that a signal reaches the program itself.
        entry = os.path.realpath(os.path.join(self.directory, "node_modules/.bin/electric-sql"))
        super().__init__([shutil.which("env"), "-C", self.directory, shutil.which("node"), entry, "proxy-tunnel",
                          "--service", service, "--local-port", str(self.port)])

    def wait_ready(self):
        self.wait_for(r"listening on port", output=self.stdout)

    def url(self, password, dbname="postgres", user="postgres", **parameters):
        return postgres_url(self.port, password, dbname, user, **parameters)


class EndToEndTest(ProgramTest):
    """Starts the pair once a class. `url(entrance)` is a way in: "tcp", "tunnel" or "legacy"."""

    server_settings = {}

    @classmethod
    def find_tools(cls):
        """Overridden by tests that need any; raises SkipTest, and so skips the class."""

    @classmethod
    def setUpClass(cls):
        cls.find_tools()
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), **cls.server_settings))
        cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.legacy = None

    @classmethod
    def url(cls, entrance, **parameters):
        if entrance == "tcp":
            return cls.server.url(**parameters)
        if entrance == "tunnel":
            return cls.tunnel.url(cls.server.password, **parameters)
        if cls.legacy is None:
            cls.legacy = cls.start_once(LegacyClient(cls.server.service))
        return cls.legacy.url(cls.server.password, **parameters)

    def is_electrified(self, table):
        """Asked of Postgres itself, past the proxy."""
        return self.cluster.psql(f"SELECT count(*) FROM electric.tables WHERE name = '{table}'") == "1"

    def run_driver(self, argv, steps, entrance, variables=None, cwd=None):
        table = f"{type(self).__name__}_{entrance}".lower()
        given = {"DATABASE_URL": self.url(entrance), "TABLE": table, **(variables or {})}
        try:
            done = subprocess.run(argv, env=environment(given), cwd=cwd, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=DRIVER_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.fail(f"it hangs; it had said: {error.stdout} {error.stderr}")
        self.assertEqual(re.findall(r"^ok (.*)$", done.stdout, re.MULTILINE), list(steps), done.stdout + done.stderr)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue(self.is_electrified(table))
        self.assertFalse(self.is_electrified(table + "_gone"))


class DriverTest(EndToEndTest):
    """A driver through every entrance: `find_tools` leaves its argv in `command`; `steps` is what it
    says it did.
    """

    steps = ()
    command = ()

    def variables(self, _entrance):
        """More of the driver's environment."""
        return {}

    def through(self, entrance):
        self.run_driver(self.command, self.steps, entrance, self.variables(entrance))

    def test_through_the_tcp_port(self):
        self.through("tcp")

    def test_through_electric_tunnel(self):
        self.through("tunnel")

    def test_through_the_legacy_cli(self):
        self.through("legacy")


def driver(*path):
    return os.path.join(tools.DRIVERS, *path)
