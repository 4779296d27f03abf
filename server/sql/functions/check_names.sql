-- Names in the electrified set: SQLite ignores the case of ASCII letters and keeps `sqlite_` to
-- itself; the client libraries turn names into identifiers of a programming language.

-- The names that come with a table. Of its indexes those that clients get, so not the primary key's.
CREATE OR REPLACE FUNCTION electric.names_of(relation oid) RETURNS TABLE (kind text, name text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'table', relname::text FROM pg_class WHERE oid = relation
    UNION ALL
    SELECT 'column', attname::text FROM pg_attribute
    WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'index', i.relname::text
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = relation AND NOT x.indisprimary
$$;

-- Pairs of names that differ only in case: of columns within the table, of tables and indexes, which
-- share a namespace, within the whole set.
CREATE OR REPLACE FUNCTION electric.name_clashes(relation oid) RETURNS TABLE (line text, column_name text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%s and %s', min(kind || ' ' || quote_ident(name)), max(kind || ' ' || quote_ident(name))), NULL
    FROM electric.names_of(relation) WHERE kind <> 'column'
    GROUP BY electric.fold(name)
    HAVING count(*) > 1 AND count(DISTINCT kind) > 1
    UNION ALL
    SELECT format('%s %s', CASE kind WHEN 'index' THEN 'indexes' ELSE 'columns' END,
                  string_agg(quote_ident(name), ' and ' ORDER BY name COLLATE "C")),
           min(name COLLATE "C") FILTER (WHERE kind = 'column')
    FROM electric.names_of(relation)
    GROUP BY kind, electric.fold(name)
    HAVING count(*) > 1
    UNION ALL
    SELECT format('%s %I and the electrified table %I', own.kind, own.name, e.name), NULL
    FROM electric.electrified e
    JOIN electric.names_of(relation) own ON own.kind <> 'column' AND electric.fold(own.name) = electric.fold(e.name)
    WHERE e.relid <> relation
    UNION ALL
    SELECT format('%s %I and index %I of the electrified table %I', own.kind, own.name, i.relname, e.name), NULL
    FROM electric.electrified e
    JOIN pg_index x ON x.indrelid = e.relid AND NOT x.indisprimary
    JOIN pg_class i ON i.oid = x.indexrelid
    JOIN electric.names_of(relation) own ON own.kind <> 'column' AND electric.fold(own.name) = electric.fold(i.relname)
    WHERE e.relid <> relation
$$;

CREATE OR REPLACE FUNCTION electric.check_name_clashes(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Cannot electrify %s because some names differ only in case:%s', electric.short_name(relation),
                  string_agg(E'\n  ' || line, '' ORDER BY line COLLATE "C")),
           'SQLite ignores the case of ASCII letters in names.',
           'Rename one of each pair.',
           min(column_name COLLATE "C")
    FROM electric.name_clashes(relation)
    HAVING count(*) > 0
$$;

CREATE OR REPLACE FUNCTION electric.check_reserved_names(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Cannot electrify %s because some of its names begin with sqlite_:%s', electric.short_name(relation),
                  string_agg(format(E'\n  %s %I', kind, name), '')),
           'SQLite reserves these names for itself.',
           'Rename them.',
           min(name COLLATE "C") FILTER (WHERE kind = 'column')
    FROM electric.names_of(relation)
    WHERE starts_with(electric.fold(name), 'sqlite_')
    HAVING count(*) > 0
$$;

-- The identifier that the client library makes of a name: leading characters that cannot begin one
-- go, others become underscores, and tables get a capital.
CREATE OR REPLACE FUNCTION electric.client_identifier(kind text, name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN (SELECT CASE kind WHEN 'table' THEN upper(left(word, 1) COLLATE "C") || substr(word, 2) ELSE word END
        FROM regexp_replace(regexp_replace(name COLLATE "C", '^[^A-Za-z]+', ''), '[^A-Za-z0-9_]', '_', 'g') AS word);

CREATE OR REPLACE FUNCTION electric.warn_names(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    clash record;
BEGIN
    FOR clash IN
        SELECT * FROM (
            SELECT format('table %s and the electrified table %I become the same name in clients: %s',
                          electric.short_name(relation), e.name, electric.client_identifier('table', e.name)) AS message
            FROM electric.electrified e JOIN pg_class c ON c.oid = relation
            WHERE e.relid <> relation
              AND electric.client_identifier('table', e.name) = electric.client_identifier('table', c.relname)
              AND electric.client_identifier('table', e.name) <> ''
            UNION ALL
            SELECT format('columns %s of table %s become the same name in clients: %s',
                          string_agg(quote_ident(n.name), ', ' ORDER BY n.name COLLATE "C"),
                          electric.short_name(relation), electric.client_identifier('column', n.name))
            FROM electric.names_of(relation) n
            WHERE n.kind = 'column' AND electric.client_identifier('column', n.name) <> ''
            GROUP BY electric.client_identifier('column', n.name)
            HAVING count(*) > 1
        ) clashes ORDER BY message COLLATE "C"
    LOOP
        RAISE WARNING USING MESSAGE = clash.message,
            HINT = 'Rename one of them, or clients may see only one.';
    END LOOP;
END
$$;
