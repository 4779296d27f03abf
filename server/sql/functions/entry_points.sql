-- What users call. Thin on purpose: names and rights are the caller's here, so there is no SET clause
-- and everything is qualified.

CREATE OR REPLACE PROCEDURE electric.enable(name text, if_exists boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid := electric.claim(name, if_exists);
BEGIN
    IF relation IS NOT NULL THEN
        PERFORM electric.enable_table(relation);
    END IF;
END
$$;

CREATE OR REPLACE PROCEDURE electric.disable(name text, if_exists boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid := electric.claim(name, if_exists);
BEGIN
    IF relation IS NOT NULL THEN
        PERFORM electric.disable_table(relation);
    END IF;
END
$$;

-- The name that the first versions of this product used.
CREATE OR REPLACE PROCEDURE electric.electrify(name text)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL electric.enable(name);
END
$$;

-- The two names as they are: not folded to lower case, quotes not needed.
CREATE OR REPLACE PROCEDURE electric.electrify(schema_name text, table_name text)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL electric.enable(pg_catalog.format('%I.%I', schema_name, table_name));
END
$$;

-- The version of the migration that this transaction makes.
CREATE OR REPLACE PROCEDURE electric.migration_version(version text)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.set_version(version);
END
$$;

-- The proxy calls this before CREATE UNIQUE INDEX CONCURRENTLY on what `name` means. What is wrong with
-- the name Postgres will say itself.
CREATE OR REPLACE PROCEDURE electric.refuse_unique_index(name text)
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid;
BEGIN
    BEGIN
        -- Refuses numbers, which to_regclass would take for an oid.
        PERFORM pg_catalog.parse_ident(name);
        relation := pg_catalog.to_regclass(name)::pg_catalog.oid;
    EXCEPTION
        WHEN OTHERS THEN RETURN;
    END;
    PERFORM electric.check_unique_index(relation);
END
$$;

-- The proxy calls this after a statement that wrote a migration tool's own table. Of many such tables
-- those that the session finds first are looked at.
CREATE OR REPLACE PROCEDURE electric.note_version()
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.take_note(pg_catalog.current_schemas(false));
END
$$;

-- The proxy calls this after statements that may have changed tables, where there are no event
-- triggers to do it. `committed`: the statement may have committed some of it itself, as CALL, DO and
-- whatever is done CONCURRENTLY may; to be sure of that takes a look at every table.
CREATE OR REPLACE PROCEDURE electric.capture(committed boolean DEFAULT true)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.capture_changes(committed);
END
$$;

-- The same after a statement by itself, of which the session has only the proxy's own text: `statement`
-- is the client's.
CREATE OR REPLACE PROCEDURE electric.capture_statement(statement text, committed boolean)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM pg_catalog.set_config('electric.statement', statement, true);
    PERFORM electric.capture_changes(committed);
    PERFORM pg_catalog.set_config('electric.statement', '', true);
END
$$;
