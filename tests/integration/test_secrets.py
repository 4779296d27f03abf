"""No secret gets out: a canary in each option, variable, URL, header and file of both programs appears in no log at
its loudest, no error, no report, no command line and no core dump."""

import base64
import os
import re
import resource
import signal
import subprocess
import tempfile
import urllib.error
import urllib.request

from tests.support import wire
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.process import free_port, spawn, unprivileged_user, wait_until
from tests.support.programs import Client, ProgramTest, SANITIZER_REPORT, Server, UnreadyServer, environment, path_of, run
from tests.support.service import Proxy, Service, echo, server_context

CANARY = "c4nary"


def basic(login):
    return base64.b64encode(login.encode()).decode()


class SecretsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        os.chmod(cls.directory, 0o755)
        cls.authority = Authority(os.path.join(cls.directory, "ca"))
        cls.certificate, cls.key = cls.authority.issue("own", ["IP:127.0.0.1", "DNS:localhost"])
        with open(cls.key, encoding="ascii") as file:
            cls.key_line = file.read().splitlines()[1]

    def write(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, 0o600)
        return path

    def assert_hidden(self, text, *more):
        """Neither a canary, nor the form in which one goes over the wire, nor the private key."""
        for secret in (CANARY, self.key_line, *more):
            self.assertNotIn(secret, text)
        for word in re.findall(r"[A-Za-z0-9+/]{8,}={0,2}", text):
            self.assertNotIn(CANARY.encode(), base64.b64decode(word[: len(word) // 4 * 4]))

    def assert_arguments_hidden(self, pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read().decode()
        self.assertNotEqual(arguments, "")
        self.assert_hidden(arguments)

    def assert_memory_hidden(self, pid):
        """Other processes of its user see neither its memory nor its environment: to the kernel it is root's."""
        for name in ("mem", "environ"):
            self.assertEqual(os.stat(f"/proc/{pid}/{name}").st_uid, 0)

    def assert_no_core(self, process, directory):
        limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (limit, limit))
        process.send_signal(signal.SIGSEGV)
        _, ended = os.waitpid(process.pid, 0)
        process.returncode = -signal.SIGSEGV
        self.assertFalse(os.WCOREDUMP(ended))
        self.assertEqual(os.listdir(directory), [])


class ClientSecrets(SecretsTest):
    def variants(self):
        """Ways to say who we are: (user and password in the URL, arguments, variables)."""
        token = self.write("token", f"{CANARY}-token-file\n")
        headers = self.write("headers", f"X-Gateway: {CANARY}-header-file\n")
        netrc = self.write("netrc", f"machine 127.0.0.1 login me password {CANARY}-netrc\n")
        env_file = self.write("env", f"ELECTRIC_TUNNEL_TOKEN={CANARY}-env-file\n")
        return {
            "token": ("", [], {"ELECTRIC_TUNNEL_TOKEN": f"{CANARY}-token"}),
            "token file": ("", ["--token-file", token], {}),
            "env file": ("", ["--env-file", env_file], {}),
            "URL": (f"me:{CANARY}-url@", [], {}),
            "headers": ("", [], {"ELECTRIC_TUNNEL_HEADERS": f"Authorization: {CANARY}-authorization\nX-Key: {CANARY}-header"}),
            "header file": ("", ["--header-file", headers], {}),
            "netrc": ("", [], {"NETRC": netrc}),
        }

    def all(self, behave, tls=False, proxy=None):
        """Runs `check` and a tunnel for each variant; yields what was said by each."""
        for name, (login, flags, variables) in self.variants().items():
            with self.subTest(name):
                service = self.start(Service(behave, tls=server_context(self.certificate, self.key) if tls else None))
                url = service.url.replace("://", f"://{login}")
                if tls:
                    flags = [*flags, "--cacert", self.authority.certificate, "--cert", self.certificate, "--key", self.key]
                variables = {**variables, "DATABASE_URL": f"postgres://u:{CANARY}-database@db/app",
                             "PGPASSWORD": f"{CANARY}-password"}
                if proxy is not None:
                    variables["https_proxy" if tls else "http_proxy"] = proxy
                self.check(url, flags, variables)
                self.forward(url, flags, variables)

    def check(self, url, flags, variables):
        for output in ("text", "json"):
            done = run("ELECTRIC_TUNNEL", "check", "-s", url, "--output", output, "--log-level", "debug", "--connect-timeout",
                       "2s", *flags, **variables)
            self.assertIsNone(SANITIZER_REPORT.search(done.stderr), done.stderr)
            self.assertIn("credential", done.stdout)
            self.assert_hidden(done.stdout + done.stderr)

    def forward(self, url, flags, variables):
        with Client(url, "--log-level", "debug", "--output", "json", *flags, **variables) as client:
            self.assert_arguments_hidden(client.pid)
            connection = wire.Connection(wire.dial("127.0.0.1", client.port))
            self.addCleanup(connection.close)
            connection.send(wire.startup({"user": "me", "database": "app"}))
            told = "".join(str(message.fields()) for message in connection.receive_to_end(20) if message.type == "E")
        self.assert_hidden(told + client.stderr() + client.stdout())

    def test_when_it_is_refused(self):
        self.all(lambda peer: peer.refuse("401 Unauthorized"))

    def test_when_it_is_sent_elsewhere(self):
        self.all(lambda peer: peer.refuse("302 Found", Location="http://elsewhere.example/login"))

    def test_when_there_is_something_else(self):
        self.all(lambda peer: (peer.read_request(), peer.send_raw(b"SSH-2.0-OpenSSH_9.2\r\n")))

    def test_over_tls(self):
        self.all(lambda peer: peer.refuse("403 Forbidden"), tls=True)

    def test_when_a_proxy_refuses_its_password(self):
        proxy = self.start(Proxy(login="other:password"))
        self.all(echo, proxy=f"http://me:{CANARY}-proxy@127.0.0.1:{proxy.port}")

    def test_when_a_proxy_is_of_no_use(self):
        self.all(echo, proxy=f"ftp://me:{CANARY}-proxy@127.0.0.1:1")

    def test_when_what_is_given_is_malformed(self):
        """Nothing is quoted that may be a secret."""
        cases = [
            ({"ELECTRIC_TUNNEL_TOKEN": f"two {CANARY}"}, []),
            ({"ELECTRIC_TUNNEL_HEADERS": f"{CANARY}"}, []),
            ({"ELECTRIC_TUNNEL_HEADERS": f"X: {CANARY}\x01"}, []),
            ({"ELECTRIC_SERVICE": f"http://me:{CANARY}@host:port"}, []),
            ({"ELECTRIC_SERVICE": f"http://me:{CANARY}%zz@host"}, []),
            ({"ELECTRIC_SERVICE": f"gopher://me:{CANARY}@host"}, []),
            ({}, ["--service", f"http://me:{CANARY}@host:port"]),
            ({}, ["--token-file", self.write("bad-token", f"two {CANARY}")]),
            ({}, ["--header-file", self.write("bad-headers", CANARY)]),
            ({}, ["--env-file", self.write("bad-env", f"A='{CANARY}")]),
            ({"ELECTRIC_TUNNEL_TOKEN": CANARY, "ELECTRIC_TUNNEL_TOKEN_FILE": "/x"}, []),
        ]
        for variables, flags in cases:
            for command in ("forward", "check", "exec"):
                with self.subTest(command, flags=flags, **variables):
                    command_line = ["--", "true"] if command == "exec" else []
                    done = run("ELECTRIC_TUNNEL", command, *flags, *command_line, **variables)
                    self.assertEqual(done.returncode, 2, done.stderr)
                    self.assert_hidden(done.stderr + done.stdout)

    def test_check_dumps_no_core_either(self):
        service = self.start(Service(lambda peer: (peer.read_request(), peer.wait_close())))
        with tempfile.TemporaryDirectory() as directory:
            process = spawn([path_of("ELECTRIC_TUNNEL"), "check", "-s", service.url, "--connect-timeout", "60s"],
                            env=environment({"ELECTRIC_TUNNEL_TOKEN": f"{CANARY}-token"}), cwd=directory,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(process.kill)
            wait_until(lambda: service.peers and service.peers[0].headers, 20, "check to ask the service")
            self.assert_arguments_hidden(process.pid)
            self.assert_no_core(process, directory)


class ServerSecrets(SecretsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cluster = cls.start_once(Cluster())
        cls.cluster.psql(f"CREATE ROLE owner SUPERUSER LOGIN PASSWORD '{CANARY}-database'")
        cls.user = unprivileged_user()
        for path in (cls.certificate, cls.key):
            os.chmod(path, 0o644)  # it does not run as we do

    def server(self, kind=Server, url=None, **variables):
        server = kind(url or self.cluster.url(user="owner", password=f"{CANARY}-database"), password=f"{CANARY}-proxy",
                      LOG_LEVEL="debug", ELECTRIC_TUNNEL_TOKEN=f"{CANARY}-token", API_TOKEN=f"{CANARY}-api", **variables)
        server.user = self.user
        return self.start(server)

    def ask(self, server, path, credentials):
        request = urllib.request.Request(server.service + path, headers={"Authorization": credentials})
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def test_at_work(self):
        server = self.server()
        self.assert_arguments_hidden(server.pid)
        with Client(server.service, "--log-level", "debug", ELECTRIC_TUNNEL_TOKEN=f"{CANARY}-token") as client:
            for port in (client.port, server.pg_port):
                with wire.connect("127.0.0.1", port, f"{CANARY}-proxy") as connection:
                    connection.query("CREATE TABLE IF NOT EXISTS t (id int PRIMARY KEY, v text)")
                    connection.send(wire.parse("INSERT INTO t VALUES ($1::int, $2)"),
                                    wire.bind(values=[str(port), f"{CANARY}-parameter"]), wire.execute(), wire.sync())
                    connection.receive_until("Z")
                    connection.send(wire.parse("SELECT $1::int"), wire.bind(values=[f"{CANARY}-malformed"]), wire.execute(),
                                    wire.sync())
                    connection.receive_until("Z")
                with self.assertRaises(wire.ServerError) as refused:
                    wire.connect("127.0.0.1", port, f"{CANARY}-wrong")
                self.assert_hidden(str(refused.exception.fields))
        self.assert_hidden(client.stderr())
        for credentials in (f"Bearer {CANARY}-api", f"Bearer {CANARY}-wrong", "Basic " + basic(f"me:{CANARY}-proxy"),
                            "Basic " + basic(f"me:{CANARY}-wrong"), CANARY):
            for path in ("/api/migrations", "/metrics", "/healthz", f"/api/{'x'}", "/proxy"):
                self.assert_hidden(self.ask(server, path, credentials)[1])
        server.stop()
        self.assert_hidden(server.stderr() + server.stdout())

    def test_tls(self):
        server = self.server(HTTP_TLS_CERT=self.certificate, HTTP_TLS_KEY=self.key)
        done = run("ELECTRIC_TUNNEL", "check", "-s", server.service.replace("http", "https"), "--cacert",
                   self.authority.certificate, ELECTRIC_TUNNEL_TOKEN=f"{CANARY}-token", PGPASSWORD=f"{CANARY}-proxy")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assert_hidden(done.stdout + done.stderr)
        server.send_signal(signal.SIGHUP)
        server.wait_for("certificate was read again")
        server.stop()
        self.assert_hidden(server.stderr() + server.stdout())

    def test_when_postgres_is_of_no_use(self):
        for url in (f"postgres://owner:{CANARY}-database@127.0.0.1:{free_port()}/postgres?sslmode=disable",
                    self.cluster.url(user="owner", password=f"{CANARY}-wrong"),
                    self.cluster.url(user="owner", password=f"{CANARY}-database", dbname="none"),
                    f"postgres://owner:{CANARY}-database@no-such-host.invalid/postgres?sslmode=disable"):
            with self.subTest(url):
                server = self.server(UnreadyServer, url)
                server.wait_for(r"ERROR|WARN")
                with self.assertRaises(wire.ServerError) as refused:
                    wire.connect("127.0.0.1", server.pg_port, f"{CANARY}-proxy")
                self.assert_hidden(str(refused.exception.fields))
                self.assert_hidden(self.ask(server, "/healthz", "x")[1] + self.ask(server, "/api/status", f"Bearer {CANARY}-api")[1])
                server.stop()
                self.assert_hidden(server.stderr() + server.stdout())

    def test_when_what_is_given_is_malformed(self):
        good = {"DATABASE_URL": "postgres://u@h/d", "PG_PROXY_PASSWORD": f"{CANARY}-proxy"}
        for variables in ({"DATABASE_URL": f"postgres://u:{CANARY}@h:port/d"}, {"DATABASE_URL": f"postgres://u:{CANARY}%zz@h/d"},
                          {"DATABASE_URL": f"postgres://u:{CANARY}/{CANARY}?{CANARY}@h/d"},
                          {"DATABASE_URL": f"postgres://u:a/{CANARY}?{CANARY}=x@h/d"},
                          {"DATABASE_URL": f"mysql://u:{CANARY}@h/d"}, {"DATABASE_URL": f"host=h password={CANARY} nonsense"},
                          {"DATABASE_URL": f"postgres://u:{CANARY}@h/d?nonsense=1"},
                          {"DATABASE_URL": f"postgres://u@h/d?password={CANARY}&nonsense=1"},
                          {"PG_PROXY_PASSWORD": CANARY, "PG_PROXY_PASSWORD_FILE": "/x"},
                          {"ELECTRIC_TUNNEL_TOKEN": CANARY, "ELECTRIC_TUNNEL_TOKEN_FILE": "/x"},
                          {"HTTP_TLS_CERT": self.certificate, "HTTP_TLS_KEY": self.certificate},
                          {"HTTP_TLS_CERT": self.key, "HTTP_TLS_KEY": self.key}):
            with self.subTest(**variables):
                done = run("ELECTRIC_PROXY", "--listen", "127.0.0.1", "--http-port", "0", LOG_LEVEL="debug",
                           **{**good, "PG_PROXY_PORT": "http:0", **variables})
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assert_hidden(done.stderr + done.stdout)

    def test_its_memory_is_its_own(self):
        self.assert_memory_hidden(self.server().pid)

    def test_no_core_is_dumped(self):
        with tempfile.TemporaryDirectory() as directory:
            variables = {"DATABASE_URL": self.cluster.url(user="owner", password=f"{CANARY}-database"), "HTTP_PORT": "0",
                         "PG_PROXY_PORT": "http-only", "PG_PROXY_PASSWORD": f"{CANARY}-proxy", "DATABASE_REQUIRE_SSL": "false"}
            process = spawn([path_of("ELECTRIC_PROXY"), "--listen", "127.0.0.1"], env=environment(variables), cwd=directory,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            self.addCleanup(process.stderr.close)
            self.addCleanup(process.kill)
            while "listening for HTTP" not in process.stderr.readline():
                self.assertIsNone(process.poll())
            self.assert_no_core(process, directory)
