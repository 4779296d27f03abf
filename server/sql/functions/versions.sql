-- Versions and labels. A version is published and sorts, byte by byte, after all before it; a label is
-- the name that the migration tool uses.

-- The digits and underscores that a name begins with, as far as a version may be long; else null.
CREATE OR REPLACE FUNCTION electric.leading_digits(name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN nullif(rtrim(left(substring(name COLLATE "C" FROM '^[0-9][0-9_]*'), 63), '_'), '');

-- The next of a series: v, v_0002, v_0003 ...; always greater, because the text only grows or counts.
CREATE OR REPLACE FUNCTION electric.next_in_series(version text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN version ~ '_[0-9]{4}$' AND right(version, 4) <> '9999'
            THEN left(version, -4) || lpad((right(version, 4)::integer + 1)::text, 4, '0')
            ELSE version || '_0002' END;

-- What was wished for, if it may follow `last`; its series, if `last` belongs to it; else the time.
CREATE OR REPLACE FUNCTION electric.choose_version(wished text, last text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    generated text := to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISS_US');
BEGIN
    IF wished = last OR (starts_with(last, wished || '_') AND substr(last, length(wished) + 1) ~ '^_[0-9]{4}$') THEN
        RETURN electric.next_in_series(last);
    ELSIF wished COLLATE "C" > last COLLATE "C" THEN
        RETURN wished;
    ELSIF generated COLLATE "C" > last COLLATE "C" THEN
        RETURN generated;
    END IF;
    -- A tool's own numbers, or a clock that was set back.
    RETURN electric.next_in_series(last);
END
$$;

-- Tables in which tools record migrations: those that this transaction may have written, as its locks
-- show, or all. These are read with the rights of the schema's owner, so nothing may be in them that
-- would run the code of others. Where each tenant has tables of its own there may be thousands: then
-- the first few of `schemas` will do. A big table is no tool's.
CREATE OR REPLACE FUNCTION electric.framework_tables(own boolean, schemas name[]) RETURNS TABLE (framework text, relation oid)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    names   name[] := ARRAY(SELECT f.table_name FROM electric.frameworks f);
    written oid[];
BEGIN
    IF own THEN
        written := ARRAY(
            SELECT l.relation FROM pg_locks l
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation'
              AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
              AND l.mode IN ('RowExclusiveLock', 'AccessExclusiveLock'));
    END IF;
    FOR relation IN
        SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ANY (names) AND c.relkind = 'r' AND c.relpersistence <> 't' AND NOT c.relrowsecurity
          AND c.relpages < 1000 AND (NOT own OR c.oid = ANY (written))
        ORDER BY array_position(schemas, n.nspname), c.oid LIMIT 20
    LOOP
        SELECT f.framework INTO framework
        FROM electric.frameworks f JOIN pg_class c ON c.oid = relation AND c.relname = f.table_name::name
        WHERE f.columns <@ ARRAY(SELECT a.attname::text FROM pg_attribute a
                                 WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped)
        ORDER BY cardinality(f.columns) DESC, f.framework COLLATE "C" LIMIT 1;
        IF framework IS NOT NULL AND electric.is_inert(relation) THEN
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;

-- Whether reading the table with a simple query runs no code but Postgres's own.
CREATE OR REPLACE FUNCTION electric.is_inert(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'r' AND NOT c.relrowsecurity)
        AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
                          AND (t.typnamespace <> 'pg_catalog'::regnamespace OR a.attgenerated <> ''))
        AND NOT EXISTS (SELECT FROM pg_index x
                        WHERE x.indrelid = relation AND (x.indexprs IS NOT NULL OR x.indpred IS NOT NULL))
        AND NOT EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = relation AND s.stxexprs IS NOT NULL);
END
$$;

-- Locks one such table and looks again whether it is inert. Unless its owner has all rights of the
-- schema's owner anyway, nobody may make it otherwise until it is read: a lock that keeps out whoever
-- builds an index or statistics, and no snapshot that is too old to show them. False: hands off.
CREATE OR REPLACE FUNCTION electric.lock_to_read(relation oid) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    written text := electric.qualified_name(relation);
    trusted boolean := pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = relation), current_user, 'USAGE');
BEGIN
    IF NOT trusted AND current_setting('transaction_isolation') <> 'read committed' THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN %s MODE NOWAIT', written,
                   CASE WHEN trusted THEN 'ACCESS SHARE' ELSE 'SHARE UPDATE EXCLUSIVE' END);
    RETURN to_regclass(written) = relation AND electric.is_inert(relation);
END
$$;

-- The row of one such table that was written last: by this transaction, or by any. Whatever is in the
-- way of reading it (missing rights, a lock, columns of other types) means that there is none.
CREATE OR REPLACE FUNCTION electric.newest_row(kind text, relation oid, own boolean,
                                               OUT named electric.migration_name, OUT written numeric, OUT open boolean)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET constraint_exclusion = off
AS $$
DECLARE
    f electric.frameworks;
BEGIN
    SELECT * INTO STRICT f FROM electric.frameworks WHERE framework = kind;
    IF electric.lock_to_read(relation) THEN
        EXECUTE format('SELECT %1$s::text, %2$s, cmin::text::numeric - 4294967296::numeric * age(xmin), %3$s FROM ONLY %4$s'
                       || CASE WHEN own THEN ' WHERE age(xmin) <= 0 AND electric.is_own_xid(xmin)' ELSE '' END
                       || CASE WHEN own THEN ' ORDER BY cmin::text::bigint DESC LIMIT 1' ELSE ' ORDER BY age(xmin), ctid DESC LIMIT 1' END,
                       quote_ident(f.label_column), coalesce(quote_ident(f.version_column) || '::text', 'NULL::text'),
                       coalesce(f.started, 'false'), electric.qualified_name(relation))
        INTO named.label, named.version, written, open;
    END IF;
    IF named.label IS NOT NULL THEN
        named.framework := kind;
        named.label := left(named.label, 1000);
        named.version := electric.leading_digits(named.version);
    END IF;
    -- Undoes the lock: kept, it could make the tool and another session wait for each other.
    RAISE EXCEPTION USING ERRCODE = 'EX000';
EXCEPTION
    WHEN SQLSTATE 'EX000' THEN NULL;
    WHEN OTHERS THEN named := NULL;
END
$$;

-- The name of the migration that ends: set explicitly, written by this transaction into a tool's table,
-- or noted before it in this session.
CREATE OR REPLACE FUNCTION electric.find_name(explicit text) RETURNS electric.migration_name
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result electric.migration_name;
    noted  text;
BEGIN
    SELECT (r.named).* INTO result
    FROM electric.framework_tables(true, '{}') t, electric.newest_row(t.framework, t.relation, true) AS r
    WHERE (r.named).label IS NOT NULL
    ORDER BY r.written DESC LIMIT 1;
    IF explicit IS NOT NULL THEN
        result.version := explicit;
        result.label := coalesce(result.label, explicit);
    ELSIF result.label IS NULL THEN
        noted := nullif(current_setting('electric.version', true), '');
        IF noted IS NOT NULL THEN
            result := electric.read_note(noted);
        END IF;
    END IF;
    RETURN result;
END
$$;

-- The session's setting can be set by anybody to anything.
CREATE OR REPLACE FUNCTION electric.read_note(noted text) RETURNS electric.migration_name
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (left(noted::jsonb->>'label', 1000), electric.leading_digits(noted::jsonb->>'version'),
            left(noted::jsonb->>'framework', 100))::electric.migration_name;
EXCEPTION
    -- No JSON, or such as Postgres cannot take: nested too deeply, characters that text cannot hold.
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN (left(noted, 1000), electric.leading_digits(noted), NULL)::electric.migration_name;
END
$$;

-- The version of the migration that this transaction makes; the first call counts.
CREATE OR REPLACE FUNCTION electric.set_version(version text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF version IS NULL OR version COLLATE "C" !~ '^[0-9][0-9_]{0,62}$' THEN
        RAISE EXCEPTION USING ERRCODE = '22023',
            MESSAGE = format('invalid migration version: %s', coalesce('"' || electric.cut(version, 100) || '"', 'null')),
            HINT = 'A version is made of at most 63 digits and underscores, and begins with a digit.';
    END IF;
    INSERT INTO electric.pending (version) VALUES (version);
END
$$;

-- Called after a statement that wrote a tool's table. When the tool has yet to run the migration, its
-- name is kept for the session's next one; else it labels those of this session that have no label.
--
-- The statement that came before has nothing to do with this, so it must not suffer: nothing is waited
-- for, and nothing raised.
CREATE OR REPLACE FUNCTION electric.take_note(schemas name[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    own   xid8 := pg_current_xact_id_if_assigned();
    noted record;
BEGIN
    -- SERIALIZABLE: to read a whole table would make this transaction depend on others that write there.
    IF current_setting('transaction_read_only') = 'on' OR current_setting('transaction_isolation') = 'serializable'
       OR NOT electric.is_capturing()
       -- What this transaction changes is named when it ends.
       OR EXISTS (SELECT FROM electric.pending p WHERE p.xid = own AND p.ops <> '[]') THEN
        RETURN;
    END IF;
    SELECT r.named, r.open INTO noted
    FROM electric.framework_tables(own IS NOT NULL, schemas) t,
         electric.newest_row(t.framework, t.relation, own IS NOT NULL) AS r
    WHERE (r.named).label IS NOT NULL
    ORDER BY r.written DESC LIMIT 1;

    IF noted.open THEN
        PERFORM set_config('electric.version', to_jsonb(noted.named)::text, false);
        RETURN;
    END IF;
    PERFORM set_config('electric.version', '', false);
    IF noted.open IS NOT NULL THEN
        UPDATE electric.migrations m
        SET label = (noted.named).label, framework = (noted.named).framework
        WHERE m.seq IN (SELECT o.seq FROM electric.migrations o
                        WHERE o.session = electric.session_id() AND o.label IS NULL
                          -- The start of a session may be hidden, and then its number comes again.
                          AND o.at > clock_timestamp() - interval '6 hours' FOR UPDATE SKIP LOCKED);
    END IF;
EXCEPTION
    WHEN OTHERS THEN
        RAISE DEBUG 'electric: no name taken: %', SQLERRM;
END
$$;
