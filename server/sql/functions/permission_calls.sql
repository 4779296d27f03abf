-- What the proxy calls for ELECTRIC GRANT and the like. Names and rights are the caller's here, so
-- there is no SET clause and everything is qualified.

-- The oid of a scope, which need not be the caller's own; null for none.
CREATE OR REPLACE FUNCTION electric.find_scope(name text) RETURNS oid
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid;
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM pg_catalog.parse_ident(name);
    relation := pg_catalog.to_regclass(name)::pg_catalog.oid;
    IF relation IS NULL THEN
        PERFORM electric.report_missing(name, false);
    END IF;
    RETURN relation;
END
$$;

-- The command with oids: `relations` for "tables" or "table", `scope_relation` in roles.
CREATE OR REPLACE FUNCTION electric.resolve_command(command jsonb) RETURNS jsonb
LANGUAGE plpgsql
AS $$
DECLARE
    relations pg_catalog.jsonb;
    roles     pg_catalog.jsonb;
BEGIN
    SELECT coalesce(pg_catalog.jsonb_agg(electric.claim(name, false)::pg_catalog.int8), '[]') INTO relations
    FROM pg_catalog.jsonb_array_elements_text(
        CASE WHEN command OPERATOR(pg_catalog.?) 'table'::pg_catalog.text
             THEN pg_catalog.jsonb_build_array(command OPERATOR(pg_catalog.->) 'table'::pg_catalog.text)
             ELSE command OPERATOR(pg_catalog.->) 'tables'::pg_catalog.text END) AS name;
    SELECT coalesce(pg_catalog.jsonb_agg(role OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
        'scope_relation', electric.find_scope(role OPERATOR(pg_catalog.->>) 'scope'::pg_catalog.text)::pg_catalog.int8)), '[]') INTO roles
    FROM pg_catalog.jsonb_array_elements(command OPERATOR(pg_catalog.->) 'roles'::pg_catalog.text) AS role;
    RETURN command OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
        'relations', relations, 'roles', roles,
        'scope_relation', electric.find_scope(command OPERATOR(pg_catalog.->>) 'scope'::pg_catalog.text)::pg_catalog.int8,
        'role_relation', electric.find_scope(command OPERATOR(pg_catalog.->>) 'role_table'::pg_catalog.text)::pg_catalog.int8);
END
$$;

CREATE OR REPLACE PROCEDURE electric.grant_privileges(command jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.store_grants(electric.resolve_command(command));
END
$$;

CREATE OR REPLACE PROCEDURE electric.revoke_privileges(command jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.delete_grants(electric.resolve_command(command));
END
$$;

CREATE OR REPLACE PROCEDURE electric.assign_role(command jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.store_assignment(electric.resolve_command(command));
END
$$;

CREATE OR REPLACE PROCEDURE electric.unassign_role(command jsonb)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.delete_assignment(electric.resolve_command(command));
END
$$;

CREATE OR REPLACE PROCEDURE electric.sqlite(statements text)
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM electric.publish_sqlite(statements);
END
$$;
