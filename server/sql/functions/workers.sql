-- What changes the electrified set. These run with the rights of the schema's owner, for callers who
-- may call them directly, too: so they check the owner of the table again and take nothing on trust.

-- Inside a SECURITY DEFINER function current_user is the definer; whoever called stands in `role`, or
-- is the session's user.
CREATE OR REPLACE FUNCTION electric.caller() RETURNS name
LANGUAGE sql STABLE
RETURN (CASE current_setting('role') WHEN 'none' THEN session_user ELSE current_setting('role') END)::name;

CREATE OR REPLACE FUNCTION electric.check_owner(relation oid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    caller  name := electric.caller();
    subject record;
BEGIN
    SELECT relname, relowner INTO subject FROM pg_class WHERE oid = relation;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42P01', MESSAGE = format('relation with OID %s does not exist', relation);
    END IF;
    IF NOT pg_has_role(caller, subject.relowner, 'USAGE') THEN
        RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('must be owner of table %s', subject.relname),
            HINT = format('It is role %I that must own it: the rights of a SECURITY DEFINER function are not enough.',
                          caller);
    END IF;
END
$$;

-- Does nothing when there is no reason. The error names the table in the fields that programs read.
CREATE OR REPLACE FUNCTION electric.refuse(relation oid, reason electric.refusal) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject record;
BEGIN
    IF reason IS NULL THEN
        RETURN;
    END IF;
    SELECT n.nspname, c.relname INTO subject
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation;

    -- An option of RAISE cannot be null, and an empty one would be sent as an empty field.
    IF reason.column_name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = reason.message, DETAIL = reason.detail,
            HINT = reason.hint, SCHEMA = subject.nspname, TABLE = subject.relname;
    END IF;
    RAISE EXCEPTION USING ERRCODE = 'P0001', MESSAGE = reason.message, DETAIL = reason.detail,
        HINT = reason.hint, SCHEMA = subject.nspname, TABLE = subject.relname, COLUMN = reason.column_name;
END
$$;

-- What keeps a table out of the set, or null. The first that speaks up is heard; the others are not asked.
CREATE OR REPLACE FUNCTION electric.objection(relation oid) RETURNS electric.refusal
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN coalesce(electric.check_kind(relation),
                    electric.check_schema(relation),
                    electric.check_types(relation),
                    electric.check_defaults(relation),
                    electric.check_primary_key(relation),
                    electric.check_constraints(relation),
                    electric.check_enum_schemas(relation),
                    electric.check_name_clashes(relation),
                    electric.check_reserved_names(relation));
END
$$;

CREATE OR REPLACE FUNCTION electric.enable_table(relation oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    PERFORM electric.check_owner(relation);
    PERFORM electric.lock_shared(relation);
    PERFORM electric.check_stamp();
    IF electric.is_electrified(relation) THEN
        RAISE NOTICE 'table % is already electrified', electric.qualified_name(relation);
        RETURN;
    END IF;
    PERFORM electric.refuse(relation, electric.objection(relation));
    PERFORM electric.warn_foreign_keys(relation);
    PERFORM electric.warn_names(relation);

    PERFORM electric.add_table(relation);
END
$$;

CREATE OR REPLACE FUNCTION electric.disable_table(relation oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    PERFORM electric.check_owner(relation);
    PERFORM electric.lock_shared(relation);
    PERFORM electric.check_stamp();
    IF NOT electric.is_electrified(relation) THEN
        RAISE NOTICE 'table % is not electrified', electric.qualified_name(relation);
        RETURN;
    END IF;
    PERFORM electric.check_dependents(relation);
    PERFORM electric.check_permissions(relation);

    PERFORM electric.remove_table(t.nsp, t.name) FROM electric.tables t WHERE t.relid = relation;
END
$$;

CREATE OR REPLACE FUNCTION electric.check_dependents(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    subject record;
    details text;
    fixes   text;
BEGIN
    SELECT string_agg(format('constraint %I on table %I depends on table %s', con.conname, e.name,
                             electric.short_name(relation)), E'\n' ORDER BY e.name, con.conname),
           string_agg(DISTINCT format('ALTER TABLE %I.%I DISABLE ELECTRIC;', e.nsp, e.name), ' ')
    INTO details, fixes
    FROM pg_constraint con JOIN electric.electrified e ON e.relid = con.conrelid
    WHERE con.confrelid = relation AND con.contype = 'f' AND con.conrelid <> relation;
    IF details IS NULL THEN
        RETURN;
    END IF;

    SELECT nsp, name INTO STRICT subject FROM electric.electrified WHERE relid = relation;
    RAISE EXCEPTION USING ERRCODE = '2BP01',
        MESSAGE = format('cannot disable ELECTRIC on table %s because other electrified tables depend on it',
                         electric.short_name(relation)),
        DETAIL = details,
        HINT = format('Run %s first.', rtrim(fixes, ';')),
        SCHEMA = subject.nsp, TABLE = subject.name;
END
$$;

-- Before a unique index is built concurrently: what Postgres leaves of a refused one would still refuse
-- rows. `relation` may be null.
CREATE OR REPLACE FUNCTION electric.check_unique_index(relation oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known electric.electrified;
BEGIN
    SELECT * INTO known FROM electric.electrified e WHERE e.relid = relation;
    IF known.name IS NOT NULL AND electric.is_capturing() THEN
        PERFORM electric.raise_fault(known.nsp, known.name,
                                     electric.fault_of_unique_index(known.nsp, known.name, NULL, NULL));
    END IF;
END
$$;
