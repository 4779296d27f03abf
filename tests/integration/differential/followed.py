"""Protocol scripts about statements behind which the proxy may put one of its own: DDL in every shape."""

from tests.integration.differential import END, GLUED, STEPS, script, step
from tests.support.wire import (bind, close_portal, close_statement, copy_data, copy_done, describe_portal,
                                describe_statement, execute, flush, parse, query, sync)


def run(sql, portal="", rows=0):
    return parse(sql) + bind(portal) + describe_portal(portal) + execute(portal, rows)


CREATE = "CREATE TEMP TABLE t (a int PRIMARY KEY, b text)"
ALTER = "ALTER TABLE t ADD COLUMN c int"
WRONG = "ALTER TABLE t DROP COLUMN nope"
SERIALIZABLE = "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"
NUMBERS = "SELECT i FROM generate_series(1, 10) i"
LEFT_BEHIND = query("SELECT name FROM pg_prepared_statements ORDER BY 1") + query("SELECT name FROM pg_cursors ORDER BY 1")
UNNAMED = bind() + execute() + sync()


def by_query():
    yield script("DDL by Query", query(CREATE), query(ALTER), query("DROP TABLE t"), LEFT_BEHIND)
    yield script("DDL by Query, glued", query(CREATE) + query(ALTER) + query(WRONG) + query("DROP TABLE t") + LEFT_BEHIND)
    yield script("DDL that fails by Query", query(WRONG), query(CREATE), query(WRONG), LEFT_BEHIND, query(ALTER))
    yield script("empty statements around DDL", query(f";; {CREATE};;"), query(f"/* ; */ ; {ALTER} -- ;\n;"))
    yield script("DDL with notices", query("DROP TABLE IF EXISTS nope"), query("DROP TABLE IF EXISTS nope, nope2 CASCADE"),
                 query("CREATE TABLE IF NOT EXISTS items (a int)"), query("DROP TABLE IF EXISTS nope; SELECT noisy(1)"))
    yield script("DDL with a position", query("CREATE TEMP TABLE \"ä€😀\" (a int, b nosuch)"),
                 query("SELECT 'ä€'; CREATE TEMP TABLE x (a int, b nosuch)"),
                 query(f"{CREATE}; SELECT 'ä€'; SELEC"), query(f"{CREATE}; {ALTER}; SELECT 'ä€', nope"))
    yield script("DDL among others in one Query", query(f"SELECT 1; {CREATE}; INSERT INTO t VALUES (1); {ALTER}; SELECT * FROM t"),
                 query(f"BEGIN; {WRONG}; SELECT 1"), query("SELECT 1"), query("ROLLBACK; SELECT * FROM t"))
    yield script("DDL and COPY in one Query", step(query(f"{CREATE}; COPY t FROM STDIN; {ALTER}; SELECT * FROM t"), until="G"),
                 step(copy_data("1\tx\n") + copy_done()))
    yield script("DDL in a transaction of Queries", query("BEGIN"), query(CREATE), query(WRONG), query(ALTER), query("ROLLBACK"),
                 query("SELECT 1 FROM t"))
    yield script("DDL with savepoints", query(f"BEGIN; {CREATE}; SAVEPOINT a"), query(ALTER), query(WRONG), LEFT_BEHIND,
                 query("ROLLBACK TO a"), query(ALTER), query("COMMIT"), query("SELECT * FROM t"))
    yield script("CREATE TABLE AS", query("CREATE TEMP TABLE t AS SELECT 1 AS a"), run("CREATE TEMP TABLE u AS SELECT 2") + sync(),
                 query("CREATE TEMP TABLE v AS SELECT 1/0"), query("SELECT * FROM t, u"))
    yield script("a parameter where there is none", query("CREATE TEMP TABLE t AS SELECT $1"), query("CALL gives_back($1, 'x')"),
                 query("CREATE TEMP TABLE t (a int DEFAULT $1)"), query("CALL gives_back($2::int, $1)"),
                 query("CREATE VIEW v AS SELECT $1"), query("DO $1"), LEFT_BEHIND)
    yield script("a Query behind extended messages", parse("SELECT 1", "s") + query(CREATE) + bind("", "s") + execute() + sync(),
                 parse("SELECT 2") + query(ALTER) + sync(), UNNAMED)
    yield script("a Query behind extended messages that fail", step(parse("SELEC") + query(CREATE) + sync()), query(ALTER))
    yield script("a Query behind a portal", run("SELECT 1") + query(CREATE) + sync(), run("SELECT 1") + query(WRONG) + sync(),
                 query("SELECT * FROM t"))
    yield script("what a Query leaves of the unnamed ones", run("SELECT 1") + sync(), query(CREATE), UNNAMED,
                 step(describe_portal() + sync()), query(ALTER), step(execute() + sync()), parse("SELECT 2") + sync(),
                 query(WRONG), UNNAMED)
    yield script("what a Query leaves in a transaction", query("BEGIN"), query(CREATE), step(execute() + sync()), query("ROLLBACK"),
                 query("BEGIN"), query(CREATE), step(bind() + sync()), query("ROLLBACK"))


def in_blocks():
    yield script("a procedure with results", query("CALL gives_back(1, 'x')"), run("CALL gives_back(2, 'y')") + sync(),
                 query("SELECT 1; CALL gives_back(3, 'z')"), query("CALL gives_back(NULL, NULL)"),
                 query("CALL gives_back(1, 'x', 2)"))
    yield script("a procedure that commits", query("CALL commits()"), run("CALL commits()") + sync(),
                 query("SELECT 1; CALL commits()"), query("BEGIN"), query("CALL commits()"), query("ROLLBACK"))
    yield script("a block that commits", query("DO $$ BEGIN PERFORM noisy(1); COMMIT; PERFORM noisy(2); END $$"),
                 run("DO $$ BEGIN COMMIT; PERFORM noisy(3); ROLLBACK; END $$") + sync(), query("SELECT 1; DO 'BEGIN COMMIT; END'"))
    yield script("a block that fails", query("DO $$ BEGIN PERFORM noisy(1); PERFORM fails(); END $$"),
                 query("DO $$ BEGIN COMMIT; PERFORM 1/0; END $$"), query("DO $$ BEGIN SELEC; END $$"), LEFT_BEHIND)
    yield script("a block with a parameter of its own", query("DO $$ BEGIN EXECUTE 'SELECT $1' USING 1; COMMIT; END $$"))
    yield script("a block that notifies", query("LISTEN here"), query("DO $$ BEGIN NOTIFY here, 'one'; END $$"),
                 run("DO $$ BEGIN NOTIFY here, 'two'; END $$") + sync(), query("SELECT 1; DO $$ BEGIN NOTIFY here; END $$"))
    yield script("a block that changes settings", query("DO $$ BEGIN SET application_name = 'other'; END $$"),
                 run("DO $$ BEGIN SET TimeZone = 'Asia/Tokyo'; END $$") + sync(),
                 query("DO $$ BEGIN SET DateStyle = 'German'; RAISE NOTICE 'x'; PERFORM 1/0; END $$"))
    yield script("a block that cancels itself", query("DO $$ BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(9); END $$"),
                 query("SELECT 1"))
    yield script("a block that takes too long", query("SET statement_timeout = 20"), query("DO $$ BEGIN PERFORM pg_sleep(10); END $$"),
                 run("DO $$ BEGIN PERFORM pg_sleep(10); END $$") + sync(), query("RESET statement_timeout"), run(CREATE) + sync())
    yield script("a block that ends the session",
                 step(query("DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(9); END $$"), until=END),
                 ways=frozenset((STEPS,)))
    deferred = query("CREATE TEMP TABLE u (a int PRIMARY KEY); CREATE TEMP TABLE t (a int REFERENCES u DEFERRABLE INITIALLY DEFERRED)")
    yield script("a constraint that fails at the end", deferred, query("DO $$ BEGIN INSERT INTO t VALUES (1); END $$"),
                 run("DO $$ BEGIN INSERT INTO t VALUES (2); END $$") + sync(), query("CREATE TEMP TABLE v AS SELECT 1; INSERT INTO t VALUES (3)"),
                 query("INSERT INTO t VALUES (4); CREATE TEMP TABLE v AS SELECT 1"), query("SELECT * FROM t"), LEFT_BEHIND)


def extended():
    yield script("DDL in a pipeline", run(CREATE) + run(ALTER) + run("SELECT * FROM t") + sync(), LEFT_BEHIND)
    yield script("DDL in a pipeline that fails", run(CREATE) + run(WRONG) + run(ALTER) + sync(), LEFT_BEHIND,
                 query("SELECT * FROM t"))
    yield script("DDL and a failure behind it", run(CREATE) + sync() + run(ALTER) + run("SELECT 1/0") + sync(), query("SELECT * FROM t"))
    yield script("DDL with Flush", step(run(CREATE) + flush(), until="C"), step(run(ALTER) + flush(), until="C"),
                 step(run(WRONG) + flush(), until="E"), sync(), query("SELECT 1 FROM t"))
    yield script("DDL, each message with a Flush", step(parse(CREATE) + flush(), until="1"), step(bind() + flush(), until="2"),
                 step(describe_portal() + flush(), until="n"), step(execute() + flush(), until="C"),
                 step(close_portal() + flush(), until="3"), step(close_statement() + flush(), until="3"), sync())
    yield script("DDL prepared by name", parse("CREATE TEMP TABLE t (a int)", "c") + parse("DROP TABLE t", "d") + sync(),
                 *[bind("", name) + execute() + sync() for name in "cdcdc"], bind("", "c") + execute() + sync(),
                 describe_statement("c") + close_statement("c") + sync(), LEFT_BEHIND)
    yield script("the unnamed statement is kept over Sync", parse("CREATE TEMP TABLE t (a int)") + sync(), UNNAMED,
                 run("DROP TABLE t", "p") + sync(), parse("CREATE TEMP TABLE t (a int)") + sync(),
                 parse("SELECT 1", "s") + bind("", "s") + execute() + sync(), UNNAMED, UNNAMED)
    yield script("one name for all, in one pipeline", run(CREATE) + run("SELECT 1") + run(ALTER) + run("SELECT * FROM t") + sync()
                 + run("BEGIN") + run(SERIALIZABLE) + run("SHOW transaction_isolation") + run("COMMIT") + sync())
    yield script("row limit of DDL", run(CREATE, rows=1) + sync(), run("CREATE TEMP TABLE u AS SELECT 1", rows=1) + sync())
    yield script("a portal bound, the statement closed", query("BEGIN"), parse(CREATE, "s") + bind("p", "s") + close_statement("s") + sync(),
                 execute("p") + sync(), execute("p") + sync(), query("ROLLBACK"))
    yield script("DDL while a portal is suspended", query("BEGIN"), run(NUMBERS, "p", 3) + sync(), run(CREATE) + sync(),
                 query(ALTER), execute("p", 3) + sync(), run("DROP TABLE t") + execute("p", 3) + sync(), execute("p") + sync(),
                 query("COMMIT"))
    yield script("DDL while the unnamed portal is suspended", query("BEGIN"), run(NUMBERS, rows=3) + parse(CREATE, "c") + bind("q", "c")
                 + execute("q") + execute("", 3) + sync(), execute("", 3) + sync(), query("COMMIT"))
    yield script("DDL in a failed transaction", query("BEGIN"), run(CREATE) + sync(), run("SELECT 1/0") + sync(), run(ALTER) + sync(),
                 query(ALTER), parse(ALTER, "s") + sync(), run("ROLLBACK") + sync(), LEFT_BEHIND)
    yield script("DDL prepared, used in a failed transaction", parse("ROLLBACK", "r") + parse("CREATE TEMP TABLE t (a int)", "c") + sync(),
                 query("BEGIN; SELECT 1/0"), bind("", "c") + execute() + sync(), bind("", "r") + execute() + sync(),
                 bind("", "c") + execute() + sync())
    yield script("savepoints around DDL in a pipeline", run("BEGIN") + run(CREATE) + run("SAVEPOINT a") + sync() + run(WRONG) + sync()
                 + run("ROLLBACK TO a") + run(ALTER) + run("RELEASE a") + run("COMMIT") + sync(), query("SELECT * FROM t"))
    yield script("DDL behind an early Sync of COPY", query("CREATE TEMP TABLE t (a int)"),
                 step(parse("COPY t FROM STDIN") + bind() + execute() + sync(), until="G"),
                 step(copy_data("1\n") + copy_done() + sync() + run("ALTER TABLE t ADD b int") + sync(), count=2),
                 step(parse("COPY t FROM STDIN") + bind() + execute() + sync(), until="G"),
                 step(copy_data("x\n") + copy_done() + sync() + run("ALTER TABLE t ADD c int") + sync(), count=2),
                 query("SELECT * FROM t"))
    yield script("DDL that breaks off a COPY", query("CREATE TEMP TABLE t (a int)"),
                 step(parse("COPY t FROM STDIN") + bind() + execute() + sync(), until="G"),
                 step(run("ALTER TABLE t ADD b int") + sync()), run("ALTER TABLE t ADD c int") + sync(),
                 query("ALTER TABLE t ADD d int"), query("SELECT * FROM t"))
    yield script("Syncs among the rows of a COPY", query("CREATE TEMP TABLE t (a int)"),
                 step(parse("COPY t FROM STDIN") + bind() + execute() + sync(), until="G"),
                 step(copy_data("1\n") + sync() + copy_data("2\n") + sync() + copy_done() + sync()
                      + run("ALTER TABLE t ADD b int") + sync(), count=2), query("SELECT * FROM t"))


def isolation():
    yield script("SET TRANSACTION by Query", query("BEGIN"), query(SERIALIZABLE), query(CREATE), query("SHOW transaction_isolation"),
                 query("COMMIT"), query(ALTER), query("BEGIN"), query(SERIALIZABLE), query("COMMIT"))
    yield script("SET TRANSACTION in one Query", query(f"BEGIN; {SERIALIZABLE}; {CREATE}; COMMIT"),
                 query(f"{ALTER}; BEGIN; {SERIALIZABLE}; COMMIT"))
    yield script("SET TRANSACTION in the extended protocol", run("BEGIN") + sync(), run(SERIALIZABLE) + sync(), run(CREATE) + sync(),
                 run("COMMIT") + sync())
    yield script("SET TRANSACTION in a pipeline", run(CREATE) + sync() + run("BEGIN") + run(SERIALIZABLE) + run(ALTER) + run("COMMIT") + sync())
    yield script("SET TRANSACTION behind a Query", query(CREATE) + run("BEGIN") + run(SERIALIZABLE) + sync() + query(ALTER) + query("COMMIT"))
    yield script("SET TRANSACTION behind DDL", run(CREATE) + run("BEGIN") + run(SERIALIZABLE) + sync(), query("ROLLBACK"))
    yield script("SET TRANSACTION by prepared statements", parse("BEGIN", "b") + parse(SERIALIZABLE, "s") + parse("COMMIT", "c")
                 + parse("CREATE TEMP TABLE t (a int)", "t") + sync(),
                 *[b"".join(bind("", name) + execute() for name in "bstc") + sync()] * 2,
                 bind("", "b") + execute() + bind("", "s") + execute() + bind("", "c") + execute() + sync())
    yield script("read only", query("BEGIN READ ONLY"), query(CREATE), query("CREATE TABLE not_kept (a int)"), query("ROLLBACK"),
                 query("SET default_transaction_read_only = on"), run(CREATE) + sync(), query("DO ''"), run("CREATE TABLE not_kept (a int)") + sync(),
                 query("SET default_transaction_read_only = off"))
    yield script("two-phase", query("BEGIN; CREATE TABLE not_kept (a int)"), query("PREPARE TRANSACTION 'followed'"),
                 query("ROLLBACK PREPARED 'followed'"))


def on_its_own():
    """What cannot run in a transaction."""
    yield script("indexes concurrently", query("CREATE INDEX CONCURRENTLY i ON empty (id)"),
                 run("REINDEX INDEX CONCURRENTLY i") + sync(), query("REINDEX TABLE CONCURRENTLY empty"),
                 run("DROP INDEX CONCURRENTLY i") + sync(), query("DROP INDEX CONCURRENTLY IF EXISTS i"),
                 run("CREATE INDEX CONCURRENTLY i ON empty (id)") + sync(), query("DROP INDEX CONCURRENTLY i"))
    yield script("a unique index concurrently", query("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)"), query("DROP INDEX i"),
                 close_statement("x") + run("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)") + sync(), query("DROP INDEX i"),
                 parse("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)", "u") + sync(), bind("", "u") + execute() + sync(),
                 query("DROP INDEX i"), bind("", "u") + execute() + sync(), query("DROP INDEX i"),
                 query("CREATE UNIQUE INDEX CONCURRENTLY i ON nowhere (id)"), query("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (nope)"),
                 LEFT_BEHIND)
    yield script("a unique index concurrently, glued", query("SELECT 1") + query("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)")
                 + query("DROP INDEX i") + run("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)") + sync() + query("DROP INDEX i"))
    yield script("a unique index concurrently behind what fails",
                 step(parse("SELEC") + run("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)") + sync()), query("SELECT 1"))
    yield script("a unique index concurrently behind others", run("SELECT 1") + run("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)") + sync(),
                 query("DROP INDEX IF EXISTS i"))
    yield script("concurrently in a transaction", query("BEGIN"), query("CREATE INDEX CONCURRENTLY i ON empty (id)"), query("ROLLBACK"),
                 query("BEGIN"), run("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)") + sync(), query("ROLLBACK"),
                 query("BEGIN"), query("CREATE UNIQUE INDEX CONCURRENTLY i ON empty (id)"), query("ROLLBACK"),
                 query("SELECT 1; CREATE INDEX CONCURRENTLY i ON empty (id)"))
    yield script("concurrently in a pipeline", run("CREATE INDEX CONCURRENTLY i ON empty (id)") + run("DROP INDEX i") + sync(),
                 query("DROP INDEX IF EXISTS i"))
    yield script("maintenance", query("VACUUM empty"), run("VACUUM empty") + sync(), query("CLUSTER"), query("REINDEX TABLE empty"),
                 query("ANALYZE empty"), query("CHECKPOINT"), query("ALTER SYSTEM SET work_mem = '5MB'"),
                 run("ALTER SYSTEM RESET work_mem") + sync(), query("REFRESH MATERIALIZED VIEW nope"))
    yield script("databases", query("CREATE DATABASE not_kept"), query("ALTER DATABASE not_kept SET work_mem = '5MB'"),
                 query("DROP DATABASE not_kept"), run("CREATE DATABASE not_kept") + sync(), run("DROP DATABASE not_kept") + sync(),
                 query("BEGIN"), query("CREATE DATABASE not_kept"), query("ROLLBACK"), ways=frozenset((STEPS,)))


def names():
    yield script("a client's names like ours", parse("SELECT 1", "_electric") + parse("SELECT 2", "_electric_0") + sync(), query(CREATE),
                 bind("_electric", "_electric") + execute("_electric") + run(ALTER) + sync(), bind("", "_electric_0") + execute() + sync(),
                 LEFT_BEHIND, query("DEALLOCATE _electric"))
    yield script("DISCARD ALL", parse(CREATE, "s") + sync(), bind("", "s") + execute() + sync(), query("DISCARD ALL"),
                 bind("", "s") + execute() + sync(), query(CREATE), query(WRONG), query("DISCARD ALL"), LEFT_BEHIND)
    yield script("DEALLOCATE ALL", parse("CREATE TEMP TABLE t (a int)", "s") + sync(), query("DEALLOCATE ALL"), bind("", "s") + execute() + sync(),
                 query("PREPARE s AS SELECT 1"), bind("", "s") + execute() + sync(), query("DEALLOCATE s"), LEFT_BEHIND)


MIGRATIONS = query("CREATE TEMP TABLE schema_migrations (version text, n int DEFAULT 1)")


def recorded():
    """Rows in which a migration tool notes what it has done."""
    insert = "INSERT INTO schema_migrations VALUES ('2024')"
    yield script("a row with RETURNING", MIGRATIONS, query(f"{insert} RETURNING version, n"), run(f"{insert} RETURNING n") + sync(),
                 query(f"SELECT 1; {insert} RETURNING n; SELECT 2"), query("UPDATE schema_migrations SET n = 2 RETURNING *"))
    yield script("a row that fails", MIGRATIONS, query("INSERT INTO schema_migrations VALUES ('x', 1/0)"), LEFT_BEHIND, UNNAMED,
                 run("INSERT INTO schema_migrations VALUES ('x', 'x')") + sync(), query("INSERT INTO schema_migrations VALUES (nope)"),
                 query("INSERT INTO schema_migrations VALUES ('ä€', nope)"), query("INSERT INTO schema_migrations VALUES ($1)"))
    yield script("a row with parameters", MIGRATIONS, parse("INSERT INTO schema_migrations VALUES ($1, $2) RETURNING *", "s") + sync(),
                 bind("", "s", ["a", "1"]) + describe_portal() + execute("", 1) + sync(), bind("", "s", ["b", "x"]) + execute() + sync(),
                 query("BEGIN"), bind("p", "s", ["c", None]) + execute("p", 1) + sync(), execute("p") + sync(), query("COMMIT"))
    yield script("rows suspended", MIGRATIONS, query("BEGIN"),
                 run("INSERT INTO schema_migrations SELECT i FROM generate_series(1, 5) i RETURNING version", "p", 2) + sync(),
                 execute("p", 2) + sync(), execute("p", 2) + sync(), execute("p", 2) + sync(), query("COMMIT"))
    yield script("a row in a serializable transaction", MIGRATIONS, query(f"BEGIN; {SERIALIZABLE}; {insert}; COMMIT"),
                 query("BEGIN ISOLATION LEVEL REPEATABLE READ"), query(insert), query("COMMIT"))


def sizes():
    big = frozenset((STEPS, GLUED))
    yield script("DDL behind 70,000 messages", close_statement("nothing") * 70000 + run(CREATE) + sync() + run(ALTER) + sync(),
                 query("SELECT * FROM t"), ways=big)
    yield script("DDL of a megabyte", query(f"{CREATE} -- {'x' * 1000000}"), query(f"/* {'x' * 1000000} */ {ALTER}"),
                 run(f"DROP TABLE t /* {'ä' * 500000} */") + sync(), ways=big)
    yield script("DDL five hundred times", query("".join(f"CREATE TEMP TABLE t{i} (a int);" for i in range(500))),
                 b"".join(run(f"DROP TABLE t{i}") for i in range(500)) + sync(), ways=big)


GROUPS = (by_query, in_blocks, extended, isolation, on_its_own, names, recorded, sizes)


def followed_scripts():
    for group in GROUPS:
        yield from group()
