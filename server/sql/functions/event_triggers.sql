-- What Postgres calls after each command that changes the catalog. Both come when the catalog already
-- shows the result; sql_drop comes first.
--
-- Entry points of the engine pin how their statements, and those of all they call, are planned: a few
-- rows by index, once a session. Without statistics the planner would rather read whole catalogs.

-- Electrified tables that the command may have changed: named by it, or through an index, a
-- constraint, a parent or a child.
CREATE OR REPLACE FUNCTION electric.changed_relations() RETURNS oid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        SELECT DISTINCT t.relid
        FROM (SELECT DISTINCT classid, objid FROM pg_event_trigger_ddl_commands()
              WHERE classid IN ('pg_class'::regclass, 'pg_constraint'::regclass)) c
        CROSS JOIN LATERAL (
            SELECT c.objid WHERE c.classid = 'pg_class'::regclass
            UNION ALL
            SELECT x.indrelid FROM pg_index x WHERE x.indexrelid = c.objid AND c.classid = 'pg_class'::regclass
            UNION ALL
            SELECT con.conrelid FROM pg_constraint con WHERE con.oid = c.objid AND c.classid = 'pg_constraint'::regclass
            UNION ALL
            SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.objid AND c.classid = 'pg_class'::regclass
            UNION ALL
            SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = c.objid AND c.classid = 'pg_class'::regclass) AS r(relid)
        JOIN electric.tables t ON t.relid = r.relid);
END
$$;

-- The same for commands about what tables use: a type, a collation, a schema, or an extension with such
-- in it.
CREATE OR REPLACE FUNCTION electric.changed_through_others() RETURNS oid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH commands AS MATERIALIZED (
            SELECT DISTINCT classid, objid FROM pg_event_trigger_ddl_commands()
        ), things AS MATERIALIZED (
            SELECT classid, objid FROM commands
            UNION
            SELECT d.classid, d.objid FROM commands c
            JOIN pg_depend d ON d.refclassid = c.classid AND d.refobjid = c.objid AND d.deptype = 'e'
            WHERE c.classid = 'pg_extension'::regclass
        ), types AS MATERIALIZED (
            SELECT objid AS type FROM things WHERE classid = 'pg_type'::regclass
            UNION
            SELECT c.reltype FROM things JOIN pg_class c ON c.oid = objid AND c.relkind = 'c'
            WHERE classid = 'pg_class'::regclass
        ), collations AS MATERIALIZED (
            SELECT objid AS coll FROM things WHERE classid = 'pg_collation'::regclass
            UNION
            SELECT l.oid FROM things JOIN pg_collation l ON l.collnamespace = objid WHERE classid = 'pg_namespace'::regclass
        )
        SELECT a.attrelid FROM electric.tables t
        JOIN pg_attribute a ON a.attrelid = t.relid
        WHERE a.atttypid IN (SELECT type FROM types) OR a.attcollation IN (SELECT coll FROM collations)
        UNION
        SELECT c.oid FROM electric.tables t JOIN pg_class c ON c.oid = t.relid AND c.reloftype IN (SELECT type FROM types)
        UNION
        SELECT c.oid FROM electric.tables t JOIN pg_class c ON c.oid = t.relid
        JOIN things ON things.classid = 'pg_namespace'::regclass AND things.objid = c.relnamespace
        UNION
        SELECT t.relid FROM electric.tables t
        JOIN things ON things.classid = 'pg_class'::regclass AND things.objid = t.relid);
END
$$;

CREATE OR REPLACE FUNCTION electric.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    state     text;
    relations oid[];
BEGIN
    IF tg_tag = 'ALTER TYPE' THEN
        PERFORM electric.lock_thing(o.objid)
        FROM (SELECT DISTINCT objid FROM pg_event_trigger_ddl_commands() WHERE classid = 'pg_type'::regclass ORDER BY 1) o;
    END IF;
    state := electric.begin_judging();
    IF state = 'none' THEN
        RETURN;
    ELSIF state = 'rebased' THEN
        PERFORM electric.adopt_renamed(ARRAY(
            SELECT c.oid FROM pg_event_trigger_ddl_commands() d
            JOIN pg_class c ON (d.classid, d.objid) IN (('pg_class'::regclass, c.oid), ('pg_namespace'::regclass, c.relnamespace))));
    END IF;

    IF tg_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO') THEN
        -- The usual case, in short: a new table changes none but its parents.
        relations := ARRAY(
            SELECT DISTINCT t.relid FROM pg_event_trigger_ddl_commands() d
            JOIN pg_inherits i ON i.inhrelid = d.objid JOIN electric.tables t ON t.relid = i.inhparent);
    ELSE
        relations := electric.changed_relations();
    END IF;
    IF tg_tag IN ('ALTER TYPE', 'ALTER SCHEMA', 'ALTER COLLATION', 'ALTER EXTENSION', 'CREATE EXTENSION', 'ALTER TABLE') AND EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands()
        WHERE object_type IN ('type', 'composite type', 'schema', 'collation', 'extension')) THEN
        relations := relations || electric.changed_through_others();
    END IF;
    IF relations <> '{}' THEN
        PERFORM electric.judge_all(relations);
    END IF;
END
$$;

-- Dropped columns carry the oid of their table, constraints its name; of an index only its own name is
-- left. After a restore a table that is gone can only be known by name.
CREATE OR REPLACE FUNCTION electric.on_drop() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    state     text := electric.begin_judging();
    relations oid[];
    lost      electric.tables;
BEGIN
    IF state = 'none' THEN
        RETURN;
    END IF;
    IF state = 'rebased' THEN
        SELECT t.* INTO lost
        FROM pg_event_trigger_dropped_objects() d
        JOIN electric.tables t ON t.relid IS NULL AND t.nsp = d.schema_name AND t.name = d.object_name
        WHERE d.object_type = 'table'
        LIMIT 1;
        IF lost.name IS NOT NULL THEN
            PERFORM electric.raise_fault(lost.nsp, lost.name, electric.find_fault(lost.snapshot, NULL));
        END IF;
    END IF;

    relations := ARRAY(
        WITH dropped AS MATERIALIZED (
            SELECT classid, objid, object_type, schema_name, object_name, address_names
            FROM pg_event_trigger_dropped_objects()
        )
        SELECT t.relid FROM dropped d JOIN electric.tables t ON t.relid = d.objid WHERE d.classid = 'pg_class'::regclass
        UNION
        SELECT t.relid FROM dropped d JOIN electric.tables t ON t.nsp = d.address_names[1] AND t.name = d.address_names[2]
        WHERE d.object_type IN ('table constraint', 'default value')
        UNION
        SELECT t.relid FROM dropped d
        JOIN electric.names i ON i.nsp = d.schema_name AND i.name = d.object_name
        JOIN electric.tables t ON t.nsp = i.nsp AND t.name = i.table_name
        WHERE d.object_type = 'index');
    IF relations <> '{}' THEN
        PERFORM electric.judge_all(relations);
    END IF;
END
$$;
