-- What captures changes of electrified tables: their snapshots, the changes of transactions that have
-- not committed, and the ledger of migrations.

-- Null while no relation of that name is known: the table was restored, or dropped behind our back.
ALTER TABLE electric.tables ALTER COLUMN relid DROP NOT NULL;

-- `direct_ddl` says what becomes of changes made beside the proxy: refuse or capture. `mode` is how
-- changes are noticed: off, triggers, or fallback where the server may not create event triggers.
-- `proxied_token` marks sessions of the proxy; a guard rail against accidents, no secret. `stamp` is
-- the oid of electric.head when xids and oids were last known to be right: a restored database has
-- another. `bodies` is the hash of the functions as Postgres keeps them.
INSERT INTO electric.settings (name, value) VALUES
    ('direct_ddl', 'refuse'),
    ('mode', 'off'),
    ('proxied_token', replace(gen_random_uuid()::text, '-', '')),
    ('stamp', ''),
    ('bodies', '');

-- Which table an index belongs to: when it has been dropped the catalog no longer tells.
CREATE TABLE electric.indexes (
    nsp        text NOT NULL,
    name       text NOT NULL,
    table_name text NOT NULL,
    PRIMARY KEY (nsp, name)
);
CREATE INDEX indexes_table ON electric.indexes (nsp, table_name);
CREATE INDEX indexes_name_ignoring_case ON electric.indexes (lower(name COLLATE "C"));

-- One row a transaction that changed electrified tables. `seq` is the order of commits, without gaps;
-- `version` is published and sorts byte by byte like `seq`; `label` is what a migration tool calls it.
-- `xid` and `session` only serve to recognise what belongs together and mean nothing after a restore.
CREATE TABLE electric.migrations (
    seq              bigint PRIMARY KEY,
    version          text COLLATE "C" NOT NULL UNIQUE,
    label            text,
    framework        text,
    source           text NOT NULL,
    xid              xid8 UNIQUE,
    session          text,
    at               timestamptz NOT NULL DEFAULT clock_timestamp(),
    ops              jsonb NOT NULL,
    statements       text[] NOT NULL,
    username         text NOT NULL,
    address          inet,
    application_name text,
    prev_hash        bytea NOT NULL,
    hash             bytea NOT NULL
);
CREATE INDEX migrations_unlabelled ON electric.migrations (session) WHERE label IS NULL;

-- The newest migration. Whoever commits one locks this row last, so that order of seq is order of
-- commit.
CREATE TABLE electric.head (
    id      boolean PRIMARY KEY DEFAULT true CHECK (id),
    seq     bigint NOT NULL,
    version text COLLATE "C" NOT NULL,
    hash    bytea NOT NULL
);
INSERT INTO electric.head (seq, version, hash) VALUES (0, '', '\x');

-- The newest migration that changed which tables are electrified. A transaction whose snapshot is
-- older may not judge a change: it would not see the table as electrified.
CREATE TABLE electric.membership (
    id  boolean PRIMARY KEY DEFAULT true CHECK (id),
    seq bigint NOT NULL
);
INSERT INTO electric.membership (seq) VALUES (0);

-- Changes of open transactions. No row outlives its transaction; so the table need not be logged, and
-- no publication FOR ALL TABLES takes it.
CREATE UNLOGGED TABLE electric.pending (
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    n         bigint GENERATED ALWAYS AS IDENTITY,
    ops       jsonb NOT NULL DEFAULT '[]',
    statement text,
    version   text,
    source    text,
    PRIMARY KEY (xid, n)
);

-- How migration tools record what they have run: the table and the columns it must have, which of
-- them is the migration's name, and which begins with the digits of a version. `started` is a
-- condition that holds while the migration still runs. The rows come with the functions.
CREATE TABLE electric.frameworks (
    framework      text PRIMARY KEY,
    table_name     text NOT NULL,
    columns        text[] NOT NULL,
    label_column   text NOT NULL,
    version_column text,
    started        text
);

-- Why a change is refused: the parts of an error. `column_name` may be null.
CREATE TYPE electric.fault AS (code text, message text, detail text, hint text, column_name text);

-- What a tool calls a migration, and the version that follows from it. Both may be null.
CREATE TYPE electric.migration_name AS (label text, version text, framework text);

-- As step 3: nobody but the owner reads them, whatever ALTER DEFAULT PRIVILEGES has granted.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT DISTINCT c.oid::regclass AS relation, acl.grantee
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        WHERE c.relnamespace = 'electric'::regnamespace AND acl.grantee <> c.relowner
          AND c.relname IN ('indexes', 'migrations', 'head', 'membership', 'pending', 'pending_n_seq', 'frameworks')
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', granted.relation,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC'
                       ELSE quote_ident(pg_get_userbyid(granted.grantee)) END);
    END LOOP;
END
$$;
