-- Only ordinary, permanent tables in schema public that stand alone can be electrified.

CREATE OR REPLACE FUNCTION electric.check_kind(relation oid) RETURNS electric.refusal
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject pg_class;
    name    text := electric.qualified_name(relation);
    parent  text;
    child   text;
    is_what text;
    hint    text;
BEGIN
    SELECT * INTO STRICT subject FROM pg_class WHERE oid = relation;
    SELECT min(electric.qualified_name(inhparent)) INTO parent FROM pg_inherits WHERE inhrelid = relation;
    SELECT min(electric.qualified_name(inhrelid)) INTO child FROM pg_inherits WHERE inhparent = relation;

    IF subject.relkind <> 'r' THEN
        is_what := format('It is %s.', CASE subject.relkind
            WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table'
            WHEN 'p' THEN 'a partitioned table' WHEN 'S' THEN 'a sequence' WHEN 'i' THEN 'an index'
            WHEN 'I' THEN 'a partitioned index' WHEN 'c' THEN 'a composite type' ELSE 'no table' END);
        hint := 'Only ordinary tables can be electrified.';
    ELSIF subject.relpersistence = 't' THEN
        is_what := 'It is a temporary table.';
        hint := CASE WHEN to_regclass(format('public.%I', subject.relname)) IS NULL
            THEN 'Only permanent tables can be electrified.'
            ELSE format('It hides public.%I in this session: write the name with its schema.', subject.relname) END;
    ELSIF subject.relpersistence = 'u' THEN
        is_what := 'It is an unlogged table.';
        hint := format('Run ALTER TABLE %s SET LOGGED first.', name);
    ELSIF subject.relispartition THEN
        is_what := format('It is a partition of %s.', parent);
        hint := format('ALTER TABLE %s DETACH PARTITION %s makes it a table of its own.', parent, name);
    ELSIF parent IS NOT NULL THEN
        is_what := format('It inherits from %s.', parent);
        hint := format('Run ALTER TABLE %s NO INHERIT %s first.', name, parent);
    ELSIF child IS NOT NULL THEN
        is_what := format('Table %s inherits from it.', child);
        hint := format('Run ALTER TABLE %s NO INHERIT %s first.', child, name);
    ELSE
        RETURN NULL;
    END IF;
    RETURN (format('%s is not an ordinary table', name), is_what, hint, NULL)::electric.refusal;
END
$$;

CREATE OR REPLACE FUNCTION electric.check_schema(relation oid) RETURNS electric.refusal
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Cannot electrify %I because it is not in the schema public.', c.relname),
           format('It is in the schema %I.', n.nspname),
           format('Move it: ALTER TABLE %I.%I SET SCHEMA public;', n.nspname, c.relname),
           NULL
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation AND n.nspname <> 'public'
$$;
