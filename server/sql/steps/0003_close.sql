-- Nobody but the owner reads the tables, whatever ALTER DEFAULT PRIVILEGES has granted on creation:
-- the settings hold a secret. What an administrator grants later stays.

DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT c.relname, acl.grantee
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        WHERE c.relnamespace = 'electric'::regnamespace AND acl.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON electric.%I FROM %s', granted.relname,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC'
                       ELSE quote_ident(pg_get_userbyid(granted.grantee)) END);
    END LOOP;
END
$$;
