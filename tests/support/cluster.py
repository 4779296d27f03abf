"""A throw-away Postgres: initdb in a temporary directory, unix socket and TCP on 127.0.0.1.

    with Cluster() as cluster:
        cluster.psql("CREATE TABLE t (id int)")
        connect_to(cluster.url())

Works as an ordinary user, and as root by dropping to user postgres (Postgres refuses root).
"""

import contextlib
import glob
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from urllib.parse import quote, urlencode

from tests.support.certificates import Authority
from tests.support.process import free_port, spawn, unprivileged_user, wait_until

USER = "postgres"
# Needs quoting in URLs and in SQL, so that nothing gets away with pasting it.
PASSWORD = "s3cret/ä:@%'"

START_TIMEOUT = 60
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def find_bindir():
    """Where initdb and postgres live: $PG_BINDIR, else the newest installed."""
    if os.environ.get("PG_BINDIR"):
        return os.environ["PG_BINDIR"]
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        newest = max(found, key=lambda path: int(path.split("/")[4]))
        return os.path.dirname(newest)
    return subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip()


class Cluster:
    """One Postgres server. `auth` is pg_hba's method for TCP; the unix socket trusts.

    `tls` offers TLS with a certificate for localhost and 127.0.0.1 from `authority`, made at start;
    `tls="only"` also refuses connections without it. `settings` are lines of postgresql.conf.
    """

    def __init__(self, tls=False, auth="scram-sha-256", bindir=None, settings=None):
        self.tls = tls
        self.auth = auth
        self.bindir = bindir or find_bindir()
        self.settings = dict(settings or {})
        self.host = "127.0.0.1"
        self.user = USER
        self.password = PASSWORD
        self.port = None
        self.directory = None
        self.authority = None
        self._account = unprivileged_user()
        self._process = None
        self._database_numbers = itertools.count(1)

    def __enter__(self):
        try:
            self._create()
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    # -- life ---------------------------------------------------------------------------------

    def start(self):
        """Starts the server and waits until it accepts connections; a port once had is kept."""
        for _ in range(5):
            port = self.port or free_port()
            self._spawn(port)
            if self._wait_ready():
                self.port = port
                return
            if "Address already in use" not in self.log():
                break
        raise RuntimeError(f"Postgres did not start:\n{self.log()}")

    def stop(self, mode="fast"):
        if self._process is None:
            return
        self._process.send_signal(STOP_SIGNALS[mode])
        self._process.wait(START_TIMEOUT)
        self._process = None

    def kill9(self):
        """Dies without a word; its backends notice and end by themselves."""
        self._process.kill()
        self._process.wait()
        self._process = None
        # The socket's lock and the shared memory belong to backends until they have noticed.
        wait_until(lambda: not self._backends(), 10, "orphaned backends to end")

    @contextlib.contextmanager
    def accepting_nothing(self):
        """New connections hang; those there are go on."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def close(self):
        if self._process is not None:
            self.stop("immediate")
        if self.directory is not None:
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = None

    # -- use ----------------------------------------------------------------------------------

    def url(self, dbname="postgres", user=None, password=None, host=None, port=None, **parameters):
        """A libpq URI over TCP; `parameters` become its query (sslmode="require", …)."""
        login = f"{quote(user or self.user, safe='')}:{quote(password or self.password, safe='')}"
        query = "?" + urlencode(parameters) if parameters else ""
        return f"postgresql://{login}@{host or self.host}:{port or self.port}/{quote(dbname, safe='')}{query}"

    def psql(self, sql, dbname="postgres", check=True):
        """Runs a script over the unix socket; returns its output, unaligned without headers."""
        done = subprocess.run(
            [os.path.join(self.bindir, "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.directory,
             "-p", str(self.port), "-U", self.user, "-d", dbname, "-f", "-"],
            input=sql, text=True, capture_output=True, timeout=120, env={**os.environ, "PGOPTIONS": ""})
        if check and done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr}\n{sql}")
        return done.stdout.rstrip("\n")

    def createdb(self, name=None, template="template1"):
        name = name or f"db{next(self._database_numbers)}"
        self.psql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def ca_file(self):
        """The authority's certificate, for sslrootcert; only with `tls`."""
        return self.authority.certificate

    def log(self):
        path = os.path.join(self.directory, "log")
        if not os.path.exists(path):
            return ""
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def clients(self):
        """How many client backends are connected, beside the one that asks and the proxy's own connection."""
        return int(self.psql("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
                             " AND application_name <> 'electric-proxy' AND pid <> pg_backend_pid()"))

    # -- inside -------------------------------------------------------------------------------

    def _create(self):
        self.directory = tempfile.mkdtemp(prefix="pg-")
        password_file = os.path.join(self.directory, "password")
        with open(password_file, "w", encoding="utf-8") as file:
            file.write(self.password + "\n")
        if self.tls:
            self.authority = Authority(os.path.join(self.directory, "tls"))
            self.certificate, self.key = self.authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])
        self._give_away()
        self._run("initdb", "-D", self._data(), "-U", self.user, "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8",
                  "--auth-local=trust", f"--auth-host={self.auth}", f"--pwfile={password_file}")
        self._configure()

    def _configure(self):
        settings = {
            "listen_addresses": self.host,
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_wal_senders": "2",
            "lc_messages": "C",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "password_encryption": "md5" if self.auth == "md5" else "scram-sha-256",
        }
        if self.tls:
            settings.update(ssl="on", ssl_cert_file=self.certificate, ssl_key_file=self.key,
                            ssl_ca_file=self.authority.certificate)
        settings.update(self.settings)
        with open(os.path.join(self._data(), "postgresql.conf"), "a", encoding="utf-8") as file:
            for name, value in settings.items():
                file.write("{} = '{}'\n".format(name, str(value).replace("'", "''")))
        kind = "hostssl" if self.tls == "only" else "host"
        with open(os.path.join(self._data(), "pg_hba.conf"), "w", encoding="utf-8") as file:
            file.write(f"local all all trust\n{kind} all all all {self.auth}\n")

    def _data(self):
        return os.path.join(self.directory, "data")

    def _give_away(self):
        """The account that runs Postgres must own the directory and its key."""
        if self._account is None:
            return
        for path, _, files in os.walk(self.directory):
            shutil.chown(path, self._account)
            for name in files:
                shutil.chown(os.path.join(path, name), self._account)
        os.chmod(self.directory, 0o755)  # the socket and the CA are for everybody

    def _run(self, program, *arguments):
        process = spawn([os.path.join(self.bindir, program), *arguments], user=self._account, cwd="/",
                        env=_clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        output, _ = process.communicate(timeout=START_TIMEOUT)
        if process.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{output}")

    def _spawn(self, port):
        with open(os.path.join(self.directory, "log"), "ab") as log:
            self._process = spawn(
                [os.path.join(self.bindir, "postgres"), "-D", self._data(), "-c", f"port={port}"],
                die_with=signal.SIGQUIT, user=self._account, cwd="/", env=_clean_environment(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _wait_ready(self):
        def state():
            if self._process.poll() is not None:
                return "dead"
            try:
                with open(os.path.join(self._data(), "postmaster.pid"), encoding="utf-8") as file:
                    lines = file.read().splitlines()
            except FileNotFoundError:
                return None
            # The first line guards against the file of a server that was killed.
            ready = len(lines) >= 8 and lines[7].strip() == "ready" and lines[0] == str(self._process.pid)
            return "ready" if ready else None

        if wait_until(state, START_TIMEOUT, "Postgres to start") == "ready":
            return True
        self._process = None
        return False

    def _backends(self):
        """Processes of this cluster that are still alive, found by their working directory.

        A process that ends gives up its memory, shared memory too, before its working directory; what
        it executes cannot be seen any more by then.
        """
        found = []
        for directory in glob.glob("/proc/[0-9]*"):
            try:
                if os.readlink(directory + "/cwd") == self._data():
                    found.append(int(directory[6:]))
            except OSError:
                continue
        return found


def _clean_environment():
    """Without PGDATA, PGOPTIONS … of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
