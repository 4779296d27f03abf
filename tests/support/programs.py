"""Runs electric-proxy and electric-tunnel, and checks how they end.

    with Server(cluster.url()) as server, Client(server.service) as client:
        wire.connect("127.0.0.1", client.port, password=server.password)

Paths come from ELECTRIC_PROXY and ELECTRIC_TUNNEL, which ctest sets to the build's programs. Leaving
the `with` block stops the program and asserts its exit code and that no sanitizer complained.
"""

import atexit
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from urllib.parse import quote

from tests.support import wire
from tests.support.process import spawn, wait_until

START_TIMEOUT = 20
LOG_LINES = int(os.environ.get("LOG_LINES", "30"))  # of each program, shown when a test fails
STOP_TIMEOUT = 30
SANITIZER_REPORT = re.compile(r"(ERROR|WARNING): \w+Sanitizer|runtime error: |SUMMARY: \w+Sanitizer")

# What a child may inherit. Everything else (HTTP_PORT, PGOPTIONS, http_proxy …) would change its meaning.
INHERITED = ("PATH", "HOME", "TMPDIR", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")

running = []
ended = []  # since the present test began: their logs still explain its failure


def environment(extra=None):
    kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**kept, "LANG": "C.UTF-8", **{name: str(value) for name, value in (extra or {}).items()}}


@functools.cache
def _log_directory():
    """Kept until the end of the test run, so that what a program said can be read after it is gone."""
    directory = tempfile.mkdtemp(prefix="programs-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


def path_of(variable):
    path = os.environ.get(variable)
    if not path:
        raise RuntimeError(f"set {variable} to the path of the built program")
    return os.path.abspath(path)


def sanitized():
    """Whether the programs carry AddressSanitizer, which makes figures about memory meaningless."""
    with open(path_of("ELECTRIC_PROXY"), "rb") as file:
        return b"__asan_init" in file.read()


class Program:
    """A child whose stderr goes to a file. `clean_exit` are the codes that `stop` accepts."""

    name = "program"
    clean_exit = (0,)
    user = None  # whom it runs as, if not as we do

    def __init__(self, argv, extra_environment=None):
        self.argv = argv
        self.environment = environment(extra_environment)
        self.process = None
        handle, self._log_path = tempfile.mkstemp(prefix=f"{self.name}-", suffix=".log", dir=_log_directory())
        os.close(handle)
        self._output_path = self._log_path + ".out"

    def __enter__(self):
        with open(self._log_path, "wb") as log, open(self._output_path, "wb") as output:
            self.process = spawn(self.argv, user=self.user, env=self.environment, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=log)
        running.append(self)
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.kill()
        elif self.process.poll() is None:
            self.stop()
        else:
            self.check_exit()
        self._forget()

    def _forget(self):
        if self in running:
            running.remove(self)
            ended.append(self)

    def wait_ready(self):
        """Overridden: returns when the program accepts connections."""

    # -- looking at it ------------------------------------------------------------------------

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        with open(self._log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def stdout(self):
        with open(self._output_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for(self, pattern, timeout=START_TIMEOUT, output=None):
        """Waits for a line of stderr (or `output()`) that matches; answers the match."""

        def look():
            match = re.search(pattern, (output or self.stderr)(), re.MULTILINE)
            if match is None and self.process.poll() is not None:
                raise RuntimeError(
                    f"{self.name} exited with {self.process.returncode} before it said /{pattern}/:\n{self.stderr()}")
            return match

        try:
            return wait_until(look, timeout, f"{self.name} to say /{pattern}/")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it said:\n{self.stderr()}") from None

    def file_descriptors(self):
        """How many are open. The programs hide their memory, and the kernel this with it."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except PermissionError:
            raise unittest.SkipTest("only root sees the open files of a program that hides its memory") from None

    def memory(self, field="VmRSS"):
        """KiB from /proc/PID/status: VmRSS now, VmHWM at its highest."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # -- ending it ----------------------------------------------------------------------------

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=STOP_TIMEOUT):
        """The exit code; negative when a signal killed it."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} still runs after {timeout} s:\n{self.stderr()}") from None

    def stop(self, number=signal.SIGTERM):
        self.send_signal(number)
        try:
            self.wait()
        except TimeoutError:
            self.kill()
            raise
        self.check_exit()

    def check_exit(self):
        code, log = self.process.returncode, self.stderr()
        if SANITIZER_REPORT.search(log):
            raise AssertionError(f"{self.name}: a sanitizer complains:\n{log}")
        if code not in self.clean_exit:
            raise AssertionError(f"{self.name} exited with {code}, not {self.clean_exit}:\n{_tail(log)}")

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._forget()

    def show_log(self):
        print(f"---- {self.name} (pid {self.pid}) said:\n{_tail(self.stderr())}----", file=sys.stderr)


class Server(Program):
    """electric-proxy in front of `database_url`. `flags` are arguments, `variables` its environment.

    The attributes: `http_port`, `pg_port` (None without TCP entrance), `service` (URL for the tunnel
    client), `password`.
    """

    name = "electric-proxy"

    def __init__(self, database_url, *flags, pg_proxy_port="http:0", password="pr0xy p@ss/w:rd", **variables):
        self.password = password
        self.http_port = None
        self.pg_port = None
        self._has_tcp = pg_proxy_port not in ("http-only",)
        self._has_http = pg_proxy_port.startswith("http")
        settings = {
            "DATABASE_URL": database_url,
            "HTTP_PORT": "0",
            "PG_PROXY_PORT": pg_proxy_port,
            "PG_PROXY_PASSWORD": password,
        }
        if "sslmode=" not in database_url:
            settings["DATABASE_REQUIRE_SSL"] = "false"
        super().__init__([path_of("ELECTRIC_PROXY"), "--listen", "127.0.0.1", *flags], {**settings, **variables})

    def wait_ready(self):
        self.wait_listening()
        self.wait_for(r"(^|[\s:])ready\s*$")

    def wait_listening(self):
        self.http_port = int(self.wait_for(r"listening for HTTP on 127\.0\.0\.1:(\d+)").group(1))
        if self._has_tcp:
            self.pg_port = int(self.wait_for(r"listening for Postgres on 127\.0\.0\.1:(\d+)").group(1))

    @property
    def service(self):
        return f"http://127.0.0.1:{self.http_port}"

    def url(self, dbname="postgres", user="postgres", **parameters):
        return postgres_url(self.pg_port, self.password, dbname, user, **parameters)


class UnreadyServer(Server):
    """A server whose Postgres may be down: only its ports are waited for."""

    def wait_ready(self):
        self.wait_listening()


class Relay(Program):
    """electric-proxy in relay mode: a tunnel to one fixed TCP address."""

    name = "electric-proxy-relay"

    def __init__(self, port, *flags, **variables):
        self.http_port = None
        if not {"ELECTRIC_TUNNEL_TOKEN", "HTTP_TLS_CLIENT_CA"} & set(variables):
            flags = ("--relay-without-auth", *flags)
        super().__init__([path_of("ELECTRIC_PROXY"), "--listen", "127.0.0.1", "--http-port", "0", "--relay",
                          f"127.0.0.1:{port}", *flags], variables)

    def wait_ready(self):
        self.http_port = int(self.wait_for(r"listening for HTTP on 127\.0\.0\.1:(\d+)").group(1))

    @property
    def service(self):
        return f"http://127.0.0.1:{self.http_port}"


class Client(Program):
    """electric-tunnel forwarding a local port to `service`."""

    name = "electric-tunnel"
    clean_exit = (128 + signal.SIGTERM,)

    def __init__(self, service, *flags, **variables):
        self.port = None
        super().__init__([path_of("ELECTRIC_TUNNEL"), "--service", service, "--local-port", "0", *flags], variables)

    def wait_ready(self):
        self.port = int(self.wait_for(r"listening on 127\.0\.0\.1:(\d+)").group(1))

    def announcement(self):
        """With `--output json`: the line it prints on stdout."""
        return json.loads(self.wait_for(r"^\{.*\}$", output=self.stdout).group(0))

    def url(self, password, dbname="postgres", user="postgres", **parameters):
        return postgres_url(self.port, password, dbname, user, **parameters)


def postgres_url(port, password, dbname="postgres", user="postgres", **parameters):
    query = "?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items())
    return f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{port}/{quote(dbname, safe='')}" + (
        query if parameters else "")


def run(program, *arguments, timeout=30, **variables):
    """Runs "ELECTRIC_PROXY" or "ELECTRIC_TUNNEL" to its end: a CompletedProcess with text."""
    return subprocess.run([path_of(program), *arguments], env=environment(variables), stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout)


def psql(url, *arguments, script=None, timeout=60, stop_on_error=True):
    """Runs psql on `url`, unaligned without headers: a CompletedProcess with text."""
    stop = ["-v", "ON_ERROR_STOP=1"] if stop_on_error else []
    source = ["-f", "-"] if script is not None else []
    return subprocess.run(["psql", "-XAt", *stop, "-d", url, *arguments, *source], env=environment(), input=script,
                          capture_output=True, text=True, timeout=timeout)


def login_error(port, password, **login):
    """The fields of the error that a login ends with, once the server has started up; None when it succeeds."""

    def attempt():
        try:
            wire.connect("127.0.0.1", port, password, **login).close()
            return True, None
        except wire.ServerError as error:
            starting = error.sqlstate == "57P03" and "starting up" in error.fields["M"]
            return None if starting else (True, error.fields)

    return wait_until(attempt, 10, "the server to start up")[1]


class ProgramTest(unittest.TestCase):
    """A test that shows what the running programs said when it fails."""

    longMessage = True
    maxDiff = None

    def run(self, result=None):
        before = _bad(result)
        ended.clear()
        started = time.monotonic()
        super().run(result)
        if result is not None and _bad(result) > before:
            print(f"\n==== {self.id()} failed after {time.monotonic() - started:.1f} s", file=sys.stderr)
            for program in ended + running:
                program.show_log()

    def assert_idle(self, *programs, seconds=0.5):
        """The programs sleep: nobody turns in circles around a socket that cannot be served."""
        before = [program.cpu_seconds() for program in programs]
        time.sleep(seconds)
        for program, used in zip(programs, before):
            self.assertLess(program.cpu_seconds() - used, seconds / 4, f"{program.name} burns time while idle")

    def start(self, program):
        """Enters `program` for this test; stopped, and its end checked, when the test is over."""
        return self.enterContext(program)

    @classmethod
    def start_once(cls, program):
        """The same for all tests of the class."""
        return cls.enterClassContext(program)


def _bad(result):
    return len(result.failures) + len(result.errors) if result is not None else 0


def _tail(text, lines=LOG_LINES):
    return "".join(text.splitlines(keepends=True)[-lines:])
