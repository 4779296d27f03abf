"""Child processes that cannot outlive the test run, and waiting with a deadline."""

import ctypes
import os
import pwd
import random
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def wait_until(condition, timeout=10.0, what="condition", interval=0.01):
    """Polls `condition` until it answers something true, and returns that."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {what}")
        time.sleep(interval)


def spawn(argv, die_with=signal.SIGTERM, user=None, **kwargs):
    """Popen whose child gets the signal `die_with` when this process dies, however it dies.

    ctest kills a test that hangs with SIGKILL, which no `finally` survives. The kernel sends the
    signal when the *thread* that spawned ends, so spawn from the main thread.
    """

    def on_child():
        # Runs after the change of user, which would have cleared it.
        _libc.prctl(PR_SET_PDEATHSIG, int(die_with), 0, 0, 0)

    if user is not None:
        entry = pwd.getpwnam(user)
        kwargs.update(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    return subprocess.Popen(argv, preexec_fn=on_child, **kwargs)


def unprivileged_user():
    """Whom to run Postgres as: None means ourselves, a name only when we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise RuntimeError("running as root, and there is neither a user postgres nor nobody")


def free_port():
    """A port nobody listens on, from outside the ephemeral range.

    Inside that range a client that dials a server which is down may be given the very port it
    dials, and then talks to itself.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = (int(word) for word in file.read().split())
    candidates = [port for port in range(10000, 65536) if not low <= port <= high] or range(low, high)
    for _ in range(200):
        port = random.choice(candidates)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("found no free port")


def listens(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
