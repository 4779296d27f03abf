-- Drops what the companion database has, in the transaction that makes it anew.
--
-- Tools that are reading are let finish, as far as two seconds do; of one that is still in a
-- transaction after five the tables stay. Locks are only taken when all of them are free, so that no
-- tool ever waits for us while we wait for it.
DO $clear$
DECLARE
    began  timestamptz := clock_timestamp();
    tables text := (SELECT string_agg(oid::regclass::text, ', ') FROM pg_class
                    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r');
    types  text;
    other  text;
BEGIN
    WHILE tables IS NOT NULL LOOP
        PERFORM pg_stat_clear_snapshot();
        IF clock_timestamp() > began + interval '2 s' OR NOT EXISTS (
            SELECT FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
              AND (state <> 'idle' OR state_change > clock_timestamp() - interval '0.3 s'))
        THEN
            BEGIN
                EXECUTE 'LOCK TABLE ' || tables || ' IN ACCESS EXCLUSIVE MODE NOWAIT';
                EXIT;
            EXCEPTION WHEN lock_not_available THEN
                IF clock_timestamp() > began + interval '5 s' THEN
                    RAISE;
                END IF;
            END;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
    IF tables IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || tables || ' CASCADE';
    END IF;
    types := (SELECT string_agg(oid::regtype::text, ', ') FROM pg_type
              WHERE typnamespace = 'public'::regnamespace AND typtype = 'e');
    IF types IS NOT NULL THEN
        EXECUTE 'DROP TYPE ' || types || ' CASCADE';
    END IF;
    -- What somebody has made besides would be shown to all, and names could clash.
    FOR other IN
        SELECT format('DROP %s IF EXISTS %s CASCADE', regexp_replace(o.type, ' object$', ''), o.identity)
        FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) o
        WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'public'::regnamespace AND d.deptype = 'n'
        UNION ALL
        SELECT format('DROP SCHEMA IF EXISTS %I CASCADE', nspname) FROM pg_namespace
        WHERE oid >= 16384 AND nspname !~ '^pg_'
    LOOP
        EXECUTE other;
    END LOOP;
END
$clear$;
