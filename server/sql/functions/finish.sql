-- Last: what makes the functions be called on commit. Event triggers are a matter of
-- electric.set_capture, which the installer calls after this.

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
UPDATE electric.settings SET value = electric.bodies() WHERE name = 'bodies';
