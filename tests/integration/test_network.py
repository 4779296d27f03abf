"""electric-tunnel in the networks of companies and clouds: what stands in front of services (headers, ~/.netrc),
squid, tinyproxy and ssh as they come from the distribution, proxies that read what is encrypted, addresses of both
families, and who is exempt from a proxy."""

import base64
import os
import shutil
import socket
import subprocess
import tempfile

from tests.integration.test_check import CheckTest
from tests.integration.test_tunnel_connect import ConnectTest
from tests.support.certificates import Authority
from tests.support.inspection import InspectingSquid, Inspector
from tests.support.middlebox import Squid, Tinyproxy
from tests.support.programs import Client
from tests.support.service import Proxy, Service, echo, server_context
from tests.support.ssh import SshSocks


def basic(login):
    return "Basic " + base64.b64encode(login.encode()).decode()


class FilesTest(ConnectTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="network-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)

    def write(self, name, text, mode=0o600):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def secrets_shown(self, *secrets):
        with open(f"/proc/{self.client.pid}/cmdline", "rb") as file:
            shown = file.read().decode() + self.client.stderr() + self.client.stdout()
        return [secret for secret in secrets if secret in shown]

    def seen(self, service, *flags, **variables):
        """The headers that the service gets."""
        self.client = self.start(Client(service.url, *flags, "--log-level", "debug", **variables))
        self.assert_echoes()
        return service.peers[-1].headers


class Headers(FilesTest):
    LINES = "# of the gateway\nCF-Access-Client-Id: 1d.access\n\ncf-access-client-secret:\ts3cr3t\n"

    def test_of_the_environment(self):
        headers = self.seen(self.start(Service(echo)), ELECTRIC_TUNNEL_HEADERS=self.LINES, ELECTRIC_TUNNEL_TOKEN="t0ken")
        self.assertEqual(headers["cf-access-client-id"], "1d.access")
        self.assertEqual(headers["cf-access-client-secret"], "s3cr3t")
        self.assertEqual(headers["authorization"], "Bearer t0ken")
        self.assertEqual(self.secrets_shown("s3cr3t", "1d.access", "t0ken"), [])

    def test_of_files(self):
        path = self.write("headers", self.LINES)
        for flags, variables in ((["--header-file", path], {}), ([], {"ELECTRIC_TUNNEL_HEADERS_FILE": path})):
            with self.subTest(flags):
                headers = self.seen(self.start(Service(echo)), *flags, **variables)
                self.assertEqual(headers["cf-access-client-secret"], "s3cr3t")
                self.assertEqual(self.secrets_shown("s3cr3t"), [])

    def test_authorization_may_be_among_them(self):
        headers = self.seen(self.start(Service(echo)), ELECTRIC_TUNNEL_HEADERS="Authorization: Digest x")
        self.assertEqual(headers["authorization"], "Digest x")

    def test_many_and_long_ones(self):
        lines = "".join(f"X-{i}: {'x' * 1000}\n" for i in range(20))
        headers = self.seen(self.start(Service(echo)), ELECTRIC_TUNNEL_HEADERS=lines)
        self.assertEqual(headers["x-19"], "x" * 1000)


class HeaderProblems(CheckTest):
    def refused(self, *words, **variables):
        from tests.support.programs import run

        done = run("ELECTRIC_TUNNEL", "check", **variables)
        self.assertEqual(done.returncode, 2)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("s3cr3t", done.stderr + done.stdout)

    def test_what_may_not_be_sent(self):
        self.refused("ELECTRIC_TUNNEL_HEADERS", "line 2", ELECTRIC_TUNNEL_HEADERS="A: b\ns3cr3t")
        self.refused("the tunnel sets Host itself", ELECTRIC_TUNNEL_HEADERS="Host: s3cr3t")
        self.refused("the value of X", ELECTRIC_TUNNEL_HEADERS="X: s3cr3t\x01")

    def test_two_authorizations(self):
        self.refused("a token; keep one", ELECTRIC_TUNNEL_HEADERS="Authorization: s3cr3t", ELECTRIC_TUNNEL_TOKEN="s3cr3t")
        self.refused("a user in the service's URL; keep one", ELECTRIC_TUNNEL_HEADERS="Authorization: s3cr3t",
                     ELECTRIC_SERVICE="http://me:s3cr3t@localhost")


class Netrc(FilesTest):
    def test_the_password_of_the_host(self):
        path = self.write("netrc", "machine other login a password b\nmachine 127.0.0.1\n\tlogin me\n\tpassword \"s3 cr3t\"\n")
        headers = self.seen(self.start(Service(echo)), NETRC=path)
        self.assertEqual(headers["authorization"], basic("me:s3 cr3t"))
        self.assertEqual(self.secrets_shown("s3 cr3t", basic("me:s3 cr3t")[6:]), [])
        self.assertNotIn("chmod", self.client.stderr())

    def test_the_one_in_the_home(self):
        self.write(".netrc", "machine 127.0.0.1 login me password s3cr3t\n")
        self.assertEqual(self.seen(self.start(Service(echo)), HOME=self.directory)["authorization"], basic("me:s3cr3t"))

    def test_what_is_given_otherwise_goes_first(self):
        path = self.write("netrc", "machine 127.0.0.1 login me password s3cr3t\n")
        for variables, expected in (({"ELECTRIC_TUNNEL_TOKEN": "t"}, "Bearer t"),
                                    ({"ELECTRIC_TUNNEL_HEADERS": "Authorization: x"}, "x")):
            self.assertEqual(self.seen(self.start(Service(echo)), NETRC=path, **variables)["authorization"], expected)
        service = self.start(Service(echo))
        self.client = self.start(Client(service.url.replace("://", "://you:own@"), NETRC=path))
        self.assert_echoes()
        self.assertEqual(service.peers[0].headers["authorization"], basic("you:own"))

    def test_other_headers_do_not_replace_it(self):
        path = self.write("netrc", "machine 127.0.0.1 login me password s3cr3t\n")
        headers = self.seen(self.start(Service(echo)), NETRC=path, ELECTRIC_TUNNEL_HEADERS="X-Y: z")
        self.assertEqual((headers["authorization"], headers["x-y"]), (basic("me:s3cr3t"), "z"))

    def test_the_default_entry_is_not_sent_in_clear(self):
        path = self.write("netrc", "default login me password s3cr3t\n")
        self.assertNotIn("authorization", self.seen(self.start(Service(echo)), NETRC=path))
        authority = Authority(os.path.join(self.directory, "ca"))
        secure = self.start(Service(echo, tls=server_context(*authority.issue("service", ["IP:127.0.0.1"]))))
        headers = self.seen(secure, "--cacert", authority.certificate, NETRC=path)
        self.assertEqual(headers["authorization"], basic("me:s3cr3t"))

    def test_one_that_others_may_read_is_warned_of(self):
        path = self.write("netrc", "machine 127.0.0.1 login me password s3cr3t\n", mode=0o644)
        self.assertIn("authorization", self.seen(self.start(Service(echo)), NETRC=path))
        self.assertIn(f"others may read the passwords in {path}; chmod 600", self.client.stderr())

    def test_one_that_is_of_no_use_is_warned_of(self):
        path = self.write("netrc", "machine 127.0.0.1 password\n\"s3cr3t")
        self.assertNotIn("authorization", self.seen(self.start(Service(echo)), NETRC=path))
        self.assertIn(f"no credentials are taken from {path}: line 2", self.client.stderr())
        self.assertEqual(self.secrets_shown("s3cr3t"), [])

    def test_one_that_is_not_there(self):
        self.assertNotIn("authorization", self.seen(self.start(Service(echo)), NETRC="/no/such/file"))


class Redirects(FilesTest):
    """Whatever we know of who we are stays with the host that it is for."""

    def setUp(self):
        self.secrets = {"NETRC": self.write("netrc", "machine 127.0.0.1 login me password s3cr3t\n"),
                        "ELECTRIC_TUNNEL_HEADERS": "X-Gateway: s3cr3t"}

    def test_from_http_to_https_they_go_along(self):
        authority = Authority(os.path.join(self.directory, "ca-redirect"))
        secure = self.start(Service(echo, tls=server_context(*authority.issue("service", ["IP:127.0.0.1"]))))
        self.serve(lambda peer: peer.refuse("301 Moved", Location=secure.url + "/proxy"), "--cacert", authority.certificate,
                   **self.secrets)
        self.assert_echoes()
        self.assertEqual(secure.peers[0].headers["authorization"], basic("me:s3cr3t"))
        self.assertEqual(secure.peers[0].headers["x-gateway"], "s3cr3t")

    def test_another_host_gets_nothing(self):
        other = self.start(Service(echo))
        self.serve(lambda peer: peer.refuse("302 Found", Location=f"http://localhost:{other.port}/login"), **self.secrets)
        _, message, hint = self.failure()
        self.assertIn("another host", message)
        self.assertIn("--header-file", hint)
        self.assertEqual(other.connections, 0)
        self.assertEqual(self.service.peers[0].headers["x-gateway"], "s3cr3t")

    def test_neither_does_a_proxy(self):
        proxy = self.start(Proxy())
        self.serve(echo, http_proxy=f"http://127.0.0.1:{proxy.port}", **self.secrets)
        self.assert_echoes()
        self.assertEqual(self.service.peers[0].headers["x-gateway"], "s3cr3t")
        for _, headers in proxy.asked:
            self.assertNotIn("s3cr3t", str(headers))
            self.assertNotIn("authorization", headers)


class Sources(CheckTest):
    """`check` tells where a credential is from, and not which it is."""

    def credential(self, **variables):
        service = self.start(Service(lambda peer: peer.refuse("401 Unauthorized")))
        hops = self.check(service.url, **variables)
        self.assertNotIn("s3cr3t", str(self.report))
        self.assertIn("sent, but not accepted" if hops["credential"]["detail"] != "none" or "headers" in hops
                      else "ELECTRIC_TUNNEL_TOKEN", hops["upgrade"]["fix"])
        return hops

    def test_each(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("machine 127.0.0.1 login me password s3cr3t\n")
            file.flush()
            self.assertEqual(self.credential(NETRC=file.name)["credential"]["detail"], f'user "me" of {file.name}')
        self.assertEqual(self.credential(NETRC="/none", ELECTRIC_TUNNEL_TOKEN="s3cr3t")["credential"]["detail"],
                         "a token of 6 characters (environment)")
        self.assertEqual(self.credential(NETRC="/none")["credential"]["detail"], "none")
        hops = self.credential(NETRC="/none", ELECTRIC_TUNNEL_HEADERS="X-One: s3cr3t\nAuthorization: s3cr3t")
        self.assertEqual(hops["credential"]["detail"], "Authorization among the headers (environment)")
        self.assertEqual(hops["headers"]["detail"], "X-One, Authorization (environment)")


class RealProxies(ConnectTest):
    """Those of the distribution."""

    def through(self, box, login=None, **variables):
        self.start(box)
        address = box.url if login is None else f"http://{login}127.0.0.1:{box.port}"
        self.service = self.start(Service(echo))
        self.client = self.start(Client(self.service.url, http_proxy=address, **variables))

    def assert_refused(self, what, schemes):
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertIn(f"wants {what} (407; it takes {schemes}", message)
        self.assertIn("http_proxy", hint)
        self.assertNotIn("wr0ng", message + hint + self.client.stderr())
        self.assertEqual(self.service.connections, 0)

    def test_squid(self):
        for scheme in ("Basic", "Digest"):
            with self.subTest(scheme):
                self.through(Squid(idle="30 seconds", scheme=scheme))
                self.assert_echoes()
                self.assert_echoes()

    def test_squid_without_credentials_and_with_wrong_ones(self):
        for scheme in ("Basic", "Digest"):
            for login in ("", "user:wr0ng@"):
                with self.subTest(scheme, login=login):
                    self.through(Squid(scheme=scheme), login=login)
                    self.assert_refused("other credentials" if login else "credentials", scheme)

    def test_tinyproxy(self):
        self.through(Tinyproxy(idle=30))
        self.assert_echoes()

    def test_tinyproxy_without_credentials(self):
        self.through(Tinyproxy(), login="")
        sqlstate, message, hint = self.failure()
        self.assertEqual(sqlstate, "08001")
        self.assertRegex(message, r"\(40[17]")
        self.assertIn("http_proxy", hint)

    def test_ssh(self):
        box = self.start(SshSocks())
        self.service = self.start(Service(echo))
        self.client = self.start(Client(self.service.url.replace("127.0.0.1", "localhost"), all_proxy=box.url))
        self.assert_echoes()
        self.assert_echoes()

    def test_an_address_of_six_through_squid(self):
        box = self.start(Squid(idle="30 seconds"))
        self.service = self.start(Service(echo, host="::1"))
        self.client = self.start(Client(self.service.url, http_proxy=box.url))
        self.assert_echoes()


class Inspection(ConnectTest):
    """A proxy that reads TLS: the service's name, a certificate of the company's authority."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="inspection-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.company, cls.public = (Authority(os.path.join(cls.directory, name)) for name in ("company", "public"))

    def inspected(self, box, *flags, **variables):
        self.start(box)
        tls = server_context(*self.public.issue("service", ["DNS:localhost", "IP:127.0.0.1"]))
        self.service = self.start(Service(echo, tls=tls))
        self.client = self.start(Client(self.service.url.replace("127.0.0.1", "localhost"), *flags, https_proxy=box.url,
                                        **variables))

    def test_its_authority_is_to_be_trusted(self):
        box = Inspector(self.company, self.public.certificate)
        self.inspected(box, "--cacert", self.company.certificate, ELECTRIC_TUNNEL_TOKEN="t0ken")
        self.assert_echoes()
        self.assertIn(b"Authorization: Bearer t0ken", box.seen)
        self.assertEqual(self.service.peers[0].headers["authorization"], "Bearer t0ken")

    def test_else_it_is_named_and_gets_no_secret(self):
        box = Inspector(self.company, self.public.certificate)
        self.inspected(box, "--cacert", self.public.certificate, ELECTRIC_TUNNEL_TOKEN="t0ken")
        _, message, hint = self.failure()
        self.assertIn("authority that is not trusted here", message)
        self.assertIn("--cacert", hint)
        self.assertEqual(box.seen, b"")
        box.failures.clear()  # the proxy saw us leave

    def test_squid_with_ssl_bump(self):
        self.inspected(InspectingSquid(self.company, self.public.certificate), "--cacert", self.company.certificate)
        self.assert_echoes()
        self.assert_echoes()


class Certificates(CheckTest):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="certificates-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.authority = Authority(os.path.join(cls.directory, "ca"))
        cls.certificate, cls.key = cls.authority.issue("client", ["DNS:client"])

    def test_an_encrypted_key_is_refused(self):
        encrypted = os.path.join(self.directory, "encrypted.key")
        subprocess.run(["openssl", "pkey", "-in", self.key, "-aes256", "-passout", "pass:s3cr3t", "-out", encrypted], check=True,
                       capture_output=True)
        self.check("https://localhost:1", "--cert", self.certificate, "--key", encrypted)
        self.assertEqual(self.code, 2)
        self.assertIn(f'the private key "{encrypted}" is encrypted', self.report[-1]["detail"])
        self.assertIn("openssl pkey", self.report[-1]["detail"])

    def test_a_key_of_another_certificate_is_refused(self):
        _, other = self.authority.issue("other", ["DNS:other"])
        self.check("https://localhost:1", "--cert", self.certificate, "--key", other)
        self.assertEqual(self.code, 2)
        self.assertIn("mismatch", self.report[-1]["detail"])


class Addresses(ConnectTest):
    def serve_localhost(self, host):
        """The service has one of localhost's two addresses; the other one refuses, or is what `port` is used for."""
        self.service = self.start(Service(echo, host=host))
        self.client = self.start(Client(f"http://localhost:{self.service.port}"))

    def test_only_six(self):
        self.service = self.start(Service(echo, host="::1"))
        self.client = self.start(Client(self.service.url))
        self.assert_echoes()
        self.assertEqual(self.service.peers[0].headers["host"], f"[::1]:{self.service.port}")

    def test_a_name_of_two_families_of_which_one_refuses(self):
        for host in ("::1", "127.0.0.1"):
            with self.subTest(host):
                self.serve_localhost(host)
                self.assert_echoes()

    def test_a_name_of_two_families_of_which_one_says_nothing(self):
        for host, silent in (("::1", "127.0.0.1"), ("127.0.0.1", "::1")):
            with self.subTest(host):
                self.serve_localhost(host)
                self.black_hole(silent, self.service.port)
                self.assert_echoes()

    def black_hole(self, host, port):
        """A full queue: who connects gets no answer."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=0)
        self.addCleanup(listener.close)
        for _ in range(2):
            filler = socket.socket(family)
            filler.setblocking(False)
            filler.connect_ex((host, port))
            self.addCleanup(filler.close)


class Exemptions(CheckTest):
    """no_proxy is heeded as curl does it."""

    CASES = (  # host, no_proxy, exempt
        ("app.example", "app.example", True),
        ("APP.example", "app.EXAMPLE", True),
        ("app.example", "example", True),
        ("app.example", ".example", True),
        ("app.example", "other.example,  .example", True),
        ("app.example", "other.example app.example", True),
        ("app.example", "*", True),
        ("app.example", "p.example", False),
        ("app.example", "app.example.org", False),
        ("app.example", "*.example", False),
        ("app.example", "", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "127.0.0.0/8", True),
        ("127.0.0.1", "10.0.0.0/8", False),
        ("[::1]", "::1", True),
    )

    def test_each(self):
        proxy = self.start(Proxy(refuse="403 Forbidden"))
        for name in ("no_proxy", "NO_PROXY"):
            for host, exempt_hosts, exempt in self.CASES if name == "no_proxy" else self.CASES[:1]:
                with self.subTest(host, **{name: exempt_hosts}):
                    proxy.asked.clear()
                    self.check(f"http://{host}:1", "--connect-timeout", "5s", http_proxy=f"http://127.0.0.1:{proxy.port}",
                               **{name: exempt_hosts})
                    self.assertEqual(len(proxy.asked) == 0, exempt, self.report)
