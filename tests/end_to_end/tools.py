"""Finds and installs what the end-to-end tests run: Node.js packages, the legacy CLI, Prisma, JDBC, psycopg.

    python3 -m tests.end_to_end.tools       installs all, and says what cannot be had

Node.js packages are installed once, into ${XDG_CACHE_HOME:-~/.cache}/electric-tunnel-tests. What
comes from the distribution is installed by tests/run. Each function raises unittest.SkipTest with
the reason when its thing cannot be had.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

DRIVERS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "drivers")
INSTALL_TIMEOUT = 300
# Debian's own interpreter: another one earlier in PATH does not see Debian's packages.
PYTHON = "/usr/bin/python3"
JDBC = "/usr/share/java/postgresql.jar"


def psycopg():
    """The command that runs a psycopg program."""
    if subprocess.run([PYTHON, "-c", "import psycopg"], capture_output=True).returncode != 0:
        raise unittest.SkipTest("no psycopg 3 (package python3-psycopg)")
    return [PYTHON]


def java():
    """The command that runs a Java source file with pgJDBC."""
    if shutil.which("javac") is None:
        raise unittest.SkipTest("no Java compiler (package default-jdk-headless)")
    if not os.path.exists(JDBC):
        raise unittest.SkipTest("no pgJDBC (package libpostgresql-jdbc-java)")
    return ["java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", JDBC]


def node(script):
    """The command that runs one of the Node.js drivers."""
    # Node.js looks for modules beside the script, so the script goes where they are.
    installed = os.path.join(_npm_project("node"), script)
    copy = f"{installed}.{os.getpid()}"
    shutil.copy(os.path.join(DRIVERS, "node", script), copy)
    os.replace(copy, installed)  # another run may be reading it
    return [shutil.which("node"), installed]


def legacy_cli(project="legacy_cli"):
    """A directory whose node_modules has the legacy CLI; it wants to be run there."""
    return _npm_project(project)


def guides():
    """A directory whose node_modules has the tools of docs/guides that run on Node.js."""
    # One of them brings a compiler as an optional package.
    return _npm_project("guides", optional=True)


def prisma(directory):
    """Makes `directory` a project that Prisma is configured for; answers Prisma's command line."""
    installed = _npm_project("prisma")
    # The configuration finds modules beside itself.
    os.symlink(os.path.join(installed, "node_modules"), os.path.join(directory, "node_modules"))
    for name in ("package.json", "prisma.config.mjs", "schema.prisma"):
        shutil.copy(os.path.join(DRIVERS, "prisma", name), directory)
    return os.path.join(installed, "node_modules/prisma/build/index.js")


# Beside DATABASE_URL: its engines are those that come with it.
PRISMA_ENVIRONMENT = {"PRISMA_CLIENT_ENGINE_TYPE": "client", "CHECKPOINT_DISABLE": "1", "PRISMA_HIDE_UPDATE_MESSAGE": "1"}


def _cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(home, "electric-tunnel-tests")


def _npm_project(name, optional=False):
    """The project installed under a name made of its contents, so that a change installs anew."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise unittest.SkipTest("no Node.js with npm (packages nodejs, npm)")
    source = os.path.join(DRIVERS, name)
    manifests = [os.path.join(source, file) for file in ("package.json", "package-lock.json")]
    digest = hashlib.sha256()
    for manifest in manifests:
        with open(manifest, "rb") as file:
            digest.update(file.read())
    target = os.path.join(_cache(), f"{name}-{digest.hexdigest()[:16]}")
    os.makedirs(_cache(), exist_ok=True)
    with open(os.path.join(_cache(), f"{name}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run at the same time install once
        if not os.path.isdir(target):
            _npm_install(manifests, target, optional)
    return target


def _npm_install(manifests, target, optional):
    # Made aside and renamed: a directory with the final name is complete.
    with tempfile.TemporaryDirectory(dir=_cache()) as work:
        project = os.path.join(work, "project")
        os.mkdir(project)
        for manifest in manifests:
            shutil.copy(manifest, project)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--omit=peer"]
        if not optional:
            command.append("--omit=optional")
        try:
            done = subprocess.run(command, cwd=project, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=INSTALL_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise unittest.SkipTest(f"npm took more than {INSTALL_TIMEOUT} s") from None
        if done.returncode != 0:
            said = [line for line in done.stderr.splitlines() if "error" in line] or ["it does not say why"]
            raise unittest.SkipTest(f"npm cannot install {os.path.basename(target)}: {said[0]}")
        os.rename(project, target)


def main():
    for name, get in (("node-postgres and postgres.js", lambda: _npm_project("node")), ("legacy CLI", legacy_cli),
                      ("older legacy CLI", lambda: legacy_cli("legacy_cli_0_9")), ("Prisma", lambda: _npm_project("prisma")),
                      ("tools of the guides", guides),
                      ("psycopg", psycopg), ("pgJDBC", java)):
        try:
            get()
            print(f"{name}: there")
        except unittest.SkipTest as reason:
            print(f"SKIPPED: {name}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
