-- Fallback mode: no event trigger sees changes, so the proxy asks right after each statement that may
-- have made some.

-- The electrified tables that this transaction may have changed. Whatever changes a table or an index
-- keeps a lock on it to the end that is stronger than a writer's; a change of a type or a schema does
-- not, but leaves rows of this transaction (or later ones, which does no harm).
CREATE OR REPLACE FUNCTION electric.changed_here() RETURNS oid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH locked AS MATERIALIZED (
            SELECT DISTINCT l.relation FROM pg_locks l
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
              AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
              AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
                             'AccessExclusiveLock')
        )
        SELECT t.relid FROM locked l JOIN electric.tables t ON t.relid = l.relation
        UNION
        SELECT t.relid FROM locked l JOIN pg_index x ON x.indexrelid = l.relation JOIN electric.tables t ON t.relid = x.indrelid)
        || electric.changed_through_types();
END
$$;

-- Sequential scans: no index knows of xmin.
CREATE OR REPLACE FUNCTION electric.changed_through_types() RETURNS oid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = on
AS $$
DECLARE
    types   oid[] := ARRAY(SELECT t.oid FROM pg_type t WHERE t.typtype = 'e' AND age(t.xmin) <= 0
                           UNION
                           SELECT e.enumtypid FROM pg_enum e WHERE age(e.xmin) <= 0);
    schemas oid[] := ARRAY(SELECT n.oid FROM pg_namespace n WHERE age(n.xmin) <= 0);
BEGIN
    IF types = '{}' AND schemas = '{}' THEN
        RETURN '{}';
    END IF;
    PERFORM electric.lock_thing(o.type) FROM (SELECT unnest(types) AS type ORDER BY 1) o;
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        PERFORM electric.refuse_old_snapshot();
    END IF;
    RETURN ARRAY(
        SELECT t.relid FROM electric.tables t JOIN pg_class c ON c.oid = t.relid
        WHERE c.relnamespace = ANY (schemas)
           OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.atttypid = ANY (types)));
END
$$;

-- What was committed already cannot be refused: a column that a procedure dropped before its COMMIT is
-- gone. Whether this session did it is not known, either.
CREATE OR REPLACE FUNCTION electric.warn_of_drift(nsp text, name text, fault electric.fault) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE WARNING USING ERRCODE = fault.code, SCHEMA = nsp, TABLE = name,
        MESSAGE = format('Electrified table %s has changed in a way that clients cannot follow', electric.title(nsp, name)),
        DETAIL = fault.message, HINT = 'It was committed before it could be refused. Change the table back, or run'
                                       || format(' ALTER TABLE %s DISABLE ELECTRIC; and ENABLE ELECTRIC.', electric.title(nsp, name));
END
$$;

-- What is committed: by this session's last statement if that commits by itself, or beside the proxy.
CREATE OR REPLACE FUNCTION electric.capture_committed() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed record;
    known   electric.tables;
    result  record;
BEGIN
    -- The fingerprint is older than the snapshot: a change in between is looked at twice, not never.
    FOR changed IN
        SELECT t AS table_row, f.seen FROM electric.fingerprints() f JOIN electric.tables t ON t.relid = f.relid
        WHERE f.seen IS DISTINCT FROM f.noted ORDER BY t.relid
    LOOP
        known := changed.table_row;
        result := electric.sweep_table(known, NULL);
        CONTINUE WHEN result.state = 'busy';
        PERFORM electric.note_fingerprint(known.relid, changed.seen);
        IF result.state = 'captured' THEN
            PERFORM electric.announce(known.nsp, known.name);
        ELSIF result.state = 'drift' THEN
            PERFORM electric.warn_of_drift(known.nsp, known.name, result.fault);
        END IF;
    END LOOP;
END
$$;

-- Where the triggers work there is nothing left to find.
CREATE OR REPLACE FUNCTION electric.capture_changes(committed boolean) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    changed boolean := pg_current_xact_id_if_assigned() IS NOT NULL;
BEGIN
    -- A transaction may have turned read only after it has changed something.
    IF NOT changed AND (NOT committed OR current_setting('transaction_read_only') = 'on')
       OR NOT EXISTS (SELECT FROM electric.settings s WHERE s.name = 'mode' AND s.value = 'fallback')
       OR electric.begin_judging() = 'none' THEN
        RETURN;
    END IF;
    IF changed THEN
        PERFORM electric.judge_all(electric.changed_here());
    END IF;
    IF committed THEN
        PERFORM electric.capture_committed();
    END IF;
END
$$;
