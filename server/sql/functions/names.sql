-- How tables are named in messages, and which rows of electric.tables still mean a table. Bodies that
-- are no string are bound when they are created, so no search_path can change their meaning.

CREATE OR REPLACE VIEW electric.electrified AS
    SELECT t.nsp, t.name, t.relid
    FROM electric.tables t
    JOIN pg_class c ON c.oid = t.relid AND c.relname = t.name
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = t.nsp;

CREATE OR REPLACE FUNCTION electric.is_electrified(relation oid) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (SELECT FROM electric.electrified e WHERE e.relid = relation);

-- schema.table, quoted where needed.
CREATE OR REPLACE FUNCTION electric.qualified_name(relation oid) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT format('%I.%I', n.nspname, c.relname)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = relation);

-- The table's own name, quoted where needed: how refusals name it.
CREATE OR REPLACE FUNCTION electric.short_name(relation oid) RETURNS text
LANGUAGE sql STABLE
RETURN (SELECT quote_ident(relname) FROM pg_class WHERE oid = relation);

-- As users write a type: without the schema when that is public and the name is not also built in.
CREATE OR REPLACE FUNCTION electric.type_name(type oid, modifier integer) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN t.typnamespace = to_regnamespace('public') AND to_regtype(quote_ident(t.typname)) IS NULL
                THEN regexp_replace(format_type(type, modifier), '^public[.]', '')
                ELSE format_type(type, modifier) END
    FROM pg_type t WHERE t.oid = type
$$;

-- SQLite compares names ignoring the case of ASCII letters, and of no others.
CREATE OR REPLACE FUNCTION electric.fold(name text) RETURNS text
LANGUAGE sql IMMUTABLE
RETURN lower(name COLLATE "C");
