-- A primary key, and nothing else that could refuse a row made on a client: no CHECK, UNIQUE or
-- EXCLUDE constraint and no unique index. Foreign keys are allowed.

CREATE OR REPLACE FUNCTION electric.check_primary_key(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Cannot electrify %s because it doesn''t have a PRIMARY KEY.', electric.short_name(relation)),
           'Clients identify the rows of a table by its primary key.',
           format(CASE WHEN EXISTS (SELECT FROM pg_attribute
                                    WHERE attrelid = relation AND attname = 'id' AND NOT attisdropped)
                       THEN 'Run ALTER TABLE %s ADD PRIMARY KEY (id);'
                       ELSE 'Add one, naming the columns that identify a row: ALTER TABLE %s ADD PRIMARY KEY (...);' END,
                  electric.qualified_name(relation)),
           NULL
    WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = relation AND contype = 'p')
$$;

-- What beside the primary key constrains the table: its name, whether it is a constraint or only an
-- index, what it says, and the columns it is about.
CREATE OR REPLACE FUNCTION electric.extra_constraints(relation oid)
RETURNS TABLE (name text, is_constraint boolean, definition text, columns smallint[])
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT conname, true, pg_get_constraintdef(oid), coalesce(conkey, '{}')
    FROM pg_constraint
    WHERE conrelid = relation AND contype = 'c'
    UNION ALL
    SELECT i.relname, con.oid IS NOT NULL,
           coalesce(pg_get_constraintdef(con.oid), pg_get_indexdef(i.oid))
               -- Left by a failed CREATE INDEX CONCURRENTLY, it may still refuse rows.
               || CASE WHEN x.indisvalid THEN '' ELSE ' (invalid)' END,
           -- Columns inside expressions and predicates are known as dependencies only.
           ARRAY(SELECT key FROM unnest(x.indkey::smallint[]) AS key WHERE key > 0
                 UNION
                 SELECT d.refobjsubid::smallint FROM pg_depend d
                 WHERE d.classid = 'pg_class'::regclass AND d.objid = i.oid
                   AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid > 0)
    FROM pg_index x
    JOIN pg_class i ON i.oid = x.indexrelid
    LEFT JOIN pg_constraint con ON con.conrelid = relation AND con.conindid = i.oid AND con.contype IN ('u', 'x')
    WHERE x.indrelid = relation AND NOT x.indisprimary AND (x.indisunique OR x.indisexclusion)
$$;

CREATE OR REPLACE FUNCTION electric.check_constraints(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    WITH extra AS (
        SELECT * FROM electric.extra_constraints(relation)
    ), offending AS (
        -- A constraint about no column, such as CHECK (false), is listed itself.
        SELECT DISTINCT coalesce(quote_ident(a.attname), format('constraint %I', e.name)) AS line,
                        a.attname::text AS column_name
        FROM extra e LEFT JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = ANY (e.columns)
    ), fixes AS (
        SELECT format('ALTER TABLE %s %s;', electric.qualified_name(relation),
                      string_agg(format('DROP CONSTRAINT %I', name), ', ' ORDER BY name COLLATE "C")) AS fix
        FROM extra WHERE is_constraint HAVING count(*) > 0
        UNION ALL
        SELECT format('DROP INDEX public.%I;', name) FROM extra WHERE NOT is_constraint
    )
    SELECT format('Cannot electrify %s because some of its columns have CHECK, UNIQUE, EXCLUDE or user-defined constraints which are not currently supported by Electric:%s',
                  electric.short_name(relation),
                  (SELECT string_agg(E'\n  ' || line, '' ORDER BY line COLLATE "C") FROM offending)),
           string_agg(format(CASE WHEN is_constraint THEN 'Constraint %I: %s' ELSE 'Unique index %I: %s' END,
                             name, definition), E'\n' ORDER BY name COLLATE "C"),
           format('Run %s', (SELECT string_agg(fix, ' ' ORDER BY fix COLLATE "C") FROM fixes)),
           (SELECT column_name FROM offending WHERE column_name IS NOT NULL ORDER BY line COLLATE "C" LIMIT 1)
    FROM extra
    HAVING count(*) > 0
$$;
