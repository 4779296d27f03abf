-- What every case of legacy_cases.tsv starts from; `truths` is then electrified.
CREATE TABLE truths (id uuid PRIMARY KEY, value text, something text, hat text);
CREATE INDEX truths_idx ON truths (value);
CREATE FUNCTION do_nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER my_totally_valid_trigger BEFORE INSERT ON truths FOR EACH ROW EXECUTE FUNCTION do_nothing();
CREATE TABLE socks (id uuid PRIMARY KEY, value text, something text);
CREATE TABLE underwear (id uuid PRIMARY KEY, dirty boolean);
CREATE INDEX underwear_idx ON underwear (dirty);
CREATE TABLE data (colour text, amount integer, value numeric);
