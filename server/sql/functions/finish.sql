-- Last: what makes the functions be called. Where event triggers are not allowed (only superusers may
-- create them, unless the provider says otherwise) the engine goes on in fallback mode.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'electric.pending'::regclass AND tgname = 'on_commit') THEN
        CREATE CONSTRAINT TRIGGER on_commit AFTER INSERT ON electric.pending
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION electric.on_commit();
    END IF;
    -- Also in sessions that replay, where ordinary triggers rest.
    ALTER TABLE electric.pending ENABLE ALWAYS TRIGGER on_commit;
END
$$;

-- The stamp is set once, when there is none; later it changes by rebasing.
UPDATE electric.settings SET value = electric.stamp() WHERE name = 'stamp' AND value = '';
SELECT electric.adopt_tables();
UPDATE electric.settings SET value = electric.bodies() WHERE name = 'bodies';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'electric_drop') THEN
        CREATE EVENT TRIGGER electric_drop ON sql_drop EXECUTE FUNCTION electric.on_drop();
    END IF;
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'electric_ddl') THEN
        CREATE EVENT TRIGGER electric_ddl ON ddl_command_end EXECUTE FUNCTION electric.on_ddl();
    END IF;
    ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS;
    ALTER EVENT TRIGGER electric_ddl ENABLE ALWAYS;
    UPDATE electric.settings SET value = 'triggers' WHERE name = 'mode';
EXCEPTION
    WHEN insufficient_privilege THEN
        UPDATE electric.settings SET value = 'fallback' WHERE name = 'mode';
END
$$;
