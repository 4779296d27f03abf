-- The electrified tables.

-- A table is known by its schema and name, which survive dump and restore. `relid` caches its oid:
-- a row counts only while the two agree, so a row whose table was dropped or restored is stale.
CREATE TABLE electric.tables (
    nsp            text NOT NULL,
    name           text NOT NULL,
    relid          oid NOT NULL UNIQUE,
    snapshot       jsonb, -- catalog facts of the table as last captured; nothing captures yet
    electrified_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (nsp, name)
);

-- SQLite has one namespace and ignores the case of ASCII letters in it. The index also makes two
-- transactions that electrify such a pair at once wait for each other.
CREATE UNIQUE INDEX tables_name_ignoring_case ON electric.tables (lower(name COLLATE "C"));

-- Why a table cannot be electrified: the parts of an error. `column_name` may be null.
CREATE TYPE electric.refusal AS (message text, detail text, hint text, column_name text);
