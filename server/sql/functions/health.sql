-- Whether the engine is as it was installed. Cheap enough to be asked every few minutes; the sweep is
-- apart, because it reads every table's catalog rows.

CREATE OR REPLACE FUNCTION electric.bodies() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(sha256(convert_to(string_agg(
               format('%s %s %s %s', p.proname, p.prosrc, p.proconfig, p.prosecdef), E'\n'
               ORDER BY p.proname COLLATE "C", p.prosrc COLLATE "C"), 'UTF8')), 'hex')
    FROM pg_proc p WHERE p.pronamespace = 'electric'::regnamespace
$$;

-- Which of the event triggers are missing, or do not always fire.
CREATE OR REPLACE FUNCTION electric.idle_triggers() RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(wanted.name, ', ' ORDER BY wanted.name)
    FROM (VALUES ('electric_ddl', 'ddl_command_end', 'on_ddl'), ('electric_drop', 'sql_drop', 'on_drop'))
         AS wanted(name, event, routine)
    WHERE NOT EXISTS (
        SELECT FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
        WHERE e.evtname = wanted.name AND e.evtevent = wanted.event AND e.evtenabled = 'A' AND e.evttags IS NULL
          AND p.proname = wanted.routine AND p.pronamespace = 'electric'::regnamespace)
$$;

-- The newest `depth` rows must continue one another and end where the head is.
CREATE OR REPLACE FUNCTION electric.broken_link(depth bigint) RETURNS bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH newest AS (
        SELECT m.*, lag(m.seq) OVER ordered AS before, lag(m.hash) OVER ordered AS hash_before
        FROM electric.migrations m
        WHERE m.seq > (SELECT h.seq FROM electric.head h) - depth
        WINDOW ordered AS (ORDER BY m.seq)
    )
    SELECT min(seq) FROM (
        SELECT seq FROM newest
        WHERE hash <> electric.hash_of(prev_hash, seq, version, ops) OR before <> seq - 1 OR hash_before <> prev_hash
        UNION ALL
        SELECT h.seq FROM electric.head h
        WHERE h.seq > 0 AND NOT EXISTS (SELECT FROM newest n WHERE (n.seq, n.hash) = (h.seq, h.hash))
        UNION ALL
        SELECT m.seq FROM electric.migrations m, electric.head h WHERE m.seq > h.seq
    ) broken
$$;

CREATE OR REPLACE FUNCTION electric.health() RETURNS TABLE (item text, ok boolean, detail text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mode    text := (SELECT value FROM electric.settings WHERE name = 'mode');
    idle    text := electric.idle_triggers();
    link    bigint := electric.broken_link(100);
    stale   bigint := 0;
    waiting text := (SELECT string_agg(quote_literal(x.gid), ', ' ORDER BY x.prepared) FROM pg_prepared_xacts x
                     WHERE x.database = current_database() AND x.prepared < now() - interval '5 minutes');
BEGIN
    -- A standby has no unlogged tables.
    IF NOT pg_is_in_recovery() THEN
        SELECT count(*) INTO stale FROM electric.pending p WHERE pg_xact_status(p.xid) IS DISTINCT FROM 'in progress';
    END IF;
    RETURN QUERY
    SELECT checked.item, checked.ok, CASE WHEN NOT checked.ok THEN checked.problem END,
        CASE WHEN NOT checked.ok THEN checked.help END
    FROM (VALUES
        ('mode', mode IN ('triggers', 'off'),
         'this role may not create event triggers: changes made beside the proxy cannot be refused, and are found late',
         format('Make role %I a superuser, or on a managed service use the administrator''s role; then start the server again.',
                current_user)),
        ('event triggers', mode <> 'triggers' OR idle IS NULL, 'missing or disabled: ' || idle,
         'Start the server again: it puts them back.'),
        ('event_triggers', mode <> 'triggers' OR coalesce(current_setting('event_triggers', true), 'on') = 'on',
         'the setting event_triggers is off', 'Switch it on: nothing is captured without it.'),
        ('functions', (SELECT value = electric.bodies() FROM electric.settings WHERE name = 'bodies'),
         'functions of the schema electric are not those that were installed',
         'Run UPDATE electric.settings SET value = '''' WHERE name = ''functions''; and start the server again.'),
        ('commit hook', EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = 'electric.pending'::regclass
                                AND t.tgname = 'on_commit' AND t.tgenabled = 'A'),
         'the trigger on electric.pending does not fire', 'Run ALTER TABLE electric.pending ENABLE ALWAYS TRIGGER on_commit;'),
        ('pending', stale = 0, stale || ' changes of ended transactions were never written to the ledger',
         'Clients lack them: disable and enable ELECTRIC on their tables, then delete the rows of electric.pending.'),
        ('chain', link IS NULL, 'the hash chain breaks at migration ' || link,
         'Somebody has written to electric.migrations: restore its rows from a backup.'),
        ('prepared transactions', waiting IS NULL,
         'prepared transactions are older than five minutes, and may keep migrations waiting: ' || waiting,
         'Run COMMIT PREPARED or ROLLBACK PREPARED.')
    ) AS checked(item, ok, problem, help);
END
$$;
