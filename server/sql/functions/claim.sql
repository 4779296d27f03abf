-- From the name a client wrote to a table that is its own and locked. This runs with the caller's
-- rights and search_path, because that is how names are meant; so everything in it is qualified.

-- Whether a row with this xmin, which is visible, was written by the current transaction or a savepoint
-- in it: it is still in progress, and no other such row would be visible.
CREATE OR REPLACE FUNCTION electric.is_own_xid(row_xid xid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own   numeric := pg_current_xact_id()::text::numeric;
    -- xids are 32 bits and wrap around; those of savepoints follow that of their transaction.
    ahead bigint := (row_xid::text::bigint - mod(own, 4294967296)::bigint) & 4294967295;
BEGIN
    -- Below 3 are xids with a fixed meaning, such as frozen.
    RETURN row_xid::text::bigint >= 3 AND ahead <= 2147483647 AND pg_xact_status((own + ahead)::text::xid8) = 'in progress';
END
$$;

-- Whether this transaction (or a savepoint in it) created `relation`. The dependency of the row type
-- on its table is written once, at creation; other catalog rows are rewritten by ALTER TABLE.
CREATE OR REPLACE FUNCTION electric.is_created_here(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    creator xid := (SELECT d.xmin FROM pg_depend d
                    WHERE d.classid = 'pg_type'::regclass AND d.refclassid = 'pg_class'::regclass
                      AND d.refobjid = relation AND d.refobjsubid = 0 AND d.deptype = 'i');
BEGIN
    RETURN creator IS NOT NULL AND electric.is_own_xid(creator);
END
$$;

-- The relation that `name` means to the caller, who must own it; a table is locked against DDL by
-- others until the transaction ends. Null (with a NOTICE) when it is missing and `if_exists` is true.
CREATE OR REPLACE FUNCTION electric.claim(name text, if_exists boolean) RETURNS oid
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid;
    locked   pg_catalog.oid;
    subject  pg_catalog.record;
    snapshot pg_catalog.bool := pg_catalog.current_setting('transaction_isolation')
        OPERATOR(pg_catalog.=) ANY ('{repeatable read,serializable}'::pg_catalog.text[]);
BEGIN
    IF name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'table name must not be null';
    END IF;
    -- Refuses what is no name, and numbers, which to_regclass would take for an oid.
    PERFORM pg_catalog.parse_ident(name);

    -- The name may come to mean another table while we wait for the lock.
    LOOP
        relation := pg_catalog.to_regclass(name)::pg_catalog.oid;
        IF relation IS NULL THEN
            PERFORM electric.report_missing(name, if_exists);
            RETURN NULL;
        END IF;

        SELECT n.nspname, c.relname, c.relkind, c.relowner INTO subject
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE c.oid OPERATOR(pg_catalog.=) relation;
        IF NOT FOUND THEN
            -- An old snapshot does not show it; otherwise it was dropped this very moment.
            IF snapshot THEN
                PERFORM electric.refuse_isolation(name);
            END IF;
            CONTINUE;
        END IF;
        IF NOT pg_catalog.pg_has_role(current_user, subject.relowner, 'USAGE') THEN
            PERFORM electric.refuse_owner(subject.relkind::pg_catalog.text, subject.relname::pg_catalog.text);
        END IF;
        -- What is no table cannot be locked; the check of its kind will refuse it.
        IF subject.relkind OPERATOR(pg_catalog.<>) 'r'::pg_catalog."char" OR locked OPERATOR(pg_catalog.=) relation THEN
            RETURN relation;
        END IF;
        IF snapshot AND NOT electric.is_created_here(relation) THEN
            PERFORM electric.refuse_isolation(name);
        END IF;

        EXECUTE pg_catalog.format('LOCK TABLE ONLY %I.%I IN SHARE UPDATE EXCLUSIVE MODE',
                                  subject.nspname, subject.relname);
        locked := relation;
    END LOOP;
END
$$;

-- Says that a relation is missing, in the words of ALTER TABLE.
CREATE OR REPLACE FUNCTION electric.report_missing(name text, if_exists boolean) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Postgres cuts names to what fits, without splitting a character.
    parts   text[] := parse_ident(name)::name[]::text[];
    bare    text := parts[cardinality(parts)];
    nsp     text := parts[cardinality(parts) - 1];
    missing text := format('relation "%s" does not exist', array_to_string(parts, '.'));
    meant   text;
BEGIN
    IF if_exists THEN
        RAISE NOTICE 'relation "%" does not exist, skipping', bare;
        RETURN;
    END IF;
    IF nsp IS NOT NULL AND to_regnamespace(quote_ident(nsp)) IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '3F000', MESSAGE = format('schema "%s" does not exist', nsp);
    END IF;

    -- A name with capitals written without quotes is the usual mistake.
    SELECT min(quote_ident(relname)) INTO meant
    FROM pg_class
    WHERE relnamespace = to_regnamespace('public') AND relkind = 'r'
      AND lower(relname::text COLLATE "C") = lower(bare COLLATE "C");
    IF meant IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = missing;
    END IF;
    RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = missing,
        HINT = format('There is a table %s: names with capital letters need double quotes.', meant);
END
$$;

CREATE OR REPLACE FUNCTION electric.refuse_owner(kind text, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('must be owner of %s %s',
        CASE kind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                  WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index'
                  WHEN 'c' THEN 'type' ELSE 'table' END, name);
END
$$;

CREATE OR REPLACE FUNCTION electric.refuse_isolation(name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = '25001',
        MESSAGE = format('cannot enable or disable ELECTRIC on table %s in a %s transaction', name,
                         current_setting('transaction_isolation')),
        DETAIL = 'The snapshot of this transaction may be older than the last change of the table.',
        HINT = 'Use the isolation level READ COMMITTED, or create the table in the same transaction.';
END
$$;
