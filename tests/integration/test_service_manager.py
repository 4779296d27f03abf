"""What a service manager sees: sockets handed over, notifications, watchdog, --ready-fd."""

import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server, UnreadyServer, run
from tests.support.websocket import request

# Does what systemd does: opens a socket for each name, tells their ports on stdout, hands them over as
# descriptors 3, 4, … and becomes the program. One that is named like "http?" does not listen.
LAUNCHER = """
import fcntl, os, socket, sys
names = sys.argv[1].split(":")
for i, name in enumerate(names):
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    if not name.endswith("?"):
        sock.listen()
    print(sock.getsockname()[1], flush=True)
    os.dup2(fcntl.fcntl(sock.detach(), fcntl.F_DUPFD, 100 + i), 50 + i)
for i in range(len(names)):
    os.dup2(50 + i, 3 + i)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names).replace("?", ""))
os.execv(sys.argv[2], sys.argv[2:])
"""


class SocketServer(Server):
    """A server that is handed sockets of these names."""

    def __init__(self, url, *names, **variables):
        super().__init__(url, **variables)
        self.argv = [sys.executable, "-c", LAUNCHER, ":".join(names), *self.argv]

    def ports(self):
        return [int(port) for port in self.stdout().split()]


class ActivationTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())

    def test_both_ports(self):
        server = self.start(SocketServer(self.cluster.url(), "postgres", "http"))
        self.assertEqual([server.pg_port, server.http_port], server.ports())
        self.assertEqual(request(server.http_port, "/healthz").status, 200)
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")

    def test_one_of_them(self):
        server = self.start(SocketServer(self.cluster.url(), "http"))
        self.assertEqual([server.http_port], server.ports())
        with wire.connect("127.0.0.1", server.pg_port, server.password) as session:
            self.assertEqual(session.value("SELECT 1"), "1")

    def test_what_cannot_be_used(self):
        for names, words in ((("electric-proxy.socket",), "FileDescriptorName"), (("http?",), "no listening socket")):
            with self.assertRaises(RuntimeError) as caught:
                SocketServer(self.cluster.url(), *names).__enter__()
            self.assertIn("exited with 2", str(caught.exception))
            self.assertIn(words, str(caught.exception))


class NotifyTest(ProgramTest):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.path = os.path.join(directory, "notify")
        self.socket = self.enterContext(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.socket.bind(self.path)
        self.socket.settimeout(30)

    def next(self, *passed_over):
        while True:
            message = self.socket.recv(4096).decode()
            if message not in passed_over:
                return message.split("\n")

    def test_the_life_of_a_server(self):
        server = self.start(Server(self.cluster.url(), NOTIFY_SOCKET=self.path))
        self.assertEqual(self.next(), ["READY=1", "STATUS=waiting for Postgres"])
        self.assertEqual(self.next(), ["STATUS=ready"])
        server.send_signal(signal.SIGHUP)
        reloading = self.next()
        self.assertEqual(reloading[0], "RELOADING=1")
        self.assertRegex(reloading[1], r"^MONOTONIC_USEC=\d+$")
        self.assertEqual(self.next(), ["READY=1", "STATUS=ready"])
        server.stop()
        self.assertEqual(self.next()[0], "STOPPING=1")

    def test_ready_while_postgres_is_down(self):
        self.cluster.stop()
        self.start(UnreadyServer(self.cluster.url(), NOTIFY_SOCKET=self.path))
        self.assertEqual(self.next(), ["READY=1", "STATUS=waiting for Postgres"])

    def test_watchdog(self):
        self.start(Server(self.cluster.url(), NOTIFY_SOCKET=self.path, WATCHDOG_USEC="200000"))
        seen = 0
        while seen < 5:
            seen += self.next() == ["WATCHDOG=1"]

    def test_a_watchdog_for_another_process(self):
        self.start(Server(self.cluster.url(), NOTIFY_SOCKET=self.path, WATCHDOG_USEC="20000", WATCHDOG_PID="1"))
        self.assertNotIn(["WATCHDOG=1"], [self.next(), self.next()])

    def test_an_abstract_socket(self):
        name = f"electric-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
            abstract.bind("\0" + name)
            abstract.settimeout(30)
            self.start(Server(self.cluster.url(), NOTIFY_SOCKET="@" + name))
            self.assertIn(b"READY=1", abstract.recv(4096))


class ReadyTest(ProgramTest):
    def test_ready_fd(self):
        cluster = self.enterContext(Cluster())
        reading, writing = os.pipe()
        self.addCleanup(os.close, reading)
        server = Server(cluster.url())
        process = subprocess.Popen([*server.argv, "--ready-fd", str(writing)], env=server.environment,
                                   stderr=subprocess.DEVNULL, pass_fds=[writing])
        try:
            os.close(writing)
            self.assertTrue(select.select([reading], [], [], 30)[0])
            self.assertEqual(os.read(reading, 100), b"ready\n")
            self.assertEqual(os.read(reading, 100), b"")
        finally:
            process.terminate()
            self.assertEqual(process.wait(30), 0)

    def test_one_that_is_not_open(self):
        done = run("ELECTRIC_PROXY", "--ready-fd", "900", DATABASE_URL="postgresql://x@127.0.0.1:1/x",
                   PG_PROXY_PASSWORD="x")
        self.assertEqual(done.returncode, 2)
        self.assertIn("--ready-fd: that descriptor is not open", done.stderr)


if __name__ == "__main__":
    unittest.main()
