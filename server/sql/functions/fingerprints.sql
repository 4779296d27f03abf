-- What tells cheaply that a table may have changed: each new version of a catalog row has another place
-- or another xmin. Far less work than a snapshot, but only good for a comparison in this database.

CREATE OR REPLACE FUNCTION electric.mark(row_xid xid, place tid) RETURNS bigint
LANGUAGE sql IMMUTABLE
RETURN hashint8extended(row_xid::text::bigint, hashtid(place));

-- Of all tables of the set. The exact rows that electric.snapshot reads.
CREATE OR REPLACE FUNCTION electric.fingerprints() RETURNS TABLE (relid oid, noted bigint, seen bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN QUERY
        SELECT t.relid, t.fingerprint, coalesce(electric.mark(c.xmin, c.ctid) # electric.mark(n.xmin, n.ctid)
            # (SELECT bit_xor(electric.mark(a.xmin, a.ctid)
                              # CASE WHEN a.atttypid >= 16384 THEN electric.type_mark(a.atttypid) ELSE 0 END)
               FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)
            # coalesce((SELECT bit_xor(electric.mark(d.xmin, d.ctid)) FROM pg_attrdef d WHERE d.adrelid = c.oid), 1)
            # coalesce((SELECT bit_xor(electric.mark(con.xmin, con.ctid)) FROM pg_constraint con WHERE con.conrelid = c.oid), 2)
            # coalesce((SELECT bit_xor(electric.mark(x.xmin, x.ctid) # electric.mark(i.xmin, i.ctid))
                        FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), 3)
            # coalesce((SELECT bit_xor(electric.mark(i.xmin, i.ctid)) FROM pg_inherits i WHERE i.inhrelid = c.oid), 4)
            # coalesce((SELECT bit_xor(electric.mark(i.xmin, i.ctid)) FROM pg_inherits i WHERE i.inhparent = c.oid), 5), 0)
        FROM electric.tables t
        LEFT JOIN pg_class c ON c.oid = t.relid
        LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE t.relid IS NOT NULL;
END
$$;

-- Types that are not built in.
CREATE OR REPLACE FUNCTION electric.type_mark(type oid) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN (SELECT electric.mark(t.xmin, t.ctid) # electric.mark(n.xmin, n.ctid) # coalesce(
                (SELECT bit_xor(electric.mark(e.xmin, e.ctid)) FROM pg_enum e WHERE e.enumtypid = t.oid), 6)
            FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type);
END
$$;

CREATE OR REPLACE FUNCTION electric.note_fingerprint(subject oid, seen bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE electric.tables t SET fingerprint = seen
    WHERE t.relid = subject AND t.fingerprint IS DISTINCT FROM seen;
END
$$;
