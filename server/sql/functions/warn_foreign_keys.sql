-- A foreign key reaches clients only when both its tables do.

CREATE OR REPLACE FUNCTION electric.warn_foreign_keys(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing record;
BEGIN
    FOR missing IN
        SELECT con.conname, n.nspname, c.relname, electric.qualified_name(con.confrelid) AS target
        FROM pg_constraint con
        JOIN pg_class c ON c.oid = con.conrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE con.conrelid = relation AND con.contype = 'f' AND con.confrelid <> relation
          AND NOT electric.is_electrified(con.confrelid)
        ORDER BY con.conname
    LOOP
        RAISE WARNING USING
            MESSAGE = format('foreign key %I of table %I refers to table %s, which is not electrified',
                             missing.conname, missing.relname, missing.target),
            HINT = format('Electrify %s before, or in the same migration; else SQLite clients will never have this foreign key.',
                          missing.target),
            SCHEMA = missing.nspname, TABLE = missing.relname, CONSTRAINT = missing.conname;
    END LOOP;
END
$$;
