"""electric-tunnel on its way to the service: refusals, deadlines, redirects, TLS, proxies; each failure
reaches the Postgres client as an ErrorResponse that names the place and the cure."""

import base64
import os
import shutil
import socket
import ssl
import tempfile
import threading
import time
import unittest

from tests.integration.test_tunnel_forward import STARTUP, TunnelTest, receive
from tests.support import wire
from tests.support.process import free_port
from tests.support.programs import Client
from tests.support.service import DatedAuthority, Proxy, Service, SocksProxy, echo, server_context

# STATIC_CLIENT=1 says that ELECTRIC_TUNNEL is built without libcurl.
HTTP_PROXIES_ONLY = unittest.skipIf(os.environ.get("STATIC_CLIENT"), "the static client knows http:// proxies only")


class ConnectTest(TunnelTest):
    def failure(self, client=None):
        """The error that a Postgres client gets: (SQLSTATE, message, hint)."""
        sock = wire.dial("127.0.0.1", (client or self.client).port)
        self.addCleanup(sock.close)
        connection = wire.Connection(sock)
        connection.send(wire.ssl_request())
        self.assertEqual(connection.receive_bytes(1), b"N")
        connection.send(STARTUP)
        message = connection.receive(timeout=20)
        self.assertEqual(message.type, "E")
        self.assertTrue(connection.is_closed())
        fields = message.fields()
        self.assertEqual(fields["S"], "FATAL")
        return fields["C"], fields["M"], fields.get("H", "")

    def assert_echoes(self, client=None):
        sock = wire.dial("127.0.0.1", (client or self.client).port)
        self.addCleanup(sock.close)
        data = os.urandom(300000)
        writer = threading.Thread(target=sock.sendall, args=(data,))
        writer.start()
        self.assertEqual(receive(sock, len(data)), data)
        writer.join()


class Refusals(ConnectTest):
    def refused(self, status, body=b"", **headers):
        self.serve(lambda peer: peer.refuse(status, body, **headers))
        error = self.failure()
        self.assert_alive()
        return error

    def test_each_status_is_named_and_explained(self):
        cases = {
            "400 Bad Request": ("08004", "WebSocket headers"),
            "401 Unauthorized": ("28000", "ELECTRIC_TUNNEL_TOKEN"),
            "403 Forbidden": ("28000", "token"),
            "404 Not Found": ("08004", "PG_PROXY_PORT"),
            "405 Method Not Allowed": ("08004", "--service"),
            "426 Upgrade Required": ("08004", "Update"),
            "429 Too Many Requests": ("53300", "Wait"),
            "500 Internal Server Error": ("08001", "log"),
            "502 Bad Gateway": ("08001", "down or starting"),
            "503 Service Unavailable": ("08001", "try again"),
            "504 Gateway Timeout": ("08001", "log"),
            "418 I'm a teapot": ("08004", "--service"),
            "200 OK": ("08004", "--service"),
        }
        behaviour = {}
        self.serve(lambda peer: peer.refuse(behaviour["status"]))
        for status, (sqlstate, hint) in cases.items():
            with self.subTest(status):
                behaviour["status"] = status
                got, message, got_hint = self.failure()
                self.assertEqual(got, sqlstate)
                self.assertIn(status[:3], message)
                self.assertIn(self.service.url, message)
                self.assertIn(hint, got_hint)

    def test_the_body_s_reason_is_passed_on(self):
        _, message, _ = self.refused("404 Not Found", b"the tunnel is off: PG_PROXY_PORT=65432\r\nmore")
        self.assertIn("(the tunnel is off: PG_PROXY_PORT=65432)", message)

    def test_a_body_cannot_smuggle_control_characters(self):
        _, message, _ = self.refused("503 Service Unavailable", b"wait\x1b[31m\nFATAL: lies")
        self.assertIn("(wait)", message)
        self.assertNotIn("lies", message)

    def test_retry_after(self):
        _, _, hint = self.refused("429 Too Many Requests", Retry_After="17")
        self.assertIn("17 seconds", hint)

    def test_a_wrong_accept(self):
        self.serve(lambda peer: peer.refuse("101 Switching Protocols", Upgrade="websocket", Connection="Upgrade",
                                            Sec_WebSocket_Accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA="))
        # refuse() says Connection: close, which the keyword replaces
        sqlstate, message, _ = self.failure()
        self.assertEqual(sqlstate, "08004")
        self.assertIn("Sec-WebSocket-Accept", message)

    def test_101_for_something_else(self):
        def behave(peer):
            peer.read_request()
            peer.answer("101 Switching Protocols", {"Upgrade": "h2c", "Connection": "Upgrade",
                                                    "Sec-WebSocket-Accept": peer.accept_value()})

        self.serve(behave)
        self.assertIn("something other than a WebSocket", self.failure()[1])

    def test_an_extension_nobody_offered(self):
        self.serve(lambda peer: peer.accept(Sec_WebSocket_Extensions="permessage-deflate"))
        self.assertIn("extension", self.failure()[1])

    def test_interim_answers_are_skipped(self):
        def behave(peer):
            peer.read_request()
            peer.send_raw(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
            echo(peer)

        self.serve(behave)
        self.assert_echoes()

    def test_garbage(self):
        for garbage in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x15\x03\x01\x00\x02\x02\x16", b"HTTP/2 200\r\n\r\n", b"\0" * 100):
            with self.subTest(garbage):
                self.serve(lambda peer, data=garbage: (peer.read_request(), peer.send_raw(data), time.sleep(3)))
                sqlstate, message, hint = self.failure()
                self.assertEqual(sqlstate, "08004")
                self.assertIn("not HTTP", message)
                self.assertIn("--service", hint)

    def test_an_endless_head(self):
        def behave(peer):
            peer.read_request()
            peer.send_raw(b"HTTP/1.1 101 Switching Protocols\r\n")
            while True:
                peer.send_raw(b"X-Filler: " + b"x" * 1000 + b"\r\n")

        self.serve(behave)
        self.assertIn("too long", self.failure()[1])

    def test_a_head_that_drips(self):
        def behave(peer):
            peer.read_request()
            for byte in b"HTTP/1.1 101 Switching Protocols\r\nX: " + b"x" * 1000:
                peer.send_raw(bytes([byte]))
                time.sleep(0.1)

        self.serve(behave, "--connect-timeout", "1s")
        started = time.monotonic()
        sqlstate, message, _ = self.failure()
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual(sqlstate, "08001")
        self.assertIn("took longer than 1 s", message)

    def test_a_service_that_says_nothing(self):
        self.serve(lambda peer: time.sleep(20), "--connect-timeout", "700ms")
        self.assertIn("took longer than 0.7 s", self.failure()[1])

    def test_a_service_that_hangs_up(self):
        self.serve(lambda peer: peer.read_request())
        sqlstate, message, _ = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn("closed the connection without an answer", message)

    def test_a_service_that_is_not_there_and_comes_back(self):
        port = free_port()
        self.client = self.start(Client(f"http://127.0.0.1:{port}"))
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn(f'could not connect to "127.0.0.1:{port}": connection refused', message)
        self.assertIn("--service", hint)
        with socket.create_server(("127.0.0.1", port)):
            pass
        service = Service(echo)
        service.socket.close()
        service.socket = socket.create_server(("127.0.0.1", port))
        self.start(service)
        self.assert_echoes()

    def test_a_name_that_does_not_resolve(self):
        self.client = self.start(Client("http://no-such-host.invalid:1234"))
        sqlstate, message, _ = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn('could not resolve "no-such-host.invalid"', message)

    def test_an_error_for_what_is_not_postgres_is_a_reset(self):
        self.client = self.start(Client(f"http://127.0.0.1:{free_port()}"))
        sock = self.dial()
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with self.assertRaises(ConnectionResetError):
            sock.recv(1)

    def test_a_client_that_starts_up_slowly_is_told_too(self):
        self.client = self.start(Client(f"http://127.0.0.1:{free_port()}"))
        connection = wire.Connection(self.dial())
        time.sleep(0.3)
        for byte in STARTUP:
            connection.send(bytes([byte]))
            time.sleep(0.005)
        self.assertEqual(connection.receive().fields()["C"], "08001")

    def test_psql_shows_message_and_hint(self):
        if shutil.which("psql") is None:
            self.skipTest("no psql here")
        from tests.support.programs import psql

        self.client = self.start(Client(f"http://127.0.0.1:{free_port()}"))
        done = psql(self.client.url("x"), "-c", "select 1")
        self.assertIn("connection refused", done.stderr)
        self.assertIn("HINT", done.stderr)


class Redirects(ConnectTest):
    def redirecting(self, location, status="308 Permanent Redirect"):
        def behave(peer):
            peer.read_request()
            if peer.path == "/proxy":
                peer.answer(status, {"Location": location(self.service) if callable(location) else location,
                                     "Content-Length": 0})
            else:
                echo(peer)

        return behave

    def test_one_to_a_path_is_followed(self):
        for status in ("301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"):
            self.serve(self.redirecting("/elsewhere/proxy?a=b", status), ELECTRIC_TUNNEL_TOKEN="t0ken")
            self.assert_echoes()
            self.assertEqual(self.service.peers[-1].path, "/elsewhere/proxy?a=b")
            self.assertEqual(self.service.peers[-1].headers["authorization"], "Bearer t0ken")

    def test_one_to_an_absolute_url_of_the_same_origin(self):
        self.serve(self.redirecting(lambda service: service.url + "/other"))
        self.assert_echoes()
        self.assertEqual(self.service.peers[-1].path, "/other")

    def test_two_are_too_many(self):
        self.serve(lambda peer: peer.refuse("302 Found", Location="/proxy/again"))
        self.assertIn("more than once", self.failure()[1])
        self.assertEqual(self.service.connections, 2)

    def test_another_host_is_not_followed(self):
        other = self.start(Service(echo))
        self.serve(self.redirecting(f"http://localhost:{other.port}/proxy"), ELECTRIC_TUNNEL_TOKEN="t0ken")
        _, message, hint = self.failure()
        self.assertIn("another host", message)
        self.assertIn("--service", hint)
        self.assertEqual(other.connections, 0)

    def test_another_port_is_not_followed(self):
        other = self.start(Service(echo))
        self.serve(self.redirecting(f"{other.url}/proxy"))
        self.assertIn("another port", self.failure()[1])
        self.assertEqual(other.connections, 0)

    def test_unusable_locations(self):
        for location in ("", "relative", "//host/x", "ftp://127.0.0.1/", "/a b"):
            with self.subTest(location):
                self.serve(self.redirecting(location))
                self.assertEqual(self.failure()[0][:2], "08")


class Credentials(ConnectTest):
    def authorization(self, service_user="", *flags, **variables):
        self.service = self.start(Service(echo))
        self.client = self.start(
            Client(self.service.url.replace("://", f"://{service_user}"), *flags, **variables))
        self.assert_echoes()
        return self.service.peers[0].headers.get("authorization")

    def secrets_shown(self, *secrets):
        with open(f"/proc/{self.client.pid}/cmdline", "rb") as file:
            shown = file.read().decode() + self.client.stderr() + self.client.stdout()
        return [secret for secret in secrets if secret in shown]

    def test_the_token_of_the_environment(self):
        self.assertEqual(self.authorization(ELECTRIC_TUNNEL_TOKEN="s3cr3t"), "Bearer s3cr3t")
        self.assertEqual(self.secrets_shown("s3cr3t"), [])

    def test_the_token_of_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("fr0m-file\n")
            file.flush()
            self.assertEqual(self.authorization("", "--token-file", file.name, "--log-level", "debug"),
                             "Bearer fr0m-file")
        self.assertEqual(self.secrets_shown("fr0m-file"), [])

    def test_user_and_password_of_the_url(self):
        expected = "Basic " + base64.b64encode(b"me:p@ss w/rd").decode()
        self.assertEqual(self.authorization("me:p%40ss%20w%2Frd@", "--log-level", "debug"), expected)
        self.assertEqual(self.secrets_shown("p%40ss", "p@ss", "me:"), [])

    def test_user_and_password_of_a_url_without_scheme(self):
        expected = "Basic " + base64.b64encode(b"me:hunter2").decode()
        for form in (["-s", "{}"], ["-s{}"], ["--service", "{}"], ["--service={}"]):
            with self.subTest(form):
                self.service = self.start(Service(echo))
                address = f"me:hunter2@127.0.0.1:{self.service.port}"
                self.client = Client("unused")
                self.client.argv[1:3] = [argument.format(address) for argument in form]
                self.start(self.client)
                self.assert_echoes()
                self.assertEqual(self.service.peers[0].headers.get("authorization"), expected)
                self.assertEqual(self.secrets_shown("hunter2", "me:"), [])

    def test_rejected_credentials_say_so(self):
        self.serve(lambda peer: peer.refuse("401 Unauthorized"), ELECTRIC_TUNNEL_TOKEN="wrong")
        self.assertIn("not accepted", self.failure()[2])

    def test_a_long_token(self):
        token = "x" * 20000
        self.assertEqual(self.authorization(ELECTRIC_TUNNEL_TOKEN=token), "Bearer " + token)

    def test_a_path_prefix_is_kept(self):
        self.service = self.start(Service(echo))
        self.client = self.start(Client(self.service.url.replace("http", "ws") + "/some/prefix/"))
        self.assert_echoes()
        self.assertEqual(self.service.peers[0].path, "/some/prefix/proxy")


class Tls(ConnectTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="tunnel-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.authority = DatedAuthority(os.path.join(cls.directory, "ca"))
        cls.good = cls.authority.issue("good", ["DNS:localhost", "IP:127.0.0.1"])
        cls.other = cls.authority.issue("other", ["DNS:other.example", "DNS:*.wild.example"])
        cls.expired = cls.authority.issue_expired("expired", ["IP:127.0.0.1"])

    def serve_tls(self, certificate, *flags, behave=echo, client_authority=None, trust=True, **variables):
        self.service = self.start(Service(behave, tls=server_context(*certificate, client_authority)))
        trusted = ("--cacert", self.authority.certificate) if trust else ()
        self.client = self.start(Client(self.service.url, *trusted, *flags, **variables))

    def test_bytes_pass(self):
        self.serve_tls(self.good)
        for _ in range(3):
            self.assert_echoes()
        self.assertTrue(self.service.peers[0].socket.version() in ("TLSv1.2", "TLSv1.3"))

    def test_sessions_are_resumed(self):
        self.serve_tls(self.good)
        reused = []
        self.service.behave = lambda peer: (reused.append(peer.socket.session_reused), echo(peer))
        for _ in range(4):
            self.assert_echoes()
        self.assertEqual(reused, [False, True, True, True])

    def test_sessions_of_tls_1_2_are_resumed(self):
        context = server_context(*self.good)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        reused = []
        self.service = self.start(Service(lambda peer: (reused.append(peer.socket.session_reused), echo(peer)), tls=context))
        self.client = self.start(Client(self.service.url, "--cacert", self.authority.certificate))
        for _ in range(3):
            self.assert_echoes()
        self.assertEqual(reused, [False, True, True])

    def test_a_lot_in_both_directions_at_once(self):
        self.serve_tls(self.good)
        sock = self.dial()
        data = os.urandom(1 << 20) * 20
        writer = threading.Thread(target=sock.sendall, args=(data,))
        writer.start()
        self.assertEqual(receive(sock, len(data)), data)
        writer.join()

    def test_ssl_cert_file(self):
        self.serve_tls(self.good, trust=False, SSL_CERT_FILE=self.authority.certificate)
        self.assert_echoes()

    def test_an_unknown_authority(self):
        self.serve_tls(self.good, trust=False)
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn("authority that is not trusted", message)
        self.assertIn("test authority", message)
        self.assertIn("--cacert", hint)

    def test_an_expired_certificate(self):
        self.serve_tls(self.expired)
        _, message, hint = self.failure()
        self.assertIn("has expired on 2020-02-01", message)
        self.assertIn("clock", hint)

    def test_a_certificate_for_other_names(self):
        self.serve_tls(self.other)
        _, message, _ = self.failure()
        self.assertIn('the certificate of "127.0.0.1" is not for that name', message)
        self.assertIn("other.example, *.wild.example", message)

    def test_a_port_that_speaks_no_tls(self):
        self.service = self.start(Service(lambda peer: peer.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")))
        self.client = self.start(Client(self.service.url.replace("http", "https")))
        _, message, hint = self.failure()
        self.assertIn("TLS", message)
        self.assertIn("http://", hint)

    def test_a_handshake_that_hangs(self):
        self.service = self.start(Service(lambda peer: time.sleep(20)))
        self.client = self.start(Client(self.service.url.replace("http", "https"), "--connect-timeout", "500ms"))
        self.assertIn("the TLS handshake", self.failure()[1])

    def test_a_client_certificate(self):
        certificate, key = self.authority.issue("client", ["DNS:client"])
        self.serve_tls(self.good, "--cert", certificate, "--key", key, client_authority=self.authority.certificate)
        self.assert_echoes()

    def test_a_missing_client_certificate(self):
        self.serve_tls(self.good, client_authority=self.authority.certificate)
        self.assertEqual(self.failure()[0][:2], "08")

    def test_a_redirect_to_https(self):
        secure = self.start(Service(echo, tls=server_context(*self.good)))
        self.service = self.start(
            Service(lambda peer: peer.refuse("301 Moved", Location=f"https://127.0.0.1:{secure.port}/proxy")))
        self.client = self.start(Client(self.service.url, "--cacert", self.authority.certificate))
        self.assert_echoes()

    def test_a_redirect_from_https_to_http_is_not_followed(self):
        plain = self.start(Service(echo))
        self.serve_tls(self.good, behave=lambda peer: peer.refuse("301 Moved", Location=plain.url + "/proxy"))
        self.assertIn("unencrypted", self.failure()[1])
        self.assertEqual(plain.connections, 0)

    def test_a_proxy_in_between(self):
        proxy = self.start(Proxy())
        self.serve_tls(self.good, https_proxy=f"http://127.0.0.1:{proxy.port}")
        self.assert_echoes()
        self.assertEqual(proxy.asked[0][0], f"127.0.0.1:{self.service.port}")

    @HTTP_PROXIES_ONLY
    def test_a_proxy_that_speaks_tls_itself(self):
        proxy = self.start(Proxy(tls=server_context(*self.good)))
        self.serve_tls(self.good, https_proxy=f"https://127.0.0.1:{proxy.port}", SSL_CERT_FILE=self.authority.certificate)
        for _ in range(3):
            self.assert_echoes()
        self.assertTrue(proxy.asked)


class Proxies(ConnectTest):
    def through(self, proxy, behave=echo, login="", scheme="http", variable="http_proxy", **variables):
        self.proxy = self.start(proxy)
        self.service = self.start(Service(behave))
        self.client = self.start(Client(self.service.url, **{
            variable: f"{scheme}://{login}127.0.0.1:{self.proxy.port}", **variables}))

    def test_connect(self):
        self.through(Proxy())
        self.assert_echoes()
        self.assertEqual([target for target, _ in self.proxy.asked], [f"127.0.0.1:{self.service.port}"])

    def test_all_proxy(self):
        self.through(Proxy(), variable="all_proxy")
        self.assert_echoes()
        self.assertEqual(len(self.proxy.asked), 1)

    def test_capital_http_proxy_is_not_trusted(self):
        self.through(Proxy(), variable="HTTP_PROXY")
        self.assert_echoes()
        self.assertEqual(self.proxy.asked, [])

    def test_https_proxy_is_not_for_http(self):
        self.through(Proxy(), variable="https_proxy")
        self.assert_echoes()
        self.assertEqual(self.proxy.asked, [])

    def test_no_proxy(self):
        self.through(Proxy(), no_proxy="127.0.0.1")
        self.assert_echoes()
        self.assertEqual(self.proxy.asked, [])

    def test_basic_login(self):
        self.through(Proxy(login="me:secret"), login="me:secret@")
        for _ in range(3):
            self.assert_echoes()

    def test_no_service_credentials_for_the_proxy(self):
        self.through(Proxy(), ELECTRIC_TUNNEL_TOKEN="t0ken")
        self.assert_echoes()
        self.assertNotIn("authorization", self.proxy.asked[0][1])
        self.assertEqual(self.service.peers[0].headers["authorization"], "Bearer t0ken")
        self.assertNotIn("proxy-authorization", self.service.peers[0].headers)

    def test_a_wrong_login(self):
        self.through(Proxy(login="me:secret"), login="me:wr0ng@")
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn(f'the proxy "127.0.0.1:{self.proxy.port}"', message)
        self.assertIn("407", message)
        self.assertIn("http_proxy", hint)
        self.assertNotIn("wr0ng", message + hint + self.client.stderr())

    def test_a_proxy_that_refuses_plain_http(self):
        self.through(Proxy(refuse="403 Forbidden"))
        _, message, hint = self.failure()
        self.assertIn(f'refused to connect to "127.0.0.1:{self.service.port}" (403)', message)
        self.assertIn("443 only", hint)

    def test_a_proxy_that_is_not_there(self):
        port = free_port()
        self.service = self.start(Service(echo))
        self.client = self.start(Client(self.service.url.replace("127.0.0.1", "localhost"),
                                        http_proxy=f"http://127.0.0.1:{port}"))
        _, message, hint = self.failure()
        self.assertIn(f'could not connect to the proxy "127.0.0.1:{port}": connection refused', message)
        self.assertIn("http_proxy", hint)

    def test_a_proxy_that_hangs(self):
        proxy = Proxy()
        proxy.handle = lambda connection: time.sleep(20)
        self.proxy = self.start(proxy)
        self.client = self.start(Client("http://127.0.0.1:9", "--connect-timeout", "600ms",
                                        http_proxy=f"http://127.0.0.1:{proxy.port}"))
        started = time.monotonic()
        self.assertEqual(self.failure()[0], "08001")
        self.assertLess(time.monotonic() - started, 5)

    def test_a_proxy_of_an_unknown_kind_is_not_quoted(self):
        for scheme in ("ftp", "gopher"):
            self.client = self.start(Client("http://127.0.0.1:9", http_proxy=f"{scheme}://me:hunter2@127.0.0.1:1"))
            sqlstate, message, hint = self.failure()
            self.assertEqual(sqlstate, "08001")
            self.assertNotIn("hunter2", message + hint + self.client.stderr())

    @HTTP_PROXIES_ONLY
    def test_socks(self):
        for scheme in ("socks5", "socks5h"):
            self.through(SocksProxy(), scheme=scheme, variable="all_proxy")
            self.assert_echoes()
            self.assertEqual(self.proxy.asked[0][1], self.service.port)
