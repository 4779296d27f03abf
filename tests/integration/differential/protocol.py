"""Scripts about the protocol itself: extended query, pipelines, COPY, function calls, encodings, sizes."""

import struct

from tests.integration.differential import END, GLUED, STEPS, Elsewhere, script, step
from tests.support.wire import (bind, close_portal, close_statement, copy_data, copy_done, copy_fail,
                                describe_portal, describe_statement, execute, flush, function_call, message, parse,
                                query, sync, terminate, text)

INT4, TEXT, INT8 = 23, 25, 20


def int4(value):
    return struct.pack("!i", value)


def run(sql, *values, portal="", rows=0, results=(), formats=()):
    """The usual extended-protocol conversation, without Sync."""
    return (parse(sql) + bind(portal, "", values, formats, results) + describe_portal(portal)
            + execute(portal, rows))


def prepared(name, sql, oids=()):
    return parse(sql, name, oids)


def use(name, *values, portal="", rows=0):
    return bind(portal, name, values) + execute(portal, rows)


NUMBERS = "SELECT i FROM generate_series(1, 10) i"
TEMPORARY = query("CREATE TEMP TABLE t (a int, b text)")


def prepared_statements():
    yield script("unnamed statement", run("SELECT 1") + sync())
    yield script("unnamed statement is replaced", parse("SELECT 1") + parse("SELECT 2") + bind() + execute() + sync())
    yield script("unnamed statement outlives its transaction", parse("SELECT 1") + sync(),
                 bind() + execute() + sync())
    yield script("unnamed statement ends with a simple Query", parse("SELECT 1") + sync(), query("SELECT 2"),
                 bind() + execute() + sync())
    yield script("unnamed portal ends with the transaction", run("SELECT 1") + sync(), execute() + sync())
    yield script("unnamed portal is replaced", parse("SELECT $1::int") + bind(values=["1"]) + bind(values=["2"])
                 + execute() + sync())
    yield script("named statement in later transactions", prepared("s", "SELECT $1::int + 1") + sync(),
                 use("s", "1") + sync(), query("BEGIN"), use("s", "2") + sync(), query("ROLLBACK"),
                 use("s", "3") + sync())
    yield script("named statement twice", prepared("s", "SELECT 1") + prepared("s", "SELECT 2") + sync(),
                 use("s") + sync())
    yield script("failed Parse of an existing name keeps the old", prepared("s", "SELECT 1") + sync(),
                 prepared("s", "SELEC 2") + sync(), use("s") + sync())
    yield script("failed Parse leaves no name", prepared("s", "SELECT nope") + sync(), use("s") + sync())
    yield script("failed Parse drops the unnamed statement", parse("SELECT 1") + sync(), parse("SELEC") + sync(),
                 bind() + execute() + sync())
    yield script("statement prepared before a rollback stays", query("BEGIN"), prepared("s", "SELECT 1") + sync(),
                 query("ROLLBACK"), use("s") + sync())
    yield script("close of a statement", prepared("s", "SELECT 1") + close_statement("s") + use("s") + sync())
    yield script("close of nothing", close_statement("nothing") + close_portal("nothing") + sync())
    yield script("close of the unnamed ones", run("SELECT 1") + close_portal() + close_statement() + sync(),
                 bind() + sync())
    yield script("close and Parse again", prepared("s", "SELECT 1") + close_statement("s")
                 + prepared("s", "SELECT 2") + use("s") + sync())
    yield script("close of a statement keeps its portal", query("BEGIN"), prepared("s", NUMBERS)
                 + bind("p", "s") + close_statement("s") + execute("p", 2) + sync(), query("COMMIT"))
    yield script("deallocate of a protocol statement", prepared("s", "SELECT 1") + sync(), query("DEALLOCATE s"),
                 use("s") + sync())
    yield script("deallocate as it is sent by PDO", prepared("pdo_stmt_0000000d", "SELECT 1") + sync(),
                 bind("", "pdo_stmt_0000000d") + describe_portal() + execute() + sync(),
                 query("DEALLOCATE pdo_stmt_0000000d"))
    yield script("deallocate all, then use", prepared("s", "SELECT 1") + sync(), query("DEALLOCATE ALL"),
                 use("s") + sync())
    yield script("discard all, then use", prepared("s", "SELECT 1") + sync(), query("DISCARD ALL"),
                 use("s") + sync())
    yield script("deallocate in the extended protocol", prepared("s", "SELECT 1") + run("DEALLOCATE s") + sync(),
                 use("s") + sync())
    yield script("execute of a protocol statement in SQL", prepared("s", "SELECT $1::int", [INT4]) + sync(),
                 query("EXECUTE s(5)"))
    yield script("SQL statement used by protocol", query("PREPARE s (int) AS SELECT $1 * 2"),
                 describe_statement("s") + use("s", "21") + sync())
    yield script("statement names are bytes", prepared("S\" ä;electric", "SELECT 1") + use("S\" ä;electric") + sync(),
                 query('DEALLOCATE "S"" ä;electric"'))
    yield script("a very long statement name", prepared("s" * 3000, "SELECT 1") + use("s" * 3000) + sync())
    yield script("two statements in one Parse", parse("SELECT 1; SELECT 2") + sync())
    yield script("two statements of nothing in one Parse", run(";;") + sync())
    yield script("empty statement", run("") + sync())
    yield script("empty statement, described", parse("") + describe_statement() + bind() + describe_portal()
                 + execute() + sync())
    yield script("comment as a statement", run("-- electric") + sync())
    yield script("begin once, bound for ever", prepared("b", "BEGIN") + prepared("c", "COMMIT") + sync(),
                 use("b") + sync(), query("SELECT 1"), use("c") + sync(), use("b") + run("SELECT 2") + use("c") + sync())
    yield script("rollback once, bound for ever", prepared("r", "ROLLBACK") + sync(), query("BEGIN; SELECT 1/0"),
                 use("r") + sync(), use("r") + sync())
    yield script("plan changed under a statement", query("CREATE TEMP TABLE t (a int)"),
                 prepared("s", "SELECT * FROM t") + use("s") + sync(), query("ALTER TABLE t ADD COLUMN b int"),
                 use("s") + sync())


def parameters():
    yield script("parameters in text", run("SELECT $1::int, $2::text, $3::bool", "1", "ä € 😀", None) + sync())
    yield script("parameters in binary", parse("SELECT $1::int, $2::text", "", [INT4, TEXT])
                 + bind("", "", [int4(7), "x"], [1, 0], [1]) + describe_portal() + execute() + sync())
    yield script("one format for all", parse("SELECT $1::int, $2::int")
                 + bind("", "", [int4(1), int4(2)], [1], [0, 1]) + execute() + sync())
    yield script("a bad binary value", parse("SELECT $1::int") + bind("", "", [b"abc"], [1]) + execute() + sync())
    yield script("a bad text value", parse("SELECT $1::int") + bind("", "", ["abc"]) + execute() + sync())
    yield script("too few values", parse("SELECT $1::int, $2::int") + bind("", "", ["1"]) + execute() + sync())
    yield script("too many values", parse("SELECT 1") + bind("", "", ["1"]) + execute() + sync())
    yield script("wrong number of formats", parse("SELECT $1::int, $2::int")
                 + bind("", "", ["1", "2"], [0, 0, 0]) + execute() + sync())
    yield script("an unknown format", parse("SELECT $1::int") + bind("", "", ["1"], [9]) + execute() + sync())
    yield script("result formats", parse("SELECT 1, 'x'::text, 2.5::float8") + bind("", "", [], [], [1, 0, 1])
                 + describe_portal() + execute() + sync())
    yield script("wrong number of result formats", parse("SELECT 1") + bind("", "", [], [], [0, 1]) + execute()
                 + sync())
    yield script("undetermined type", parse("SELECT $1") + describe_statement() + sync())
    yield script("undeterminable type", parse("SELECT $1 IS NULL") + describe_statement() + sync())
    yield script("unknown type oid", parse("SELECT $1", "", [999999]) + sync())
    yield script("more oids than parameters", parse("SELECT $1", "", [INT4, INT4, INT4]) + describe_statement() + sync())
    yield script("a value of a megabyte", parse("SELECT md5($1)") + bind("", "", ["x" * (1 << 20)]) + execute() + sync(),
                 ways=frozenset((STEPS, GLUED)))
    yield script("thousands of parameters", parse("SELECT " + "+".join(f"${i}::int" for i in range(1, 3001)))
                 + bind("", "", ["1"] * 3000) + execute() + sync(), ways=frozenset((STEPS, GLUED)))
    yield script("a value with the word electric", run("SELECT $1::text", "ALTER TABLE items ENABLE ELECTRIC") + sync())
    yield script("a value that is no UTF-8", parse("SELECT $1::text") + bind("", "", [b"\xff\xfe"]) + execute() + sync())
    yield script("a value with a NUL", parse("SELECT $1::text") + bind("", "", [b"a\0b"]) + execute() + sync())
    yield script("bytea with NULs in binary", parse("SELECT $1::bytea") + bind("", "", [b"a\0b"], [1], [1]) + execute()
                 + sync())


def portals():
    yield script("row limit", query("BEGIN"), run(NUMBERS, portal="p", rows=3) + sync(), execute("p", 3) + sync(),
                 execute("p", 0) + sync(), execute("p", 0) + sync(), query("COMMIT"))
    yield script("row limit exactly met", query("BEGIN"), run(NUMBERS, portal="p", rows=10) + sync(),
                 execute("p", 1) + sync(), query("COMMIT"))
    yield script("row limit with Flush", step(parse(NUMBERS) + bind() + execute("", 4) + flush(), until="s"),
                 step(execute("", 4) + flush(), until="s"), execute("", 4) + sync())
    yield script("row limit of one for BEGIN and COMMIT", run("BEGIN", rows=1) + run("SELECT 1") + sync(),
                 run("COMMIT", rows=1) + sync())
    yield script("row limit of an insert", TEMPORARY,
                 run("INSERT INTO t SELECT i FROM generate_series(1, 5) i RETURNING a", rows=2) + sync())
    yield script("row limit without rows", run("SELECT 1 WHERE false", rows=1) + sync())
    yield script("row limit of a utility", run("SHOW work_mem", rows=1) + sync())
    yield script("suspended portal ends at Sync", run(NUMBERS, rows=2) + sync(), execute("", 2) + sync())
    yield script("portal ends with the transaction", query("BEGIN"), run(NUMBERS, portal="p", rows=2) + sync(),
                 query("COMMIT"), execute("p") + sync())
    yield script("portal ends with a rollback to a savepoint", query("BEGIN; SAVEPOINT a"),
                 run(NUMBERS, portal="p", rows=2) + sync(), query("ROLLBACK TO a"), execute("p") + sync(),
                 query("ROLLBACK"))
    yield script("portal survives a savepoint", query("BEGIN"), run(NUMBERS, portal="p", rows=2) + sync(),
                 query("SAVEPOINT a; RELEASE a"), execute("p", 2) + sync(), query("COMMIT"))
    yield script("portal of an existing name", query("BEGIN"), run(NUMBERS, portal="p", rows=2) + sync(),
                 bind("p") + sync(), query("ROLLBACK"))
    yield script("two portals in turn", query("BEGIN"), prepared("s", NUMBERS) + bind("p", "s") + bind("q", "s")
                 + execute("p", 2) + execute("q", 3) + execute("p", 2) + execute("q", 3) + sync(), query("COMMIT"))
    yield script("close of a portal", query("BEGIN"), run(NUMBERS, portal="p", rows=2) + close_portal("p")
                 + execute("p") + sync(), query("ROLLBACK"))
    yield script("Liquibase's close in front of a bind", query("BEGIN"), run("SELECT 1", portal="C_1", rows=1000) + sync(),
                 close_portal("C_1") + run("SELECT 2", portal="C_2", rows=1000) + sync(), query("COMMIT"))
    yield script("portal as an SQL cursor", query("BEGIN"), run(NUMBERS, portal="p", rows=2) + sync(),
                 query("FETCH 2 FROM p"), query("MOVE 1 FROM p; CLOSE p"), query("COMMIT"))
    yield script("SQL cursor as a portal", query(f"BEGIN; DECLARE c CURSOR FOR {NUMBERS}"),
                 describe_portal("c") + execute("c", 2) + sync(), query("FETCH c; COMMIT"))
    yield script("bind to nothing", bind("", "nothing") + execute() + sync())
    yield script("execute of nothing", execute("nothing") + sync())
    yield script("execute twice", run("SELECT 1") + execute() + sync())
    yield script("execute of an update twice", TEMPORARY, run("INSERT INTO t VALUES (1)") + execute() + sync())
    yield script("portal closed by a cursor statement", query("BEGIN"),
                 run("DECLARE c CURSOR FOR SELECT 1") + sync(), run("FETCH ALL FROM c") + sync(), run("CLOSE c") + sync(),
                 run("COMMIT") + sync())


def descriptions():
    yield script("describe a statement", parse("SELECT $1::int AS a, $2::text AS b") + describe_statement() + sync())
    yield script("describe a statement without rows", parse("BEGIN") + describe_statement() + sync())
    yield script("describe a portal without rows", parse("BEGIN") + bind() + describe_portal() + sync())
    yield script("describe by name", prepared("s", "SELECT id, name FROM items") + describe_statement("s") + bind("p", "s")
                 + describe_portal("p") + sync())
    yield script("describe of nothing", describe_statement("nothing") + sync(), describe_portal("nothing") + sync())
    yield script("describe of a strange kind", message("D", b"X\0") + sync())
    yield script("describe with result formats", parse("SELECT 1, 2") + bind("", "", [], [], [1]) + describe_portal()
                 + sync())
    yield script("describe returning", TEMPORARY, parse("INSERT INTO t VALUES ($1) RETURNING a, b")
                 + describe_statement() + sync())
    yield script("describe show, explain, call", parse("SHOW work_mem") + describe_statement()
                 + parse("EXPLAIN SELECT 1") + describe_statement()
                 + parse("CALL gives_back(1, 'x')") + describe_statement() + sync())
    yield script("describe in a failed transaction", query("BEGIN; SELECT 1/0"),
                 parse("SELECT 1") + describe_statement() + sync(), query("ROLLBACK"))
    yield script("describe of a prepared one in a failed transaction", prepared("s", "SELECT 1") + prepared("r", "ROLLBACK")
                 + sync(), query("BEGIN; SELECT 1/0"), describe_statement("s") + sync(), describe_statement("r") + sync(),
                 use("r") + sync())


def flushes():
    yield script("Parse and Flush", step(parse("SELECT $1::int") + describe_statement() + flush(), until="T"),
                 bind("", "", ["1"]) + execute() + sync())
    yield script("Parse and Flush, alone", step(parse("SELECT 1") + flush(), until="1"), sync())
    yield script("Parse and Flush of what returns nothing", step(parse("BEGIN") + describe_statement() + flush(), until="n"),
                 bind() + execute() + sync(), query("ROLLBACK"))
    yield script("each message with a Flush", step(parse("SELECT 1") + flush(), until="1"), step(bind() + flush(), until="2"),
                 step(describe_portal() + flush(), until="T"), step(execute() + flush(), until="C"),
                 step(close_portal() + flush(), until="3"), sync())
    yield script("an error and Flush", step(parse("SELEC") + flush(), until="E"), sync(), query("SELECT 1"))
    yield script("an error and Flush, then messages that are skipped", step(parse("SELEC") + flush(), until="E"),
                 parse("SELECT 1") + bind() + execute() + flush() + sync(), query("SELECT 1"))
    yield script("Flush of nothing", flush() + flush() + query("SELECT 1"))
    yield script("Flush after Query", query("SELECT 1") + flush() + query("SELECT 2"))
    yield script("as Ecto does it", query("begin"), step(prepared("ecto_1", "SELECT 1") + describe_statement("ecto_1")
                                                         + flush(), until="T"),
                 use("ecto_1") + close_statement("ecto_1") + sync(), query("commit"))


def pipelines():
    one, bad = run("SELECT 1"), run("SELECT 1/0")
    yield script("two statements, one Sync", one + one + sync())
    yield script("two statements, two Syncs", one + sync() + one + sync())
    yield script("error in the first", bad + one + sync() + one + sync())
    yield script("error in the middle", one + sync() + one + bad + one + sync() + one + sync())
    yield script("error in each", (bad + sync()) * 5)
    yield script("Sync alone", sync() + sync() + sync())
    yield script("BEGIN glued to the next", run("BEGIN") + one + sync(), run("COMMIT") + sync())
    yield script("a whole transaction in a pipeline", run("BEGIN") + run("CREATE TEMP TABLE t (a int)")
                 + run("INSERT INTO t VALUES (1)") + run("COMMIT") + sync(), query("SELECT * FROM t"))
    yield script("a failing transaction in a pipeline", run("BEGIN") + sync() + bad + sync() + one + sync()
                 + run("COMMIT") + sync() + one + sync())
    yield script("implicit transaction of a pipeline is rolled back", run("CREATE TEMP TABLE t (a int)") + bad + sync(),
                 query("SELECT * FROM t"))
    yield script("COMMIT within a pipeline", run("CREATE TEMP TABLE t (a int)") + run("COMMIT") + bad + sync(),
                 query("SELECT * FROM t"))
    yield script("queries glued", query("SELECT 1") + query("SELECT 2") + query("SELEC") + query("SELECT 3"))
    yield script("query between extended messages", parse("SELECT 1", "s") + query("SELECT 2") + use("s") + sync())
    yield script("query in front of Sync", one + query("SELECT 2") + sync())
    yield script("query after an error, before Sync", step(bad + query("SELECT 'skipped'") + sync()), query("SELECT 1"))
    yield script("savepoints in a pipeline", run("BEGIN") + run("SAVEPOINT a") + sync() + bad + sync()
                 + run("ROLLBACK TO a") + one + run("RELEASE a") + run("COMMIT") + sync())
    yield script("vacuum in a pipeline", run("VACUUM empty") + sync() + one + run("VACUUM empty") + sync())
    yield script("set in a pipeline", run("SET application_name = 'x'") + one + run("SET TimeZone = 'Asia/Tokyo'") + sync())
    yield script("a notice in a pipeline", run("SELECT noisy(1)") + run("SELECT noisy(2)") + sync())
    yield script("many small statements", b"".join(run("SELECT $1::int", str(i)) for i in range(200)) + sync(),
                 ways=frozenset((STEPS, GLUED)))
    yield script("many small queries", b"".join(query(f"SELECT {i}") for i in range(200)),
                 ways=frozenset((STEPS, GLUED)))
    yield script("many statements of one name", b"".join(prepared("s", f"SELECT {i}") + use("s") + close_statement("s")
                                                        for i in range(50)) + sync(), ways=frozenset((STEPS, GLUED)))
    yield script("as pgJDBC sends a script", parse("BEGIN") + bind() + execute("", 0) + run("CREATE TEMP TABLE t (a int)")
                 + run("INSERT INTO t VALUES (1)") + sync(), prepared("S_1", "COMMIT") + use("S_1", rows=1) + sync(),
                 use("S_1", rows=1) + sync())


def copy_in():
    start = step(query("COPY t FROM STDIN"), until="GE")
    content = query("SELECT * FROM t")
    begin = parse("COPY t FROM STDIN") + bind() + execute()
    yield script("COPY FROM STDIN", TEMPORARY, start,
                 step(copy_data("1\tone\n") + copy_data("2\ttwo\n") + copy_done()), content)
    yield script("COPY of nothing", TEMPORARY, start, step(copy_done()), content)
    yield script("COPY with an end mark", TEMPORARY, start, step(copy_data("1\tone\n\\.\n3\tthree\n") + copy_done()),
                 content)
    yield script("COPY lines over messages", TEMPORARY, start,
                 step(*(copy_data(c) for c in "1\tone\n2\ttwo\n"), copy_done()), content)
    yield script("COPY of empty messages", TEMPORARY, start, step(copy_data("") + copy_data("1\tx\n") + copy_data("")
                                                                  + copy_done()), content)
    yield script("CopyFail", TEMPORARY, start, step(copy_data("1\tone\n") + copy_fail("no more: ä")), content)
    yield script("COPY csv", TEMPORARY, step(query("COPY t FROM STDIN (FORMAT csv, HEADER)"), until="G"),
                 step(copy_data('a,b\n1,"x, ""y"""\n2,\n') + copy_done()), content)
    yield script("COPY of a bad line", TEMPORARY, start, step(copy_data("1\tx\nnonsense\n") + copy_done()), content)
    yield script("COPY of a bad line, more data behind", TEMPORARY, start,
                 step(copy_data("nonsense\n") + copy_data("1\tx\n") * 100 + copy_done()), content)
    yield script("COPY into nowhere", step(query("COPY nowhere FROM STDIN"), until="Z"),
                 copy_data("1\n") + copy_done() + query("SELECT 1"))
    yield script("COPY in a transaction", TEMPORARY, query("BEGIN"), start, step(copy_data("1\tx\n") + copy_done()),
                 query("ROLLBACK"), content)
    yield script("COPY that fails in a transaction", TEMPORARY, query("BEGIN"), start, step(copy_fail("no")),
                 content, query("COMMIT"))
    yield script("COPY among others", TEMPORARY, step(query("SELECT 1; COPY t FROM STDIN; SELECT count(*) FROM t"),
                                                      until="G"), step(copy_data("1\tx\n") + copy_done()))
    yield script("two COPYs in one Query", TEMPORARY, step(query("COPY t FROM STDIN; COPY t FROM STDIN"), until="G"),
                 step(copy_data("1\tx\n") + copy_done(), until="G"), step(copy_data("2\ty\n") + copy_done()), content)
    yield script("COPY in and out in one Query", TEMPORARY, step(query("COPY t FROM STDIN; COPY t TO STDOUT"), until="G"),
                 step(copy_data("1\tx\n") + copy_done()))
    yield script("COPY glued", TEMPORARY, step(query("COPY t FROM STDIN") + copy_data("1\tx\n") + copy_done()), content)
    yield script("COPY with Flush and Sync in between", TEMPORARY, start,
                 step(copy_data("1\tx\n") + flush() + sync() + copy_data("2\ty\n") + sync() + copy_done()), content)
    yield script("COPY interrupted by a Query", TEMPORARY, start, step(copy_data("1\tx\n") + query("SELECT 1"), until=END),
                 ways=frozenset((STEPS,)))
    yield script("COPY with the word electric", TEMPORARY, start,
                 step(copy_data("1\tALTER TABLE items ENABLE ELECTRIC;\n") + copy_done()), content)
    yield script("COPY binary", TEMPORARY, step(query("COPY t FROM STDIN BINARY"), until="G"),
                 step(copy_data(b"PGCOPY\n\xff\r\n\0" + bytes(8) + struct.pack("!hi4si1s", 2, 4, int4(7), 1, b"x")
                                + struct.pack("!h", -1)) + copy_done()), content)
    yield script("COPY binary with a bad header", TEMPORARY, step(query("COPY t FROM STDIN BINARY"), until="G"),
                 step(copy_data(b"nonsense of some length") + copy_done()), content)
    yield script("COPY of a megabyte", TEMPORARY, start,
                 step(b"".join(copy_data(f"{i}\t{'x' * 1000}\n") for i in range(1000)) + copy_done()),
                 query("SELECT count(*), sum(length(b)) FROM t"), ways=frozenset((STEPS, GLUED)))
    yield script("COPY extended", TEMPORARY, step(begin + flush(), until="G"),
                 step(copy_data("1\tx\n") + copy_done() + sync()), content)
    yield script("COPY extended, Sync too early", TEMPORARY, step(begin + sync(), until="G"),
                 step(copy_data("1\tx\n") + copy_done() + sync()), content)
    yield script("COPY extended, many Syncs too early", TEMPORARY, step(begin + sync() + sync() + sync(), until="G"),
                 step(copy_data("1\tx\n") + sync() + copy_done() + sync()), content)
    yield script("COPY extended, all at once", TEMPORARY,
                 step(begin + copy_data("1\tx\n") + copy_done() + sync()), content)
    yield script("COPY extended, all at once with an early Sync", TEMPORARY,
                 step(begin + sync() + copy_data("1\tx\n") + copy_done() + sync()), content)
    yield script("COPY extended, CopyFail", TEMPORARY, step(begin + sync(), until="G"),
                 step(copy_fail("no") + sync()), content)
    yield script("COPY extended, then more before Sync", TEMPORARY, step(begin + flush(), until="G"),
                 step(copy_data("1\tx\n") + copy_done() + run("SELECT 1") + sync()), content)
    yield script("COPY extended, bad data", TEMPORARY, step(begin + flush(), until="G"),
                 step(copy_data("nonsense\n") + copy_done() + sync()), content)
    yield script("COPY extended into nowhere", step(parse("COPY nowhere FROM STDIN") + bind() + execute() + sync()),
                 query("SELECT 1"))
    yield script("COPY extended, described", TEMPORARY, parse("COPY t FROM STDIN") + describe_statement() + bind()
                 + describe_portal() + sync(), query("SELECT 1"))
    yield script("CopyData, CopyDone, CopyFail out of place", copy_data("x") + copy_done() + copy_fail("x")
                 + query("SELECT 1"))
    yield script("COPY prepared once, used twice", TEMPORARY, prepared("c", "COPY t FROM STDIN") + sync(),
                 step(use("c") + flush(), until="G"), step(copy_data("1\tx\n") + copy_done() + sync()),
                 step(use("c") + flush(), until="G"), step(copy_data("2\ty\n") + copy_done() + sync()), content)


def copy_out():
    yield script("COPY TO STDOUT extended", run("COPY items TO STDOUT") + sync())
    yield script("COPY TO STDOUT binary extended", run("COPY items TO STDOUT BINARY") + sync())
    yield script("COPY TO STDOUT with a row limit", run("COPY items TO STDOUT", rows=1) + sync())
    yield script("COPY TO STDOUT in a pipeline", run("SELECT 1") + run("COPY items TO STDOUT") + run("SELECT 2") + sync())
    yield script("COPY TO STDOUT that fails, in a pipeline",
                 run("COPY (SELECT 1/(3 - i) FROM generate_series(1, 5) i) TO STDOUT") + run("SELECT 2") + sync())
    yield script("COPY TO STDOUT of five megabytes",
                 query("COPY (SELECT i, repeat('x', 500) FROM generate_series(1, 10000) i) TO STDOUT"),
                 ways=frozenset((STEPS, GLUED)))
    yield script("rows of five megabytes", query("SELECT i, repeat('x', 500) FROM generate_series(1, 10000) i"),
                 ways=frozenset((STEPS, GLUED)))
    yield script("one row of twenty megabytes", query("SELECT repeat('0123456789', 2000000)"),
                 ways=frozenset((STEPS, GLUED)))


def function_calls():
    lo_create, lo_open, lo_write, lo_read = 715, 952, 955, 954
    lo_close, lo_unlink, lo_seek, abs4, upper = 953, 964, 956, 1397, 871
    number = int4(424242)
    yield script("FunctionCall", function_call(abs4, [int4(-5)], [1], 1))
    yield script("FunctionCall in text", function_call(abs4, ["-5"], [0], 0) + function_call(upper, ["electric"], [], 0))
    yield script("FunctionCall without format", function_call(abs4, ["-5"]))
    yield script("FunctionCall of NULL", function_call(abs4, [None], [1], 1))
    yield script("FunctionCall of nothing", function_call(1, [], [], 1))
    yield script("FunctionCall with wrong arguments", function_call(abs4, [], [], 1) + query("SELECT 1"))
    yield script("FunctionCall with a bad value", function_call(abs4, ["x"], [0], 0) + query("SELECT 1"))
    yield script("FunctionCall in a failed transaction", query("BEGIN; SELECT 1/0"), function_call(abs4, [int4(-5)], [1], 1),
                 query("ROLLBACK"))
    yield script("FunctionCall in a pipeline", run("SELECT 1") + function_call(abs4, [int4(-5)], [1], 1)
                 + run("SELECT 2") + sync())
    yield script("FunctionCall cut short", message("F", b"\0\0\0"), query("SELECT 1"))
    yield script("large object by FunctionCall", query("BEGIN"), function_call(lo_create, [number], [1], 1),
                 function_call(lo_open, [number, int4(0x60000)], [1], 1),
                 function_call(lo_write, [int4(0), b"electric\0\xff bytes"], [1], 1),
                 function_call(lo_seek, [int4(0), int4(3), int4(0)], [1], 1),
                 function_call(lo_read, [int4(0), int4(100)], [1], 1), function_call(lo_close, [int4(0)], [1], 1),
                 function_call(lo_unlink, [number], [1], 1), query("COMMIT"))
    yield script("large object by SQL", query("BEGIN"), query("SELECT lo_from_bytea(424243, '\\x6162')"),
                 query("SELECT lo_get(424243), lo_put(424243, 1, '\\xff')"), query("SELECT lo_get(424243)"), query("ROLLBACK"))
    yield script("lo_creat in a transaction that ends", query("BEGIN"),
                 run("SELECT lo_unlink(lo_creat(-1))") + sync(), query("ROLLBACK"))
    yield script("large object that is not there", function_call(lo_open, [int4(1), int4(0x20000)], [1], 1))


def sessions():
    yield script("notification from elsewhere", query("LISTEN here"), Elsewhere("NOTIFY here, 'one'", "A"),
                 Elsewhere("NOTIFY here, 'ALTER TABLE items ENABLE ELECTRIC'", "A"), query("SELECT 1"))
    yield script("notification waits for the end of a transaction", query("LISTEN here"), query("BEGIN"),
                 Elsewhere("NOTIFY here, 'one'", ""), query("SELECT 1"), query("COMMIT"), query("SELECT 1"))
    yield script("own and foreign notifications", query("LISTEN here; NOTIFY here, 'own'"),
                 Elsewhere("NOTIFY here", "A"), query("NOTIFY here, 'own again'"))
    yield script("parameter status from elsewhere", query("SHOW work_mem"),
                 query("SELECT set_config('application_name', 'x', false)"), query("SELECT 1"))
    yield script("terminated by an administrator", query("BEGIN"), step(query("SELECT pg_terminate_backend(pg_backend_pid())"),
                                                                        until=END), ways=frozenset((STEPS,)))
    yield script("cancelled by itself", query("SELECT pg_cancel_backend(pg_backend_pid())"), query("SELECT 1"))
    yield script("Terminate", query("SELECT 1"), step(terminate(), until=END))
    yield script("Terminate in a transaction", query("BEGIN; CREATE TABLE not_kept (a int)"), step(terminate(), until=END))
    yield script("Terminate behind a Query", step(query("SELECT 1") + terminate(), until=END))
    yield script("Terminate after Flush", step(parse("SELECT 1") + terminate(), until=END))
    yield script("two-phase commit", query("BEGIN; SELECT 1"), query("PREPARE TRANSACTION 'differential'"),
                 query("COMMIT PREPARED 'differential'"))
    yield script("two-phase rollback in the extended protocol", run("BEGIN") + run("CREATE TABLE not_kept (a int)")
                 + run("PREPARE TRANSACTION 'differential'") + sync(), run("ROLLBACK PREPARED 'differential'") + sync())
    yield script("statement timeout in the extended protocol", query("SET statement_timeout = 20"),
                 run("SELECT pg_sleep(10)") + sync(), run("SELECT 1") + sync())
    yield script("idle transaction timeout", query("SET idle_in_transaction_session_timeout = 50"),
                 step(query("BEGIN"), until=END), ways=frozenset((STEPS,)))
    yield script("set local and rollback", query("BEGIN"), query("SET LOCAL TimeZone = 'Asia/Tokyo'"), query("ROLLBACK"),
                 query("SHOW TimeZone"))
    yield script("transaction over many messages", query("BEGIN"), run("SAVEPOINT a") + sync(), query("SELECT 1/0"),
                 run("SELECT 1") + sync(), run("ROLLBACK TO a") + sync(), query("SELECT 2"), query("COMMIT"))
    yield script("failed transaction and its ways out", query("BEGIN"), query("SELECT 1/0"), query("SELECT 1"),
                 query("BEGIN"), query("SAVEPOINT a"), run("SELECT 1") + sync(), query("COMMIT"), query("SELECT 1"))


def encodings():
    def raw(data):
        return message("Q", data + b"\0")

    electric = b", 'ALTER TABLE items ENABLE ELECTRIC'"
    yield script("client_encoding LATIN1", query("SET client_encoding = 'LATIN1'"), raw(b"SELECT '\xe4\xf6', nope"),
                 raw(b"SELECT '\xe4\xf6' AS \xfc" + electric), query("SELECT name FROM items WHERE id = 3"))
    yield script("client_encoding SJIS, backslash as a trailing byte", query("SET client_encoding = 'SJIS'"),
                 raw(b"SELECT '\x95\x5c'" + electric), raw(b"SELECT '\x95\x5c', electric"))
    yield script("client_encoding SJIS, escape strings",
                 query("SET client_encoding = 'SJIS'; SET standard_conforming_strings = off;"
                       " SET escape_string_warning = off"),
                 raw(b"SELECT '\x95\x5c', '; ELECTRIC ENABLE items; --'"))
    yield script("client_encoding BIG5", query("SET client_encoding = 'BIG5'"), raw(b"SELECT '\xb3\x5c'" + electric))
    yield script("client_encoding GBK, GB18030, UHC, JOHAB",
                 query("SET client_encoding = 'GBK'"), raw(b"SELECT '\x81\x5c'" + electric),
                 query("SET client_encoding = 'GB18030'"), raw(b"SELECT '\x81\x5c'" + electric),
                 query("SET client_encoding = 'UHC'"), raw(b"SELECT '\xb0\xa1'" + electric),
                 query("SET client_encoding = 'JOHAB'"), raw(b"SELECT '\x88\x61'" + electric))
    yield script("client_encoding EUC_JP", query("SET client_encoding = 'EUC_JP'"), raw(b"SELECT '\xc9\xbd', electric"))
    yield script("client_encoding SQL_ASCII", query("SET client_encoding = 'SQL_ASCII'"), raw(b"SELECT 'electric', '\xc3\xa4'"))
    yield script("client_encoding unknown", query("SET client_encoding = 'electric'"), query("SELECT 'ä'"))
    yield script("client_encoding rolled back", query("BEGIN; SET client_encoding = 'SJIS'"),
                 raw(b"SELECT '\x95\x5c', 'electric'"),
                 query("ROLLBACK"), query("SELECT 'electric ä €', nope"))
    yield script("client_encoding by the extended protocol", run("SET client_encoding = 'SJIS'") + sync(),
                 parse(b"SELECT '\x95\x5c'" + electric) + bind() + execute() + sync())
    yield script("invalid UTF-8", raw(b"SELECT '\xff\xfe', 'electric'"), raw(b"SELECT '\xc3"), query("SELECT 1"))
    yield script("invalid UTF-8 in Parse", parse(b"SELECT '\xed\xa0\x80', 'electric'") + bind() + execute() + sync())
    off = query("SET standard_conforming_strings = off; SET escape_string_warning = off")
    yield script("standard_conforming_strings off", off, query(r"SELECT 'a\'; ALTER TABLE items ENABLE ELECTRIC; --'"),
                 query(r"SELECT 'a\\', 'ENABLE ELECTRIC', 'b\n'"), query("SELECT E'a\\'', $$\\$$, nope"))
    yield script("standard_conforming_strings off and on again", off,
                 query("SET standard_conforming_strings = on"), query(r"SELECT 'a\', 'ENABLE ELECTRIC;'"))
    yield script("standard_conforming_strings off, rolled back", query("BEGIN"), off,
                 query(r"SELECT 'a\'; ELECTRIC ENABLE items; --'"), query("ROLLBACK"), query(r"SELECT 'a\', 'ENABLE ELECTRIC'"))
    yield script("standard_conforming_strings off in Parse", off,
                 run(r"SELECT 'a\'; ALTER TABLE items ENABLE ELECTRIC; --'") + sync())
    yield script("escape string warning", query("SET standard_conforming_strings = off"), query(r"SELECT 'a\n', 'electric'"))
    yield script("unicode escapes with standard strings off", off, query("SELECT U&'\\0061', 'electric'"))
    yield script("backslash_quote off", off, query("SET backslash_quote = off"), query(r"SELECT 'a\'electric'"))
    yield script("byte order mark", query("\ufeffSELECT 'electric'"), query("SELECT '\ufeff electric'"))
    yield script("white space of every kind", query("\t\r\n\f SELECT\v1"), query("SELECT\u00a01"))


def oddities():
    steps_only = frozenset((STEPS,))
    yield script("NUL inside a Query", message("Q", b"SELECT 1\0; SELECT 2\0"), query("SELECT 1"))
    yield script("Query without a NUL", message("Q", b"SELECT 1"), query("SELECT 1"))
    yield script("Query without anything", message("Q"), query("SELECT 1"))
    yield script("Query that is only a NUL", message("Q", b"\0"))
    yield script("NUL inside a Parse", message("P", b"\0SELECT 1\0\0\0\0\0") + sync(), query("SELECT 1"))
    yield script("Parse cut short", message("P", b"\0SELECT 1\0\0") + sync(), query("SELECT 1"))
    yield script("Parse without a NUL", message("P", b"\0SELECT 1") + sync(), query("SELECT 1"))
    yield script("Parse with bytes behind", message("P", b"\0SELECT 1\0\0\0more") + sync(), query("SELECT 1"))
    yield script("Bind cut short", parse("SELECT 1") + message("B", b"\0\0\0") + sync(), query("SELECT 1"))
    yield script("Bind with a length beyond the message", parse("SELECT $1::text")
                 + message("B", b"\0\0\0\0\0\1\0\0\xff\xffab\0\0") + sync(), query("SELECT 1"))
    yield script("Bind with a negative length", parse("SELECT $1::text")
                 + message("B", b"\0\0\0\0\0\1\xff\xff\xff\xfe\0\0") + sync(), query("SELECT 1"))
    yield script("Execute cut short", parse("SELECT 1") + bind() + message("E", b"\0") + sync(), query("SELECT 1"))
    yield script("Execute with a negative limit", parse("SELECT 1") + bind() + message("E", b"\0\xff\xff\xff\xff") + sync())
    yield script("Describe cut short", message("D", b"S") + sync(), query("SELECT 1"))
    yield script("Close cut short", message("C", b"P") + sync(), query("SELECT 1"))
    yield script("Sync with bytes behind", message("S", b"more"), query("SELECT 1"))
    yield script("Flush with bytes behind", message("H", b"more") + sync(), query("SELECT 1"))
    yield script("Terminate with bytes behind", step(message("X", b"more"), until=END), ways=steps_only)
    yield script("CopyFail without a NUL", TEMPORARY, step(query("COPY t FROM STDIN"), until="G"),
                 step(message("f", b"no"), until="Z"), query("SELECT 1"))
    yield script("unknown message type", step(message("y", b"what"), until=END), ways=steps_only)
    yield script("password message out of place", step(message("p", text("x")), until=END), ways=steps_only)
    yield script("backend message type", step(message("Z", b"I"), until=END), ways=steps_only)
    yield script("type byte zero", step(b"\0\0\0\0\4", until=END), ways=steps_only)
    yield script("length below four", step(b"Q\0\0\0\3", until=END), ways=steps_only)
    yield script("a Sync of a length beyond its limit", step(b"S\0\1\0\0", until=END), ways=steps_only)
    yield script("an Execute of a length beyond its limit", step(b"E\x7f\xff\xff\xff", until=END), ways=steps_only)
    yield script("start-up packet in the middle", step(b"\0\0\0\x08\x04\xd2\x16\x2f", until=END), ways=steps_only)
    yield script("HTTP in the middle", step(b"GET / HTTP/1.1\r\n\r\n", until=END), ways=steps_only)


def sizes():
    big = frozenset((STEPS, GLUED))
    yield script("64 KiB of text", query("SELECT '" + "x" * 65536 + "' AS a"), ways=big)
    yield script("64 KiB of text with the word", query("SELECT 'electric" + "x" * 65536 + "', nope"), ways=big)
    yield script("a megabyte of text", query("SELECT length('" + "ä" * 524288 + "')"), ways=big)
    yield script("ten megabytes of text", query("SELECT length('" + "x" * 10_000_000 + "')"), ways=big)
    yield script("ten megabytes of text with the word", query("SELECT length('" + "electric; " * 1_000_000 + "'), nope"),
                 ways=big)
    yield script("ten megabytes in Parse", run("SELECT length('" + "electric; " * 1_000_000 + "')") + sync(), ways=big)
    yield script("a hundred megabytes of text", query("SELECT length('" + "electric; " * 10_000_000 + "')"),
                 ways=frozenset((STEPS,)))
    yield script("five thousand statements in one Query", query("SELECT 1;" * 4999 + "SELECT 'electric'"), ways=big)
    yield script("ten thousand empty statements", query(";" * 10000 + "/* electric */"), ways=big)
    yield script("five thousand nested operators", query("SELECT " + "1+" * 2000 + "1 AS electric"), ways=big)
    yield script("a statement too deep", query("SELECT " + "(" * 40000 + "'electric'" + ")" * 40000), ways=big)
    yield script("deeply nested comments", query("SELECT 1 " + "/* " * 5000 + "electric" + " */" * 5000), ways=big)
    yield script("a very long line comment", query("SELECT 1 -- " + "electric; " * 100000), ways=big)
    yield script("a megabyte of identifiers", query("SELECT 1 AS " + "e" * 1_000_000 + "lectric"), ways=big)


GROUPS = (prepared_statements, parameters, portals, descriptions, flushes, pipelines, copy_in, copy_out, function_calls,
          sessions, encodings, oddities, sizes)


def protocol_scripts():
    for group in GROUPS:
        yield from group()
