"""The server's own TLS: on the HTTP port, on the TCP port, with client certificates, and reloaded."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from tests.support import websocket, wire
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import Client, ProgramTest, Relay, Server, environment, postgres_url, run
from tests.support.service import DatedAuthority
from tests.support.websocket import encode_request, receive_response

NAMES = ["DNS:localhost", "IP:127.0.0.1"]


class TlsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.authority = DatedAuthority(os.path.join(cls.directory, "ca"))
        cls.stranger = Authority(os.path.join(cls.directory, "stranger"))
        cls.certificate, cls.key = cls.authority.issue("server", NAMES)
        cls.cluster = cls.enterClassContext(Cluster())

    def context(self, *certificate, alpn=(), version=None):
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if certificate:
            context.load_cert_chain(*certificate)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def dial(self, port):
        sock = socket.create_connection(("127.0.0.1", port), 10)
        self.addCleanup(sock.close)
        return sock

    def encrypted(self, port, *certificate, **options):
        sock = self.context(*certificate, **options).wrap_socket(self.dial(port), server_hostname="localhost")
        self.addCleanup(sock.close)
        return sock

    def started(self, sock):
        """TLS that the server has agreed to."""
        encrypted = wire.start_tls(sock, self.context())
        self.addCleanup(encrypted.close)
        return encrypted

    def ask(self, sock, path="/healthz", **headers):
        sock.sendall(encode_request("localhost", path, headers=headers))
        return receive_response(sock)[0]

    def serial(self, sock):
        return sock.getpeercert()["serialNumber"]

    def http_tls(self, **more):
        return {"HTTP_TLS_CERT": self.certificate, "HTTP_TLS_KEY": self.key, **more}

    def postgres_tls(self, **more):
        return {"PG_PROXY_TLS_CERT": self.certificate, "PG_PROXY_TLS_KEY": self.key, **more}


class HttpTlsTest(TlsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.start_once(Server(cls.cluster.url(), HTTP_TLS_CERT=cls.certificate, HTTP_TLS_KEY=cls.key))
        cls.service = f"https://127.0.0.1:{cls.server.http_port}"

    def test_pages_on_a_connection_that_is_kept(self):
        sock = self.encrypted(self.server.http_port)
        for path, status in (("/healthz", 200), ("/nowhere", 404), ("/proxy", 400), ("/", 200)):
            self.assertEqual(self.ask(sock, path).status, status, path)

    def test_versions(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            self.assertEqual(self.ask(self.encrypted(self.server.http_port, version=version)).status, 200)
        old = self.context(version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with self.assertRaises(ssl.SSLError):
            old.wrap_socket(self.dial(self.server.http_port), server_hostname="localhost")
        self.server.wait_for(r"TLS handshake failed: unsupported protocol")

    def test_alpn(self):
        sock = self.encrypted(self.server.http_port, alpn=("h2", "http/1.1"))
        self.assertEqual(sock.selected_alpn_protocol(), "http/1.1")
        self.assertEqual(self.ask(sock).status, 200)
        with self.assertRaises(ssl.SSLError):
            self.encrypted(self.server.http_port, alpn=("h2",))

    def test_clear_text_is_told(self):
        sock = self.dial(self.server.http_port)
        sock.sendall(encode_request("localhost", "/"))
        response = receive_response(sock)[0]
        self.assertEqual(response.status, 400)
        self.assertIn(b"https://", response.body)
        self.assertEqual(sock.recv(1), b"")

    def test_records_of_one_byte(self):
        """The head is put together, whatever pieces it comes in."""
        sock = self.encrypted(self.server.http_port)
        for byte in encode_request("localhost", "/healthz"):
            sock.sendall(bytes([byte]))
        self.assertEqual(receive_response(sock)[0].status, 200)

    def test_requests_behind_each_other(self):
        sock = self.encrypted(self.server.http_port)
        sock.sendall(encode_request("localhost", "/healthz") * 50 + encode_request("localhost", "/nowhere"))
        rest, statuses = b"", []
        while len(statuses) < 51:
            rest += sock.recv(65536)
            statuses = [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", rest)]
        self.assertEqual(statuses, [200] * 50 + [404])

    def test_silent_and_half_done_handshakes_cost_nothing(self):
        silent = self.dial(self.server.http_port)
        started = self.dial(self.server.http_port)
        started.sendall(bytes.fromhex("160301020001"))
        self.assert_idle(self.server)
        silent.close()

    def test_a_raw_tunnel(self):
        sock = self.encrypted(self.server.http_port)
        connection = wire.Connection(websocket.upgrade(sock, "localhost"))
        connection.login(self.server.password)
        self.assertEqual(connection.value("SELECT length('" + "x" * 3_000_000 + "')"), "3000000")
        self.assertEqual(len(connection.value("SELECT repeat('y', 5000000)")), 5_000_000)
        self.assertEqual(connection.value("SELECT 1"), "1")

    def test_the_client(self):
        client = self.start(Client(self.service, "--cacert", self.authority.certificate))
        with wire.connect("127.0.0.1", client.port, self.server.password) as session:
            session.query("CREATE TEMP TABLE t (a text)")
            session.send(wire.query("COPY t FROM STDIN"))
            session.receive_until("G")
            session.send(*(wire.copy_data("z" * 9999 + "\n") for _ in range(2000)), wire.copy_done())
            self.assertEqual(session.receive_until("Z", timeout=60)[0].tag(), "COPY 2000")
            self.assertEqual(session.value("SELECT sum(length(a)) FROM t"), str(2000 * 9999))
            rows = session.query("SELECT repeat('y', 10000) FROM generate_series(1, 2000)", timeout=60)
            self.assertEqual(sum(len(one.body) for one in rows if one.type == "D"), 2000 * 10006)

    def test_a_client_that_does_not_trust_it(self):
        client = self.start(Client(self.service, "--cacert", self.stranger.certificate))
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", client.port, self.server.password)
        self.assertIn("--cacert", str(caught.exception.fields))

    def test_certificates_that_the_client_names(self):
        expired = self.authority.issue_expired("expired", NAMES)
        elsewhere = self.authority.issue("elsewhere", ["DNS:other.example"])
        for files, words in ((expired, "expired"), (elsewhere, "other.example")):
            with Server(self.cluster.url(), HTTP_TLS_CERT=files[0], HTTP_TLS_KEY=files[1]) as server:
                client = self.start(Client(f"https://127.0.0.1:{server.http_port}", "--cacert",
                                           self.authority.certificate))
                with self.assertRaises(wire.ServerError) as caught:
                    wire.connect("127.0.0.1", client.port, server.password)
                self.assertIn(words, caught.exception.fields["M"])


class ClientCertificateTest(TlsTest):
    def setUp(self):
        self.server = self.start(Server(self.cluster.url(), **self.http_tls(
            HTTP_TLS_CLIENT_CA=self.authority.certificate, API_AUTH="none", SESSION_RETAIN="600s")))
        self.service = f"https://127.0.0.1:{self.server.http_port}"
        self.mine = self.authority.issue("mine", ["DNS:mine.example"])

    def refusal(self, *certificate):
        with self.assertRaises(websocket.Refused) as caught:
            websocket.upgrade(self.encrypted(self.server.http_port, *certificate), "localhost")
        return caught.exception.response

    def test_needed_for_the_tunnel_and_the_api(self):
        response = self.refusal()
        self.assertEqual(response.status, 403)
        self.assertIn(b"--cert", response.body)
        foreign = self.stranger.issue("foreign", ["DNS:mine.example"])
        self.assertEqual(self.refusal(*foreign).status, 403)
        self.server.wait_for(r"certificate is not accepted: unable to (get local issuer|verify the first) certificate")
        self.assertEqual(self.refusal(*self.authority.issue_expired("old", ["DNS:mine.example"])).status, 403)
        self.server.wait_for(r"certificate is not accepted: certificate has expired")
        for path in ("/api/schema", "/metrics", "/api/migrations?dialect=sqlite"):
            self.assertEqual(self.ask(self.encrypted(self.server.http_port), path).status, 403, path)
            self.assertIn(self.ask(self.encrypted(self.server.http_port, *self.mine), path).status, (200, 204), path)

    def test_probes_need_none(self):
        for path in ("/", "/healthz", "/readyz", "/api/status"):
            self.assertEqual(self.ask(self.encrypted(self.server.http_port), path).status, 200, path)

    def test_the_client(self):
        client = self.start(Client(self.service, "--cacert", self.authority.certificate, "--cert", self.mine[0],
                                   "--key", self.mine[1]))
        with wire.connect("127.0.0.1", client.port, self.server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")

    def test_the_client_without(self):
        client = self.start(Client(self.service, "--cacert", self.authority.certificate))
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", client.port, self.server.password)
        self.assertIn("403", str(caught.exception.fields))

    def test_a_relay_is_protected_by_it(self):
        relay = self.start(Relay(self.server.pg_port, **self.http_tls(HTTP_TLS_CLIENT_CA=self.authority.certificate)))
        client = self.start(Client(f"https://127.0.0.1:{relay.http_port}", "--cacert", self.authority.certificate,
                                   "--cert", self.mine[0], "--key", self.mine[1]))
        with wire.connect("127.0.0.1", client.port, self.server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")


class PostgresTlsTest(TlsTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.start_once(Server(cls.cluster.url(), PG_PROXY_TLS_CERT=cls.certificate,
                                           PG_PROXY_TLS_KEY=cls.key))

    def session(self, sock, **login):
        connection = wire.Connection(sock)
        connection.login(self.server.password, **login)
        return connection

    def psql(self, server=None, command="SELECT 'seen'", **parameters):
        server = server or self.server
        url = postgres_url(server.pg_port, server.password, sslrootcert=self.authority.certificate,
                           gssencmode="disable", **parameters).replace("127.0.0.1", "localhost")
        return subprocess.run([shutil.which("psql"), "-X", "-At", "-c", command, url], env=environment(),
                              capture_output=True, text=True, timeout=60)

    def test_psql(self):
        for parameters in ({"sslmode": "verify-full"}, {"sslmode": "verify-full", "channel_binding": "require"},
                           {"sslmode": "require", "ssl_max_protocol_version": "TLSv1.2"}, {"sslmode": "prefer"},
                           {"sslmode": "disable"}):
            done = self.psql(**parameters)
            self.assertEqual((done.returncode, done.stdout.strip()), (0, "seen"), f"{parameters} {done.stderr}")

    def test_psql_that_does_not_trust_it(self):
        url = postgres_url(self.server.pg_port, self.server.password, sslmode="verify-full",
                           sslrootcert=self.stranger.certificate).replace("127.0.0.1", "localhost")
        done = subprocess.run([shutil.which("psql"), "-X", "-c", "SELECT 1", url], env=environment(),
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn("certificate verify failed", done.stderr)

    def test_channel_binding(self):
        sock = self.started(self.dial(self.server.pg_port))
        certificate = sock.getpeercert(binary_form=True)
        self.assertEqual(self.session(sock, binding=certificate).value("SELECT 1"), "1")

    def test_channel_binding_of_another_certificate(self):
        sock = self.started(self.dial(self.server.pg_port))
        with self.assertRaises(wire.ServerError) as caught:
            self.session(sock, binding=b"another certificate")
        self.assertEqual(caught.exception.sqlstate, "28000")

    def test_no_binding_without_tls(self):
        connection = wire.Connection(self.dial(self.server.pg_port))
        connection.send(wire.startup({"user": "postgres"}))
        mechanisms = connection.receive().body[4:]
        self.assertEqual(mechanisms, b"SCRAM-SHA-256\0\0")

    def test_much_both_ways(self):
        session = self.session(self.started(self.dial(self.server.pg_port)))
        self.assertEqual(session.value("SELECT length('" + "x" * 5_000_000 + "')"), "5000000")
        self.assertEqual(len(session.value("SELECT repeat('y', 20000000)", timeout=60)), 20_000_000)
        self.assertEqual(session.value("SELECT 1"), "1")

    def test_bytes_behind_the_request_are_refused(self):
        sock = self.dial(self.server.pg_port)
        sock.sendall(wire.ssl_request() + wire.startup({"user": "postgres"}))
        connection = wire.Connection(sock)
        self.assertEqual(connection.receive().fields()["C"], "08P01")
        self.assertTrue(connection.is_closed())

    def test_clear_text_behind_the_answer(self):
        sock = self.dial(self.server.pg_port)
        sock.sendall(wire.ssl_request())
        self.assertEqual(sock.recv(1), b"S")
        sock.sendall(wire.startup({"user": "postgres"}))
        try:
            self.assertNotIn(b"R\0", sock.recv(4096))
        except ConnectionResetError:
            pass

    def test_tls_cannot_be_asked_for_twice(self):
        sock = self.started(self.dial(self.server.pg_port))
        connection = wire.Connection(sock)
        connection.send(wire.ssl_request())
        self.assertEqual(connection.receive().fields()["C"], "0A000")

    def test_gss_first(self):
        sock = self.dial(self.server.pg_port)
        sock.sendall(wire.gssenc_request())
        self.assertEqual(sock.recv(1), b"N")
        self.assertEqual(self.session(self.started(sock)).value("SELECT 1"), "1")

    def test_direct_negotiation(self):
        sock = self.encrypted(self.server.pg_port, alpn=("postgresql",))
        self.assertEqual(sock.selected_alpn_protocol(), "postgresql")
        session = self.session(sock, binding=sock.getpeercert(binary_form=True))
        self.assertEqual(session.value("SELECT 1"), "1")

    def test_direct_negotiation_needs_alpn(self):
        for alpn in ((), ("http/1.1",)):
            with self.assertRaises(ssl.SSLError) as caught:
                self.encrypted(self.server.pg_port, alpn=alpn)
            self.assertIn("NO_APPLICATION_PROTOCOL", str(caught.exception).upper().replace(" ", "_"))

    def test_cancel(self):
        session = self.session(self.started(self.dial(self.server.pg_port)))
        session.send(wire.query("SELECT pg_sleep(60)"))
        other = self.started(self.dial(self.server.pg_port))
        other.sendall(wire.cancel_request(session.pid, session.secret))
        refused = [one for one in session.receive_until("Z", timeout=30) if one.type == "E"]
        self.assertEqual(refused[0].fields()["C"], "57014")

    def test_half_done_handshakes_end(self):
        server = self.start(Server(self.cluster.url(), **self.postgres_tls(AUTH_TIMEOUT="1s")))
        asked, direct = self.dial(server.pg_port), self.dial(server.pg_port)
        asked.sendall(wire.ssl_request())
        self.assertEqual(asked.recv(1), b"S")
        direct.sendall(bytes.fromhex("160301020001"))
        for sock in (asked, direct):
            sock.settimeout(30)
            self.assertEqual(sock.recv(1), b"")

    def test_required(self):
        server = self.start(Server(self.cluster.url(), **self.postgres_tls(PG_PROXY_TLS_REQUIRED="true")))
        with self.assertRaises(wire.ServerError) as caught:
            wire.connect("127.0.0.1", server.pg_port, server.password)
        self.assertEqual(caught.exception.sqlstate, "28000")
        self.assertIn("sslmode=require", caught.exception.fields["H"])
        self.assertEqual(self.psql(server, sslmode="verify-full").stdout.strip(), "seen")
        # Inside the tunnel there is none to ask for.
        with wire.Connection(websocket.connect(server.http_port)) as tunnel:
            tunnel.login(server.password)


class ReloadTest(TlsTest):
    """SIGHUP reads the files again."""

    def setUp(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.files = [os.path.join(directory, name) for name in ("live.crt", "live.key")]
        self.install(self.certificate, self.key)
        certificate, key = self.files
        self.server = self.start(Server(self.cluster.url(), HTTP_TLS_CERT=certificate, HTTP_TLS_KEY=key,
                                        PG_PROXY_TLS_CERT=certificate, PG_PROXY_TLS_KEY=key))

    def install(self, *files):
        for source, target in zip(files, self.files):
            shutil.copyfile(source, target + ".new")
            os.replace(target + ".new", target)

    def serials(self):
        return {self.serial(self.encrypted(self.server.http_port)),
                self.serial(self.started(self.dial(self.server.pg_port)))}

    def test_a_new_certificate(self):
        before = self.serials()
        kept = self.encrypted(self.server.http_port)
        self.install(*self.authority.issue("renewed", NAMES))
        self.server.send_signal(signal.SIGHUP)
        self.server.wait_for("the Postgres port's certificate was read again")
        after = self.serials()
        self.assertEqual((len(before), len(after), len(before | after)), (1, 1, 2))
        self.assertEqual(self.ask(kept).status, 200)

    def test_a_bad_one(self):
        before = self.serials()
        other_key = self.authority.issue("other", NAMES)[1]
        for spoil in (lambda: self.install(self.certificate, other_key), lambda: os.remove(self.files[0]),
                      lambda: open(self.files[1], "w").close()):
            self.install(self.certificate, self.key)
            spoil()
            complaints = self.server.stderr().count("keeps its certificate: cannot use")
            self.server.send_signal(signal.SIGHUP)
            wait_until(lambda: self.server.stderr().count("keeps its certificate: cannot use") == complaints + 2, 20,
                       "complaints about both ports")
            self.assertEqual(self.serials(), before)

    def test_under_load(self):
        """Nothing that is open notices, nothing that comes in fails."""
        stop, failures, counts = threading.Event(), [], [0, 0, 0]

        def work(index, turn):
            try:
                while not stop.is_set():
                    turn()
                    counts[index] += 1
            except Exception as error:  # pylint: disable=broad-except
                failures.append(error)

        session = wire.Connection(websocket.upgrade(self.encrypted(self.server.http_port), "localhost"))
        session.login(self.server.password)

        def connect():
            with self.context().wrap_socket(socket.create_connection(("127.0.0.1", self.server.http_port), 20),
                                            server_hostname="localhost") as sock:
                self.assertEqual(self.ask(sock).status, 200)

        def start_tls():
            with wire.start_tls(socket.create_connection(("127.0.0.1", self.server.pg_port), 20),
                                self.context()) as sock:
                self.assertIsNotNone(sock)

        turns = (lambda: self.assertEqual(len(session.value("SELECT repeat('x', 300000)")), 300_000), connect, start_tls)
        threads = [threading.Thread(target=work, args=pair) for pair in enumerate(turns)]
        for thread in threads:
            thread.start()
        pairs = [(self.certificate, self.key), self.authority.issue("renewed", NAMES)]
        for i in range(20):
            self.install(*pairs[i % 2])
            said = self.server.stderr().count("was read again")
            self.server.send_signal(signal.SIGHUP)
            wait_until(lambda: self.server.stderr().count("was read again") == said + 2, 20, "both to be read again")
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertTrue(all(counts), counts)


class SettingsTest(TlsTest):
    def problems(self, **variables):
        done = run("ELECTRIC_PROXY", DATABASE_URL="postgresql://x@127.0.0.1:1/x", PG_PROXY_PASSWORD="x", HTTP_PORT="0",
                   PG_PROXY_PORT="http:0", **variables)
        self.assertEqual(done.returncode, 2)
        return done.stderr

    def test_all_at_once(self):
        said = self.problems(HTTP_TLS_CERT=self.certificate, PG_PROXY_TLS_CERT="/nowhere/x.crt",
                             PG_PROXY_TLS_KEY=self.key, TRUSTED_PROXIES="10.0.0.0/40")
        self.assertIn("HTTP_TLS_KEY is missing", said)
        self.assertIn('"/nowhere/x.crt": No such file or directory', said)
        self.assertIn("TRUSTED_PROXIES", said)

    def test_files_that_do_not_fit(self):
        other = self.stranger.issue("other", NAMES)[1]
        self.assertIn("key values mismatch", self.problems(HTTP_TLS_CERT=self.certificate, HTTP_TLS_KEY=other))
        self.assertIn("HTTP_TLS_CLIENT_CA needs", self.problems(HTTP_TLS_CLIENT_CA=self.authority.certificate))
        self.assertIn("PG_PROXY_TLS_REQUIRED needs", self.problems(PG_PROXY_TLS_REQUIRED="true"))
        self.assertIn(f'client CA "{self.key}"', self.problems(
            HTTP_TLS_CERT=self.certificate, HTTP_TLS_KEY=self.key, HTTP_TLS_CLIENT_CA=self.key))

    def test_an_encrypted_key(self):
        locked = os.path.join(self.directory, "locked.key")
        subprocess.run(["openssl", "pkey", "-in", self.key, "-aes256", "-passout", "pass:secret", "-out", locked],
                       check=True, timeout=60)
        self.assertIn(f'cannot use the key "{locked}"', self.problems(
            HTTP_TLS_CERT=self.certificate, HTTP_TLS_KEY=locked))


if __name__ == "__main__":
    unittest.main()
