"""Bad settings: all named at once, exit code 2, no secret shown."""

import socket
import tempfile
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server, run

URL = "postgresql://user:hidden-word@127.0.0.1:1/db"


class ConfigurationTest(ProgramTest):
    def assert_usage(self, done, *words):
        self.assertEqual(done.returncode, 2, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertNotIn("hidden-word", done.stderr + done.stdout)

    def test_nothing_given(self):
        self.assert_usage(run("ELECTRIC_PROXY"), "DATABASE_URL", "PG_PROXY_PASSWORD")

    def test_all_problems_at_once(self):
        done = run("ELECTRIC_PROXY", DATABASE_URL="nonsense://x", HTTP_PORT="70000", PG_PROXY_PORT="https",
                   MAX_SESSIONS="-1", AUTH_TIMEOUT="soon", LOG_LEVEL="loud")
        self.assert_usage(done, "DATABASE_URL", "HTTP_PORT", "PG_PROXY_PORT", "MAX_SESSIONS", "AUTH_TIMEOUT", "LOG_LEVEL",
                          "PG_PROXY_PASSWORD", "70000", "loud")

    def test_unknown_flags(self):
        self.assert_usage(run("ELECTRIC_PROXY", "--nonsense", DATABASE_URL=URL, PG_PROXY_PASSWORD="hidden-word"), "--nonsense")
        self.assert_usage(run("ELECTRIC_TUNNEL", "--nonsense"), "--nonsense")

    def test_secrets_have_no_flag(self):
        done = run("ELECTRIC_PROXY", "--pg-proxy-password", "hidden-word", DATABASE_URL=URL)
        self.assertEqual(done.returncode, 2)

    def test_equal_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
        done = run("ELECTRIC_PROXY", "--listen", "127.0.0.1", DATABASE_URL=URL, PG_PROXY_PASSWORD="hidden-word",
                   HTTP_PORT=port, PG_PROXY_PORT=f"http:{port}")
        self.assert_usage(done, "HTTP_PORT", "PG_PROXY_PORT", port)

    def test_occupied_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            for variable, settings in (("HTTP_PORT", {"HTTP_PORT": port, "PG_PROXY_PORT": "http:0"}),
                                       ("PG_PROXY_PORT", {"HTTP_PORT": "0", "PG_PROXY_PORT": f"http:{port}"})):
                done = run("ELECTRIC_PROXY", "--listen", "127.0.0.1", DATABASE_URL=URL, PG_PROXY_PASSWORD="hidden-word",
                           **settings)
                self.assert_usage(done, variable, port)

    def test_too_many_sessions_for_the_descriptors(self):
        done = run("ELECTRIC_PROXY", DATABASE_URL=URL, PG_PROXY_PASSWORD="hidden-word", MAX_SESSIONS="100000000")
        self.assert_usage(done, "MAX_SESSIONS")

    def test_secret_from_a_file(self):
        cluster = self.enterContext(Cluster())
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("from a file\n")
            file.flush()
            server = Server(cluster.url(), PG_PROXY_PASSWORD_FILE=file.name)
            del server.environment["PG_PROXY_PASSWORD"]
            self.start(server)
            wire.connect("127.0.0.1", server.pg_port, "from a file").close()
        self.assertNotIn("from a file", server.stderr())
        self.assertNotIn(cluster.password, server.stderr())

    def test_help_and_version(self):
        for program in ("ELECTRIC_PROXY", "ELECTRIC_TUNNEL"):
            done = run(program, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("Usage", done.stdout)
            self.assertEqual(run(program, "--version").returncode, 0)

    def test_client_cannot_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])
            done = run("ELECTRIC_TUNNEL", "--service", "http://127.0.0.1:1", "--local-port", port, "--listen", "127.0.0.1")
        self.assertEqual(done.returncode, 73, done.stderr)
        self.assertIn(f"127.0.0.1:{port}", done.stderr)

    def test_bad_service(self):
        for service in ("ftp://x", "http://", "http://host:99999", "http://[::1"):
            self.assert_usage(run("ELECTRIC_TUNNEL", "--service", service, "--local-port", "0"), service)

    def test_password_in_the_service_is_not_shown(self):
        done = run("ELECTRIC_TUNNEL", "--service", "ftp://user:hidden-word@host", "--local-port", "0")
        self.assert_usage(done)


if __name__ == "__main__":
    unittest.main()
