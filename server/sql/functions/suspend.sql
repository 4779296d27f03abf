-- First: while the functions are replaced, no event trigger may call a half of them. electric.set_capture
-- switches the triggers on again, or drops them.

DO $$
DECLARE
    trigger_name text;
BEGIN
    FOR trigger_name IN
        SELECT evtname FROM pg_event_trigger WHERE evtname IN ('electric_ddl', 'electric_drop')
    LOOP
        EXECUTE format('ALTER EVENT TRIGGER %I DISABLE', trigger_name);
    END LOOP;
EXCEPTION
    -- They belong to somebody else, who has to look after them.
    WHEN insufficient_privilege THEN NULL;
END
$$;
