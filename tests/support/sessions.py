"""electric-tunnel's sessions over a network that breaks: a server, a cutter, a client."""

import functools
import os
import re
import ssl
import tempfile
import unittest

from tests.support import websocket, wire
from tests.support.certificates import Authority
from tests.support.cluster import Cluster
from tests.support.cutter import Cutter
from tests.support.middlebox import Haproxy
from tests.support.programs import Client, ProgramTest, Server, psql, run


@functools.cache
def has_http_carrier():
    return "--transport" in run("ELECTRIC_TUNNEL", "--help").stdout


def needs_http_carrier(test):
    return unittest.skipUnless(has_http_carrier(), "electric-tunnel has no HTTP carrier")(test)


class SessionTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())

    def serve(self, **variables):
        settings = {"CAPTURE": "false", "DRAIN_TIMEOUT": "1s", **variables}
        return self.enterContext(Server(self.cluster.url(), **settings))

    def start(self, *flags, server=None, seed=1, encrypted=False, trusted=None, **cutting):
        """The first connection is spared, so that the client knows what the service speaks. `encrypted`: haproxy
        does TLS behind the cutter. `trusted`: the authority of a server that does it itself."""
        self.server = server or self.serve()
        self.cutter = self.enterContext(Cutter(self.server.http_port, seed, spare=1, blind=bool(trusted), **cutting))
        self.tls = ssl.create_default_context(cafile=trusted) if trusted else None
        service, trust = self.cutter.url, ()
        if encrypted:
            service, trust = self.encrypt()
        elif trusted:
            service, trust = self.cutter.url.replace("http:", "https:"), ("--cacert", trusted)
        self.client = self.enterContext(
            Client(service, "--connect-timeout", "60s", "--log-level", "debug", *trust, *flags))
        self.url = self.client.url(self.server.password)
        self.psql("SELECT 1")

    def encrypt(self):
        """Puts haproxy, which does TLS, between the cutter and the server; the new URL, and flags to trust it."""
        authority, certificate = self.certify()
        box = self.enterContext(Haproxy(self.cutter.inner_port, certificate=certificate, proxy_line=True))
        self.cutter.target, self.cutter.inner_target = box.port, self.server.http_port
        return self.cutter.url.replace("http:", "https:"), ("--cacert", authority)

    def certify(self):
        """An authority's certificate; one from it for this machine, and its key."""
        authority = Authority(os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "tls"))
        return authority.certificate, authority.issue("localhost", ["DNS:localhost", "IP:127.0.0.1"])

    def psql(self, *commands, script=None, timeout=120):
        """Any error at all fails the test."""
        arguments = [word for command in commands for word in ("-c", command)]
        result = psql(self.url + "?options=-cclient_min_messages%3Dwarning", *arguments, script=script, timeout=timeout)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def connect(self, **login):
        return self.enterContext(wire.connect("127.0.0.1", self.client.port, self.server.password, timeout=30, **login))

    def value(self, session, sql, timeout=30):
        """The one value that a statement gives, however long the network takes."""
        session.send(wire.query(sql))
        return self.answer(session, timeout)

    def answer(self, session, timeout=30):
        messages = session.receive_until("Z", timeout=timeout)
        self.assertEqual([m.fields() for m in messages if m.type == "E"], [])
        return [m.row()[0].decode() for m in messages if m.type == "D"][0]

    def resent_by_server(self):
        """Bytes that the server has sent again; it is to be started with API_TOKEN="api"."""
        answer = websocket.request(self.server.http_port, "/metrics", headers={"Authorization": "Bearer api"}, tls=self.tls)
        return int(re.search(rb"^electric_tunnel_resent_bytes_total (\d+)", answer.body, re.MULTILINE).group(1))

    def resent(self):
        """Bytes that the client has sent again, of the sessions that are over."""
        return sum(int(count) for count in re.findall(r"(\d+) sent again", self.client.stderr()))

    def open_sessions(self):
        """How many the client still has, whether anybody uses them or not."""
        log = self.client.stderr()
        return len(re.findall(r"tunnel \d+: opened", log)) - len(re.findall(r"tunnel \d+: session \w+: \d+ attachments", log))

    def reattached(self):
        return len(re.findall("re-attached", self.client.stderr()))

