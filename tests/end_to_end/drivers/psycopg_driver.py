"""psycopg 3: BEGIN and COMMIT in the extended protocol, pipeline mode, binary parameters, COPY."""

import os
import threading
import time

import psycopg

TABLE = os.environ["TABLE"]


def connect():
    return psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)


def done(step):
    print("ok", step, flush=True)


def fails(sqlstate, action, *arguments, saying="", **named):
    try:
        action(*arguments, **named)
    except psycopg.Error as error:
        assert error.sqlstate == sqlstate, f"{error.sqlstate}: {error}"
        assert saying in str(error), str(error)
        return
    raise AssertionError(f"this should have failed: {arguments}")


def value(connection, sql, *parameters, **named):
    return connection.execute(sql, parameters, **named).fetchone()[0]


def electrify(connection):
    with connection.transaction():
        connection.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, value text)")
        # Prepared: Parse and Bind instead of a simple Query.
        cursor = connection.execute(f"ALTER TABLE {TABLE} ENABLE ELECTRIC", prepare=True)
        assert cursor.statusmessage == "ELECTRIC ENABLE", cursor.statusmessage


def roll_back(connection):
    with connection.transaction(force_rollback=True):
        connection.execute(f"CREATE TABLE {TABLE}_gone (id int PRIMARY KEY)")
        with connection.transaction():  # a savepoint
            connection.execute(f"ALTER TABLE {TABLE}_gone ENABLE ELECTRIC")
    assert value(connection, "SELECT to_regclass(%s)", f"{TABLE}_gone") is None


def be_refused(connection):
    def attempt():
        with connection.transaction():
            connection.execute(f"CREATE TABLE {TABLE}_bad (id int PRIMARY KEY, n int DEFAULT 1)")
            connection.execute(f"ALTER TABLE {TABLE}_bad ENABLE ELECTRIC")

    fails("P0001", attempt, saying="DEFAULT expressions")
    assert value(connection, "SELECT to_regclass(%s)", f"{TABLE}_bad") is None


def recover(connection):
    fails("42601", connection.execute, "SELEC 1")
    fails("22012", connection.execute, "SELECT 1 / %s::int", (0,), prepare=True)
    assert value(connection, "SELECT 1 / %s::int", 1, prepare=True) == 1


def copy(connection):
    rows = [(n, f"value {n}") for n in range(20000)]
    with connection.cursor() as cursor:
        with cursor.copy(f"COPY {TABLE} FROM STDIN (FORMAT binary)") as into:
            into.set_types(["int4", "text"])
            for row in rows:
                into.write_row(row)
        with cursor.copy(f"COPY (TABLE {TABLE} ORDER BY id) TO STDOUT") as out:
            out.set_types(["int4", "text"])
            assert list(out.rows()) == rows


def pipeline(connection):
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int", (n,)) for n in range(500)]
        created = connection.execute(f"CREATE TABLE {TABLE}_p (id int PRIMARY KEY)")
        enabled = connection.execute(f"ALTER TABLE {TABLE}_p ENABLE ELECTRIC")
    assert [cursor.fetchone()[0] for cursor in cursors] == list(range(500))
    assert (created.statusmessage, enabled.statusmessage) == ("CREATE TABLE", "ELECTRIC ENABLE")

    def failing():
        with connection.pipeline():
            connection.execute("SELECT 1 / %s::int", (0,))
            connection.execute("SELECT 2")

    fails("22012", failing)
    assert value(connection, "SELECT 3") == 3


def notify(connection):
    with connect() as listener:
        listener.execute(f"LISTEN {TABLE}")
        connection.execute(f"NOTIFY {TABLE}, 'hello'")
        notification = next(listener.notifies())
        assert notification.payload == "hello"
        assert notification.pid == connection.info.backend_pid


def cancel(connection):
    with connect() as other:
        bystander = threading.Thread(target=other.execute, args=("SELECT pg_sleep(1)",))
        bystander.start()
        began = time.monotonic()
        timer = threading.Timer(0.3, connection.cancel)
        timer.start()
        fails("57014", connection.execute, "SELECT pg_sleep(60)")
        assert time.monotonic() - began < 5
        timer.join()
        bystander.join()
        assert value(other, "SELECT 1") == 1
    assert value(connection, "SELECT 1") == 1


def main():
    with connect() as connection:
        assert value(connection, "SELECT 1") == 1
        assert connection.info.server_version >= 140000
        done("connect")
        for n in (1, 2):
            assert connection.execute("SELECT %b::int4 + 1, %t::text", (n, "ä"), prepare=True).fetchone() == (n + 1, "ä")
        done("prepared")
        for step, name in ((electrify, "electrify"), (roll_back, "rollback"), (be_refused, "refused"),
                           (recover, "recovery"), (copy, "copy"), (pipeline, "pipeline"), (notify, "notify"),
                           (cancel, "cancel")):
            step(connection)
            done(name)
        long = "x" * 10_000_000
        assert value(connection, "SELECT %s::text", long) == long
        done("large")


main()
