-- Column types: those that the SQLite and Postgres dialects both know, without length or precision,
-- and enums in schema public whose values are plain words.

CREATE OR REPLACE FUNCTION electric.supported_types() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN '{bool,bytea,date,float4,float8,int2,int4,int8,jsonb,text,time,timestamp,timestamptz,uuid,varchar}'::text[];

-- The values of an enum that clients cannot use, as a list of literals; null when there are none.
CREATE OR REPLACE FUNCTION electric.unsupported_labels(enum oid) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
        FROM pg_enum
        WHERE enumtypid = enum AND enumlabel COLLATE "C" !~ '^[A-Za-z][A-Za-z0-9_]*$');

CREATE OR REPLACE FUNCTION electric.check_types(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH columns AS (
        SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, t.typtype, t.typname,
               t.typnamespace = 'pg_catalog'::regnamespace AS is_builtin,
               CASE WHEN t.typtype = 'e' THEN electric.unsupported_labels(t.oid) END AS labels
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ), offending AS (
        SELECT *, CASE WHEN NOT is_builtin THEN NULL
                       WHEN typname = ANY (electric.supported_types()) THEN typname::text
                       WHEN typname = 'bpchar' THEN 'text'
                       WHEN typname = 'json' THEN 'jsonb' END AS replacement
        FROM columns
        WHERE CASE WHEN typtype = 'e' THEN labels IS NOT NULL
                   ELSE NOT is_builtin OR typname <> ALL (electric.supported_types()) OR atttypmod <> -1 END
    )
    SELECT format(E'Cannot electrify %s because some of its columns have types not supported by Electric:\n%s',
                  electric.short_name(relation),
                  string_agg(format(E'\n    %I %s', attname, electric.type_name(atttypid, atttypmod))
                             || coalesce(' (enum type ' || electric.type_name(atttypid, -1)
                                         || ' contains unsupported values ' || labels || ')', ''),
                             '' ORDER BY attnum)),
           format('Supported are %s, without length or precision, and enums whose values are made of ASCII letters, digits and underscores and begin with a letter.',
                  array_to_string(electric.supported_types(), ', ')),
           coalesce('Change the types of these columns, for example: ALTER TABLE '
                        || electric.qualified_name(relation) || ' '
                        || string_agg(format('ALTER COLUMN %I TYPE %s', attname, replacement), ', ' ORDER BY attnum)
                           FILTER (WHERE replacement IS NOT NULL) || ';',
                    'Change the types of these columns, or leave the columns out.'),
           (array_agg(attname::text ORDER BY attnum))[1]
    FROM offending
    HAVING count(*) > 0
$$;

CREATE OR REPLACE FUNCTION electric.check_enum_schemas(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(E'Cannot electrify %s because some of its columns have enum types outside the schema public:\n%s',
                  electric.short_name(relation),
                  string_agg(format(E'\n    %I %s', a.attname, format_type(t.oid, -1)), '' ORDER BY a.attnum)),
           'Enum types of electrified tables must be in the schema public.',
           format('Run %s', string_agg(DISTINCT format('ALTER TYPE %s SET SCHEMA public;', format_type(t.oid, -1)), ' ')),
           (array_agg(a.attname::text ORDER BY a.attnum))[1]
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND t.typtype = 'e' AND t.typnamespace IS DISTINCT FROM to_regnamespace('public')::oid
    HAVING count(*) > 0
$$;
