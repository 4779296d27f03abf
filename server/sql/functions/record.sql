-- Changes that were found good: the snapshot moves on, and the operations wait for the commit.

CREATE OR REPLACE FUNCTION electric.is_capturing() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM electric.settings WHERE name = 'mode' AND value <> 'off');
END
$$;

-- Text that a client sent, cut to what is worth keeping.
CREATE OR REPLACE FUNCTION electric.cut(statement text, size integer) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN length(statement) > size THEN left(statement, size) || '...' ELSE statement END;

-- What the client has sent, without what the proxy added to it.
CREATE OR REPLACE FUNCTION electric.said() RETURNS text
LANGUAGE sql STABLE
RETURN CASE WHEN starts_with(current_query(), 'CALL electric.capture_statement($1, ')
            THEN current_setting('electric.statement', true)
            ELSE regexp_replace(current_query(), ';CALL electric\.(capture\(false\)|note_version\(\))', '', 'g') END;

-- Whether the session is one of the proxy's. The mark is the reset value of a setting, so it survives
-- RESET ALL and DISCARD ALL.
CREATE OR REPLACE FUNCTION electric.is_proxied() RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(current_setting('electric.proxied', true)
                    = (SELECT value FROM electric.settings WHERE name = 'proxied_token'), false);
END
$$;

-- Whoever is in the session, not whose rights a function has.
CREATE OR REPLACE FUNCTION electric.session_id() RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT a.pid || coalesce('.' || (extract(epoch FROM a.backend_start) * 1000000)::bigint, '')
            FROM pg_stat_get_activity(pg_backend_pid()) a);
END
$$;

-- `source` may be null: then it is told from the session.
CREATE OR REPLACE FUNCTION electric.record(ops jsonb, source text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF ops <> '[]' THEN
        INSERT INTO electric.pending (ops, statement, source)
        VALUES (ops, electric.cut(electric.said(), 65536),
                coalesce(source, CASE WHEN electric.is_proxied() THEN 'proxy' ELSE 'direct' END));
    END IF;
END
$$;

-- Keeps a snapshot, and the names that the table and its indexes take. Answers null, or the name that
-- another transaction took in the meantime, but for its case; then the caller must give up.
CREATE OR REPLACE FUNCTION electric.store(new jsonb) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    own text[] := ARRAY(SELECT jsonb_object_keys(new->'indexes')) || (new->>'name');
BEGIN
    UPDATE electric.tables t SET snapshot = new WHERE t.nsp = new->>'schema' AND t.name = new->>'name';
    DELETE FROM electric.names n
    WHERE n.nsp = new->>'schema' AND n.table_name = new->>'name' AND n.name <> ALL (own);
    UPDATE electric.names n SET table_name = new->>'name'
    WHERE n.nsp = new->>'schema' AND n.name = ANY (own) AND n.table_name <> new->>'name';
    INSERT INTO electric.names (nsp, name, table_name)
        SELECT new->>'schema', o, new->>'name' FROM unnest(own) o
        WHERE NOT EXISTS (SELECT FROM electric.names n WHERE n.nsp = new->>'schema' AND n.name = o)
    ON CONFLICT DO NOTHING;
    RETURN (SELECT min(o) FROM unnest(own) o
            WHERE NOT EXISTS (SELECT FROM electric.names n WHERE n.nsp = new->>'schema' AND n.name = o));
END
$$;

CREATE OR REPLACE FUNCTION electric.announce(nsp text, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE NOTICE USING MESSAGE = format('Migration affecting electrified table %s', electric.title(nsp, name)),
        DETAIL = electric.cut(coalesce(nullif(electric.said(), ''), 'No statement.'), 8192),
        SCHEMA = nsp, TABLE = name;
END
$$;
