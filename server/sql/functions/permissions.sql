-- ELECTRIC GRANT, REVOKE, ASSIGN, UNASSIGN and SQLITE. Each is one call with one jsonb argument, in
-- which identifiers stand as the client wrote them:
--
--   {"privileges": [{"name": "select", "columns": ["a", "b"]}], "tables": ["items"],
--    "roles": [{"name": "admin", "scope": "projects"}, {"special": "anyone"}],
--    "using": ["issue_id", "project_id"], "check": "..."}
--   {"table": "members", "column": "user_id", "role": "admin", "scope": "projects",
--    "using": ["project_id"], "if": "..."}, or "role_table" and "role_column" instead of "role"
--
-- Entry points resolve table names for the caller, who must own the tables; workers take oids.

-- What a column's name means: folded unless quoted. Null means none.
CREATE OR REPLACE FUNCTION electric.resolve_column(relation oid, written text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    parts text[] := parse_ident(written)::name[]::text[];
BEGIN
    IF written IS NULL THEN
        RETURN NULL;
    END IF;
    IF cardinality(parts) <> 1 OR NOT EXISTS (
        SELECT FROM pg_attribute a
        WHERE a.attrelid = relation AND a.attname = parts[1]::name AND a.attnum > 0 AND NOT a.attisdropped) THEN
        RAISE EXCEPTION USING ERRCODE = '42703', MESSAGE = format('column "%s" of relation "%s" does not exist',
            array_to_string(parts, '.'), (SELECT relname FROM pg_class WHERE oid = relation));
    END IF;
    RETURN parts[1];
END
$$;

-- The columns that lead from `relation` to the table `scope`, each a foreign key of its own. Without
-- `written` there must be exactly one foreign key to it, or it must be the table itself.
CREATE OR REPLACE FUNCTION electric.resolve_path(relation oid, scope oid, written jsonb) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    at     oid := relation;
    path   text[] := '{}';
    step   text;
    choice text[];
BEGIN
    IF written IS NULL AND (scope IS NULL OR scope = relation) THEN
        RETURN path;
    ELSIF written IS NULL THEN
        choice := ARRAY(SELECT a.attname::text FROM pg_constraint con
                        JOIN pg_attribute a ON a.attrelid = con.conrelid AND con.conkey = ARRAY[a.attnum]
                        WHERE con.conrelid = relation AND con.confrelid = scope AND con.contype = 'f');
        IF cardinality(choice) = 1 THEN
            RETURN choice;
        END IF;
        RAISE EXCEPTION USING ERRCODE = '42830',
            MESSAGE = format(CASE cardinality(choice) WHEN 0 THEN 'table %s has no foreign key to the scope %s'
                             ELSE 'table %s has several foreign keys to the scope %s' END,
                             electric.qualified_name(relation), electric.qualified_name(scope)),
            HINT = 'Name the columns of the foreign keys that lead to the scope: USING column/column.';
    END IF;

    FOR step IN SELECT jsonb_array_elements_text(written) LOOP
        path := path || electric.resolve_column(at, step);
        -- Should a column be several foreign keys, the one that ends the path comes first.
        SELECT con.confrelid INTO at
        FROM pg_constraint con JOIN pg_attribute a ON a.attrelid = con.conrelid AND con.conkey = ARRAY[a.attnum]
        WHERE con.conrelid = at AND con.contype = 'f' AND a.attname = path[cardinality(path)]::name
        ORDER BY (con.confrelid = scope) IS NOT TRUE, con.conname;
        IF at IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '42830',
                MESSAGE = format('column %I is not a foreign key', path[cardinality(path)]),
                HINT = 'Each column of USING must be a foreign key of its own, from the table to its scope.';
        END IF;
    END LOOP;
    IF at IS DISTINCT FROM scope AND scope IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '42830',
            MESSAGE = format('the path %s leads to table %s, not to the scope %s', array_to_string(path, '/'),
                             electric.qualified_name(at), electric.qualified_name(scope));
    END IF;
    RETURN path;
END
$$;

-- Every combination of table, privilege and role in a command, one row each. Who revokes names no path.
-- The lists are short, but the planner does not know: it would compile for half a second.
CREATE OR REPLACE FUNCTION electric.expand_grants(command jsonb, revoked boolean) RETURNS SETOF electric.grants
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
BEGIN
    RETURN QUERY
        SELECT n.nspname::text, c.relname::text, p.privilege, r.role ? 'special',
               coalesce(lower(r.role->>'special'), r.role->>'name'), coalesce(sn.nspname::text, ''), coalesce(s.relname::text, ''),
               col.name, CASE WHEN revoked THEN '{}' ELSE electric.resolve_path(c.oid, s.oid, command->'using') END,
               command->>'check'
        FROM jsonb_array_elements(command->'relations') AS t(relid)
        JOIN pg_class c ON c.oid = t.relid::text::oid JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN jsonb_array_elements(command->'privileges') AS w(wanted)
        CROSS JOIN LATERAL unnest(CASE lower(w.wanted->>'name')
            WHEN 'all' THEN '{select,insert,update,delete}'::text[] WHEN 'read' THEN '{select}'
            WHEN 'write' THEN '{insert,update,delete}' ELSE ARRAY[lower(w.wanted->>'name')] END) AS p(privilege)
        CROSS JOIN jsonb_array_elements(command->'roles') AS r(role)
        LEFT JOIN pg_class s ON s.oid = (r.role->>'scope_relation')::oid LEFT JOIN pg_namespace sn ON sn.oid = s.relnamespace
        CROSS JOIN LATERAL (
            SELECT electric.resolve_column(c.oid, given) FROM jsonb_array_elements_text(w.wanted->'columns') AS given
            UNION ALL
            SELECT '*' WHERE NOT w.wanted ? 'columns') AS col(name);
END
$$;

CREATE OR REPLACE FUNCTION electric.warn_not_electrified(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT electric.is_electrified(relation) THEN
        RAISE WARNING USING MESSAGE = format('table %s is not electrified', electric.qualified_name(relation)),
            HINT = format('Clients do not have it until ALTER TABLE %s ENABLE ELECTRIC; is run.', electric.qualified_name(relation));
    END IF;
END
$$;

-- Rows that become one operation: all that is the same but for the column.
CREATE OR REPLACE FUNCTION electric.grant_ops(kind text, changed electric.grants[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (
        SELECT coalesce(jsonb_agg(g.op ORDER BY g.op->>'schema', g.op->>'table', g.op->>'role', g.op->>'privilege'), '[]')
        FROM (
            SELECT jsonb_strip_nulls(jsonb_build_object(
                'op', kind, 'schema', nsp, 'table', table_name, 'privilege', privilege, 'role', role, 'special', special,
                'scope', CASE WHEN scope_name <> '' THEN jsonb_build_object('schema', scope_nsp, 'table', scope_name) END,
                'columns', CASE WHEN bool_or(column_name = '*') THEN NULL
                                ELSE jsonb_agg(column_name ORDER BY column_name COLLATE "C") END,
                'using', CASE WHEN path <> '{}' THEN to_jsonb(path) END, 'check', check_expr)) AS op
            FROM unnest(changed)
            GROUP BY nsp, table_name, privilege, role, special, scope_nsp, scope_name, path, check_expr) g);
END
$$;

CREATE OR REPLACE FUNCTION electric.check_owners(command jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM electric.check_owner(relid::text::oid) FROM jsonb_array_elements(command->'relations') AS t(relid);
END
$$;

CREATE OR REPLACE FUNCTION electric.store_grants(command jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed electric.grants[];
BEGIN
    PERFORM electric.check_owners(command);
    PERFORM electric.warn_not_electrified(relid::text::oid) FROM jsonb_array_elements(command->'relations') AS t(relid);
    WITH stored AS (
        INSERT INTO electric.grants AS g SELECT DISTINCT * FROM electric.expand_grants(command, false)
        ON CONFLICT (nsp, table_name, privilege, special, role, scope_nsp, scope_name, column_name)
        DO UPDATE SET path = excluded.path, check_expr = excluded.check_expr
            WHERE (g.path, g.check_expr) IS DISTINCT FROM (excluded.path, excluded.check_expr)
        RETURNING g
    )
    SELECT array_agg(stored.g) INTO changed FROM stored;
    PERFORM electric.record(electric.grant_ops('grant', changed), NULL);
END
$$;

-- Revoking all columns revokes what was granted on single ones, too, but not the other way round.
CREATE OR REPLACE FUNCTION electric.delete_grants(command jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed electric.grants[];
BEGIN
    PERFORM electric.check_owners(command);
    WITH gone AS (
        DELETE FROM electric.grants g
        USING electric.expand_grants(command, true) r
        WHERE (g.nsp, g.table_name, g.privilege, g.special, g.role, g.scope_nsp, g.scope_name)
              = (r.nsp, r.table_name, r.privilege, r.special, r.role, r.scope_nsp, r.scope_name)
          AND r.column_name IN ('*', g.column_name)
        RETURNING g
    )
    SELECT array_agg(gone.g) INTO changed FROM gone;
    PERFORM electric.record(electric.grant_ops('revoke', changed), NULL);
END
$$;

CREATE OR REPLACE FUNCTION electric.assignment_op(kind text, a electric.assignments) RETURNS jsonb
LANGUAGE sql STABLE
RETURN jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
    'op', kind, 'schema', a.nsp, 'table', a.table_name, 'user_column', a.user_column,
    'role', nullif(a.role, ''), 'role_column', nullif(a.role_column, ''),
    'scope', CASE WHEN a.scope_name <> '' THEN jsonb_build_object('schema', a.scope_nsp, 'table', a.scope_name) END,
    'using', CASE WHEN a.path <> '{}' THEN to_jsonb(a.path) END, 'if', a.if_expr)));

CREATE OR REPLACE FUNCTION electric.resolve_assignment(command jsonb, revoked boolean) RETURNS electric.assignments
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation oid := (command->'relations'->>0)::oid;
    scope    oid := (command->>'scope_relation')::oid;
    result   electric.assignments;
BEGIN
    SELECT n.nspname, c.relname INTO result.nsp, result.table_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    SELECT n.nspname, c.relname INTO result.scope_nsp, result.scope_name
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = scope;
    IF (command->>'role_relation')::oid <> relation THEN
        RAISE EXCEPTION USING ERRCODE = '42P10', MESSAGE = 'the role must be named in the table that names the user',
            DETAIL = format('The user is in table %s, the role in table %s.', electric.qualified_name(relation),
                            electric.qualified_name((command->>'role_relation')::oid));
    END IF;
    result.user_column := electric.resolve_column(relation, command->>'column');
    result.role := coalesce(command->>'role', '');
    result.role_column := coalesce(electric.resolve_column(relation, command->>'role_column'), '');
    result.scope_nsp := coalesce(result.scope_nsp, '');
    result.scope_name := coalesce(result.scope_name, '');
    result.path := CASE WHEN revoked THEN '{}' ELSE electric.resolve_path(relation, scope, command->'using') END;
    result.if_expr := command->>'if';
    RETURN result;
END
$$;

CREATE OR REPLACE FUNCTION electric.store_assignment(command jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted  electric.assignments;
    changed electric.assignments;
BEGIN
    PERFORM electric.check_owners(command);
    PERFORM electric.warn_not_electrified((command->'relations'->>0)::oid);
    wanted := electric.resolve_assignment(command, false);
    INSERT INTO electric.assignments AS a SELECT wanted.*
    ON CONFLICT (nsp, table_name, user_column, role, role_column, scope_nsp, scope_name)
    DO UPDATE SET path = excluded.path, if_expr = excluded.if_expr
        WHERE (a.path, a.if_expr) IS DISTINCT FROM (excluded.path, excluded.if_expr)
    RETURNING * INTO changed;
    IF changed.table_name IS NOT NULL THEN
        PERFORM electric.record(electric.assignment_op('assign', changed), NULL);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION electric.delete_assignment(command jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted  electric.assignments;
    changed electric.assignments;
BEGIN
    PERFORM electric.check_owners(command);
    wanted := electric.resolve_assignment(command, true);
    DELETE FROM electric.assignments a
    WHERE (a.nsp, a.table_name, a.user_column, a.role, a.role_column, a.scope_nsp, a.scope_name)
          = (wanted.nsp, wanted.table_name, wanted.user_column, wanted.role, wanted.role_column, wanted.scope_nsp, wanted.scope_name)
    RETURNING * INTO changed;
    IF changed.table_name IS NOT NULL THEN
        PERFORM electric.record(electric.assignment_op('unassign', changed), NULL);
    END IF;
END
$$;

-- Statements for the clients' SQLite, published as they are: for whom the schema belongs to.
CREATE OR REPLACE FUNCTION electric.publish_sqlite(statements text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_has_role(electric.caller(), current_user, 'USAGE') THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = 'permission denied to publish SQLite statements',
            HINT = format('Only members of role %I may.', current_user);
    END IF;
    IF statements IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'statements must not be null';
    END IF;
    PERFORM electric.record(jsonb_build_array(jsonb_build_object('op', 'sqlite', 'statements', statements)), NULL);
END
$$;

-- What keeps a table in the set: grants and assignments that name it.
CREATE OR REPLACE FUNCTION electric.check_permissions(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject record;
    details text;
BEGIN
    SELECT nsp, name INTO STRICT subject FROM electric.electrified WHERE relid = relation;
    SELECT string_agg(DISTINCT line, E'\n' ORDER BY line) INTO details FROM (
        SELECT format('%s on table %I.%I is granted to %L', g.privilege, g.nsp, g.table_name, g.role) AS line
        FROM electric.grants g
        WHERE (subject.nsp, subject.name) IN ((g.nsp, g.table_name), (g.scope_nsp, g.scope_name))
        UNION ALL
        SELECT format('a role is assigned to %I.%I.%I', a.nsp, a.table_name, a.user_column)
        FROM electric.assignments a
        WHERE (subject.nsp, subject.name) IN ((a.nsp, a.table_name), (a.scope_nsp, a.scope_name))) named;
    IF details IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '2BP01',
            MESSAGE = format('cannot disable ELECTRIC on table %s because permissions depend on it', electric.short_name(relation)),
            DETAIL = details, HINT = 'Run ELECTRIC REVOKE and ELECTRIC UNASSIGN first.',
            SCHEMA = subject.nsp, TABLE = subject.name;
    END IF;
END
$$;
