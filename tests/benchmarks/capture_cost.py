"""What capture costs: statements in two databases of one cluster, one with capture on, one off, by turns.

    ENABLE_INSTALL=… python3 -m tests.benchmarks.capture_cost [--tables 500] [--rounds 40]

Prints a table of milliseconds for each setting of fsync: the 10th percentile and the median with capture
off and on, and what it adds to each. On a busy machine the 10th percentile says more. A
private cluster (see tests/support/cluster.py) is made and removed; no test, since nothing is asserted.
"""

import argparse
import time

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.schema import Session, install

COLUMNS = "id int PRIMARY KEY, a text, b int, c text, d uuid, e timestamptz, f bool, g int8"

# What is done in round {i}: name, statement, and what undoes it so that rounds stay alike.
STATEMENTS = (
    ("CREATE TABLE", f"CREATE TABLE new{{i}} ({COLUMNS})", None),
    ("ADD COLUMN, foreign table", "ALTER TABLE plain ADD x{i} int", "ALTER TABLE plain DROP x{i}"),
    ("CREATE INDEX, foreign table", "CREATE INDEX px{i} ON plain (b)", "DROP INDEX px{i}"),
    ("DROP TABLE", "DROP TABLE new{i}", None),
    ("COMMENT", "COMMENT ON TABLE plain IS '{i}'", None),
    ("CREATE TEMP TABLE", "CREATE TEMP TABLE temp{i} (id int)", "DROP TABLE temp{i}"),
    ("ADD COLUMN, electrified", "ALTER TABLE t{i} ADD x int", None),
    ("CREATE INDEX, electrified", "CREATE INDEX tx{i} ON t{i} (c)", None),
    ("DROP INDEX, electrified", "DROP INDEX tx{i}", None),
)


def prepare(cluster, name, tables, capture):
    cluster.psql(f"CREATE DATABASE {name}")
    answer = install(cluster.url(name), capture)
    assert answer["status"] == "OK", answer
    with Session(cluster, name) as session:
        for i in range(tables):
            session.run(f"CREATE TABLE t{i} ({COLUMNS}); CREATE INDEX i{i} ON t{i} (b); CALL electric.enable('t{i}')")
        session.run(f"CREATE TABLE plain ({COLUMNS}); VACUUM ANALYZE")
    return Session(cluster, name, options=f"-c electric.proxied={answer['proxied_token']}")


def timed(session, sql):
    began = time.perf_counter()
    for answer in session.query(sql):
        if answer.type == "E":
            raise wire.ServerError(answer.fields())
    return 1000 * (time.perf_counter() - began)


def measure(sessions, rounds):
    """Milliseconds by (statement, whether capture is on)."""
    times = {}
    for i in range(rounds + 5):
        for name, sql, undo in STATEMENTS:
            for capture in (i % 2 == 0, i % 2 == 1):
                took = timed(sessions[capture], sql.format(i=i))
                if i >= 5:  # the first rounds warm up caches
                    times.setdefault((name, capture), []).append(took)
                if undo:
                    timed(sessions[capture], undo.format(i=i))
    return times


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def report(times, title):
    print(f"\n{title}\n{'':30}{'p10 off':>9}{'on':>8}{'adds':>8}{'p50 off':>11}{'on':>8}{'adds':>8}")
    for name, _, _ in STATEMENTS:
        line = f"{name:30}"
        for share in (0.1, 0.5):
            off, on = (percentile(times[name, capture], share) for capture in (False, True))
            line += f"{off:9.2f}{on:8.2f}{on - off:+8.2f}  "
        print(line.rstrip(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tables", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    for fsync in ("off", "on"):
        with Cluster(settings={"fsync": fsync, "synchronous_commit": fsync, "full_page_writes": fsync}) as cluster, \
                prepare(cluster, "capture_off", arguments.tables, False) as off, \
                prepare(cluster, "capture_on", arguments.tables, True) as on:
            report(measure({False: off, True: on}, arguments.rounds), f"{arguments.tables} electrified tables, fsync {fsync}")


if __name__ == "__main__":
    main()
