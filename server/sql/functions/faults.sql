-- What is wrong with a change, if anything. Each function compares two snapshots of a table and
-- answers the first fault it finds, or null.

-- "schema"."table", always quoted: how errors name electrified tables.
CREATE OR REPLACE FUNCTION electric.title(nsp text, name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN '"' || replace(nsp, '"', '""') || '"."' || replace(name, '"', '""') || '"';

CREATE OR REPLACE FUNCTION electric.title(snapshot jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN electric.title(snapshot->>'schema', snapshot->>'name');

-- A type as errors spell it: by its internal name, with length or precision, as int4[] or varchar(255).
CREATE OR REPLACE FUNCTION electric.spelled_type(col jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE WHEN col->>'type_schema' NOT IN ('pg_catalog', 'public') THEN (col->>'type_schema') || '.' ELSE '' END
    || CASE WHEN col->>'declared' LIKE '%[]' AND col->>'type' LIKE '\_%' THEN substr(col->>'type', 2) ELSE col->>'type' END
    || coalesce(substring(col->>'declared' FROM '\([^)]*\)'), '')
    || CASE WHEN col->>'declared' LIKE '%[]' AND col->>'type' LIKE '\_%' THEN '[]' ELSE '' END;

CREATE OR REPLACE FUNCTION electric.fault_of_name(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old->>'schema' <> new->>'schema' THEN
        RETURN ('EX014', format('Cannot move electrified table %s to another schema', electric.title(old)),
                format('It would move to schema %I.', new->>'schema'),
                format('Leave it where it is, or run ALTER TABLE %s DISABLE ELECTRIC; first, which removes it from clients.',
                       electric.title(old)), NULL)::electric.fault;
    ELSIF old->>'name' <> new->>'name' THEN
        RETURN ('EX002', format('Cannot rename electrified table %s', electric.title(old)),
                format('It would be named %I.', new->>'name'),
                'Clients know the table by its name: create another table, electrify it, and copy the rows.',
                NULL)::electric.fault;
    END IF;
    RETURN NULL;
END
$$;

-- A column that was there: gone, renamed, of another type, or with other properties.
CREATE OR REPLACE FUNCTION electric.fault_of_column(title text, old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name text := old->>'name';
BEGIN
    IF old = new THEN
        RETURN NULL;
    ELSIF new IS NULL THEN
        RETURN ('EX010', format('Cannot drop column "%s" of electrified table %s', name, title),
                'Clients hold data in this column, and migrations only ever add to their tables.',
                'Leave the column, and stop using it.', name)::electric.fault;
    ELSIF name <> new->>'name' THEN
        RETURN ('EX008', format('Cannot rename column "%s" of electrified table %s', name, title),
                format('It would be named %I.', new->>'name'),
                'Add a column of the new name, and copy the data.', name)::electric.fault;
    -- The column's type has another name: either the type itself was renamed, or another type taken.
    ELSIF old->>'kind' = 'e' AND electric.type_changed(old, new) THEN
        RETURN ('EX013', format('Cannot change type "%s" used by electrified table %s', old->>'type', title),
                format('Column %I has this type.', name),
                'Clients know the type as it was when the table was electrified: create another type instead.',
                name)::electric.fault;
    ELSIF (old->'type', old->'type_schema', old->'declared', old->'collation')
          IS DISTINCT FROM (new->'type', new->'type_schema', new->'declared', new->'collation') THEN
        RETURN ('EX009', format('Cannot change type of column "%s" of electrified table %s', name, title),
                format('It would change from %s%s to %s%s.', old->>'declared', ' COLLATE ' || (old->>'collation'),
                       new->>'declared', ' COLLATE ' || (new->>'collation')),
                'Add a column of the new type, and copy the data.', name)::electric.fault;
    END IF;
    RETURN ('EX007', format('Cannot alter column "%s" of electrified table %s', name, title),
            'Clients could not follow: migrations only add columns and indexes to their tables.',
            'Leave the column as it is, or add another one.', name)::electric.fault;
END
$$;

-- Whether an enum was itself changed: it has other labels, or there is no type of its old name any more.
CREATE OR REPLACE FUNCTION electric.type_changed(old jsonb, new jsonb) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN (old->'type', old->'type_schema') = (new->'type', new->'type_schema')
                THEN old->'labels' IS DISTINCT FROM new->'labels'
                ELSE to_regtype(format('%I.%I', old->>'type_schema', old->>'type')) IS NULL END
$$;

-- A column that was added.
CREATE OR REPLACE FUNCTION electric.fault_of_new_column(title text, col jsonb, others jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name  text := col->>'name';
    clash text;
BEGIN
    IF col->>'type_schema' <> 'pg_catalog' OR col->>'type' <> ALL (electric.supported_types())
       OR col->>'declared' LIKE '%(%' THEN
        RETURN ('EX005', format('Cannot electrify column of type "%s"', electric.spelled_type(col)),
                format('Supported are %s, without length or precision.', array_to_string(electric.supported_types(), ', ')),
                format('Choose another type for column %I.', name), name)::electric.fault;
    ELSIF col ? 'generated' OR col ? 'identity' THEN
        RETURN ('EX011', 'Cannot electrify column with GENERATED constraint',
                format('Column %I gets its values from the database, but rows are made on clients.', name),
                'Add a plain column, and let the application supply the values.', name)::electric.fault;
    ELSIF col ? 'default' THEN
        RETURN ('EX006', 'Cannot electrify column with DEFAULT clause',
                format('Column %I has DEFAULT %s.', name, col->>'default'),
                'Add the column without DEFAULT, and let the application supply the values.', name)::electric.fault;
    END IF;

    SELECT min(o->>'name') INTO clash FROM jsonb_array_elements(others) o
    WHERE electric.fold(o->>'name') = electric.fold(name) AND o->>'name' <> name;
    IF clash IS NOT NULL THEN
        RETURN ('EX021', format('Cannot add column "%s" to electrified table %s: its name clashes with another, ignoring case',
                                name, title),
                format('The table has a column %I, and SQLite ignores the case of ASCII letters in names.', clash),
                'Choose another name.', name)::electric.fault;
    ELSIF starts_with(electric.fold(name), 'sqlite_') THEN
        RETURN ('EX022', format('Cannot add column "%s" to electrified table %s: SQLite reserves names that begin with sqlite_',
                                name, title),
                'Clients keep the table in SQLite.', 'Choose another name.', name)::electric.fault;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION electric.fault_of_columns(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pair  record;
    fault electric.fault;
BEGIN
    -- New columns have the highest numbers, so they come after all faults of those that were there.
    FOR pair IN
        SELECT o AS old, n AS new
        FROM jsonb_array_elements(old->'columns') o FULL JOIN jsonb_array_elements(new->'columns') n ON o->'n' = n->'n'
        WHERE o IS DISTINCT FROM n
        ORDER BY o IS NULL, coalesce(o->'n', n->'n')
    LOOP
        IF pair.old IS NULL THEN
            fault := electric.fault_of_new_column(electric.title(old), pair.new, new->'columns');
        ELSE
            fault := electric.fault_of_column(electric.title(old), pair.old, pair.new);
        END IF;
        IF fault.code IS NOT NULL THEN
            RETURN fault;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- A foreign key to a table outside the set may see that table renamed: clients do not have it.
CREATE OR REPLACE FUNCTION electric.same_foreign_key(old jsonb, new jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN old->>'type' = 'f' AND old - 'references' = new - 'references'
        AND NOT EXISTS (
            SELECT FROM electric.tables t, (VALUES (old->'references'), (new->'references')) AS r(target)
            WHERE t.nsp = r.target->>'schema' AND t.name = r.target->>'table');
END
$$;

CREATE OR REPLACE FUNCTION electric.fault_of_constraints(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    title   text := electric.title(old);
    pair    record;
    added   boolean;
    subject text;
BEGIN
    FOR pair IN
        SELECT coalesce(o.key, n.key) AS name, o.value AS old, n.value AS new,
               (SELECT min(key) FROM jsonb_each(new->'constraints') r
                WHERE r.value = o.value AND NOT old->'constraints' ? r.key) AS renamed
        FROM jsonb_each(old->'constraints') o FULL JOIN jsonb_each(new->'constraints') n ON n.key = o.key
        WHERE o.value IS DISTINCT FROM n.value
        ORDER BY o.key IS NULL, coalesce(o.key, n.key) COLLATE "C"
    LOOP
        IF pair.old IS NOT NULL AND pair.new IS NOT NULL AND electric.same_foreign_key(pair.old, pair.new) THEN
            CONTINUE;
        END IF;
        subject := coalesce(pair.new, pair.old)->'columns'->>0;
        IF pair.new IS NULL AND pair.renamed IS NOT NULL THEN
            RETURN ('EX012', format('Cannot rename constraint "%s" of electrified table %s', pair.name, title),
                    format('It would be named %I.', pair.renamed), 'Leave the name as it is.', subject)::electric.fault;
        END IF;
        -- A constraint that came with a new column is that column's fault.
        SELECT min(c.name) INTO subject
        FROM jsonb_array_elements_text(pair.new->'columns') AS c(name)
        WHERE NOT old->'columns' @> jsonb_build_array(jsonb_build_object('name', c.name));
        added := pair.old IS NULL AND subject IS NOT NULL;
        IF added THEN
            RETURN ('EX011', format('Cannot electrify column with %s constraint', electric.constraint_kind(pair.new)),
                    format('Column %I would have constraint %I.', subject, pair.name),
                    'Add the column without the constraint.', subject)::electric.fault;
        END IF;
        subject := coalesce(pair.new, pair.old)->'columns'->>0;
        RETURN ('EX007', coalesce(format('Cannot alter column "%s" of electrified table %s', subject, title),
                                  format('Cannot alter electrified table %s', title)),
                format('Constraint %I would be %s.', pair.name,
                       CASE WHEN pair.old IS NULL THEN 'added' WHEN pair.new IS NULL THEN 'dropped' ELSE 'changed' END),
                'Leave the constraints of the table as they are: clients could not follow.', subject)::electric.fault;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION electric.constraint_kind(constr jsonb) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN CASE constr->>'type' WHEN 'c' THEN 'CHECK' WHEN 'f' THEN 'FOREIGN KEY' WHEN 'p' THEN 'PRIMARY KEY'
                            WHEN 'u' THEN 'UNIQUE' ELSE 'EXCLUDE' END;

CREATE OR REPLACE FUNCTION electric.fault_of_properties(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF old->'properties' = new->'properties' THEN
        RETURN NULL;
    END IF;
    RETURN ('EX007', format('Cannot alter electrified table %s', electric.title(old)),
            (SELECT string_agg(format('%s would change.', upper(left(what, 1)) || substr(what, 2)), ' ' ORDER BY what)
             FROM (SELECT replace(key, '_', ' ') AS what FROM jsonb_each(new->'properties')
                   WHERE value IS DISTINCT FROM old->'properties'->key) changed),
            'Electrified tables are permanent tables that stand alone, without row security.', NULL)::electric.fault;
END
$$;

-- A unique index on an electrified table: one that was added, or, without a name, one that shall be.
CREATE OR REPLACE FUNCTION electric.fault_of_unique_index(nsp text, name text, index_name text, column_name text)
RETURNS electric.fault
LANGUAGE sql IMMUTABLE
RETURN ('EX011', 'Cannot electrify column with UNIQUE constraint',
        format('%s would constrain table %s.', coalesce('Unique index ' || quote_ident(index_name), 'A unique index'),
               electric.title(nsp, name)),
        'Create the index without UNIQUE.'
        -- Built concurrently it stays behind, broken, and still refuses rows.
        || coalesce(' If it was built CONCURRENTLY, remove what is left of it: DROP INDEX CONCURRENTLY IF EXISTS '
                    || quote_ident(nsp) || '.' || quote_ident(index_name) || ';', ''),
        column_name)::electric.fault;

-- SQLite has one namespace for tables and indexes.
CREATE OR REPLACE FUNCTION electric.fault_of_taken_name(old jsonb, index_name text) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    taken electric.names;
BEGIN
    SELECT * INTO taken FROM electric.names n
    WHERE lower(n.name COLLATE "C") = electric.fold(index_name) AND n.name <> index_name;
    IF taken.name IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN ('EX023', format('Cannot create index "%s" on electrified table %s: its name clashes with another, ignoring case',
                            index_name, electric.title(old)),
            format('There is %s %I, and SQLite ignores the case of ASCII letters in names.',
                   CASE WHEN taken.name = taken.table_name THEN 'a table' ELSE 'an index' END, taken.name),
            'Choose another name.', NULL)::electric.fault;
END
$$;

-- An index that was added.
CREATE OR REPLACE FUNCTION electric.fault_of_new_index(old jsonb, index_name text, index jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    title text := electric.title(old);
BEGIN
    IF (index->>'unique')::boolean THEN
        RETURN electric.fault_of_unique_index(old->>'schema', old->>'name', index_name, index->'columns'->0->>'column');
    ELSIF starts_with(electric.fold(index_name), 'sqlite_') THEN
        RETURN ('EX022', format('Cannot create index "%s" on electrified table %s: SQLite reserves names that begin with sqlite_',
                                index_name, title),
                'Clients keep the table in SQLite.', 'Choose another name.', NULL)::electric.fault;
    END IF;

    RETURN electric.fault_of_taken_name(old, index_name);
END
$$;

CREATE OR REPLACE FUNCTION electric.fault_of_indexes(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    added record;
    was   text;
    fault electric.fault;
BEGIN
    FOR added IN
        SELECT key, value FROM jsonb_each(new->'indexes') WHERE NOT old->'indexes' ? key ORDER BY key COLLATE "C"
    LOOP
        -- One statement cannot drop an index and create its like: it was renamed.
        SELECT min(key) INTO was FROM jsonb_each(old->'indexes') WHERE value = added.value AND NOT new->'indexes' ? key;
        IF was IS NOT NULL THEN
            RETURN ('EX003', format('Cannot rename property of electrified table %s', electric.title(old)),
                    format('Index %I would be named %I.', was, added.key),
                    'Create an index of the new name, and drop the old one.', NULL)::electric.fault;
        END IF;
        fault := electric.fault_of_new_index(old, added.key, added.value);
        IF fault.code IS NOT NULL THEN
            RETURN fault;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

-- The first that speaks up is heard. `new` is null when the table is gone.
CREATE OR REPLACE FUNCTION electric.find_fault(old jsonb, new jsonb) RETURNS electric.fault
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    fault electric.fault;
BEGIN
    IF new IS NULL THEN
        RETURN ('EX004', format('Cannot drop electrified table %s', electric.title(old)),
                'Clients hold data in this table.',
                format('To remove it from clients and keep it here, run ALTER TABLE %s DISABLE ELECTRIC; then it can be dropped.',
                       electric.title(old)), NULL)::electric.fault;
    END IF;
    fault := electric.fault_of_name(old, new);
    IF fault.code IS NULL AND old->'columns' <> new->'columns' THEN
        fault := electric.fault_of_columns(old, new);
    END IF;
    IF fault.code IS NULL AND old->'constraints' <> new->'constraints' THEN
        fault := electric.fault_of_constraints(old, new);
    END IF;
    IF fault.code IS NULL THEN
        fault := electric.fault_of_properties(old, new);
    END IF;
    IF fault.code IS NULL AND old->'indexes' <> new->'indexes' THEN
        fault := electric.fault_of_indexes(old, new);
    END IF;
    RETURN fault;
END
$$;

-- The error names table and column in the fields that programs read.
CREATE OR REPLACE FUNCTION electric.raise_fault(nsp text, name text, fault electric.fault) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- An option of RAISE cannot be null.
    IF fault.column_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = fault.code, MESSAGE = fault.message, DETAIL = fault.detail, HINT = fault.hint,
            SCHEMA = nsp, TABLE = name;
    END IF;
    RAISE EXCEPTION USING ERRCODE = fault.code, MESSAGE = fault.message, DETAIL = fault.detail, HINT = fault.hint,
        SCHEMA = nsp, TABLE = name, COLUMN = fault.column_name;
END
$$;
