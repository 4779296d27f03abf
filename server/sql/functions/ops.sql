-- What a change does to clients, as operations: the truth from which each dialect's SQL is made.

CREATE OR REPLACE FUNCTION electric.column_op(col jsonb) RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_strip_nulls(jsonb_build_object(
    'name', col->'name', 'type', col->'type', 'type_schema', nullif(col->'type_schema', '"pg_catalog"'),
    'declared', col->'declared', 'enum', CASE WHEN col->>'kind' = 'e' THEN true END,
    'not_null', col->'not_null', 'collation', col->'collation'));

CREATE OR REPLACE FUNCTION electric.index_ops(kind text, snapshot jsonb, names text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(
            jsonb_build_object('op', kind, 'schema', snapshot->'schema', 'table', snapshot->'name')
            || CASE kind WHEN 'drop_index' THEN jsonb_build_object('name', index_name)
                         ELSE jsonb_build_object('index', jsonb_build_object('name', index_name)
                                                          || (snapshot->'indexes'->index_name) - 'unique') END
            ORDER BY index_name COLLATE "C"), '[]')
        FROM unnest(names) AS index_name);
END
$$;

-- What clients have to know of a table beside its indexes.
CREATE OR REPLACE FUNCTION electric.table_facts(snapshot jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off
AS $$
BEGIN
    RETURN jsonb_build_object(
        'columns', (SELECT jsonb_agg(electric.column_op(c) ORDER BY c->'n') FROM jsonb_array_elements(snapshot->'columns') c),
        'primary_key', (SELECT jsonb_strip_nulls(jsonb_build_object(
                            'name', key, 'columns', value->'columns',
                            -- What stands behind the columns: INCLUDE, DEFERRABLE.
                            'options', nullif(ltrim(substr(value->>'definition', 1 + length(format('PRIMARY KEY (%s)',
                                (SELECT string_agg(quote_ident(c), ', ' ORDER BY at)
                                 FROM jsonb_array_elements_text(value->'columns') WITH ORDINALITY AS k(c, at))))), ' '), '')))
                        FROM jsonb_each(snapshot->'constraints') WHERE value->>'type' = 'p'),
        'foreign_keys', (SELECT coalesce(jsonb_agg(electric.foreign_key_op(snapshot, key) ORDER BY key COLLATE "C"), '[]')
                         FROM jsonb_each(snapshot->'constraints') WHERE value->>'type' = 'f'));
END
$$;

-- Of a change without faults. An index that is deparsed differently (a function in it was renamed) is
-- dropped and created. The last operation says what the table is like after all of them: clients keep
-- triggers on all columns of a table, and expressions cannot be translated without their types.
CREATE OR REPLACE FUNCTION electric.find_ops(old jsonb, new jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ops   jsonb;
    gone  text[];
    come  text[];
    known integer[] := ARRAY(SELECT (o->>'n')::integer FROM jsonb_array_elements(old->'columns') o);
BEGIN
    SELECT coalesce(jsonb_agg(jsonb_build_object('op', 'add_column', 'schema', new->'schema', 'table', new->'name',
                                                 'column', electric.column_op(n)) ORDER BY n->'n'), '[]')
    INTO ops
    FROM jsonb_array_elements(new->'columns') n
    WHERE (n->>'n')::integer <> ALL (known);

    IF old->'indexes' <> new->'indexes' THEN
        gone := ARRAY(SELECT key FROM jsonb_each(old->'indexes') WHERE value IS DISTINCT FROM new->'indexes'->key);
        come := ARRAY(SELECT key FROM jsonb_each(new->'indexes') WHERE value IS DISTINCT FROM old->'indexes'->key);
        ops := ops || electric.index_ops('drop_index', old, gone) || electric.index_ops('create_index', new, come);
    END IF;
    RETURN CASE WHEN ops = '[]' THEN ops ELSE jsonb_set(ops, '{-1,after}', electric.table_facts(new)) END;
END
$$;

-- The enums of a table that no other electrified table uses.
CREATE OR REPLACE FUNCTION electric.own_enums(facts jsonb) RETURNS TABLE (nsp text, name text, labels jsonb, n jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT c->>'type_schema', c->>'type', c->'labels', min((c->>'n')::integer)::text::jsonb
        FROM jsonb_array_elements(facts->'columns') c
        WHERE c->>'kind' = 'e' AND NOT EXISTS (
            SELECT FROM electric.tables t
            WHERE (t.nsp, t.name) <> (facts->>'schema', facts->>'name')
              AND t.snapshot->'columns' @> jsonb_build_array(
                      jsonb_build_object('kind', 'e', 'type', c->'type', 'type_schema', c->'type_schema')))
        GROUP BY 1, 2, 3;
END
$$;

-- A foreign key says whether its target is electrified by now; if not, add_foreign_key may follow when
-- it is.
CREATE OR REPLACE FUNCTION electric.foreign_key_op(snapshot jsonb, constraint_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key    jsonb := snapshot->'constraints'->constraint_name;
    target jsonb := key->'references';
BEGIN
    RETURN jsonb_build_object('name', constraint_name) || (key - 'type') || jsonb_build_object('electrified',
        (target->'schema', target->'table') = (snapshot->'schema', snapshot->'name')
        OR EXISTS (SELECT FROM electric.tables t WHERE t.nsp = target->>'schema' AND t.name = target->>'table'));
END
$$;

-- A table with all that belongs to it, but for its enums.
CREATE OR REPLACE FUNCTION electric.create_table_op(snapshot jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_object(
        'op', 'create_table', 'schema', snapshot->'schema', 'table', snapshot->'name',
        'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', key) || value - 'unique' ORDER BY key COLLATE "C"), '[]')
                    FROM jsonb_each(snapshot->'indexes'))) || electric.table_facts(snapshot);
END
$$;

-- Of a table that joins the set: its new enums, then the table.
CREATE OR REPLACE FUNCTION electric.create_table_ops(snapshot jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_build_object('op', 'create_type', 'schema', e.nsp, 'name', e.name, 'labels', e.labels)
                                  ORDER BY e.n), '[]')
        FROM electric.own_enums(snapshot) e
    ) || jsonb_build_array(electric.create_table_op(snapshot));
END
$$;

-- Of a table that leaves the set: clients drop it, and the enums that only it had.
CREATE OR REPLACE FUNCTION electric.disable_table_ops(snapshot jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN jsonb_build_array(jsonb_build_object('op', 'disable_table', 'schema', snapshot->'schema',
                                                'table', snapshot->'name')) || (
        SELECT coalesce(jsonb_agg(jsonb_build_object('op', 'drop_type', 'schema', e.nsp, 'name', e.name) ORDER BY e.n), '[]')
        FROM electric.own_enums(snapshot) e);
END
$$;
