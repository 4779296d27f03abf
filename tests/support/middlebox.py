"""What stands between clients and servers in the world: nginx, haproxy, squid, tinyproxy, from the distribution.

    with Haproxy(target=server.http_port, idle="5s") as box:
        Client(box.url)

Each runs from a directory of its own, as an ordinary user, on a port that was free a moment ago. One
that is not installed skips the test, and says so.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

from tests.support.process import free_port, listens, unprivileged_user, wait_until
from tests.support.programs import Program

# Where Debian puts daemons, which is not in everybody's PATH.
SEARCH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
TERMINATED = (0, -15, 143)


class Middlebox(Program):
    """`configuration()` gives the text of the file that `arguments` names as {file}."""

    command = None
    arguments = ()
    clean_exit = TERMINATED

    def __init__(self):
        path = shutil.which(self.command, path=SEARCH)
        if path is None:
            raise unittest.SkipTest(f"{self.command} is not installed")
        self.name = self.command
        self.user = unprivileged_user()
        self.port = None
        self.directory = tempfile.mkdtemp(prefix=f"{self.command}-")
        names = {"file": self.path("configuration"), "directory": self.directory}
        super().__init__([path, *(argument.format(**names) for argument in self.arguments)])

    def __enter__(self):
        for _ in range(5):
            self.port = free_port()
            self.write("configuration", self.configuration())
            if self.user is not None:
                shutil.chown(self.directory, self.user)
            try:
                return super().__enter__()
            except RuntimeError:
                if "in use" not in self.stderr():
                    raise
        raise RuntimeError(f"{self.name} found no port:\n{self.stderr()}")

    def __exit__(self, *details):
        try:
            super().__exit__(*details)
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def configuration(self):
        raise NotImplementedError

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        """A file that only its user reads; its path."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), 0o600)
        if self.user is not None:
            shutil.chown(self.path(name), self.user)
        return self.path(name)

    def wait_ready(self):
        def look():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} exited with {self.process.returncode}:\n{self.stderr()}")
            return listens(self.port)

        wait_until(look, 20, f"{self.name} to listen")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


class Nginx(Middlebox):
    """`upgrades`: the headers of an upgrade are passed on. `buffers`: bodies are passed on once they are whole."""

    command = "nginx"
    arguments = ("-p", "{directory}", "-c", "{file}", "-e", "stderr")

    def __init__(self, target, idle="60s", upgrades=True, buffers=False):
        super().__init__()
        self.target, self.idle, self.upgrades, self.buffers = target, idle, upgrades, buffers

    def configuration(self):
        temporary = "\n".join(f"    {kind}_temp_path {self.path(kind)};"
                              for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        upgrades = """
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";""" if self.upgrades else ""
        buffers = """
            proxy_ignore_headers X-Accel-Buffering;
            proxy_buffers 64 64k;""" if self.buffers else ""
        return f"""
daemon off;
worker_processes 1;
pid {self.path("pid")};
error_log stderr error;
events {{ worker_connections 512; }}
http {{
    access_log off;
{temporary}
    client_max_body_size 8m;
    server {{
        listen 127.0.0.1:{self.port};
        location / {{
            proxy_pass http://127.0.0.1:{self.target};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_read_timeout {self.idle};{upgrades}{buffers}
        }}
    }}
}}
"""


class Haproxy(Middlebox):
    """`certificate`, a pair of paths: it is spoken to by TLS. `proxy_line`: the target is told whose connection it is.
    Several targets: the query's `session` decides; `check`, a path, is what tells those that take new connections."""

    command = "haproxy"
    arguments = ("-q", "-db", "-f", "{file}")

    def __init__(self, target, *others, idle="1h", certificate=None, proxy_line=False, check=None):
        super().__init__()
        self.targets, self.idle = (target, *others), idle
        self.certificate, self.proxy_line, self.check = certificate, proxy_line, check

    def configuration(self):
        tls = ""
        if self.certificate is not None:
            pieces = [open(path, encoding="ascii").read() for path in self.certificate]  # pylint: disable=consider-using-with
            tls = f" ssl crt {self.write('certificate', ''.join(pieces))}"
        check = "" if self.check is None else f"""
    option httpchk GET {self.check}
    option redispatch
    default-server check inter 200ms fall 1 rise 1"""
        servers = "\n".join(f"    server s{port} 127.0.0.1:{port}{' send-proxy' if self.proxy_line else ''}"
                            for port in self.targets)
        return f"""
global
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client {self.idle}
    timeout server {self.idle}
    timeout tunnel {self.idle}
frontend in
    bind 127.0.0.1:{self.port}{tls}
    default_backend out
backend out
    balance url_param session
    hash-type consistent{check}
{servers}
"""


class Proxy(Middlebox):
    """One that takes CONNECT, from those who give a password."""

    login = "user:pr0xy"

    @property
    def url(self):
        return f"http://{self.login}@127.0.0.1:{self.port}"


class Squid(Proxy):
    """`scheme`: how it wants the password, Basic or Digest."""

    command = "squid"
    arguments = ("-N", "-f", "{file}")

    def __init__(self, idle="5 seconds", scheme="Basic"):
        super().__init__()
        self.idle, self.scheme = idle, scheme

    def helper(self, name):
        """Squid's own programs lie where it does."""
        return os.path.join(os.path.dirname(os.path.dirname(self.argv[0])), "lib", "squid", name)

    def port_options(self):
        return ""

    def authentication(self):
        user, password = self.login.split(":")
        if self.scheme == "Digest":
            passwords = self.write("passwords", f"{user}:{password}\n")
            return f"""
auth_param digest program {self.helper("digest_file_auth")} {passwords}
auth_param digest realm squid
auth_param digest children 1"""
        done = subprocess.run(["openssl", "passwd", "-apr1", password], capture_output=True, text=True, check=True)
        passwords = self.write("passwords", f"{user}:{done.stdout}")
        return f"""
auth_param basic program {self.helper("basic_ncsa_auth")} {passwords}
auth_param basic children 1"""

    def configuration(self):
        return f"""
http_port 127.0.0.1:{self.port}{self.port_options()}
visible_hostname localhost
pid_filename {self.path("pid")}
cache_log {self.path("log")}
access_log none
cache deny all
coredump_dir {self.directory}
max_filedescriptors 1024
pinger_enable off
shutdown_lifetime 0 seconds
read_timeout {self.idle}
{self.authentication()}
acl known proxy_auth REQUIRED
http_access allow known
http_access deny all
"""


class Tinyproxy(Proxy):
    command = "tinyproxy"
    arguments = ("-d", "-c", "{file}")

    def __init__(self, idle=5):
        super().__init__()
        self.idle = idle

    def configuration(self):
        return f"""
Port {self.port}
Listen 127.0.0.1
Timeout {self.idle}
MaxClients 50
LogLevel Warning
BasicAuth {self.login.replace(":", " ")}
"""
