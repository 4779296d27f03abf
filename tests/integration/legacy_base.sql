-- What every case of legacy_cases.tsv starts from; and, below, what those add whose setup says `@name`.
CREATE TABLE truths (id uuid PRIMARY KEY, value text, something text, hat text);
CREATE INDEX truths_idx ON truths (value);
CREATE FUNCTION do_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER my_totally_valid_trigger BEFORE INSERT ON truths FOR EACH ROW EXECUTE FUNCTION do_nothing();
CREATE TABLE socks (id uuid PRIMARY KEY, value text, something text);
CREATE TABLE underwear (id uuid PRIMARY KEY, dirty boolean);
CREATE INDEX underwear_idx ON underwear (dirty);
CREATE TABLE data (colour text, amount integer, value numeric);
CALL electric.enable('truths');

-- @rules
CREATE TABLE projects (id uuid PRIMARY KEY);
CREATE TABLE rules (id uuid PRIMARY KEY, status text, name text, project_id uuid REFERENCES projects);
CALL electric.enable('projects');
CALL electric.enable('rules');

-- @flowers
CREATE TABLE buttercup (id int PRIMARY KEY, value text);
CREATE TABLE daisy (id int PRIMARY KEY, value text);
CALL electric.enable('buttercup');

-- @fish
CREATE SCHEMA other;
CREATE TABLE fish (id uuid PRIMARY KEY, value text);
CREATE TABLE other.fish (id text PRIMARY KEY, value text);
CALL electric.enable('public.fish');

-- @ecto
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp(0));

-- @gen
CREATE TABLE gen (id int PRIMARY KEY, v text);
CALL electric.enable('gen');

-- @databases
CREATE TABLE atdatabases_migrations_applied (
    id bigserial PRIMARY KEY, index bigint NOT NULL, name text NOT NULL, script text NOT NULL,
    applied_at timestamptz NOT NULL, ignored_error text, obsolete boolean NOT NULL);

-- @prisma
CREATE TABLE _prisma_migrations (
    id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL, finished_at timestamptz,
    migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
