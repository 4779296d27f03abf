-- One way to refuse a table: the error names it in the fields that programs read.

CREATE OR REPLACE FUNCTION electric.refuse(relation oid, message text, detail text, hint text,
                                           column_name text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject record;
BEGIN
    SELECT n.nspname, c.relname INTO subject
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation;

    -- An option of RAISE cannot be null, and an empty one would be sent as an empty field.
    IF column_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = message, DETAIL = detail, HINT = hint,
            SCHEMA = subject.nspname, TABLE = subject.relname;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = message, DETAIL = detail, HINT = hint,
        SCHEMA = subject.nspname, TABLE = subject.relname, COLUMN = column_name;
END
$$;
