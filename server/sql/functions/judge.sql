-- A change of an electrified table is judged by what it did.

-- Whoever comes beside the proxy is told so.
CREATE OR REPLACE FUNCTION electric.refuse_direct(nsp text, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF electric.is_proxied()
       OR EXISTS (SELECT FROM electric.settings s WHERE s.name = 'direct_ddl' AND s.value = 'capture') THEN
        RETURN;
    END IF;
    PERFORM electric.raise_fault(nsp, name, (
        'EX020', format('Electrified table %s can only be changed through the migrations proxy', electric.title(nsp, name)),
        'This session is connected to Postgres directly.',
        'Connect to electric-proxy, for example through electric-tunnel, and run the migration there.',
        NULL)::electric.fault);
END
$$;

-- Another transaction has committed such a name since this one checked; or, under REPEATABLE READ, one
-- that it cannot see.
CREATE OR REPLACE FUNCTION electric.refuse_taken_name(known electric.tables, index_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault electric.fault;
BEGIN
    IF index_name IS NULL THEN
        RETURN;
    END IF;
    fault := electric.fault_of_taken_name(known.snapshot, index_name);
    IF fault.code IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '40001', MESSAGE = 'could not serialize access due to concurrent update',
            DETAIL = format('Another transaction took a name like %I.', index_name);
    END IF;
    PERFORM electric.raise_fault(known.nsp, known.name, fault);
END
$$;

-- Judges the electrified table `subject`, an oid that may no longer mean a relation. The row is locked
-- before the catalog is read, so that of two sessions the second sees what the first has done.
CREATE OR REPLACE FUNCTION electric.judge(subject oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known electric.tables;
    found jsonb;
    fault electric.fault;
    ops   jsonb;
BEGIN
    SELECT * INTO known FROM electric.tables t WHERE t.relid = subject FOR UPDATE;
    IF known.relid IS NULL THEN
        RETURN;
    END IF;
    found := electric.snapshot(subject);
    IF found = known.snapshot THEN
        RETURN;
    END IF;

    fault := electric.find_fault(known.snapshot, found);
    IF fault.code IS NOT NULL THEN
        PERFORM electric.raise_fault(known.nsp, known.name, fault);
    END IF;
    ops := electric.find_ops(known.snapshot, found);
    IF ops <> '[]' THEN
        PERFORM electric.refuse_direct(known.nsp, known.name);
        PERFORM electric.announce(known.nsp, known.name);
    END IF;
    PERFORM electric.refuse_taken_name(known, electric.store(found));
    PERFORM electric.record(ops, NULL);
END
$$;

-- Tables that are gone come first: that is what a user wants to hear of DROP TABLE ... CASCADE. Always
-- the same order, so that two sessions cannot wait for each other.
CREATE OR REPLACE FUNCTION electric.judge_all(subjects oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject oid;
BEGIN
    FOR subject IN
        SELECT s FROM unnest(subjects) s LEFT JOIN pg_class c ON c.oid = s
        GROUP BY s, c.oid ORDER BY c.oid IS NOT NULL, s
    LOOP
        PERFORM electric.judge(subject);
    END LOOP;
END
$$;

-- Under REPEATABLE READ the transaction may be too old to see a table as electrified that has become so:
-- locking a row that has changed since fails with 40001. The lock is given back at once. Kept, it would
-- make whoever electrifies a table wait, and with them all who commit a migration. What is electrified
-- from now on is none of the tables just changed: those are locked.
CREATE OR REPLACE FUNCTION electric.refuse_old_snapshot() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM electric.membership FOR SHARE SKIP LOCKED;
    RAISE EXCEPTION USING ERRCODE = 'EX000';
EXCEPTION
    WHEN SQLSTATE 'EX000' THEN NULL;
END
$$;

-- Before anything is judged: `none` when no table is electrified or nothing is captured, `rebased` when
-- this database was restored since, else `ready`. Every statement that changes the catalog waits for
-- this: so it makes few queries, and calls no function that it can do without.
CREATE OR REPLACE FUNCTION electric.begin_judging() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    noted record;
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        PERFORM electric.refuse_old_snapshot();
    END IF;
    SELECT (SELECT s.value FROM electric.settings s WHERE s.name = 'mode') AS mode,
           (SELECT s.value FROM electric.settings s WHERE s.name = 'stamp') AS stamp,
           EXISTS (SELECT FROM electric.tables) AS electrified
    INTO noted;
    IF coalesce(noted.mode, 'off') = 'off' OR NOT noted.electrified THEN
        RETURN 'none';
    ELSIF noted.stamp IS DISTINCT FROM electric.stamp() THEN
        PERFORM electric.rebase_tables();
        RETURN 'rebased';
    END IF;
    RETURN 'ready';
END
$$;
