-- Who may do what on clients, as ELECTRIC GRANT and ELECTRIC ASSIGN say. Stored and published; clients
-- and services enforce it.

-- One row a table, privilege, role and column; '*' means all columns. `role` is a role's name, or
-- `anyone` or `authenticated` when `special`. A role has a scope, a table, or '' for none. `path` are
-- the foreign keys' columns that lead from the table to the scope.
CREATE TABLE electric.grants (
    nsp         text NOT NULL,
    table_name  text NOT NULL,
    privilege   text NOT NULL CHECK (privilege IN ('select', 'insert', 'update', 'delete')),
    special     boolean NOT NULL,
    role        text NOT NULL,
    scope_nsp   text NOT NULL,
    scope_name  text NOT NULL,
    column_name text NOT NULL,
    path        text[] NOT NULL,
    check_expr  text,
    PRIMARY KEY (nsp, table_name, privilege, special, role, scope_nsp, scope_name, column_name)
);

-- Rows of a table that make a user (in `user_column`) hold a role: always the same, or the one named
-- in `role_column`; the other of the two is ''.
CREATE TABLE electric.assignments (
    nsp         text NOT NULL,
    table_name  text NOT NULL,
    user_column text NOT NULL,
    role        text NOT NULL,
    role_column text NOT NULL,
    scope_nsp   text NOT NULL,
    scope_name  text NOT NULL,
    path        text[] NOT NULL,
    if_expr     text,
    PRIMARY KEY (nsp, table_name, user_column, role, role_column, scope_nsp, scope_name)
);

-- As step 3: nobody but the owner reads them, whatever ALTER DEFAULT PRIVILEGES has granted.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT c.oid::regclass AS relation, acl.grantee
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        WHERE c.relnamespace = 'electric'::regnamespace AND acl.grantee <> c.relowner
          AND c.relname IN ('grants', 'assignments')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', granted.relation,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC'
                       ELSE quote_ident(pg_get_userbyid(granted.grantee)) END);
    END LOOP;
END
$$;
