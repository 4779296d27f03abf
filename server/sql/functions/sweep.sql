-- Where there were no event triggers to see a change, or they were switched off, comparing all tables
-- with their snapshots finds it.

-- Judges what this transaction has changed, or earlier ones: for fallback mode, right after a
-- statement. Where the triggers work there is nothing left to find.
CREATE OR REPLACE FUNCTION electric.capture_changes() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM electric.settings WHERE name = 'mode' AND value = 'triggers')
       OR current_setting('transaction_read_only') = 'on' OR electric.begin_judging() = 'none' THEN
        RETURN;
    END IF;
    PERFORM electric.judge_all(ARRAY(SELECT t.relid FROM electric.tables t WHERE t.relid IS NOT NULL));
END
$$;

-- One table of the set. What can be captured is captured; of the rest nothing changes but this report.
CREATE OR REPLACE FUNCTION electric.sweep_table(known electric.tables,
                                                OUT state text, OUT code text, OUT message text, OUT ops jsonb)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    found jsonb;
    fault electric.fault;
BEGIN
    SELECT * INTO known FROM electric.tables t WHERE t.nsp = known.nsp AND t.name = known.name FOR UPDATE;
    found := electric.snapshot(known.relid);
    IF known.name IS NULL OR found = known.snapshot THEN
        RETURN;
    END IF;

    fault := electric.find_fault(known.snapshot, found);
    IF fault.code IS NOT NULL THEN
        state := 'drift';
        code := fault.code;
        message := fault.message;
        RETURN;
    END IF;
    ops := electric.find_ops(known.snapshot, found);
    PERFORM electric.store(found);
    PERFORM electric.record(ops, 'sweep');
    IF ops <> '[]' THEN
        state := 'captured';
    END IF;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
        state := 'busy';
        message := 'another session holds a lock on the table';
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
    known electric.tables;
BEGIN
    IF electric.begin_judging() = 'none' THEN
        RETURN;
    END IF;
    FOR known IN SELECT * FROM electric.tables t ORDER BY t.nsp, t.name LOOP
        RETURN QUERY
            SELECT known.nsp, known.name, s.state, s.code, s.message, s.ops
            FROM electric.sweep_table(known) s WHERE s.state IS NOT NULL;
    END LOOP;
    RETURN QUERY
        SELECT l.nsp, l.name, 'leftover', 'EX011',
               format('Unique index %I is not valid but refuses rows: DROP INDEX CONCURRENTLY %I.%I;',
                      l.index_name, l.nsp, l.index_name), NULL::jsonb
        FROM electric.enforcing_leftovers() l;
END
$$;
