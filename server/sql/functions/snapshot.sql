-- A table's facts as the catalog has them, without anything that may differ between two readings of
-- the same table: no oids, no storage parameters, and expressions deparsed under pinned settings.

-- What the table is, beside its columns, constraints and indexes.
CREATE OR REPLACE FUNCTION electric.properties_of(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'kind', c.relkind,
            'persistence', c.relpersistence,
            'row_security', c.relrowsecurity,
            'force_row_security', c.relforcerowsecurity,
            'partition', c.relispartition,
            'of_type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, -1) END,
            'parents', (SELECT jsonb_agg(electric.qualified_name(i.inhparent) ORDER BY i.inhseqno)
                        FROM pg_inherits i WHERE i.inhrelid = c.oid),
            'children', (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = c.oid))
        FROM pg_class c WHERE c.oid = relation);
END
$$;

-- In order of attnum (`n`), which stays a column's identity as long as the table lives.
CREATE OR REPLACE FUNCTION electric.columns_of(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
            'n', a.attnum,
            'name', a.attname,
            'type', t.typname,
            'type_schema', n.nspname,
            'kind', t.typtype,
            'declared', format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull,
            'identity', nullif(a.attidentity::text, ''),
            'generated', nullif(a.attgenerated::text, ''),
            'collation', CASE WHEN a.attcollation <> t.typcollation THEN electric.collation_name(a.attcollation) END,
            'default', pg_get_expr(d.adbin, d.adrelid),
            'labels', CASE WHEN t.typtype = 'e'
                THEN (SELECT coalesce(jsonb_agg(e.enumlabel ORDER BY e.enumsortorder), '[]')
                      FROM pg_enum e WHERE e.enumtypid = t.oid) END)) ORDER BY a.attnum), '[]')
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_namespace n ON n.oid = t.typnamespace
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped);
END
$$;

CREATE OR REPLACE FUNCTION electric.collation_name(collation_oid oid) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT format('%I.%I', n.nspname, c.collname)
        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
        WHERE c.oid = collation_oid);

CREATE OR REPLACE FUNCTION electric.foreign_key_action(action "char") RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE action WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                   WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END;

-- By name. (No backslashes: a client may set standard_conforming_strings off.) Foreign keys are taken apart, because their target may be renamed without them; of others
-- the definition tells. NOT NULL is a property of columns (Postgres 18 has constraints for it, too),
-- and whether rows have been validated is nobody's business.
CREATE OR REPLACE FUNCTION electric.constraints_of(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(con.conname, jsonb_strip_nulls(jsonb_build_object(
            'type', con.contype,
            'columns', (SELECT jsonb_agg(a.attname ORDER BY k.at)
             FROM unnest(con.conkey) WITH ORDINALITY AS k(n, at)
             JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.n)) || CASE con.contype
            WHEN 'f' THEN jsonb_build_object(
                'references', jsonb_build_object('schema', n.nspname, 'table', c.relname,
                                                 'columns', (SELECT jsonb_agg(a.attname ORDER BY k.at)
                    FROM unnest(con.confkey) WITH ORDINALITY AS k(n, at)
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n)),
                'on_update', electric.foreign_key_action(con.confupdtype),
                'on_delete', electric.foreign_key_action(con.confdeltype),
                -- Postgres 15 and later: ON DELETE SET NULL (columns).
                'set_columns', substring(definition FROM ' ON DELETE SET (?:NULL|DEFAULT) ([(].*[)])'),
                'match', CASE con.confmatchtype WHEN 'f' THEN 'FULL' ELSE 'SIMPLE' END,
                'deferrable', con.condeferrable,
                'deferred', con.condeferred,
                -- Postgres 18 and later.
                'not_enforced', CASE WHEN definition ~ ' NOT ENFORCED$' THEN true END)
            ELSE jsonb_build_object('definition', regexp_replace(definition, ' NOT VALID$', '')) END)), '{}')
        FROM pg_constraint con
        CROSS JOIN LATERAL pg_get_constraintdef(con.oid) AS definition
        LEFT JOIN pg_class c ON c.oid = con.confrelid
        LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE con.conrelid = relation AND con.contype NOT IN ('n', 't'));
END
$$;

-- By name, without those that belong to a constraint, and without those that are not finished or
-- broken. What is the default of a column is left out. Only expressions are deparsed: pg_get_indexdef
-- waits for locks on the table.
CREATE OR REPLACE FUNCTION electric.indexes_of(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_object_agg(i.relname, jsonb_strip_nulls(jsonb_build_object(
            'method', am.amname,
            'unique', x.indisunique,
            'columns', (
                SELECT jsonb_agg(jsonb_build_object(
                    'column', a.attname,
                    'expression', CASE WHEN a.attname IS NULL THEN pg_get_indexdef(i.oid, k + 1, false) END,
                    'descending', CASE WHEN x.indoption[k] & 1 = 1 THEN true END,
                    'nulls_first', CASE WHEN x.indoption[k] & 2 = 2 THEN true END,
                    'opclass', (SELECT o.opcname FROM pg_opclass o WHERE o.oid = x.indclass[k] AND NOT o.opcdefault),
                    'collation', CASE WHEN x.indcollation[k] NOT IN (0, coalesce(a.attcollation, 'pg_catalog."default"'::regcollation))
                                      THEN electric.collation_name(x.indcollation[k]) END) ORDER BY k)
                FROM generate_series(0, x.indnkeyatts - 1) AS k
                LEFT JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = x.indkey[k] AND x.indkey[k] <> 0),
            'include', (SELECT jsonb_agg(a.attname ORDER BY k)
                        FROM generate_series(x.indnkeyatts, x.indnatts - 1) AS k
                        JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = x.indkey[k]),
            'predicate', pg_get_expr(x.indpred, x.indrelid)))), '{}')
        FROM pg_index x
        JOIN pg_class i ON i.oid = x.indexrelid
        JOIN pg_am am ON am.oid = i.relam
        WHERE x.indrelid = relation AND x.indisvalid AND x.indislive AND NOT x.indisprimary
          AND NOT EXISTS (SELECT FROM pg_constraint con
                          WHERE con.conrelid = relation AND con.conindid = x.indexrelid AND con.contype IN ('u', 'x')));
END
$$;

-- Null when there is no such relation. Every setting that deparsing depends on is pinned.
CREATE OR REPLACE FUNCTION electric.snapshot(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET standard_conforming_strings = on
SET TimeZone = 'UTC' SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres'
SET extra_float_digits = 1 SET bytea_output = 'hex' SET xmlbinary = 'base64' SET lc_monetary = 'C'
AS $$
BEGIN
    RETURN (
        SELECT jsonb_build_object(
            'schema', n.nspname,
            'name', c.relname,
            'properties', electric.properties_of(c.oid),
            'columns', electric.columns_of(c.oid),
            'constraints', electric.constraints_of(c.oid),
            'indexes', electric.indexes_of(c.oid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = relation);
END
$$;
