"""A SOCKS5 proxy as people have it: `ssh -D` to an sshd, both private to the test and without rights.

    with SshSocks() as proxy:
        Client("http://…", all_proxy=proxy.url)
"""

import os
import pwd
import shutil
import subprocess
import unittest

from tests.support.middlebox import Middlebox, SEARCH, TERMINATED


class Sshd(Middlebox):
    """Lets in whoever has the key `client_key`."""

    command = "sshd"
    arguments = ("-D", "-e", "-f", "{file}")
    clean_exit = (*TERMINATED, 255)

    def configuration(self):
        for name in ("host_key", "client_key"):
            if not os.path.exists(self.path(name)):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.path(name)],
                               check=True, capture_output=True)
            for path in (self.path(name), self.path(name) + ".pub"):
                if self.user is not None:
                    shutil.chown(path, self.user)
        return f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.path("host_key")}
PidFile {self.path("pid")}
AuthorizedKeysFile {self.path("client_key")}.pub
StrictModes no
UsePAM no
PasswordAuthentication no
AllowTcpForwarding yes
"""


class SshSocks(Middlebox):
    command = "ssh"

    def __init__(self):
        self.sshd = Sshd()
        super().__init__()
        if shutil.which("ssh-keygen", path=SEARCH) is None:
            raise unittest.SkipTest("ssh-keygen is not installed")

    def __enter__(self):
        self.sshd.__enter__()
        return super().__enter__()

    def __exit__(self, *details):
        super().__exit__(*details)
        self.sshd.__exit__(*details)

    def configuration(self):
        user = self.user or pwd.getpwuid(os.geteuid()).pw_name
        self.argv[1:] = ["-N", "-F", "none", "-D", f"127.0.0.1:{self.port}", "-p", str(self.sshd.port),
                         "-i", self.sshd.path("client_key"), "-o", "BatchMode=yes", "-o", "ExitOnForwardFailure=yes",
                         "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={self.path('known')}",
                         "-o", "GlobalKnownHostsFile=none", f"{user}@127.0.0.1"]
        return ""

    @property
    def url(self):
        return f"socks5h://127.0.0.1:{self.port}"
