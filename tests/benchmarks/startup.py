"""How fast electric-tunnel listens, and how little memory it needs while nobody uses it.

    ELECTRIC_PROXY=… ELECTRIC_TUNNEL=… python3 -m tests.benchmarks.startup

Of programs built without sanitizers, stripped or not. Time is from fork to the line on --ready-fd;
memory is the proportional set size, in which shared pages of libraries count by their share.
"""

import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from tests.support.programs import environment, path_of

RUNS = int(os.environ.get("RUNS", "50"))


def start(*arguments):
    """(process, milliseconds until it listens)"""
    reader, writer = os.pipe()
    began = time.perf_counter()
    process = subprocess.Popen([path_of("ELECTRIC_TUNNEL"), "--local-port", "0", "--quiet", "--ready-fd", str(writer),
                                *arguments], env=environment(), pass_fds=[writer], close_fds=True)
    os.close(writer)
    line = os.read(reader, 64)
    took = (time.perf_counter() - began) * 1000
    os.close(reader)
    if line != b"ready\n":
        raise RuntimeError(f"it did not start, but exited with {process.wait()}")
    return process, took


def stop(process):
    """Milliseconds of processor time that all of its life took."""
    process.send_signal(signal.SIGTERM)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0  # Popen need not wait for it any more
    return (usage.ru_utime + usage.ru_stime) * 1000


def proportional_set_size(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))


def baseline():
    """What starting any program takes here."""
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        subprocess.run(["/bin/true"], env=environment(), check=True)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def measure(name, *arguments):
    times, used = [], []
    for _ in range(RUNS):
        process, took = start(*arguments)
        memory = proportional_set_size(process.pid)
        used.append(stop(process))
        times.append(took)
    times.sort()
    print(f"{name:<24} listens after {statistics.median(times):5.1f} ms (median of {RUNS}; best {times[0]:.1f}, "
          f"worst {times[-1]:.1f}), {statistics.median(used):.1f} ms of a processor; {memory / 1024:.1f} MiB idle")


def print_size(variable):
    path = path_of(variable)
    with tempfile.NamedTemporaryFile() as stripped:
        subprocess.run(["strip", "-o", stripped.name, path], check=True)
        print(f"{os.path.basename(path):<24} {os.path.getsize(path) // 1024} KiB, "
              f"stripped {os.path.getsize(stripped.name) // 1024} KiB")


def main():
    print(f"{'/bin/true':<24} takes {baseline():.1f} ms")
    measure("http service")
    measure("https service", "--service", "https://app.example.com")
    for variable in ("ELECTRIC_TUNNEL", "ELECTRIC_PROXY"):
        print_size(variable)
    return 0


if __name__ == "__main__":
    sys.exit(main())
