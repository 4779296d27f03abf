"""electric-tunnel exec: a command with a tunnel around it. What it finds, whose signals it gets, how all of it ends."""

import os
import pty
import re
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.process import free_port, spawn, unprivileged_user, wait_until
from tests.support.programs import ProgramTest, Relay, SANITIZER_REPORT, Server, environment, path_of, run
from tests.support.service import Service

TIMEOUT = 120
ASK_PASSWORD = wire.message("R", struct.pack("!I", 3))
CANARY = "c4nary"


def answer(peer):
    """A Postgres that asks for a password, and no more."""
    peer.accept()
    while peer.receive():
        peer.send(ASK_PASSWORD)
        break
    while peer.close_code is None:
        peer.receive()
    peer.send_close()


def fatal(sqlstate, message):
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": message}
    return wire.message("E", b"".join(name.encode() + wire.text(value) for name, value in fields.items()) + b"\0")


def answer_with(message):
    def behave(peer):
        peer.accept()
        peer.receive()
        peer.send(message)
        peer.send_close()

    return behave


class ExecTest(ProgramTest):
    def serve(self, behave=answer):
        self.service = self.start(Service(behave))
        return self.service

    def arguments(self, *arguments, service=None):
        return [path_of("ELECTRIC_TUNNEL"), "exec", "--service", service or self.service.url, *arguments]

    def exec(self, *arguments, service=None, inputs=None, **variables):
        done = subprocess.run(self.arguments(*arguments, service=service), env=environment(variables), input=inputs,
                              capture_output=True, text=True, timeout=TIMEOUT)
        self.assertIsNone(SANITIZER_REPORT.search(done.stderr), done.stderr)
        return done

    def spawn(self, *arguments, **options):
        process = spawn(self.arguments(*arguments), env=environment(options.pop("variables", None)), text=True,
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(self.finish, process)
        return process

    def finish(self, process):
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def assert_fails(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith("electric-tunnel: "), done.stderr)
        for word in words:
            self.assertIn(word, last)

    def variables(self, *arguments, **variables):
        """The environment of the command."""
        done = self.exec(*arguments, "--", "env", "-0", **variables)
        self.assertEqual(done.returncode, 0, done.stderr)
        return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


class Command(ExecTest):
    def setUp(self):
        self.serve()

    def test_its_exit_code_is_ours(self):
        for code in (0, 1, 69, 255):
            self.assertEqual(self.exec("--", "sh", "-c", f"exit {code}").returncode, code)

    def test_a_signal_that_kills_it_is_128_and_more(self):
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV):
            self.assertEqual(self.exec("--", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$").returncode, 128 + number)

    def test_one_that_is_not_there(self):
        self.assert_fails(self.exec("--", "no-such-command"), 127, '"no-such-command"')
        self.assert_fails(self.exec("--", "/no/such/command"), 127, "No such file")

    def test_one_that_is_no_program(self):
        self.assert_fails(self.exec("--", "/etc/passwd"), 126, "Permission denied")

    def test_none(self):
        self.assert_fails(self.exec(), 2, "exec --help")

    def test_every_problem_is_told_before_anything_is_done(self):
        done = self.exec("--no-such", "--listen=/tmp", "--ready-timeout", "off", "--", "true")
        self.assert_fails(done, 2)
        for word in ("--no-such", "--listen is an option of the command forward", "--ready-timeout"):
            self.assertIn(word, done.stderr)
        self.assertEqual(self.service.connections, 0)

    def test_the_dashes_may_be_left_out(self):
        self.assertEqual(self.exec("echo", "--service", "x").stdout, "--service x\n")

    def test_its_streams_are_its_own(self):
        done = self.exec("--", "sh", "-c", "cat; echo error >&2", inputs="to and fro")
        self.assertEqual((done.stdout, done.stderr), ("to and fro", "error\n"))

    def test_its_arguments_are_not_touched(self):
        done = self.exec("--", "sh", "-c", "tr '\\0' ' ' </proc/$PPID/cmdline; echo \"$1\"", "sh", "postgres://u:p@h/d")
        self.assertTrue(done.stdout.endswith("postgres://u:p@h/d\n"))
        self.assertEqual(done.stdout.count("u:p@"), 2)

    def test_it_inherits_the_descriptors_that_we_had(self):
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        process = self.spawn("--", sys.executable, "-c", "import os; print(*sorted(map(int, os.listdir('/proc/self/fd'))))",
                             pass_fds=(write_end,))
        os.close(write_end)
        output, _ = process.communicate(timeout=TIMEOUT)
        listing = {int(number) for number in output.split()}
        self.assertEqual(len(listing - {0, 1, 2, write_end}), 1, output)  # that of the listing itself

    def test_its_signals_are_as_we_found_them(self):
        script = "grep -E '^Sig(Blk|Ign)' /proc/self/status"
        plain = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True,
                               restore_signals=True).stdout
        self.assertEqual(self.exec("--", "sh", "-c", script).stdout, plain)

    def test_closed_standard_descriptors(self):
        done = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *self.arguments("--", "sh", "-c", "exit 5")],
                              env=environment(), timeout=TIMEOUT)
        self.assertEqual(done.returncode, 5)

    def test_children_that_others_left_us_are_no_command(self):
        script = 'sleep 0.05 & exec "$@"'
        done = subprocess.run(["sh", "-c", script, "sh", *self.arguments("--", "sh", "-c", "sleep 0.2; exit 6")],
                              env=environment(), timeout=TIMEOUT)
        self.assertEqual(done.returncode, 6)

    def test_ignored_sigchld(self):
        done = subprocess.run([sys.executable, "-c", "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN);"
                               "os.execv(sys.argv[1], sys.argv[1:])", *self.arguments("--", "sh", "-c", "exit 4")],
                              env=environment(), timeout=TIMEOUT)
        self.assertEqual(done.returncode, 4)


class Surroundings(ExecTest):
    """The environment of the command."""

    def setUp(self):
        self.serve()

    def test_the_place_of_the_tunnel(self):
        found = self.variables()
        self.assertEqual((found["PGHOST"], found["PGSSLMODE"]), ("127.0.0.1", "disable"))
        self.assertEqual(found["PGPORT"], found["ELECTRIC_TUNNEL_PORT"])
        self.assertRegex(found["PGPORT"], r"^\d+$")
        self.assertNotIn("DATABASE_URL", found)

    def test_a_port_of_one_s_choice(self):
        port = free_port()
        self.assertEqual(self.variables("--local-port", str(port))["PGPORT"], str(port))

    def test_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            self.assert_fails(self.exec("--local-port", port, "--", "true"), 73, f"127.0.0.1:{port}")

    def test_the_connection_string_is_pointed_at_the_tunnel(self):
        found = self.variables(DATABASE_URL="postgres://me:p%40ss@db.example.com:5432/app?schema=s&sslmode=require")
        self.assertEqual(found["DATABASE_URL"],
                         f"postgres://me:p%40ss@127.0.0.1:{found['PGPORT']}/app?sslmode=disable&schema=s")

    def test_the_connection_string_from_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("postgres://me:secret@db/app\n")
            file.flush()
            for found in (self.variables("--database-url-file", file.name), self.variables(DATABASE_URL_FILE=file.name)):
                self.assertEqual(found["DATABASE_URL"],
                                 f"postgres://me:secret@127.0.0.1:{found['PGPORT']}/app?sslmode=disable")
                self.assertNotIn("DATABASE_URL_FILE", found)

    def test_another_kind_of_string_is_left_alone_and_said_to_be(self):
        done = self.exec("--", "sh", "-c", "echo $DATABASE_URL", DATABASE_URL="mysql://u:p@db/app")
        self.assertEqual(done.stdout, "mysql://u:p@db/app\n")
        self.assertIn("DATABASE_URL", done.stderr)
        self.assertNotIn("u:p@", done.stderr)

    def test_what_leads_around_the_tunnel_is_gone(self):
        gone = {"PGHOSTADDR": "192.0.2.1", "PGSERVICE": "app", "PGSSLNEGOTIATION": "direct", "PGSSLROOTCERT": "system",
                "PGCHANNELBINDING": "require", "PGGSSENCMODE": "require", "PGREQUIRESSL": "1"}
        kept = {"PGUSER": "me", "PGDATABASE": "app", "PGPASSWORD": "p", "PGOPTIONS": "-c x.y=z", "LOG_LEVEL": "trace"}
        found = self.variables(PGHOST="db", PGPORT="1", PGSSLMODE="verify-full", **gone, **kept)
        self.assertFalse(set(gone) & set(found))
        self.assertEqual({name: found[name] for name in kept}, kept)
        self.assertEqual((found["PGHOST"], found["PGSSLMODE"]), ("127.0.0.1", "disable"))

    def test_our_secrets_are_gone(self):
        url = self.service.url.replace("http://", "http://me:hunter2@")
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("t0ken")
            file.flush()
            found = self.variables(ELECTRIC_SERVICE=url, ELECTRIC_URL="http://x:hunter2@bad port/",
                                   ELECTRIC_TUNNEL_TOKEN_FILE=file.name)
        self.assertEqual(found["ELECTRIC_SERVICE"], self.service.url)
        self.assertFalse({"ELECTRIC_URL", "ELECTRIC_TUNNEL_TOKEN", "ELECTRIC_TUNNEL_TOKEN_FILE"} & set(found))
        self.assertNotIn("hunter2", str(found))

    def test_variables_from_a_file(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(f"# ours\nELECTRIC_SERVICE={self.service.url}\nexport ELECTRIC_TUNNEL_TOKEN='t0ken'\n"
                       'DATABASE_URL="postgres://u:p@db/app"\nPLAIN=from the file\nSET=from the file\n')
            file.flush()
            done = subprocess.run([path_of("ELECTRIC_TUNNEL"), "exec", "--env-file", file.name, "--", "sh", "-c",
                                   'echo "$DATABASE_URL $PLAIN $SET<$ELECTRIC_TUNNEL_TOKEN>"'],
                                  env=environment({"SET": "from the environment"}), capture_output=True, text=True,
                                  timeout=TIMEOUT)
        self.assertRegex(done.stdout, r"^postgres://u:p@127\.0\.0\.1:\d+/app\?sslmode=disable "
                                      r"from the file from the environment<>\n$")
        self.assertEqual(self.service.peers[0].headers["authorization"], "Bearer t0ken")

    def test_a_file_of_variables_that_is_of_no_use(self):
        self.assert_fails(self.exec("--env-file", "/no/such", "--", "true"), 2)
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("A=1\nhunter2\n")
            file.flush()
            done = self.exec("--env-file", file.name, "--", "true")
        self.assert_fails(done, 2)
        self.assertIn("line 2", done.stderr)
        self.assertNotIn("hunter2", done.stderr)


class Entrances(ExecTest):
    """The socket and the port."""

    def setUp(self):
        self.serve()

    def test_the_socket_is_in_a_directory_of_our_own_for_the_time_being(self):
        with tempfile.TemporaryDirectory() as parent:
            done = self.exec("--", "sh", "-c", 'stat -c "%a %n" "$ELECTRIC_TUNNEL_SOCKET_DIR"; '
                             'ls -A "$ELECTRIC_TUNNEL_SOCKET_DIR"; echo "$PGPORT"', XDG_RUNTIME_DIR=parent)
            mode, name, port = done.stdout.splitlines()
            self.assertTrue(mode.startswith(f"700 {parent}/"), mode)
            self.assertEqual(name, f".s.PGSQL.{port}")
            self.assertEqual(os.listdir(parent), [])

    def test_a_place_that_is_too_long_or_not_there_is_passed_over(self):
        with tempfile.TemporaryDirectory() as parent:
            deep = os.path.join(parent, "x" * 90)
            os.mkdir(deep)
            found = self.variables(XDG_RUNTIME_DIR=deep, TMPDIR=parent)
            self.assertTrue(found["ELECTRIC_TUNNEL_SOCKET_DIR"].startswith(parent + "/electric-tunnel-"))
        self.assertTrue(self.variables(XDG_RUNTIME_DIR="/no/such", TMPDIR="no/such")["ELECTRIC_TUNNEL_SOCKET_DIR"]
                        .startswith("/tmp/"))

    def test_every_way_in_leads_to_the_service(self):
        script = ("import os, socket\n"
                  "port = os.environ['PGPORT']\n"
                  "unix = os.environ['ELECTRIC_TUNNEL_SOCKET_DIR'] + '/.s.PGSQL.' + port\n"
                  "for family, address in ((socket.AF_UNIX, unix), (socket.AF_INET, ('127.0.0.1', int(port))),\n"
                  "                        (socket.AF_INET6, ('::1', int(port))), (socket.AF_INET6, ('::ffff:127.0.0.1', int(port)))):\n"
                  "    s = socket.socket(family)\n"
                  "    s.connect(address)\n"
                  f"    s.sendall({wire.startup({'user': 'u'})!r})\n"
                  "    print(s.recv(100))\n")
        done = self.exec("--", sys.executable, "-c", script)
        self.assertEqual(done.stdout, f"{ASK_PASSWORD!r}\n" * 4, done.stderr)

    def test_other_users_are_refused(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        script = ("import encodings.idna, os, socket, sys\n"
                  "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                  "try:\n"
                  "    socket.socket(socket.AF_UNIX).connect(os.environ['ELECTRIC_TUNNEL_SOCKET_DIR'] + '/.s.PGSQL.' + os.environ['PGPORT'])\n"
                  "except PermissionError:\n"
                  "    print('no way to the socket')\n"
                  "for host in ('127.0.0.1', '::1', '::ffff:127.0.0.1'):\n"
                  "    s = socket.create_connection((host, int(os.environ['PGPORT'])))\n"
                  f"    s.sendall({wire.ssl_request()!r})\n"
                  "    assert s.recv(1) == b'N'\n"
                  f"    s.sendall({wire.startup({'user': 'u'})!r})\n"
                  "    data = b''.join(iter(lambda: s.recv(1000), b''))\n"
                  "    print(b'C28000' in data, b'user 65534' in data)\n")
        done = self.exec("--", sys.executable, "-c", script)
        self.assertEqual(done.stdout, "no way to the socket\n" + "True True\n" * 3, done.stderr)
        self.assertEqual(self.service.connections, 1)  # ours, at the beginning
        self.assertEqual(done.stderr.count("user 65534"), 1)  # said once

    def test_no_ipv6_is_nothing_to_warn_of(self):
        done = subprocess.run(["unshare", "-rn", *self.arguments("--ready-timeout", "1s", "--", "true", service="http://127.0.0.1:1")],
                              env=environment(), capture_output=True, text=True, timeout=TIMEOUT)
        if "unshare:" in done.stderr:
            self.skipTest("no namespace of the network can be made here: " + done.stderr)
        self.assert_fails(done, 69, "not ready within 1 s")
        self.assertNotIn("::1", done.stderr)

    def test_many_at_once_have_ports_of_their_own(self):
        def behave(peer):
            """Answers with the path it was asked for, which is another one for each."""
            peer.accept()
            peer.receive()
            peer.send(ASK_PASSWORD + peer.path.encode())
            while peer.close_code is None:
                peer.receive()
            peer.send_close()

        self.serve(behave)
        running, ports = [], set()
        for number in range(200):
            running.append(spawn(self.arguments("--", "sh", "-c", "echo $PGPORT; read line; exit 3",
                                                service=f"{self.service.url}/{number}"),
                                 env=environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            self.addCleanup(self.finish, running[-1])
        for number, process in enumerate(running):
            port = int(process.stdout.readline())
            ports.add(port)
            with wire.dial("127.0.0.1", port, TIMEOUT) as sock:
                sock.sendall(wire.startup({"user": "u"}))
                expected = ASK_PASSWORD + f"/{number}/proxy".encode()
                self.assertEqual(sock.recv(len(expected), socket.MSG_WAITALL), expected)
        self.assertEqual(len(ports), 200)
        for process in running:
            process.stdin.close()
        for process in running:
            self.assertEqual(process.wait(TIMEOUT), 3)

    def test_what_others_left_behind_on_the_port_is_not_ours(self):
        """A socket whose process has closed it is nobody's; the kernel calls it root's."""
        if os.geteuid() != 0:
            self.skipTest("only root can become another user")
        script = ("import encodings.idna, os, socket, struct\n"
                  "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
                  "for _ in range(20):\n"
                  "    s = socket.create_connection(('127.0.0.1', int(os.environ['PGPORT'])))\n"
                  f"    s.sendall({wire.startup({'user': 'u'})!r})\n"
                  "    s.close()\n")
        self.assertEqual(self.exec("--", sys.executable, "-c", script).returncode, 0)
        self.assertEqual(self.service.connections, 1)


class Readiness(ExecTest):
    def test_a_service_that_comes_later(self):
        service = Service(answer)
        port = free_port()
        service.socket.close()
        service.port = port
        process = spawn(self.arguments("--", "echo", "ran", service=service.url), env=environment(), text=True,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.finish, process)
        self.assertIn("not ready yet", process.stderr.readline())
        service.socket = socket.create_server(("127.0.0.1", port))
        self.start(service)
        output, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, output), (0, "ran\n"))

    def test_a_postgres_that_comes_later(self):
        def behave(peer):
            (answer_with(fatal("57P03", "the database system is starting up")) if len(self.service.peers) < 3
             else answer)(peer)

        self.serve(behave)
        done = self.exec("--", "echo", "ran")
        self.assertEqual((done.returncode, done.stdout), (0, "ran\n"))
        self.assertIn("starting up", done.stderr)

    def test_a_gateway_whose_service_comes_later(self):
        self.serve(lambda peer: peer.refuse("502 Bad Gateway") if len(self.service.peers) < 3 else answer(peer))
        self.assertEqual(self.exec("--", "true").returncode, 0)

    def test_one_that_never_comes(self):
        done = self.exec("--ready-timeout", "500ms", "--", "echo", "ran", service=f"http://127.0.0.1:{free_port()}")
        self.assert_fails(done, 69, "0.5 s", "connection refused", "--service")

    def test_one_that_never_answers(self):
        self.serve(lambda peer: (peer.accept(), peer.receive(), peer.receive()))
        self.assert_fails(self.exec("--ready-timeout", "500ms", "--", "echo", "ran"), 69, "did not answer within 0.5 s")

    def upgrades_asked(self):
        """Whether plain requests would do is asked at another path."""
        return [peer.path for peer in self.service.peers].count("/proxy")

    def test_one_that_refuses_us(self):
        for status in ("401 Unauthorized", "403 Forbidden"):
            self.serve(lambda peer, status=status: peer.refuse(status))
            self.assert_fails(self.exec("--", "echo", "ran"), 77, status[:3], "token")
            self.assertEqual(self.upgrades_asked(), 1)

    def test_one_that_is_none(self):
        self.serve(lambda peer: peer.refuse("404 Not Found"))
        self.assert_fails(self.exec("--", "echo", "ran"), 69, "404", "PG_PROXY_PORT")
        self.assertEqual(self.upgrades_asked(), 1)

    def test_a_tunnel_to_something_else(self):
        self.serve(answer_with(b"SSH-2.0-OpenSSH_9.2p1\r\n"))
        self.assert_fails(self.exec("--", "echo", "ran"), 69, "Postgres")

    def test_an_error_of_postgres_is_told(self):
        self.serve(answer_with(fatal("3D000", 'database "app" does not exist')))
        done = self.exec("--", "echo", "ran", DATABASE_URL="postgres://u:p@db/app")
        self.assert_fails(done, 69, 'database "app" does not exist')
        self.serve(answer_with(fatal("28000", "no entry in pg_hba.conf")))
        self.assert_fails(self.exec("--", "echo", "ran", PGUSER="u", PGDATABASE="d"), 77, "no entry in pg_hba.conf")

    def test_an_error_about_names_we_made_up_is_an_answer(self):
        self.serve(answer_with(fatal("28000", 'role "postgres" does not exist')))
        self.assertEqual(self.exec("--", "echo", "ran").stdout, "ran\n")

    def test_it_starts_up_as_the_command_will(self):
        started = []

        def behave(peer):
            peer.accept()
            started.append(peer.receive())
            peer.send(ASK_PASSWORD)

        self.serve(behave)
        self.exec("--", "true", DATABASE_URL="postgres://m%40x:p@db/my%20app", PGUSER="other")
        self.exec("--", "true", PGUSER="me", PGDATABASE="mine")
        self.assertIn(b"user\0m@x\0database\0my app\0", started[0])
        self.assertIn(b"user\0me\0database\0mine\0", started[1])

    def test_a_signal_ends_the_waiting(self):
        self.serve(lambda peer: (peer.accept(), peer.receive(), peer.receive()))
        for number in (signal.SIGTERM, signal.SIGINT):
            before = self.service.connections
            process = self.spawn("--", "echo", "ran")
            wait_until(lambda before=before: self.service.connections > before, 20, "its attempt")
            process.send_signal(number)
            output, errors = process.communicate(timeout=TIMEOUT)
            self.assertEqual((process.returncode, output), (128 + number, ""))
            self.assertTrue(errors.splitlines()[-1].startswith("electric-tunnel: "), errors)


REPORTER = """
import os, signal, sys
counts = {}
def caught(number, _):
    name = signal.Signals(number).name
    counts[name] = counts.get(name, 0) + 1
    os.write(1, f"{name} {counts[name]}\\n".encode())
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), caught)
os.write(1, f"up {os.getpid()}\\n".encode())
while "SIGUSR2" not in counts:
    signal.pause()
"""


class Signals(ExecTest):
    def setUp(self):
        self.serve()

    def test_the_command_gets_them(self):
        names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGWINCH", "SIGCONT", "SIGUSR2"]
        process = self.spawn("--", sys.executable, "-c", REPORTER, *names)
        self.assertRegex(process.stdout.readline(), r"^up \d+\n$")
        for name in names:
            process.send_signal(getattr(signal, name))
            self.assertEqual(process.stdout.readline(), f"{name} 1\n")
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_one_that_kills_it(self):
        process = self.spawn("--", "sh", "-c", "echo up; exec sleep 100")
        self.assertEqual(process.stdout.readline(), "up\n")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(TIMEOUT), 143)

    def test_it_does_not_outlive_us(self):
        process = self.spawn("--", "sh", "-c", "echo $$; exec sleep 1000")
        pid = int(process.stdout.readline())
        process.kill()
        process.wait(TIMEOUT)
        wait_until(lambda: not _lives(pid), 20, "the command to end")

    def terminal(self, *command):
        """A terminal, and our program in its foreground, below a leader that waits for it as a shell does."""
        leader, follower = pty.openpty()
        self.addCleanup(os.close, leader)
        settings = termios.tcgetattr(follower)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(follower, termios.TCSANOW, settings)
        script = ("import fcntl, os, signal, sys, termios\n"
                  "os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
                  "signal.signal(signal.SIGTTOU, signal.SIG_IGN)\n"
                  "job = os.fork()\n"
                  "if job == 0:\n"
                  "    os.setpgid(0, 0); os.tcsetpgrp(0, os.getpid()); signal.signal(signal.SIGTTOU, signal.SIG_DFL)\n"
                  "    os.execv(sys.argv[1], sys.argv[1:])\n"
                  "while True:\n"
                  "    _, status = os.waitpid(job, os.WUNTRACED)\n"
                  "    if not os.WIFSTOPPED(status):\n"
                  "        break\n"
                  "    print('stopped', flush=True)\n"
                  "    os.tcsetpgrp(0, job); os.killpg(job, signal.SIGCONT)\n"
                  "print('ended', os.waitstatus_to_exitcode(status), flush=True)\n")
        process = spawn([sys.executable, "-c", script, *self.arguments("--", *command)], env=environment(),
                        stdin=follower, stdout=follower, stderr=follower)
        os.close(follower)
        self.addCleanup(lambda: (process.kill(), process.wait()))
        self.seen = ""
        self.leader = leader
        return leader

    def wait_seen(self, pattern):
        def look():
            self.seen += os.read(self.leader, 65536).decode()
            return re.search(pattern, self.seen)

        return re.search(pattern, self.seen) or wait_until(look, TIMEOUT, f"{pattern} in {self.seen!r}")

    def test_ctrl_c_ends_both(self):
        leader = self.terminal("sh", "-c", "echo up; exec sleep 1000")
        self.wait_seen("up")
        os.write(leader, b"\x03")
        self.assertEqual(self.wait_seen(r"ended (-?\d+)").group(1), "130")

    def test_ctrl_c_reaches_the_command_once_and_it_decides(self):
        leader = self.terminal(sys.executable, "-c", REPORTER, "SIGINT", "SIGUSR2")
        command = int(self.wait_seen(r"up (\d+)\r\n").group(1))
        for count in (1, 2, 3):
            os.write(leader, b"\x03")
            self.wait_seen(f"SIGINT {count}\r\n")
        os.kill(command, signal.SIGUSR2)
        self.wait_seen(r"ended 0")
        self.assertNotIn("SIGINT 4", self.seen)

    def test_ctrl_z_stops_both_and_they_go_on(self):
        leader = self.terminal("sh", "-c", "echo up; read line; echo got $line")
        self.wait_seen("up")
        os.write(leader, b"\x1a")
        self.wait_seen("stopped")
        os.write(leader, b"more\n")
        self.wait_seen("got more")
        self.assertEqual(self.wait_seen(r"ended (-?\d+)").group(1), "0")


def _lives(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Secrets(ExecTest):
    def run_with_canaries(self, behave, *command, core=False):
        """Every secret there is, in all variables and options, with the loudest log."""
        self.serve(behave)
        with tempfile.TemporaryDirectory() as directory:
            env_file = os.path.join(directory, "env")
            with open(env_file, "w", encoding="ascii") as file:
                file.write(f"ELECTRIC_TUNNEL_TOKEN={CANARY}-token\nOTHER={CANARY}-other\n")
            service = self.service.url.replace("http://", f"http://me:{CANARY}-service@")
            process = spawn(self.arguments("--env-file", env_file, "--log-level", "debug", "--protocol", "auto",
                                           "--ready-timeout", "2s", "--", *command, service=service),
                            env=environment({"DATABASE_URL": f"postgres://u:{CANARY}-database@db/app",
                                             "ELECTRIC_SERVICE": f"http://u:{CANARY}-unused@x",
                                             "no_proxy": "127.0.0.1", "http_proxy": f"http://u:{CANARY}-proxy@p:1",
                                             "ELECTRIC_TUNNEL_HEADERS": f"X-Gateway: {CANARY}-headers",
                                             "PGPASSWORD": f"{CANARY}-password"}),
                            cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.addCleanup(self.finish, process)
            yield process
            yield process.communicate(timeout=TIMEOUT), os.listdir(directory)

    def test_nothing_is_said_of_them(self):
        for behave in (answer, lambda peer: peer.refuse("401 Unauthorized"), lambda peer: peer.refuse("302 Found", Location="http://x/"),
                       answer_with(fatal("3D000", "no such database")), lambda peer: peer.refuse("502 Bad Gateway")):
            with self.subTest(behave):
                steps = self.run_with_canaries(behave, "true")
                next(steps)
                (output, errors), _ = next(steps)
                self.assertEqual(output, "")
                self.assertNotIn(CANARY, errors)

    def test_they_are_neither_in_our_arguments_nor_in_the_command_s_environment(self):
        steps = self.run_with_canaries(answer, "sh", "-c", "tr '\\0' '\\n' </proc/$PPID/cmdline; echo ----; env; read line")
        process = next(steps)
        process.stdin.write("\n")
        (output, errors), _ = next(steps)
        arguments, _, variables = output.partition("----")
        self.assertIn("--service", arguments)
        self.assertNotIn(CANARY, arguments)
        self.assertNotIn(CANARY, errors)
        found = set(re.findall(CANARY + r"-(\w+)", variables))
        # What is meant for the command, and what was no secret of ours.
        self.assertEqual(found, {"database", "other", "password", "proxy"})

    def test_no_core_is_dumped(self):
        self.serve()
        for arguments, sign in ((["exec", "-s", self.service.url, "--", "sh", "-c", "echo up >&2; exec sleep 100"], "up"),
                                (["-s", self.service.url, "--local-port", "0"], "connect with")):
            with tempfile.TemporaryDirectory() as directory:
                limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
                process = spawn([path_of("ELECTRIC_TUNNEL"), *arguments], env=environment(), cwd=directory, text=True,
                                stderr=subprocess.PIPE)
                self.addCleanup(self.finish, process)
                resource.prlimit(process.pid, resource.RLIMIT_CORE, (limit, limit))
                while sign not in process.stderr.readline():
                    self.assertIsNone(process.poll())
                process.send_signal(signal.SIGSEGV)
                _, ended = os.waitpid(process.pid, 0)
                process.returncode = 0
                self.assertFalse(os.WCOREDUMP(ended))
                self.assertEqual(os.listdir(directory), [])

    def test_no_other_process_of_the_user_sees_our_memory(self):
        self.serve()
        process = self.spawn("--", "sh", "-c", "echo up; exec sleep 100", user=unprivileged_user())
        self.assertEqual(process.stdout.readline(), "up\n", "the build must be readable for other users")
        self.assertEqual(os.stat(f"/proc/{process.pid}/mem").st_uid, 0)
        process.terminate()
        self.assertEqual(process.wait(TIMEOUT), 143)


class Real(ExecTest):
    """Against a real service and a real Postgres."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.start_once(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url()))

    def real(self, *arguments, **variables):
        return self.exec(*arguments, service=self.server.service,
                         **{"DATABASE_URL": self.server.url(dbname="postgres").replace("127.0.0.1", "db.invalid"), **variables})

    def test_a_migration(self):
        for protocol in ("raw", "v1", "auto"):
            with self.subTest(protocol):
                done = self.real("--protocol", protocol, "--", "sh", "-c",
                                 'psql -XAtqc "CREATE TABLE t (id int); DROP TABLE t; SELECT 42" "$DATABASE_URL"')
                self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "42\n", ""))

    def test_libpq_s_variables(self):
        done = self.real("--", "sh", "-c", 'psql -XAtqc "SELECT 1"; psql -h "$ELECTRIC_TUNNEL_SOCKET_DIR" -XAtqc "SELECT 2"; '
                         'psql -XAtqc "SELECT 3" "postgres://postgres@$PGHOST:$PGPORT/postgres"',
                         PGUSER="postgres", PGPASSWORD=self.server.password)
        self.assertEqual((done.stdout, done.stderr), ("1\n2\n3\n", ""))

    def test_a_migration_that_fails(self):
        done = self.real("--", "sh", "-c", 'psql -XAtq -v ON_ERROR_STOP=1 "$DATABASE_URL" -f - <<END\nSELECT nonsense;\nEND')
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn('column "nonsense" does not exist', done.stderr)

    def test_sessions_that_the_command_left_behind_end_with_it(self):
        # The process goes on, and so does its session: it is told, and we end.
        script = 'psql -XAtq "$DATABASE_URL" -c "SELECT 1" -c "SELECT pg_sleep(1000)" 2>"$0" & sleep 1; exit 9'
        with tempfile.NamedTemporaryFile("r") as errors:
            done = self.real("--", "sh", "-c", script, errors.name)
            self.assertEqual(done.returncode, 9)
            told = []
            wait_until(lambda: told.append(errors.read()) or "is being stopped" in "".join(told), 20, "psql to be told")

    def test_what_was_sent_last_arrives(self):
        self.cluster.psql("CREATE TABLE last (id int)")
        script = ("import os, socket, sys\n"
                  "sys.path.insert(0, sys.argv[1])\n"
                  "from tests.support import wire\n"
                  "connection = wire.connect('127.0.0.1', int(os.environ['PGPORT']), sys.argv[2])\n"
                  "connection.send(wire.query('INSERT INTO last SELECT generate_series(1, 1000)'), wire.terminate())\n"
                  "os._exit(0)\n")
        top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.assertEqual(self.real("--", sys.executable, "-c", script, top, self.server.password).returncode, 0)
        self.assertEqual(wait_until(lambda: self.cluster.psql("SELECT count(*) FROM last").strip(), 10), "1000")

    def test_a_service_that_dies_is_told_while_the_command_waits(self):
        server = self.start(Server(self.cluster.url()))
        server.clean_exit = (-signal.SIGKILL,)
        command = 'psql -XAtq "$DATABASE_URL" -c "SELECT 1" -c "SELECT pg_sleep(1000)"'
        process = spawn([path_of("ELECTRIC_TUNNEL"), "exec", "-s", server.service, "--", "sh", "-c", f"exec {command}"],
                        env=environment({"DATABASE_URL": server.url()}), text=True, stdin=subprocess.DEVNULL,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(self.finish, process)
        self.assertEqual(process.stdout.readline(), "1\n")
        server.kill()
        self.assertRegex(process.stderr.readline(), r"is detached: .*; trying again for \d+ s")
        process.terminate()
        self.assertEqual(process.wait(TIMEOUT), 143)

    def test_a_token(self):
        with Server(self.cluster.url(), ELECTRIC_TUNNEL_TOKEN="t0ken") as server:
            right = self.exec("--", "sh", "-c", "test -z \"$ELECTRIC_TUNNEL_TOKEN\"", service=server.service,
                              ELECTRIC_TUNNEL_TOKEN="t0ken")
            wrong = self.exec("--", "echo", "ran", service=server.service, ELECTRIC_TUNNEL_TOKEN="wrong")
        self.assertEqual(right.returncode, 0, right.stderr)
        self.assert_fails(wrong, 77, "401")

    def test_a_relay(self):
        with Relay(self.cluster.port) as relay:
            done = self.exec("--", "sh", "-c", 'psql -XAtqc "SELECT 7" "$DATABASE_URL"', service=relay.service,
                             DATABASE_URL=self.cluster.url())
        self.assertEqual((done.returncode, done.stdout), (0, "7\n"), done.stderr)
