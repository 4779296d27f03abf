"""electric-tunnel as a program: options, addresses, what it prints, how it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from urllib.parse import quote

from tests.integration.test_tunnel_forward import TunnelTest, receive
from tests.support import wire
from tests.support.process import free_port, spawn, wait_until
from tests.support.programs import Client, environment, path_of, run
from tests.support.service import Service, echo


def tunnel(*arguments, **variables):
    return run("ELECTRIC_TUNNEL", *arguments, **variables)


class Options(TunnelTest):
    def test_help(self):
        done = tunnel("--help")
        self.assertEqual(done.returncode, 0)
        for word in ("--service", "ELECTRIC_SERVICE", "--local-port", "Examples", "psql", "forward", "https_proxy"):
            self.assertIn(word, done.stdout)

    def test_version_names_the_libraries(self):
        done = tunnel("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^electric-tunnel \d+\.\d+")
        self.assertIn("libcurl ", done.stdout)
        self.assertIn("OpenSSL", done.stdout)

    def test_an_unknown_command_lists_those_that_exist(self):
        done = tunnel("frobnicate")
        self.assertEqual(done.returncode, 2)
        self.assertIn('"frobnicate"', done.stderr)
        self.assertIn("forward", done.stderr)

    def test_every_problem_is_listed(self):
        done = tunnel("--service", "gopher://x", "--local-port", "70000", "--no-such", "--key", "x", "more")
        self.assertEqual(done.returncode, 2)
        for word in ("gopher", "70000", "--no-such", "--key", '"more"'):
            self.assertIn(word, done.stderr)

    def test_a_password_in_a_bad_url_is_not_repeated(self):
        done = tunnel("--service", "http://me:hunter2@host:99999")
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("hunter2", done.stderr)

    def test_a_ca_file_that_is_none(self):
        for path in ("/no/such/file", "/dev/null"):
            done = tunnel("-s", "https://127.0.0.1:1", "--cacert", path, "--local-port", "0")
            self.assertEqual(done.returncode, 2)
            self.assertIn(path, done.stderr)

    def test_a_token_that_would_break_the_header(self):
        done = tunnel("--local-port", "0", ELECTRIC_TUNNEL_TOKEN="a\r\nX-Evil: b")
        self.assertEqual(done.returncode, 2)
        self.assertNotIn("Evil", done.stderr)

    def test_the_service_by_either_variable(self):
        service = self.start(Service(echo))
        for variable in ("ELECTRIC_SERVICE", "ELECTRIC_URL"):
            client = ByEnvironment(**{variable: service.url})
            self.start(client)
            client.wait_for(re.escape(f"tunnel to {service.url}"))


class ByEnvironment(Client):
    def __init__(self, **variables):
        super().__init__("unused", **variables)
        self.argv = [path_of("ELECTRIC_TUNNEL"), "forward", "--local-port=0"]


class Listening(TunnelTest):
    def test_both_loopback_addresses_on_one_port(self):
        self.serve(echo)
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, self.client.port), 10) as sock:
                sock.sendall(b"hello")
                self.assertEqual(receive(sock, 5), b"hello")
        lines = self.client.stderr().splitlines()
        self.assertIn(f"listening on 127.0.0.1:{self.client.port}", lines)
        self.assertIn(f"listening on [::1]:{self.client.port}", lines)
        self.assertIn(f"psql -h localhost -p {self.client.port}", self.client.stderr())

    def test_nowhere_else(self):
        self.serve(echo)
        table = subprocess.run(["cat", "/proc/net/tcp"], capture_output=True, text=True, check=True).stdout
        port = f":{self.client.port:04X} "
        listening = [line.split()[1] for line in table.splitlines() if port in line and line.split()[3] == "0A"]
        self.assertEqual(listening, [f"0100007F:{self.client.port:04X}"])

    def test_a_port_in_use(self):
        for host, shown in (("127.0.0.1", "127.0.0.1:{}"), ("::1", "[::1]:{}")):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.create_server((host, 0), family=family) as taken:
                port = taken.getsockname()[1]
                done = tunnel("--local-port", str(port))
            self.assertEqual(done.returncode, 73)
            self.assertIn("electric-tunnel: cannot listen on " + shown.format(port), done.stderr)
            self.assertIn("--local-port", done.stderr)

    def test_an_address_that_is_not_ours(self):
        done = tunnel("--listen", "192.0.2.1", "--local-port", "0")
        self.assertEqual(done.returncode, 73)
        self.assertIn("192.0.2.1", done.stderr)

    def test_one_address(self):
        self.serve(echo, "--listen", "127.0.0.1")
        self.assertNotIn("[::1]", self.client.stderr())

    def test_a_unix_socket(self):
        directory = tempfile.mkdtemp(prefix="tunnel-")
        self.addCleanup(os.rmdir, directory)
        service = self.start(Service(echo))
        path = os.path.join(directory, ".s.PGSQL.6543")
        # Left over from one that was killed.
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        client = OnUnix(service.url, "--listen", directory, "--local-port", "6543")
        with client:
            self.assertIn(f"listening on {path}\n", client.stderr())
            self.assertEqual(os.stat(path).st_mode & 0o077, 0)
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(path)
                sock.sendall(b"local")
                self.assertEqual(receive(sock, 5), b"local")
            done = tunnel("--listen", directory, "--local-port", "6543")
            self.assertEqual(done.returncode, 73)
            self.assertIn(path, done.stderr)
        self.assertFalse(os.path.exists(path))


    def test_a_unix_socket_in_a_relative_directory_is_announced_by_its_absolute_path(self):
        parent = os.path.realpath(self.enterContext(tempfile.TemporaryDirectory(prefix="tunnel-")))
        directory = os.path.join(parent, "a&b c%")
        os.mkdir(directory)
        service = self.start(Service(echo))
        client = OnUnix(service.url, "--listen", "./a&b c%", "--local-port", "6543", "--output", "json")
        client.argv = ["env", "-C", parent, *client.argv]
        with client:
            line = client.announcement()
            self.assertEqual((line["host"], line["port"]), (directory, 6543))
            self.assertEqual(line["url"], f"postgresql:///?host={quote(directory)}&port=6543")
            self.assertIn(f"listening on {directory}/.s.PGSQL.6543\n", client.stderr())
            self.assertIn(f"psql -h {parent}/", client.stderr())
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(f"{line['host']}/.s.PGSQL.{line['port']}")
                sock.sendall(b"local")
                self.assertEqual(receive(sock, 5), b"local")
        self.assertEqual(os.listdir(directory), [])

    def test_a_directory_that_does_not_exist(self):
        for directory in ("./no/such", "/no/such"):
            done = tunnel("--listen", directory)
            self.assertEqual(done.returncode, 73)
            self.assertIn(directory, done.stderr)
            self.assertIn("No such file", done.stderr)


class OnUnix(Client):
    def wait_ready(self):
        self.wait_for("connect with:")


class Saying(TunnelTest):
    def test_json(self):
        self.serve(echo, "--output", "json")
        line = self.client.announcement()
        self.assertEqual(line, {"host": "127.0.0.1", "port": self.client.port,
                                "url": f"postgresql://127.0.0.1:{self.client.port}/"})
        self.assertEqual(len(self.client.stdout().splitlines()), 1)

    def test_quiet_says_nothing(self):
        service = self.start(Service(echo))
        port = free_port()
        client = Quiet(service.url, "--quiet", "--local-port", str(port))
        with client:
            wait_until(lambda: _connects(port), 10, "the port")
            self.client = client
            client.port = port
            sock = self.dial()
            sock.sendall(b"x")
            receive(sock, 1)
        self.assertEqual(client.stderr() + client.stdout(), "")

    def test_ready_fd(self):
        service = self.start(Service(echo))
        read_end, write_end = os.pipe()
        process = spawn([path_of("ELECTRIC_TUNNEL"), "-s", service.url, "--local-port", "0", "--ready-fd", str(write_end)],
                        pass_fds=(write_end,), env=environment(), stderr=subprocess.PIPE, text=True)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            self.assertEqual(pipe.read(), "ready\n")  # and the end: it is closed
        process.terminate()
        _, stderr = process.communicate(timeout=20)
        self.assertIn("listening on 127.0.0.1:", stderr)
        self.assertEqual(process.returncode, 143)

    def test_a_ready_fd_that_is_not_open(self):
        self.assertEqual(tunnel("--ready-fd", "77").returncode, 2)

    def test_sd_notify(self):
        directory = tempfile.mkdtemp(prefix="tunnel-")
        path = os.path.join(directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(path)
            self.addCleanup(os.rmdir, directory)
            self.addCleanup(os.unlink, path)
            self.serve(echo, NOTIFY_SOCKET=path)
            sock.settimeout(5)
            self.assertEqual(sock.recv(100), b"READY=1")

    def test_two_lines_tell_a_connection_s_story(self):
        self.serve(echo)
        sock = self.dial()
        sock.sendall(b"12345")
        receive(sock, 5)
        sock.close()
        self.client.wait_for(r"tunnel 1: closed: the local side ended; 5 bytes up, 5 down")
        self.client.wait_for(r"tunnel 1: opened")

    def test_the_end_is_a_summary(self):
        self.serve(echo)
        for _ in range(2):
            sock = self.dial()
            sock.sendall(b"12345")
            receive(sock, 5)
            sock.close()
        self.client.wait_for(r"tunnel 2: closed")
        self.client.stop()
        self.assertRegex(self.client.stderr(), r"connections: 2, bytes up: 10, bytes down: 10, re-attached: 0\n$")


class Quiet(Client):
    def wait_ready(self):
        pass


def _connects(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Stopping(TunnelTest):
    def stop_with(self, number, code):
        self.serve(echo)
        sock = self.dial()
        sock.sendall(b"x")
        receive(sock, 1)
        self.client.clean_exit = (code,)
        self.client.stop(number)
        wait_until(lambda: self.service.peers[0].close_code, 5, "Close")
        self.assertEqual(self.service.peers[0].close_code, 1001)
        self.assertEqual(sock.recv(1), b"")

    def test_sigterm(self):
        self.stop_with(signal.SIGTERM, 143)

    def test_sigint(self):
        self.stop_with(signal.SIGINT, 130)

    def test_while_connecting(self):
        self.serve(lambda peer: time.sleep(20))
        sock = self.dial()
        sock.sendall(wire.startup({"user": "u"}))
        wait_until(lambda: self.service.connections, 5, "the tunnel's connection")
        self.client.stop()

    def test_while_resolving(self):
        self.client = self.start(Client("http://no-such-host.invalid"))
        sock = self.dial()
        sock.sendall(b"x")
        started = time.monotonic()
        self.client.stop()
        self.assertLess(time.monotonic() - started, 3)

    def test_sigpipe_is_survived(self):
        self.serve(echo)
        os.kill(self.client.pid, signal.SIGPIPE)
        self.assert_alive()
