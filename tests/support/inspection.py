"""Proxies that read what is encrypted: they present certificates of an authority of their own, as companies have.

    with Inspector(authority, trusted=service_authority.certificate) as proxy:
        Client("https://localhost:…", "--cacert", authority.certificate, https_proxy=proxy.url)

`InspectingSquid` is the real thing, for which Debian has the package squid-openssl. SQUID_OPENSSL may name its
program, where another squid is installed.
"""

import functools
import os
import shutil
import ssl
import subprocess
import unittest

from tests.support.middlebox import SEARCH, Squid
from tests.support.service import Proxy, pump, server_context


class Inspector(Proxy):
    """`authority` issues what it presents; `trusted` is the file of the service's authority."""

    def __init__(self, authority, trusted, **options):
        super().__init__(**options)
        self.authority, self.trusted = authority, trusted
        self.seen = b""

    @functools.lru_cache(maxsize=None)
    def context(self, host):
        kind = "IP" if host.replace(".", "").isdigit() else "DNS"
        return server_context(*self.authority.issue(f"inspected-{host}", [f"{kind}:{host}"]))

    def carry(self, connection, onward, host):
        outer = self.context(host).wrap_socket(connection, server_side=True)
        with ssl.create_default_context(cafile=self.trusted).wrap_socket(onward, server_hostname=host) as inner:
            request = outer.recv(65536)
            self.seen += request
            inner.sendall(request)
            pump(outer, inner)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"


def find_squid():
    """A squid with OpenSSL; skips the test where there is none."""
    for path in (os.environ.get("SQUID_OPENSSL"), shutil.which("squid", path=SEARCH)):
        if path and "--with-openssl" in subprocess.run([path, "-v"], capture_output=True, text=True, check=False).stdout:
            return path
    raise unittest.SkipTest("there is no squid that can inspect TLS; Debian's package is squid-openssl")


class InspectingSquid(Squid):
    """`authority` issues what it presents; `trusted` is the file of the service's authority."""

    def __init__(self, authority, trusted, **options):
        found = find_squid()
        super().__init__(**options)
        self.argv[0] = found
        self.authority, self.trusted = authority, trusted

    def port_options(self):
        pem = self.write("authority", self.authority.pem())
        return f" ssl-bump generate-host-certificates=on dynamic_cert_mem_cache_size=4MB tls-cert={pem}"

    def configuration(self):
        database, trusted = self.path("certificates"), self.write("trusted", _read(self.trusted))
        shutil.rmtree(database, ignore_errors=True)
        maker = self.helper("security_file_certgen")
        subprocess.run([maker, "-c", "-s", database, "-M", "4MB"], check=True, capture_output=True)
        if self.user is not None:
            for path, _, names in os.walk(database):
                for entry in (path, *(os.path.join(path, name) for name in names)):
                    shutil.chown(entry, self.user)
        return f"""
sslcrtd_program {maker} -s {database} -M 4MB
sslcrtd_children 1
tls_outgoing_options cafile={trusted}
acl beginning at_step SslBump1
ssl_bump peek beginning
ssl_bump bump all
on_unsupported_protocol tunnel all
http_upgrade_request_protocols websocket allow all
{super().configuration()}"""


def _read(path):
    with open(path, encoding="ascii") as file:
        return file.read()
