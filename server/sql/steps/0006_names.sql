-- One namespace for the tables and indexes of clients, and what tells cheaply that a table has changed.

-- SQLite has one namespace for both, and ignores case in it. The unique index makes two transactions
-- that would take such a pair at once wait for each other.
DROP INDEX electric.indexes_name_ignoring_case;
ALTER TABLE electric.indexes RENAME TO names;
ALTER INDEX electric.indexes_table RENAME TO names_table;
INSERT INTO electric.names (nsp, name, table_name)
    SELECT t.nsp, t.name, t.name FROM electric.tables t WHERE t.snapshot IS NOT NULL;
DELETE FROM electric.names a USING electric.names b
WHERE lower(a.name COLLATE "C") = lower(b.name COLLATE "C") AND a.name <> a.table_name
  AND (b.name = b.table_name OR a.name COLLATE "C" > b.name COLLATE "C");
CREATE UNIQUE INDEX names_ignoring_case ON electric.names (lower(name COLLATE "C"));

-- Changes with every catalog row that the snapshot of the table is made of; only compared, so null and
-- a value from before a restore do no harm.
ALTER TABLE electric.tables ADD COLUMN fingerprint bigint;

-- Transactions that were open when capture was switched on and have not ended since, separated by
-- spaces; `new` before they have been looked up.
INSERT INTO electric.settings (name, value) VALUES ('open_before', '');

-- These have other parameters now.
DROP FUNCTION IF EXISTS electric.take_note();
DROP FUNCTION IF EXISTS electric.framework_tables();
DROP PROCEDURE IF EXISTS electric.capture();
DROP FUNCTION IF EXISTS electric.capture_changes();
DROP FUNCTION IF EXISTS electric.store(jsonb);
DROP FUNCTION IF EXISTS electric.sweep_table(electric.tables);
