-- On commit: what the transaction has changed becomes one migration of the ledger.

-- Neither oid nor xid goes into it, so that the chain can be checked anywhere.
CREATE OR REPLACE FUNCTION electric.hash_of(prev bytea, seq bigint, version text, ops jsonb) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN sha256(prev || convert_to(seq || ' ' || version || ' ' || ops::text, 'UTF8'));
END
$$;

-- A captured migration must not be lost when clients go on without it. Stronger settings stay.
CREATE OR REPLACE FUNCTION electric.insist_on_durability() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

-- SET CONSTRAINTS ALL IMMEDIATE fires the hook before the end: then more may follow, for a row that
-- nobody else has seen.
CREATE OR REPLACE FUNCTION electric.extend_migration(own xid8, more jsonb, texts text[]) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    changed electric.migrations;
BEGIN
    UPDATE electric.migrations m
    SET ops = m.ops || more, statements = m.statements || texts,
        hash = electric.hash_of(m.prev_hash, m.seq, m.version, m.ops || more)
    WHERE m.xid = own
    RETURNING * INTO changed;
    IF changed.seq IS NULL THEN
        RETURN false;
    END IF;
    UPDATE electric.head SET hash = changed.hash;
    RETURN true;
END
$$;

CREATE OR REPLACE FUNCTION electric.append_migration(own xid8, ops jsonb, texts text[], explicit text, source text)
RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Before the lock: reading other people's tables may take its time.
    named   electric.migration_name := electric.find_name(explicit);
    last    electric.head;
    number  bigint;
    chosen  text;
    sealed  bytea;
BEGIN
    SELECT * INTO STRICT last FROM electric.head FOR UPDATE;
    number := last.seq + 1;
    chosen := electric.choose_version(named.version, last.version);
    sealed := electric.hash_of(last.hash, number, chosen, ops);
    INSERT INTO electric.migrations (seq, version, label, framework, source, xid, session, ops, statements, username,
                                     address, application_name, prev_hash, hash)
    VALUES (number, chosen, named.label, named.framework, source, own, electric.session_id(), ops, texts, session_user,
            inet_client_addr(), nullif(current_setting('application_name'), ''), last.hash, sealed);
    UPDATE electric.head SET seq = number, version = chosen, hash = sealed;
    RETURN number;
END
$$;

CREATE OR REPLACE FUNCTION electric.on_commit() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '30s'
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off
SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    own    xid8 := pg_current_xact_id();
    ended  record;
BEGIN
    -- Fires once a row of pending; the first takes them all.
    WITH taken AS (DELETE FROM electric.pending WHERE xid = own RETURNING *)
    SELECT (SELECT jsonb_agg(o.op ORDER BY p.n, o.at)
            FROM taken p, jsonb_array_elements(p.ops) WITH ORDINALITY AS o(op, at)) AS ops,
           ARRAY(SELECT p.statement FROM taken p WHERE p.statement IS NOT NULL
                 GROUP BY p.statement ORDER BY min(p.n)) AS texts,
           (SELECT p.version FROM taken p WHERE p.version IS NOT NULL ORDER BY p.n LIMIT 1) AS version,
           (SELECT p.source FROM taken p WHERE p.source IS NOT NULL ORDER BY p.n LIMIT 1) AS source
    INTO ended;
    IF ended.ops IS NULL THEN
        RETURN NULL;
    END IF;

    PERFORM electric.check_stamp();
    PERFORM electric.insist_on_durability();
    IF NOT electric.extend_migration(own, ended.ops, ended.texts) THEN
        PERFORM electric.append_migration(own, ended.ops, ended.texts, ended.version, ended.source);
    END IF;
    IF ended.ops @? '$[*] ? (@.op == "create_table" || @.op == "disable_table")' THEN
        UPDATE electric.membership SET seq = (SELECT h.seq FROM electric.head h);
    END IF;
    RETURN NULL;
END
$$;
