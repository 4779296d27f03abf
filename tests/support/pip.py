"""Python packages for tests, each set in an environment of its own that is made once.

    bin = pip.environment("alembic==1.13.3", "psycopg2-binary==2.9.10")
    subprocess.run([os.path.join(bin, "alembic"), …])

Kept in ${XDG_CACHE_HOME:-~/.cache}/electric-tunnel-tests. What cannot be had raises SkipTest with the reason.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import unittest

INSTALL_TIMEOUT = 300


def cache():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    directory = os.path.join(home, "electric-tunnel-tests")
    os.makedirs(directory, exist_ok=True)
    return directory


def environment(*requirements):
    """The directory of its programs."""
    name = hashlib.sha256("\n".join((sys.version, *sorted(requirements))).encode()).hexdigest()[:16]
    target = os.path.join(cache(), f"python-{name}")
    ready = os.path.join(target, "ready")
    with open(f"{target}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run at the same time install once
        if not os.path.exists(ready):
            shutil.rmtree(target, ignore_errors=True)
            _install(target, requirements)
            with open(ready, "w", encoding="ascii"):
                pass
    return os.path.join(target, "bin")


def _install(target, requirements):
    try:
        for command in ([sys.executable, "-m", "venv", target],
                        [os.path.join(target, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check",
                         *requirements]):
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  timeout=INSTALL_TIMEOUT)
            if done.returncode != 0:
                said = done.stderr.strip().splitlines() or done.stdout.strip().splitlines() or ["it does not say why"]
                raise unittest.SkipTest(f"pip cannot install {' '.join(requirements)}: {said[-1]}")
    except subprocess.TimeoutExpired:
        raise unittest.SkipTest(f"pip took more than {INSTALL_TIMEOUT} s") from None
