-- Whether changes are captured at all. While they are not, tables join the set without a snapshot and
-- nothing is recorded of them; only that a table leaves which the ledger knows. Grants, assignments and
-- SQLite statements are recorded as ever: they are no changes of tables, nobody can find them out
-- later, and clients may well hear of them before they have the table.

-- A table that has changed in a way which clients cannot follow leaves the set and joins anew, if it
-- still may. Answers which.
CREATE OR REPLACE FUNCTION electric.catch_up_table(known electric.tables, facts jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    objection electric.refusal;
BEGIN
    IF (facts->>'schema', facts->>'name') = (known.nsp, known.name) THEN
        objection := electric.objection(known.relid);
        IF objection IS NULL AND electric.store(facts) IS NULL THEN
            PERFORM electric.record(electric.disable_table_ops(known.snapshot) || electric.create_table_ops(facts), 'install');
            RETURN 'rejoined';
        END IF;
    END IF;
    RAISE WARNING USING MESSAGE = format('table %s is not electrified any more', electric.title(known.nsp, known.name)),
        DETAIL = coalesce(objection.message, 'It was dropped, renamed or moved while nothing was captured.');
    PERFORM electric.remove_table(known.nsp, known.name);
    RETURN 'removed';
END
$$;

-- Whatever happened while nothing was captured is told as what clients can follow.
CREATE OR REPLACE FUNCTION electric.catch_up() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known electric.tables;
    found jsonb;
    fault electric.fault;
BEGIN
    -- A transaction under REPEATABLE READ that is older must fail rather than not be seen.
    UPDATE electric.membership SET seq = seq;
    UPDATE electric.settings SET value = 'new' WHERE name = 'open_before' AND EXISTS (SELECT FROM electric.tables);
    PERFORM electric.check_stamp();
    -- First those that make room for the names of others.
    PERFORM electric.remove_table(t.nsp, t.name)
    FROM electric.tables t WHERE NOT EXISTS (SELECT FROM electric.electrified e WHERE e.relid = t.relid);
    FOR known IN SELECT * FROM electric.tables WHERE snapshot IS NOT NULL ORDER BY electrified_at, relid LOOP
        found := electric.snapshot(known.relid);
        CONTINUE WHEN found = known.snapshot;
        fault := electric.find_fault(known.snapshot, found);
        IF fault.code IS NULL AND electric.store(found) IS NULL THEN
            PERFORM electric.record(electric.find_ops(known.snapshot, found), 'install');
        ELSE
            PERFORM electric.catch_up_table(known, found);
        END IF;
    END LOOP;
END
$$;

-- Where event triggers are not allowed (only superusers may create them, unless the provider says
-- otherwise) the engine goes on in fallback mode.
CREATE OR REPLACE FUNCTION electric.create_triggers() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'electric_drop') THEN
        CREATE EVENT TRIGGER electric_drop ON sql_drop EXECUTE FUNCTION electric.on_drop();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'electric_ddl') THEN
        CREATE EVENT TRIGGER electric_ddl ON ddl_command_end EXECUTE FUNCTION electric.on_ddl();
    END IF;
    ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS;
    ALTER EVENT TRIGGER electric_ddl ENABLE ALWAYS;
    RETURN 'triggers';
EXCEPTION
    WHEN insufficient_privilege THEN
        RETURN 'fallback';
END
$$;

-- Triggers of somebody else stay, and do nothing while the mode is `off`.
CREATE OR REPLACE FUNCTION electric.drop_triggers() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = error
AS $$
DECLARE
    trigger_name text;
BEGIN
    FOR trigger_name IN
        SELECT e.evtname FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
        WHERE e.evtname IN ('electric_ddl', 'electric_drop') AND p.pronamespace = 'electric'::regnamespace
    LOOP
        EXECUTE format('DROP EVENT TRIGGER %I', trigger_name);
    END LOOP;
EXCEPTION
    WHEN insufficient_privilege THEN NULL;
END
$$;

-- For the installer, each time it has installed something or the choice is another.
CREATE OR REPLACE FUNCTION electric.set_capture(wanted boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT wanted THEN
        PERFORM electric.drop_triggers();
        UPDATE electric.settings SET value = 'off' WHERE name = 'mode' AND value <> 'off';
        RETURN;
    END IF;
    IF NOT electric.is_capturing() THEN
        PERFORM electric.catch_up();
    END IF;
    PERFORM electric.adopt_tables();
    UPDATE electric.settings SET value = electric.create_triggers() WHERE name = 'mode';
END
$$;
