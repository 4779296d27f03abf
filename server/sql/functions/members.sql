-- How tables join and leave the electrified set, and what clients are told of it.

-- What a table shares with others of the set decides what is told of it: who creates an enum, whether
-- the target of a foreign key is electrified. Transactions that change the set of tables which share
-- something do so one after the other, each seeing what those before it have committed.
CREATE OR REPLACE FUNCTION electric.lock_thing(thing oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Two keys of 32 bits, signed: ours are beside those that are one of 64 bits.
    PERFORM pg_advisory_xact_lock(('electric.tables'::regclass::oid::bigint - 2147483648)::integer,
                                  (thing::bigint - 2147483648)::integer);
END
$$;

-- ALTER TYPE, which locks no table, takes the lock on an enum, too.
CREATE OR REPLACE FUNCTION electric.lock_shared(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    thing oid;
BEGIN
    FOR thing IN
        SELECT relation
        UNION
        SELECT con.confrelid FROM pg_constraint con WHERE con.conrelid = relation AND con.contype = 'f'
        UNION
        SELECT t.oid FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'e'
        WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY 1
    LOOP
        PERFORM electric.lock_thing(thing);
    END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION electric.remove_table(nsp text, name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known electric.tables;
BEGIN
    SELECT * INTO known FROM electric.tables t
    WHERE t.nsp = remove_table.nsp AND t.name = remove_table.name FOR UPDATE;
    DELETE FROM electric.tables t WHERE t.nsp = known.nsp AND t.name = known.name;
    DELETE FROM electric.names n WHERE n.nsp = known.nsp AND n.table_name = known.name;
    -- What joined while nothing was captured has no snapshot, and the ledger does not know it.
    IF known.snapshot IS NOT NULL THEN
        PERFORM electric.record(electric.disable_table_ops(known.snapshot), NULL);
    END IF;
END
$$;

-- Electrified tables have foreign keys to `target`, which joins the set: now clients may have them.
CREATE OR REPLACE FUNCTION electric.add_foreign_keys(target oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key   record;
    found jsonb;
BEGIN
    FOR key IN
        SELECT t.nsp, t.name, con.conname::text, con.conrelid
        FROM pg_constraint con JOIN electric.tables t ON t.relid = con.conrelid AND t.snapshot IS NOT NULL
        WHERE con.confrelid = target AND con.contype = 'f' AND con.conrelid <> target
        ORDER BY con.conrelid, con.conname
    LOOP
        -- The target may have been renamed before, which concerned nobody.
        SELECT jsonb_set(t.snapshot, ARRAY['constraints', key.conname], electric.constraints_of(key.conrelid)->key.conname)
        INTO found
        FROM electric.tables t WHERE t.relid = key.conrelid FOR UPDATE;
        PERFORM electric.store(found);
        PERFORM electric.record(jsonb_build_array(jsonb_build_object('op', 'add_foreign_key', 'schema', key.nsp,
            'table', key.name, 'foreign_key', electric.foreign_key_op(found, key.conname))), NULL);
    END LOOP;
END
$$;

-- The table's own row and, unless nothing is captured, its snapshot and the operations. Without a
-- snapshot the table is adopted when capture is switched on.
CREATE OR REPLACE FUNCTION electric.add_table(relation oid) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found jsonb := electric.snapshot(relation);
BEGIN
    -- Tables that were dropped or renamed behind our back make room.
    PERFORM electric.remove_table(t.nsp, t.name)
    FROM electric.tables t
    WHERE (t.relid = relation OR electric.fold(t.name) = electric.fold(found->>'name'))
      AND NOT EXISTS (SELECT FROM electric.electrified e WHERE e.relid = t.relid);

    INSERT INTO electric.tables (nsp, name, relid, snapshot)
    VALUES (found->>'schema', found->>'name', relation, CASE WHEN electric.is_capturing() THEN found END);
    IF NOT electric.is_capturing() THEN
        RETURN;
    END IF;
    IF electric.store(found) IS NOT NULL THEN
        RAISE unique_violation USING MESSAGE = 'could not take the names of the table and its indexes';
    END IF;
    PERFORM electric.record(electric.create_table_ops(found), NULL);
    PERFORM electric.add_foreign_keys(relation);
EXCEPTION
    -- Another transaction electrified such a name after the check, and has committed now.
    WHEN unique_violation THEN
        PERFORM electric.refuse(relation, electric.check_name_clashes(relation));
        RAISE;
END
$$;

-- Tables electrified by a version of this program that captured nothing.
CREATE OR REPLACE FUNCTION electric.adopt_tables() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known electric.tables;
    found jsonb;
BEGIN
    DELETE FROM electric.tables t
    WHERE t.snapshot IS NULL AND NOT EXISTS (SELECT FROM electric.electrified e WHERE e.relid = t.relid);
    FOR known IN SELECT * FROM electric.tables WHERE snapshot IS NULL ORDER BY electrified_at, relid LOOP
        found := electric.snapshot(known.relid);
        IF (electric.objection(known.relid)).message IS NOT NULL OR electric.store(found) IS NOT NULL THEN
            RAISE WARNING 'table % changed before anything was captured, and is not electrified any more',
                electric.title(known.nsp, known.name);
            PERFORM electric.remove_table(known.nsp, known.name);
        ELSE
            PERFORM electric.record(electric.create_table_ops(found), 'install');
        END IF;
    END LOOP;
END
$$;
