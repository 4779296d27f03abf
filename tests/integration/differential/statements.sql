-- Texts for the differential test. Each is sent as one Query, and as one Parse, Bind, Describe,
-- Execute, Sync. A line "--! name" begins the next. Nothing may outlast the session.
--! empty text
--! a semicolon
;
--! semicolons
;;; ;
--! only white space
   
	
--! only a line comment
-- nothing here
--! only a block comment
/* nothing /* nested */ here */
--! comment and semicolon
/* nothing */; -- here
--! unterminated block comment
/* never ends
--! select
SELECT 1
--! select with semicolon
SELECT 1;
--! select with semicolons around
; SELECT 1 ;;
--! empty statements between
SELECT 1;;SELECT 2
--! comment between statements
SELECT 1 /* one */; -- two
SELECT 2
--! no columns
SELECT
--! no rows
SELECT * FROM empty
--! many types
SELECT 1::int2, 2::int8, 1.5::float4, 'x'::"char", 'n'::name, true, NULL::text, '{1,2}'::int[], '{"a":1}'::jsonb, '\xdead'::bytea, 'ok'::mood, '1 day'::interval, int4range(1,5)
--! fixture table
SELECT * FROM items ORDER BY id
--! all columns of a join
SELECT a.*, b.name AS other FROM items a LEFT JOIN items b ON b.id = a.id + 1 ORDER BY a.id
--! values
VALUES (1, 'a'), (2, NULL)
--! table command
TABLE items
--! with
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) SELECT i FROM n
--! data-modifying with
BEGIN; WITH gone AS (DELETE FROM items WHERE id > 3 RETURNING *) SELECT count(*) FROM gone; ROLLBACK
--! a thousand rows
SELECT i, repeat('x', i % 50) FROM generate_series(1, 1000) i
--! a wide row
SELECT repeat('ä', 100000) AS wide
--! hundred columns
SELECT 1 c1,2 c2,3 c3,4 c4,5 c5,6 c6,7 c7,8 c8,9 c9,10 c10,11 c11,12 c12,13 c13,14 c14,15 c15,16 c16,17 c17,18 c18,19 c19,20 c20
--! duplicate column names
SELECT 1 AS a, 2 AS a, 3 AS "A", 4 AS ""
--! syntax error
SELEC 1
--! syntax error at the end
SELECT 1 +
--! syntax error in the second statement
SELECT 1; SELEC 2
--! error in the second statement
SELECT 1; SELECT 1/0; SELECT 3
--! unknown column
SELECT nope FROM items
--! unknown column after non-ASCII text
SELECT 'äöü € 😀', nope FROM items
--! unknown column in a later statement after non-ASCII text
SELECT 'äöü € 😀'; SELECT '日本語', nope FROM items
--! unknown column on the third line
SELECT 1,
       2,
       nope
FROM items
--! unknown table
SELECT * FROM nowhere
--! unknown function with hint
SELECT lenth('x')
--! ambiguous column
SELECT id FROM items a, items b
--! division by zero
SELECT 1/0
--! division by zero after rows
SELECT 1/(3 - i) FROM generate_series(1, 5) i
--! bad cast
SELECT 'x'::int
--! all error fields
SELECT fails()
--! internal query position
DO $$ BEGIN EXECUTE 'SELECT nope'; END $$
--! unique violation
BEGIN; INSERT INTO items VALUES (1); SELECT 1; ROLLBACK
--! not null violation
BEGIN; INSERT INTO items VALUES (NULL); ROLLBACK
--! check violation of a domain
CREATE DOMAIN pg_temp.small AS int CHECK (VALUE < 10); SELECT 11::pg_temp.small
--! begin
BEGIN
--! begin and error
BEGIN; SELECT 1/0
--! begin, error, more
BEGIN; SELECT 1/0; SELECT 1
--! start transaction
START TRANSACTION
--! start transaction with options
START TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE
--! begin read write
BEGIN READ WRITE
--! begin twice
BEGIN; BEGIN; COMMIT
--! commit without begin
COMMIT
--! rollback without begin
ROLLBACK
--! end and abort
BEGIN; END; BEGIN; ABORT
--! commit and chain
BEGIN; COMMIT AND CHAIN; ROLLBACK AND CHAIN; COMMIT
--! commit and chain outside
COMMIT AND CHAIN
--! implicit transaction, begin inside
SELECT 1; BEGIN; SELECT 2; COMMIT; SELECT 3
--! implicit transaction, commit inside
SELECT 1; COMMIT; SELECT 2
--! implicit transaction, rollback inside
CREATE TEMP TABLE t (a int); ROLLBACK; SELECT * FROM t
--! commit of a failed transaction
BEGIN; SELECT 1/0; COMMIT
--! set transaction
BEGIN; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SHOW transaction_isolation; COMMIT
--! set transaction too late
BEGIN; SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; COMMIT
--! savepoints
BEGIN; SAVEPOINT a; SAVEPOINT b; ROLLBACK TO a; RELEASE a; COMMIT
--! savepoint of the same name
BEGIN; SAVEPOINT a; SELECT 1; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; RELEASE a; COMMIT
--! rollback to nowhere
BEGIN; ROLLBACK TO nowhere
--! savepoint outside
SAVEPOINT a
--! release outside
RELEASE a
--! two-phase without transaction
PREPARE TRANSACTION 'differential'
--! two-phase of an unknown one
ROLLBACK PREPARED 'unknown'
--! read only
BEGIN READ ONLY; CREATE TABLE not_here (a int); ROLLBACK
--! vacuum
VACUUM empty
--! vacuum in a transaction
BEGIN; VACUUM empty; ROLLBACK
--! vacuum with others
SELECT 1; VACUUM empty
--! create index concurrently with others
SELECT 1; CREATE INDEX CONCURRENTLY nowhere ON empty (id)
--! temporary table
CREATE TEMP TABLE t (a int PRIMARY KEY, b text DEFAULT 'x'); INSERT INTO t VALUES (1), (2) RETURNING *; UPDATE t SET b = 'y' WHERE a = 1; DELETE FROM t; TRUNCATE t; DROP TABLE t
--! create table as
CREATE TEMP TABLE t AS SELECT * FROM items; SELECT count(*) FROM t
--! select into
SELECT * INTO TEMP t FROM items; SELECT count(*) FROM t
--! create table if not exists notice
CREATE TABLE IF NOT EXISTS items (a int)
--! drop if exists notice
DROP TABLE IF EXISTS nowhere, nowhere2
--! drop of nothing
DROP TABLE nowhere
--! ddl in a transaction
BEGIN; CREATE TABLE not_kept (a int); ALTER TABLE not_kept ADD COLUMN b text; CREATE INDEX ON not_kept (b); DROP TABLE not_kept; ROLLBACK
--! alter table of the fixture, rolled back
BEGIN; ALTER TABLE items ADD COLUMN extra int, ALTER COLUMN name SET NOT NULL; ROLLBACK
--! create schema with elements
BEGIN; CREATE SCHEMA not_kept CREATE TABLE a (i int) CREATE VIEW b AS SELECT * FROM a; ROLLBACK
--! create view and rule
BEGIN; CREATE VIEW not_kept AS SELECT 1 a; CREATE RULE r AS ON INSERT TO not_kept DO INSTEAD (SELECT 1; SELECT 2); INSERT INTO not_kept VALUES (1); ROLLBACK
--! trigger
CREATE TEMP TABLE t (a int); CREATE FUNCTION pg_temp.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE NOTICE ''row %'', NEW.a; RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION pg_temp.f(); INSERT INTO t VALUES (1), (2)
--! function with a sql-standard body
CREATE FUNCTION pg_temp.f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT pg_temp.f()
--! do block
DO $$ BEGIN PERFORM noisy(1); END $$
--! do block with a language
DO LANGUAGE plpgsql $body$ BEGIN RAISE WARNING '$$ %', 1; END $body$
--! do block with an exception
DO $$ BEGIN BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught %', SQLSTATE; END; END $$
--! do block that fails
DO $$ BEGIN PERFORM fails(); END $$
--! do block that commits
DO $$ BEGIN COMMIT; PERFORM noisy(1); ROLLBACK; END $$
--! do block with ddl
DO $$ BEGIN CREATE TEMP TABLE t (a int); EXECUTE 'ALTER TABLE t ADD b int'; END $$; SELECT * FROM t
--! call that commits
CALL commits()
--! call that commits, in a transaction
BEGIN; CALL commits(); ROLLBACK
--! call among others
SELECT 1; CALL gives_back(1, 'x'); SELECT 2
--! call with results
CALL gives_back(41, 'x')
--! call of nothing
CALL nothing(1, 'electric')
--! two calls
CALL gives_back(1, 'a'); CALL gives_back(2, 'b')
--! notices of every level
SET client_min_messages = debug1; DO $$ BEGIN RAISE LOG 'l'; RAISE DEBUG 'd'; RAISE INFO 'i'; RAISE NOTICE 'n'; RAISE WARNING 'w'; END $$
--! many notices between rows
SELECT noisy(i) FROM generate_series(1, 50) i
--! set and show
SET work_mem = '5MB'; SHOW work_mem
--! parameter status of a set
SET application_name = 'another'; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601'
--! parameter status of a rollback
BEGIN; SET application_name = 'another'; ROLLBACK
--! parameter status of set local
BEGIN; SET LOCAL TimeZone = 'America/New_York'; SELECT '2024-01-01 00:00+00'::timestamptz; COMMIT
--! set to a bad value
SET DateStyle = 'nonsense'
--! set of an unknown parameter
SET nothing = 1
--! custom parameter
SET electricity.level = 'high'; SHOW electricity.level
--! set role
SET ROLE nobody_of_this_name
--! set session authorization
SET SESSION AUTHORIZATION DEFAULT; RESET SESSION AUTHORIZATION
--! set names
SET NAMES 'LATIN1'; SELECT 'x'
--! reset all
SET TimeZone = 'Asia/Tokyo'; RESET ALL
--! search path
SET search_path TO pg_temp, "public"; SHOW search_path
--! discard all
DISCARD ALL
--! discard all among others
SELECT 1; DISCARD ALL
--! discard parts
DISCARD PLANS; DISCARD SEQUENCES; DISCARD TEMP
--! prepare and execute
PREPARE p (int) AS SELECT $1 + 1; EXECUTE p (1); EXECUTE p (2); DEALLOCATE p; EXECUTE p (3)
--! prepare twice
PREPARE p AS SELECT 1; PREPARE p AS SELECT 2
--! prepare of an insert
CREATE TEMP TABLE t (a int); PREPARE p (int) AS INSERT INTO t VALUES ($1) RETURNING a; EXECUTE p (7)
--! deallocate all
PREPARE p AS SELECT 1; DEALLOCATE ALL; DEALLOCATE PREPARE p
--! deallocate of nothing
DEALLOCATE nothing
--! cursors
BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id, name FROM items ORDER BY id; FETCH 2 FROM c; FETCH BACKWARD 1 FROM c; MOVE ALL FROM c; FETCH PRIOR FROM c; CLOSE c; COMMIT
--! cursor with hold
DECLARE c CURSOR WITH HOLD FOR SELECT 1; FETCH c; FETCH c; CLOSE ALL
--! cursor outside
DECLARE c CURSOR FOR SELECT 1
--! binary cursor
BEGIN; DECLARE c BINARY CURSOR FOR SELECT 1::int, 'x'::text; FETCH ALL FROM c; COMMIT
--! fetch of nothing
BEGIN; FETCH 1 FROM nothing; ROLLBACK
--! positioned update
BEGIN; DECLARE c CURSOR FOR SELECT * FROM items FOR UPDATE; FETCH 2 FROM c; UPDATE items SET price = 0 WHERE CURRENT OF c; ROLLBACK
--! explain
EXPLAIN (COSTS OFF) SELECT * FROM items WHERE id = 1
--! explain analyze
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM empty
--! explain json
EXPLAIN (FORMAT JSON, COSTS OFF) SELECT 1
--! copy to stdout
COPY items TO STDOUT
--! copy to stdout csv
COPY (SELECT id, name FROM items ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER, FORCE_QUOTE *)
--! copy to stdout binary
COPY items (id, name) TO STDOUT WITH BINARY
--! copy nothing to stdout
COPY empty TO STDOUT
--! copy to stdout among others
SELECT 1; COPY items (id) TO STDOUT; SELECT 2; COPY items (name) TO STDOUT
--! copy to stdout that fails in the middle
COPY (SELECT 1/(3 - i) FROM generate_series(1, 5) i) TO STDOUT
--! copy of an unknown table
COPY nowhere TO STDOUT
--! listen and notify
LISTEN a; NOTIFY a, 'payload'; UNLISTEN a
--! listen and notify in a transaction
BEGIN; LISTEN a; NOTIFY a; NOTIFY a; NOTIFY a, 'x'; COMMIT
--! notify rolled back
LISTEN a; BEGIN; NOTIFY a; ROLLBACK
--! notify by function
LISTEN electric; SELECT pg_notify('electric', 'ENABLE ELECTRIC')
--! unlisten all
UNLISTEN *
--! lock
BEGIN; LOCK TABLE items IN SHARE MODE; ROLLBACK
--! lock outside
LOCK TABLE items
--! advisory locks
SELECT pg_advisory_lock(72707369), pg_try_advisory_lock(72707369), pg_advisory_unlock_all()
--! unlock of nothing
SELECT pg_advisory_unlock(1)
--! statement timeout
SET statement_timeout = 20; SELECT pg_sleep(10)
--! merge
BEGIN; MERGE INTO items i USING (VALUES (1, 'new'), (9, 'nine')) v (id, name) ON v.id = i.id WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT (id, name) VALUES (v.id, v.name); ROLLBACK
--! upsert
BEGIN; INSERT INTO items (id) VALUES (1), (6) ON CONFLICT (id) DO UPDATE SET name = 'again' RETURNING id, name; ROLLBACK
--! insert returning nothing
CREATE TEMP TABLE t (a int); INSERT INTO t SELECT i FROM generate_series(1, 10) i; INSERT INTO t SELECT 1 WHERE false
--! update of no rows
UPDATE items SET name = 'x' WHERE false
--! comment on, rolled back
BEGIN; COMMENT ON TABLE items IS 'electric'; ROLLBACK
--! grant, rolled back
BEGIN; GRANT SELECT ON items TO PUBLIC; REVOKE ALL ON items FROM PUBLIC; ROLLBACK
--! load of a missing library
LOAD 'nothing_of_this_name'
--! checkpoint
CHECKPOINT
--! reindex
REINDEX TABLE empty
--! import foreign schema
IMPORT FOREIGN SCHEMA a FROM SERVER nothing INTO public
--! security label
SECURITY LABEL ON TABLE items IS 'x'
--! strings of every kind
SELECT 'it''s', E'a\nb\'c\\', U&'d\0061t\+000061', $$dollar ' quoted$$, $a$nested $$ tags$a$, B'101', X'1F', N'nation'
--! strings continued on the next line
SELECT 'one'
  'two', 'three'
  -- a comment between
  'four'
--! strings continued on the same line
SELECT 'one' 'two'
--! unterminated string
SELECT 'never ends
--! unterminated identifier
SELECT "never ends
--! unterminated dollar quote
SELECT $a$ never ends $b$
--! empty identifier
SELECT ""
--! quoted identifiers
SELECT 1 AS "a ""quoted"" one", 2 AS U&"d\0061ta", 3 AS "semi;colon", 4 AS "-- no comment", 5 AS "/* none */"
--! dollar in identifiers and parameters
SELECT 1 AS a$b$c, 2 AS _$1$
--! a parameter without value
SELECT $1
--! nested comments
SELECT /* 1 /* 2 /* 3 */ */ ; ' */ 1 -- ; '
--! comment operators
SELECT 1 +--2
 3, 4 */* 5 */ 6, 7 - - 8, @ -9, 2 ^ 3, !!true
--! operators with comment starts
SELECT 5 *-1, '{1,2}'::int[] @> '{1}', 'a' ~~* 'A', 1 <> 2, 1 != 2
--! very long identifier
SELECT 1 AS aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
--! very long identifier of many bytes
SELECT 1 AS ääääääääääääääääääääääääääääääääääääääääääääääääääää
--! very long table name
SELECT * FROM aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
--! many parentheses
SELECT ((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))))
--! numbers
SELECT 1e3, .5, 5., 1.5e-2, 9223372036854775808, 0000123
--! numbers with junk
SELECT 1a
--! newer syntax: underscores and hexadecimal
SELECT 1_000, 0xFF, 0o17, 0b101
--! newer syntax: json constructors
SELECT JSON_ARRAY(1, 2), JSON_OBJECT('a': 1)
--! newer syntax: is json
SELECT '{}' IS JSON OBJECT
--! newer syntax: json_table
SELECT * FROM JSON_TABLE('[1,2]', '$[*]' COLUMNS (a int PATH '$')) electric
--! newer syntax: json_query
SELECT JSON_QUERY('{"a":1}', '$.a' WITH WRAPPER)
--! newer syntax: merge returning
BEGIN; MERGE INTO items i USING (VALUES (1)) v (id) ON v.id = i.id WHEN MATCHED THEN DO NOTHING RETURNING merge_action(), i.id; ROLLBACK
--! newer syntax: returning old and new
BEGIN; UPDATE items SET name = 'x' WHERE id = 1 RETURNING old.name, new.name; ROLLBACK
--! newer syntax: not enforced
BEGIN; ALTER TABLE items ADD CONSTRAINT positive CHECK (price > 0) NOT ENFORCED; ROLLBACK
--! newer syntax: virtual column
CREATE TEMP TABLE t (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL)
--! newer syntax: without overlaps
CREATE TEMP TABLE t (id int4range, valid_at daterange, PRIMARY KEY (id, valid_at WITHOUT OVERLAPS))
--! newer syntax: named not null
CREATE TEMP TABLE t (a int, CONSTRAINT a_given NOT NULL a)
--! newer syntax: copy with default
COPY items TO STDOUT (FORMAT csv, DEFAULT 'electric')
--! newer syntax: any_value, date_trunc zone
SELECT any_value(id) FROM items WHERE false
--! newer syntax: explain serialize
EXPLAIN (ANALYZE, SERIALIZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM empty
--! newer syntax: at local
SELECT '2024-01-01 00:00'::timestamp AT LOCAL
--! newer syntax: subquery without alias
SELECT * FROM (SELECT 1 AS electric)
--! newer syntax and the word in several statements
SELECT 'electric'; SELECT JSON_ARRAY(1); SELECT 'ENABLE ELECTRIC'
--! electric in a string
SELECT 'ALTER TABLE items ENABLE ELECTRIC'
--! electric in a string with quotes
SELECT 'it''s; ALTER TABLE items ENABLE ELECTRIC;'
--! electric in an escape string
SELECT E'\'; ALTER TABLE items ENABLE ELECTRIC; --'
--! electric in a dollar quote
SELECT $$; ALTER TABLE items ENABLE ELECTRIC;$$
--! electric as a dollar tag
SELECT $electric$; ELECTRIC ENABLE items; $$ $electric$
--! electric in a line comment
SELECT 1 -- ; ALTER TABLE items ENABLE ELECTRIC;
--! electric in a line comment between statements
SELECT 1;
-- ALTER TABLE items ENABLE ELECTRIC;
SELECT 2
--! electric in a block comment
/* ALTER TABLE items ENABLE ELECTRIC; */ SELECT 1
--! electric in a nested comment
/* /* */ ; ELECTRIC ENABLE items; */ SELECT 1
--! electric only in a comment
-- ELECTRIC ENABLE items
--! electric as an identifier
SELECT electric FROM (SELECT 1 AS electric) electric
--! electric as a quoted identifier
SELECT 1 AS "ALTER TABLE items ENABLE ELECTRIC; ELECTRIC ENABLE items"
--! electric table and columns
SELECT "ENABLE ELECTRIC", electric FROM "electric bill"
--! electric as a table, altered
CREATE TEMP TABLE electric (enable int, electric text); ALTER TABLE electric ADD COLUMN grants int; ALTER TABLE electric DROP COLUMN electric; SELECT * FROM electric
--! electric with enable trigger
BEGIN; ALTER TABLE "electric bill" ENABLE TRIGGER ALL; ALTER TABLE "electric bill" DISABLE RULE electric; ROLLBACK
--! electric as a type that does not exist
BEGIN; ALTER TABLE items ADD COLUMN enable electric; ROLLBACK
--! electric as a constraint
CREATE TEMP TABLE t (a int CONSTRAINT electric CHECK (a > 0)); INSERT INTO t VALUES (0)
--! electricity is another word
ALTER TABLE items ENABLE ELECTRICITY
--! electric with a letter in front
ALTER TABLE items ENABLE XELECTRIC
--! electric unknown column with position
SELECT 'electric', electric FROM items
--! electric unknown column after other statements
SELECT 'äöü ENABLE ELECTRIC'; SELECT 2; SELECT electric FROM items
--! electric syntax error with position
SELECT 'electric'; SELECT FROM WHERE
--! electric in a do block
DO $$ BEGIN RAISE NOTICE 'ALTER TABLE items ENABLE ELECTRIC;'; END $$
--! electric in a function
CREATE FUNCTION pg_temp.electric() RETURNS text LANGUAGE sql AS $$ SELECT 'ELECTRIC ENABLE items;' $$; SELECT pg_temp.electric()
--! electric in a sql-standard body
CREATE FUNCTION pg_temp.f() RETURNS text BEGIN ATOMIC SELECT 'a'; SELECT 'ENABLE ELECTRIC'; END; SELECT pg_temp.f()
--! electric in a rule
BEGIN; CREATE RULE electric AS ON INSERT TO "electric bill" DO ALSO (SELECT 'ENABLE'; SELECT 'ELECTRIC'); ROLLBACK
--! electric as a prepared statement
PREPARE electric AS SELECT 'electric'; EXECUTE electric; DEALLOCATE electric
--! electric as a cursor and savepoint
BEGIN; SAVEPOINT electric; DECLARE electric CURSOR FOR SELECT 'electric'; FETCH electric; CLOSE electric; ROLLBACK TO electric; RELEASE electric; COMMIT
--! electric as a channel
LISTEN electric; NOTIFY electric, 'ALTER TABLE items ENABLE ELECTRIC'; UNLISTEN electric
--! electric as a setting
SET application_name = 'electric'; SHOW application_name
--! electric in explain
EXPLAIN (COSTS OFF) SELECT 'ENABLE ELECTRIC'
--! electric in copy
COPY (SELECT 'ENABLE ELECTRIC;') TO STDOUT
--! electric in a comment on, rolled back
BEGIN; COMMENT ON TABLE items IS 'ALTER TABLE items ENABLE ELECTRIC'; ROLLBACK
--! electric in a unicode escape identifier
SELECT 1 AS U&"\0065lectric", U&'\0065lectric'
--! electric in mixed case
SELECT 'eLeCtRiC', 1 AS eLEcTric
--! electric in an unterminated string
SELECT 'ALTER TABLE items ENABLE ELECTRIC;
--! electric in an unterminated comment
/* ALTER TABLE items ENABLE ELECTRIC;
--! electric in a case expression
SELECT CASE WHEN true THEN 'electric' END; SELECT 1 AS case, 2 AS begin, 3 AS electric
