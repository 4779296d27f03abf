"""A certificate authority made on the spot by openssl, and certificates from it."""

import os
import subprocess


class Authority:
    """`certificate` is the path of the authority's own certificate, for clients to trust."""

    def __init__(self, directory):
        self.directory = directory
        os.mkdir(directory)
        self.certificate = os.path.join(directory, "ca.crt")
        self._key = os.path.join(directory, "ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                 "-subj", "/CN=test authority", "-addext", "basicConstraints=critical,CA:TRUE",
                 "-keyout", self._key, "-out", self.certificate)

    def pem(self):
        """Its certificate and its key, for what issues certificates itself."""
        pieces = [open(path, encoding="ascii").read() for path in (self.certificate, self._key)]  # pylint: disable=consider-using-with
        return "".join(pieces)

    def issue(self, name, alternative_names):
        """Paths of a certificate and its key; `alternative_names` like "DNS:localhost"."""
        key, request, certificate = (os.path.join(self.directory, name + suffix) for suffix in (".key", ".csr", ".crt"))
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions = os.path.join(self.directory, name + ".ext")
        with open(extensions, "w", encoding="ascii") as file:
            file.write("subjectAltName=" + ",".join(alternative_names) + "\n")
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
                 "-days", "2", "-extfile", extensions, "-out", certificate)
        os.chmod(key, 0o600)
        return certificate, key


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr}")
