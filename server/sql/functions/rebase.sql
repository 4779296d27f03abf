-- Oids and xids are caches: a restored database has others. What they stand for is then found again by
-- name, as long as the oid of electric.head differs from the one noted.

CREATE OR REPLACE FUNCTION electric.stamp() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN 'electric.head'::regclass::oid || '/' || current_setting('server_version_num')::integer / 10000;
END
$$;

CREATE OR REPLACE FUNCTION electric.check_stamp() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF (SELECT value FROM electric.settings WHERE name = 'stamp') IS DISTINCT FROM electric.stamp() THEN
        PERFORM electric.rebase_tables();
    END IF;
END
$$;

-- Columns of a restored table are counted anew. Matched by name when all names are there, else by
-- order: a dump keeps it.
CREATE OR REPLACE FUNCTION electric.renumber(snapshot jsonb, relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    columns jsonb;
BEGIN
    SELECT jsonb_agg(c.value || jsonb_build_object('n', a.attnum) ORDER BY a.attnum) INTO columns
    FROM jsonb_array_elements(snapshot->'columns') c
    LEFT JOIN pg_attribute a ON a.attrelid = relation AND a.attname = c.value->>'name' AND a.attnum > 0 AND NOT a.attisdropped
    HAVING bool_and(a.attnum IS NOT NULL);
    IF columns IS NULL THEN
        SELECT jsonb_agg(c.value || jsonb_build_object('n', c.at) ORDER BY c.at) INTO columns
        FROM (SELECT value, row_number() OVER (ORDER BY value->'n') AS at FROM jsonb_array_elements(snapshot->'columns')) c;
    END IF;
    RETURN jsonb_set(snapshot, '{columns}', columns);
END
$$;

-- What a snapshot says without deparsed text, whose spelling is the major version's.
CREATE OR REPLACE FUNCTION electric.outline(snapshot jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT snapshot || jsonb_build_object(
        'constraints', (SELECT coalesce(jsonb_object_agg(key, value - 'definition'), '{}')
                        FROM jsonb_each(snapshot->'constraints')),
        'indexes', (SELECT coalesce(jsonb_object_agg(i.key, i.value - 'predicate' || jsonb_build_object('columns', (
                               SELECT jsonb_agg(c.value - 'expression' ORDER BY c.at)
                               FROM jsonb_array_elements(i.value->'columns') WITH ORDINALITY AS c(value, at)))), '{}')
                    FROM jsonb_each(snapshot->'indexes') i))
$$;

-- A table of the set that is not there by name may have been renamed by the very statement that is
-- being judged: it is the one with columns of the same names, among `candidates`.
CREATE OR REPLACE FUNCTION electric.adopt_renamed(candidates oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lost electric.tables;
BEGIN
    FOR lost IN SELECT * FROM electric.tables WHERE relid IS NULL LOOP
        UPDATE electric.tables t SET relid = c.oid, snapshot = electric.renumber(lost.snapshot, c.oid)
        FROM pg_class c
        WHERE (t.nsp, t.name) = (lost.nsp, lost.name) AND c.oid = ANY (candidates) AND c.relkind = 'r'
          AND NOT EXISTS (SELECT FROM electric.tables other WHERE other.relid = c.oid)
          AND jsonb_path_query_array(electric.columns_of(c.oid), '$[*].name')
              = jsonb_path_query_array(lost.snapshot, '$.columns[*].name');
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION electric.rebase_tables() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    was     text := (SELECT value FROM electric.settings WHERE name = 'stamp' FOR UPDATE);
    known   electric.tables;
    found   jsonb;
BEGIN
    IF was = electric.stamp() THEN
        RETURN; -- another session has done it while this one waited
    END IF;
    UPDATE electric.migrations SET xid = NULL, session = NULL WHERE xid IS NOT NULL OR session IS NOT NULL;
    DELETE FROM electric.pending WHERE xid <> pg_current_xact_id();

    -- In two steps, because an old oid may be the new one of another table.
    UPDATE electric.tables SET relid = NULL;
    UPDATE electric.tables t SET relid = c.oid, snapshot = electric.renumber(t.snapshot, c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relname = t.name AND n.nspname = t.nsp;

    -- Another major version may spell the same expression in another way.
    IF split_part(was, '/', 2) <> split_part(electric.stamp(), '/', 2) THEN
        FOR known IN SELECT * FROM electric.tables WHERE relid IS NOT NULL LOOP
            found := electric.snapshot(known.relid);
            IF found <> known.snapshot AND electric.outline(found) = electric.outline(known.snapshot) THEN
                RAISE LOG 'the snapshot of electrified table % is spelled anew after an upgrade of Postgres',
                    electric.title(known.nsp, known.name);
                PERFORM electric.store(found);
            END IF;
        END LOOP;
    END IF;
    UPDATE electric.settings SET value = electric.stamp() WHERE name = 'stamp';
END
$$;

-- For the server, at start.
CREATE OR REPLACE PROCEDURE electric.rebase()
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM electric.check_stamp();
END
$$;
