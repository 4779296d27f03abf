-- Column types: those that the SQLite and Postgres dialects both know, without length or precision,
-- and enums in schema public whose values are plain words.

CREATE OR REPLACE FUNCTION electric.check_types(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    supported constant text[] := '{bool,bytea,date,float4,float8,int2,int4,int8,jsonb,text,time,timestamp,timestamptz,uuid,varchar}';
    lines  text;
    fixes  text;
    first  text;
BEGIN
    SELECT string_agg(E'\n    ' || quote_ident(attname) || ' ' || electric.type_name(atttypid, atttypmod)
                      || CASE WHEN labels IS NULL THEN ''
                         ELSE format(' (enum type %s contains unsupported values %s)',
                                     electric.type_name(atttypid, -1), labels) END,
                      '' ORDER BY attnum),
           string_agg(format('ALTER COLUMN %I TYPE %s', attname, replacement), ', ' ORDER BY attnum)
               FILTER (WHERE replacement IS NOT NULL),
           (array_agg(attname::text ORDER BY attnum))[1]
    INTO lines, fixes, first
    FROM (
        SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, bad.labels,
               CASE WHEN t.typnamespace <> 'pg_catalog'::regnamespace THEN NULL
                    WHEN t.typname = ANY (supported) THEN t.typname::text
                    WHEN t.typname = 'bpchar' THEN 'text'
                    WHEN t.typname = 'json' THEN 'jsonb' END AS replacement
        FROM pg_attribute a
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN LATERAL (
            SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) AS labels
            FROM pg_enum e
            WHERE e.enumtypid = t.oid AND e.enumlabel COLLATE "C" !~ '^[A-Za-z][A-Za-z0-9_]*$'
        ) bad ON t.typtype = 'e'
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
          AND CASE WHEN t.typtype = 'e' THEN bad.labels IS NOT NULL
                   ELSE t.typnamespace <> 'pg_catalog'::regnamespace OR t.typname <> ALL (supported)
                        OR a.atttypmod <> -1 END
    ) offending;

    IF lines IS NOT NULL THEN
        PERFORM electric.refuse(relation,
            format(E'Cannot electrify %s because some of its columns have types not supported by Electric:\n%s',
                   electric.short_name(relation), lines),
            format('Supported are %s, without length or precision, and enums whose values are made of ASCII letters, digits and underscores and begin with a letter.',
                   array_to_string(supported, ', ')),
            CASE WHEN fixes IS NULL THEN 'Change the types of these columns, or leave the columns out.'
                 ELSE format('Change the types of these columns, for example: ALTER TABLE %s %s;',
                             electric.qualified_name(relation), fixes) END,
            first);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION electric.check_enum_schemas(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    lines text;
    fixes text;
    first text;
BEGIN
    SELECT string_agg(format(E'\n    %I %s', a.attname, format_type(t.oid, -1)), '' ORDER BY a.attnum),
           string_agg(DISTINCT format('ALTER TYPE %s SET SCHEMA public;', format_type(t.oid, -1)), ' '),
           (array_agg(a.attname::text ORDER BY a.attnum))[1]
    INTO lines, fixes, first
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND t.typtype = 'e' AND t.typnamespace IS DISTINCT FROM to_regnamespace('public')::oid;

    IF lines IS NOT NULL THEN
        PERFORM electric.refuse(relation,
            format(E'Cannot electrify %s because some of its columns have enum types outside the schema public:\n%s',
                   electric.short_name(relation), lines),
            'Enum types of electrified tables must be in the schema public.',
            format('Run %s', fixes), first);
    END IF;
END
$$;
