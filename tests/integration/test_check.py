"""`electric-tunnel check`: each broken set-up is told at the right hop, with the right cure."""

import json
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
import time

from tests.support.cluster import Cluster
from tests.support.intermediary import Intermediary, answer
from tests.support.process import free_port
from tests.support.programs import Program, ProgramTest, Relay, Server, UnreadyServer, environment, path_of, run
from tests.support.service import DatedAuthority, Proxy, Service, SocksProxy, echo, pump, server_context

UNREACHABLE, NOT_AUTHORISED, USAGE = 69, 77, 2


class Pump(Service):
    """Forwards each connection to `port`; ends it after `idle` seconds without a byte."""

    def __init__(self, port, idle):
        super().__init__(None)
        self.onward = port
        self.idle = idle

    def handle(self, connection):
        with socket.create_connection(("127.0.0.1", self.onward)) as onward:
            pump(connection, onward, self.idle)


class Doorkeeper(Pump):
    """Lets as many connections in, and no more."""

    def __init__(self, port, limit):
        super().__init__(port, 60)
        self.limit = limit

    def handle(self, connection):
        if self.connections <= self.limit:
            super().handle(connection)


class CheckTest(ProgramTest):
    def start(self, context):
        return self.enterContext(context)

    def check(self, service, *flags, **variables):
        """The report's hops by name; the exit code in `self.code`."""
        done = run("ELECTRIC_TUNNEL", "check", "--service", service, "--output", "json", *flags, timeout=60, **variables)
        self.code = done.returncode
        try:
            report = json.loads(done.stdout)
        except ValueError:
            self.fail(f"no report: {done.stdout!r} {done.stderr!r}")
        self.assertEqual(report["ok"], self.code == 0, done.stdout)
        self.assertNotIn("Sanitizer", done.stderr)
        self.report = report["hops"]
        return {hop["name"]: hop for hop in self.report}

    def assert_fails(self, hop, detail, fix, service, *flags, code=UNREACHABLE, **variables):
        """Exactly that hop fails, and it is the last one."""
        hops = self.check(service, *flags, **variables)
        failed = [line["name"] for line in self.report if line["result"] == "failed"]
        self.assertEqual(failed, [hop], self.report)
        self.assertEqual(self.report[-1]["name"], hop, self.report)
        self.assertIn(detail, hops[hop]["detail"])
        self.assertIn(fix, hops[hop].get("fix", ""))
        self.assertEqual(self.code, code, self.report)
        return hops

    def serve(self, behave, tls=None):
        self.service = self.start(Service(behave, tls=tls))
        return self.service.url


class Path(CheckTest):
    def test_a_name_that_does_not_exist(self):
        self.assert_fails("name", 'could not resolve "no-such-host.invalid"', "name resolution",
                          "https://no-such-host.invalid")

    def test_nobody_listens(self):
        hops = self.assert_fails("TCP", "connection refused", "--service is right", f"http://127.0.0.1:{free_port()}")
        self.assertEqual(hops["name"]["result"], "passed")

    def test_a_network_that_says_nothing(self):
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.addCleanup(listener.close)
        # The queue of connections is full, so that another one gets no answer.
        for _ in range(2):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            self.addCleanup(filler.close)
        self.assert_fails("TCP", "no answer within 3 s", "the service runs",
                          f"http://127.0.0.1:{listener.getsockname()[1]}", "--connect-timeout", "3s")


class Proxies(CheckTest):
    def test_a_proxy_s_name_that_does_not_exist(self):
        self.assert_fails("name", "cannot be resolved", "https_proxy", "https://app.example",
                          https_proxy="http://no-such-proxy.invalid:3128")

    def test_no_proxy_there(self):
        self.assert_fails("TCP", "could not connect to the proxy", "https_proxy", "https://app.example",
                          https_proxy=f"http://127.0.0.1:{free_port()}")

    def test_a_proxy_that_wants_credentials(self):
        proxy = self.start(Proxy(login="me:secret"))
        hops = self.assert_fails("proxy", "407; it takes Basic", "user:password@", "https://app.example",
                                 code=NOT_AUTHORISED, https_proxy=f"http://127.0.0.1:{proxy.port}")
        self.assertEqual(hops["TCP"]["result"], "passed")

    def test_a_proxy_that_wants_other_credentials(self):
        proxy = self.start(Proxy(login="me:secret"))
        self.assert_fails("proxy", "407", "user:password@", "https://app.example", code=NOT_AUTHORISED,
                          https_proxy=f"http://me:c4nary@127.0.0.1:{proxy.port}")
        self.assertNotIn("c4nary", json.dumps(self.report))

    def test_a_proxy_that_refuses_the_host(self):
        proxy = self.start(Proxy(refuse="403 Forbidden"))
        self.assert_fails("proxy", "(403)", "allow that host", "https://app.example",
                          https_proxy=f"http://127.0.0.1:{proxy.port}")

    def test_a_proxy_that_refuses_the_port(self):
        proxy = self.start(Proxy(refuse="403 Forbidden"))
        self.assert_fails("proxy", "(403)", "CONNECT to port 443 only", "http://app.example",
                          http_proxy=f"http://127.0.0.1:{proxy.port}")

    def test_a_proxy_that_hangs(self):
        proxy = self.start(Service(lambda peer: peer.socket.recv(1 << 16) and time.sleep(20)))
        self.assert_fails("proxy", "no answer within 3 s", "", "https://app.example", "--connect-timeout", "3s",
                          https_proxy=f"http://127.0.0.1:{proxy.port}")

    def test_a_socks_proxy_that_is_none(self):
        proxy = self.start(Service(lambda peer: peer.refuse("400 Bad Request")))
        self.assert_fails("proxy", "", "https_proxy", "https://app.example", "--connect-timeout", "2s",
                          https_proxy=f"socks5h://127.0.0.1:{proxy.port}")

    def test_a_way_through_is_told(self):
        proxy = self.start(Proxy(login="me:c4nary"))
        hops = self.check(self.serve(echo), http_proxy=f"http://me:c4nary@127.0.0.1:{proxy.port}")
        self.assertIn(f"127.0.0.1:{proxy.port}, from http_proxy", hops["proxy"]["detail"])
        self.assertEqual(hops["upgrade"]["result"], "passed")
        self.assertNotIn("c4nary", json.dumps(self.report))

    def test_a_way_through_socks_is_told(self):
        proxy = self.start(SocksProxy())
        hops = self.check(self.serve(echo), all_proxy=f"socks5h://127.0.0.1:{proxy.port}")
        self.assertIn("from all_proxy", hops["proxy"]["detail"])

    def test_a_host_that_is_exempt(self):
        hops = self.check(self.serve(echo), http_proxy=f"http://127.0.0.1:{free_port()}", no_proxy="127.0.0.1")
        self.assertNotIn("proxy", hops)
        self.assertEqual(hops["upgrade"]["result"], "passed")


class Tls(CheckTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="check-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.authority = DatedAuthority(os.path.join(cls.directory, "ca"))
        cls.good = cls.authority.issue("good", ["IP:127.0.0.1"])
        cls.other = cls.authority.issue("other", ["DNS:other.example"])
        cls.expired = cls.authority.issue_expired("expired", ["IP:127.0.0.1"])

    def trusting(self):
        return "--cacert", self.authority.certificate

    def test_a_port_without_tls(self):
        url = self.serve(lambda peer: peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
        self.assert_fails("TLS", "TLS", "http:// instead of https://", url.replace("http", "https"))

    def test_an_unknown_authority(self):
        url = self.serve(echo, tls=server_context(*self.good))
        self.assert_fails("TLS", "test authority", "--cacert", url)

    def test_a_certificate_for_another_host(self):
        url = self.serve(echo, tls=server_context(*self.other))
        self.assert_fails("TLS", "but for other.example", "a name the certificate is for", url, *self.trusting())

    def test_an_expired_certificate(self):
        url = self.serve(echo, tls=server_context(*self.expired))
        self.assert_fails("TLS", "has expired on 2020-02-01", "renew", url, *self.trusting())

    def test_a_client_certificate_is_missing(self):
        context = server_context(*self.good, self.authority.certificate)
        context.maximum_version = context.minimum_version = context.maximum_version.TLSv1_2
        url = self.serve(echo, tls=context)
        self.assert_fails("TLS", "", "--cert and --key", url, *self.trusting())

    def test_a_handshake_that_hangs(self):
        url = self.serve(lambda peer: time.sleep(20))
        self.assert_fails("TLS", "took longer than 3 s", "hangs", url.replace("http", "https"), "--connect-timeout", "3s")

    def test_a_handshake_that_is_cut(self):
        url = self.serve(lambda peer: peer.socket.recv(1) and peer.cut())
        self.assert_fails("TLS", "TLS with", "", url.replace("http", "https"))

    def test_an_authority_s_file_that_is_missing(self):
        self.assert_fails("settings", "cannot use the authorities", "", "https://127.0.0.1:1", "--cacert", "/nonexistent",
                          code=USAGE)

    def test_what_was_found_is_told(self):
        hops = self.check(self.serve(echo, tls=server_context(*self.good)), *self.trusting())
        self.assertIn("TLSv1.3; certificate from test authority, valid until 20", hops["TLS"]["detail"])


class Upgrades(CheckTest):
    def test_each_refusal_is_named_and_explained(self):
        answers = {
            "400 Bad Request": ("WebSocket headers", UNREACHABLE),
            "401 Unauthorized": ("ELECTRIC_TUNNEL_TOKEN", NOT_AUTHORISED),
            "403 Forbidden": ("firewall", NOT_AUTHORISED),
            "404 Not Found": ("PG_PROXY_PORT", UNREACHABLE),
            "426 Upgrade Required": ("Update", UNREACHABLE),
            "429 Too Many Requests": ("Wait", UNREACHABLE),
            "500 Internal Server Error": ("log", UNREACHABLE),
            "502 Bad Gateway": ("down or starting", UNREACHABLE),
            "503 Service Unavailable": ("try again", UNREACHABLE),
            "504 Gateway Timeout": ("overloaded", UNREACHABLE),
            "200 OK": ("does not look like the service", UNREACHABLE),
        }
        behaviour = {}
        url = self.serve(lambda peer: peer.refuse(behaviour["status"], b"<h1>What it says</h1>", Server="edge/1.0",
                                                  Content_Type="text/html"))
        for status, (fix, code) in answers.items():
            with self.subTest(status):
                behaviour["status"] = status
                self.assert_fails("upgrade", status[:3], fix, url, "--protocol", "raw", code=code)
                self.assertIn("from edge/1.0: <h1>What it says</h1>", self.report[-1]["detail"])

    def test_a_wrong_token(self):
        url = self.serve(lambda peer: peer.refuse("401 Unauthorized"))
        self.assert_fails("upgrade", "401", "not accepted", url, code=NOT_AUTHORISED, ELECTRIC_TUNNEL_TOKEN="c4nary")
        self.assertNotIn("c4nary", json.dumps(self.report))

    def test_what_is_no_http(self):
        url = self.serve(lambda peer: peer.send_raw(b"SSH-2.0-OpenSSH_9.2\r\n") or peer.read_request())
        self.assert_fails("upgrade", "not HTTP", "its host, its port", url)

    def test_a_hang_up(self):
        url = self.serve(lambda peer: peer.read_request())
        self.assert_fails("upgrade", "without an answer", "look at its log", url)

    def test_no_answer(self):
        url = self.serve(lambda peer: peer.read_request() or time.sleep(20))
        self.assert_fails("upgrade", "took longer than 3 s", "hangs", url, "--connect-timeout", "3s")

    def test_another_switch(self):
        def behave(peer):
            peer.read_request()
            peer.answer("101 Switching Protocols", {"Upgrade": "h2c", "Connection": "Upgrade"})

        self.assert_fails("upgrade", "other than a WebSocket", "does not look like", self.serve(behave))

    def test_a_redirect_elsewhere(self):
        url = self.serve(lambda peer: peer.refuse("302 Found", Location="https://elsewhere.example/proxy"))
        self.assert_fails("upgrade", "another host", "new address with --service", url, code=NOT_AUTHORISED)

    def test_a_circle_of_redirects(self):
        url = self.serve(lambda peer: peer.refuse("302 Found", Location="/proxy/again"))
        self.assert_fails("upgrade", "more than once", "where the redirects end", url, code=NOT_AUTHORISED)

    def test_a_terminal_is_not_written_to_by_a_service(self):
        url = self.serve(lambda peer: peer.refuse("404 Not Found", b"\x1b[2Jboo\r\n\x07"))
        done = run("ELECTRIC_TUNNEL", "check", "--service", url)
        self.assertIn("boo", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        self.assertNotIn("\x07", done.stdout)

    def test_nor_by_the_reason_of_a_close(self):
        def behave(peer):
            peer.accept()
            peer.receive()
            peer.send_close(1011, "boo \x1b[2J \u009b31m".encode())

        done = run("ELECTRIC_TUNNEL", "check", "--service", self.serve(behave), "--protocol", "raw")
        self.assertIn("boo", done.stdout)
        self.assertNotIn("\x1b", done.stdout)
        self.assertNotIn("\u009b", done.stdout)


class Messages(CheckTest):
    """The upgrade is granted."""

    def test_nothing_follows(self):
        def behave(peer):
            peer.accept()
            peer.wait_close()

        self.assert_fails("Postgres", "no answer within 4 s", "hold WebSocket messages back", self.serve(behave),
                          "--connect-timeout", "2s", "--protocol", "raw")

    def test_what_answers_is_no_postgres(self):
        def behave(peer):
            peer.accept()
            peer.receive()
            peer.send(b"220 mail.example ESMTP\r\n")
            peer.wait_close()

        self.assert_fails("Postgres", "does not speak like Postgres", "what the service connects to", self.serve(behave),
                          "--protocol", "raw")

    def test_it_ends_at_once(self):
        def behave(peer):
            peer.accept()
            peer.receive()
            peer.end()

        self.assert_fails("Postgres", "ended without an answer", "may be down", self.serve(behave), "--protocol", "raw")

    def test_it_is_cut(self):
        def behave(peer):
            peer.accept()
            peer.receive()
            peer.cut()

        self.assert_fails("Postgres", "reset", "", self.serve(behave), "--protocol", "raw")

    def test_a_password_that_cannot_be_given(self):
        def behave(peer):
            peer.accept()
            peer.receive()
            peer.send(b"R" + struct.pack("!II", 8, 7))
            peer.wait_close()

        self.assert_fails("login", "not tried here", "psql", self.serve(behave), "--protocol", "raw", PGPASSWORD="x")


class Real(CheckTest):
    """Against electric-proxy and Postgres."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.enterClassContext(Server(cls.cluster.url(), CAPTURE="false"))

    def test_all_is_well(self):
        for protocol, found in (("raw", "raw"), ("auto", "electric-tunnel.v1"), ("v1", "electric-tunnel.v1")):
            with self.subTest(protocol):
                hops = self.check(self.server.service, "--protocol", protocol, PGPASSWORD=self.server.password)
                self.assertEqual(self.code, 0, self.report)
                self.assertEqual([hop["result"] for hop in self.report if hop["result"] == "failed"], [])
                self.assertIn(found, hops["tunnel"]["detail"])
                self.assertIn('as user "postgres" to database "postgres"; Postgres 1', hops["login"]["detail"])
                self.assertEqual(hops["statements"]["result"], "passed")
                for name in ("name", "TCP", "upgrade", "tunnel", "Postgres", "login", "statements"):
                    self.assertGreaterEqual(hops[name]["milliseconds"], 0)

    def test_upgrades_that_do_not_get_through(self):
        between = self.start(Intermediary(self.server.http_port))
        for stripped in (True, False):
            between.upgrade = None if stripped else lambda connection, _: connection.sendall(answer("403 Forbidden"))
            hops = self.check(between.url, DATABASE_URL=self.server.url())
            self.assertEqual(self.code, 0, self.report)
            self.assertEqual(hops["upgrade"]["result"], "worked around")
            self.assertIn("HTTP requests", hops["upgrade"]["fix"])
            self.assertIn("electric-tunnel.v1 over HTTP requests", hops["tunnel"]["detail"])
            self.assertEqual(hops["statements"]["result"], "passed")

    def test_websockets_alone_that_do_not_get_through(self):
        between = self.start(Intermediary(self.server.http_port))
        self.assert_fails("upgrade", "400", "", between.url, "--transport", "websocket", DATABASE_URL=self.server.url())

    def test_nothing_gets_through(self):
        between = self.start(Intermediary(self.server.http_port))
        between.meddle = lambda request, pass_on: answer("403 Forbidden")
        self.assert_fails("upgrade", "403", "", between.url, code=NOT_AUTHORISED, DATABASE_URL=self.server.url())

    def test_http_requests_alone(self):
        hops = self.check(self.server.service, "--transport", "http", "--idle", "5s", DATABASE_URL=self.server.url())
        self.assertEqual(self.code, 0, self.report)
        self.assertNotIn("upgrade", hops)
        self.assertIn("electric-tunnel.v1 over HTTP requests", hops["tunnel"]["detail"])
        self.assertEqual(hops["idle"]["result"], "noted")

    def test_a_login_by_connection_string(self):
        hops = self.check(self.server.service, DATABASE_URL=self.server.url(user="me"))
        self.assertEqual(self.code, 0, self.report)
        self.assertIn('as user "me" to database "postgres"', hops["login"]["detail"])

    def test_the_bandwidth(self):
        for protocol in ("raw", "v1"):
            with self.subTest(protocol):
                hops = self.check(self.server.service, "--bandwidth", "--protocol", protocol,
                                  PGPASSWORD=self.server.password)
                self.assertEqual(self.code, 0, self.report)
                rates = re.fullmatch(r"([0-9.]+) MB/s up, ([0-9.]+) MB/s down", hops["bandwidth"]["detail"])
                self.assertGreater(float(rates.group(1)), 0)
                self.assertGreater(float(rates.group(2)), 0)

    def test_a_table_for_people(self):
        done = run("ELECTRIC_TUNNEL", "check", "--service", self.server.service, PGPASSWORD=self.server.password)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^✓ service .*\(flag\)$")
        self.assertRegex(done.stdout, r"(?m)^✓ statements +[0-9.]+ ms  ENABLE ELECTRIC")
        self.assertNotIn("\x1b", done.stdout)
        self.assertNotIn(self.server.password, done.stdout + done.stderr)

    def test_without_a_password(self):
        hops = self.check(self.server.service)
        self.assertEqual(self.code, 0, self.report)
        self.assertEqual(hops["login"]["result"], "noted")
        self.assertIn("PGPASSWORD", hops["login"]["fix"])

    def test_a_wrong_password(self):
        self.assert_fails("login", "password authentication failed", "PG_PROXY_PASSWORD", self.server.service,
                          code=NOT_AUTHORISED, PGPASSWORD="c4nary")
        self.assertNotIn("c4nary", json.dumps(self.report))

    def test_a_database_it_does_not_serve(self):
        self.cluster.psql("CREATE DATABASE another")
        self.assert_fails("login", 'serves database "postgres"', "", self.server.service,
                          PGPASSWORD=self.server.password, PGDATABASE="another")

    def test_postgres_is_down(self):
        cluster = Cluster()
        with cluster:
            url = cluster.url()
        server = self.start(UnreadyServer(url, CAPTURE="false"))
        self.assert_fails("login", "", "", server.service, PGPASSWORD=server.password)
        self.assertEqual({hop["name"]: hop for hop in self.report}["Postgres"]["result"], "passed")

    def test_a_relay_to_a_plain_postgres(self):
        relay = self.start(Relay(self.cluster.port))
        hops = self.check(relay.service, PGPASSWORD=self.cluster.password)
        self.assertEqual(self.code, 0, self.report)
        self.assertEqual(hops["login"]["result"], "passed")
        self.assertEqual(hops["statements"]["result"], "noted")
        self.assertIn("plain Postgres", hops["statements"]["detail"])

    def test_a_relay_to_nobody(self):
        relay = self.start(Relay(free_port()))
        for protocol in ("raw", "v1"):
            with self.subTest(protocol):
                self.assert_fails("Postgres", "", "may be down", relay.service, "--protocol", protocol)

    def test_the_tunnel_is_off(self):
        server = self.start(Server(self.cluster.url(), pg_proxy_port="0", CAPTURE="false"))
        self.assert_fails("upgrade", "404", "PG_PROXY_PORT", server.service, "--protocol", "raw")

    def test_a_token_that_is_missing(self):
        server = self.start(Server(self.cluster.url(), CAPTURE="false", ELECTRIC_TUNNEL_TOKEN="t0ken"))
        self.assert_fails("upgrade", "401", "ELECTRIC_TUNNEL_TOKEN", server.service, code=NOT_AUTHORISED)
        hops = self.check(server.service, ELECTRIC_TUNNEL_TOKEN="t0ken")
        self.assertEqual(self.code, 0, self.report)
        self.assertIn("5 characters", hops["credential"]["detail"])

    def test_a_path_that_cuts_silence(self):
        pump = self.start(Pump(self.server.http_port, idle=7))
        hops = self.check(pump.url, "--idle", "12s")
        self.assertEqual(self.code, 0, self.report)
        self.assertIn("5 s of silence are survived, 10 s are not", hops["idle"]["detail"])

    def test_silence_without_a_connection_to_listen_to_it(self):
        hops = self.check(self.start(Doorkeeper(self.server.http_port, 2)).url, "--idle", "1s")
        self.assertEqual((self.code, hops["idle"]["result"]), (0, "noted"), self.report)
        self.assertIn("upgrade request", hops["idle"]["detail"])

    def test_a_report_that_cannot_be_written(self):
        for arguments in (["check", "-s", self.server.service], ["check", "-s", self.server.service, "--output=json"],
                          ["--help"], ["exec", "--help"], ["--version"]):
            with self.subTest(arguments), open("/dev/full", "wb") as full:
                done = subprocess.run([path_of("ELECTRIC_TUNNEL"), *arguments], stdin=subprocess.DEVNULL, stdout=full,
                                      stderr=subprocess.PIPE, env=environment(), text=True, timeout=60)
                self.assertEqual(done.returncode, 74, done.stderr)
                self.assertIn("could not write to standard output", done.stderr)

    def test_a_reader_that_leaves(self):
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write, "wb") as pipe:
            done = subprocess.run([path_of("ELECTRIC_TUNNEL"), "check", "-s", self.server.service],
                                  stdin=subprocess.DEVNULL, stdout=pipe, stderr=subprocess.PIPE, env=environment(),
                                  text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_path_that_takes_silence(self):
        hops = self.check(self.server.service, "--idle", "6s")
        self.assertIn("6 s of silence are survived", hops["idle"]["detail"])

    def test_it_is_stopped(self):
        program = Program([path_of("ELECTRIC_TUNNEL"), "check", "--service", self.server.service, "--idle", "60s"])
        program.clean_exit = (143,)
        with program:
            program.wait_for("✓ Postgres", output=program.stdout)
