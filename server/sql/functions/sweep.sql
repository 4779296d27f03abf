-- Where there were no event triggers to see a change, or they were switched off, comparing all tables
-- with their snapshots finds it.

-- Of the transactions that were open when capture was switched on, those that still are: what they did
-- before is no fault of theirs. Null when a sweep has come after the last.
CREATE OR REPLACE FUNCTION electric.open_before() RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted text := (SELECT s.value FROM electric.settings s WHERE s.name = 'open_before');
BEGIN
    IF noted = '' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT o.id FROM (
            SELECT l.virtualxid AS id FROM pg_locks l WHERE l.locktype = 'virtualxid' AND l.pid <> pg_backend_pid()
            UNION ALL
            SELECT x.transaction::text FROM pg_prepared_xacts x WHERE x.database = current_database()) o
        WHERE noted = 'new' OR o.id = ANY (string_to_array(noted, ' ')));
END
$$;

-- One table of the set. What can be captured is captured; of the rest nothing changes but this report.
CREATE OR REPLACE FUNCTION electric.sweep_table(known electric.tables, source text, OUT state text, OUT fault electric.fault,
                                                OUT message text, OUT ops jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    found jsonb;
BEGIN
    -- Nobody has to wait for a table that is as it was.
    IF electric.snapshot(known.relid) = known.snapshot THEN
        RETURN;
    END IF;
    SELECT * INTO known FROM electric.tables t WHERE t.nsp = known.nsp AND t.name = known.name FOR UPDATE;
    found := electric.snapshot(known.relid);
    IF known.name IS NULL OR found = known.snapshot THEN
        RETURN;
    END IF;

    fault := electric.find_fault(known.snapshot, found);
    message := fault.message;
    IF fault.code IS NULL THEN
        ops := electric.find_ops(known.snapshot, found);
        PERFORM electric.refuse_taken_name(known, electric.store(found));
        PERFORM electric.record(ops, source);
        state := CASE WHEN ops <> '[]' THEN 'captured' END;
    ELSIF electric.open_before() IS NOT NULL THEN
        state := electric.catch_up_table(known, found);
    ELSE
        state := 'drift';
    END IF;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        state := 'busy';
        message := 'another session holds a lock on the table';
    WHEN SQLSTATE 'EX023' THEN
        state := 'drift';
        fault.code := SQLSTATE;
        fault.message := SQLERRM;
        message := SQLERRM;
END
$$;

-- Unique indexes that a refused or failed CREATE UNIQUE INDEX CONCURRENTLY has left: no query uses
-- them, but they refuse rows.
CREATE OR REPLACE FUNCTION electric.enforcing_leftovers() RETURNS TABLE (nsp text, name text, index_name text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.nsp, t.name, i.relname::text
    FROM electric.tables t
    JOIN pg_index x ON x.indrelid = t.relid AND x.indisunique AND x.indisready AND NOT x.indisvalid
    JOIN pg_class i ON i.oid = x.indexrelid
$$;

-- For the server: one row a table that is not as it should be.
CREATE OR REPLACE FUNCTION electric.sweep()
RETURNS TABLE (nsp text, name text, state text, code text, message text, ops jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    known   electric.tables;
    open    text[];
    settled boolean := true;
BEGIN
    IF electric.begin_judging() = 'none' THEN
        RETURN;
    END IF;
    open := electric.open_before(); -- now: those that end while this runs may not have been seen
    FOR known IN SELECT * FROM electric.tables t ORDER BY t.nsp, t.name LOOP
        SELECT known.nsp, known.name, s.state, (s.fault).code, s.message, s.ops INTO nsp, name, state, code, message, ops
        FROM electric.sweep_table(known, 'sweep') s;
        IF state IS NOT NULL THEN
            settled := settled AND state <> 'busy';
            RETURN NEXT;
        END IF;
    END LOOP;
    RETURN QUERY
        SELECT l.nsp, l.name, 'leftover', 'EX011',
               format('Unique index %I is not valid but refuses rows: DROP INDEX CONCURRENTLY %I.%I;',
                      l.index_name, l.nsp, l.index_name), NULL::jsonb
        FROM electric.enforcing_leftovers() l;
    IF open IS NOT NULL AND settled THEN
        UPDATE electric.settings s SET value = array_to_string(open, ' ') WHERE s.name = 'open_before';
    END IF;
END
$$;
