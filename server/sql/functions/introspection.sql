-- The electrified tables as they are now, as the operations that would make them from nothing: what
-- introspecting tools are shown.

-- Each enum once, however many tables use it.
CREATE OR REPLACE FUNCTION electric.create_type_ops() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_object('op', 'create_type', 'schema', e.nsp, 'name', e.name, 'labels', e.labels)
                                  ORDER BY e.nsp COLLATE "C", e.name COLLATE "C"), '[]')
        FROM (SELECT DISTINCT ON (1, 2) c->>'type_schema' AS nsp, c->>'type' AS name, c->'labels' AS labels
              FROM electric.tables t, jsonb_array_elements(t.snapshot->'columns') c
              WHERE c->>'kind' = 'e' ORDER BY 1, 2, t.nsp, t.name) e);
END
$$;

-- By name, so that the same tables give the same operations. Null while nothing is captured: then the
-- snapshots may be old or missing.
CREATE OR REPLACE FUNCTION electric.schema_ops() RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT electric.is_capturing() THEN
        RETURN NULL;
    END IF;
    RETURN electric.create_type_ops() || (
        SELECT coalesce(jsonb_agg(electric.create_table_op(t.snapshot) ORDER BY t.nsp COLLATE "C", t.name COLLATE "C"), '[]')
        FROM electric.tables t);
END
$$;
