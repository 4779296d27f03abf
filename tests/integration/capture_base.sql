-- The database that every row of capture_cases.tsv starts from.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE comp AS (x int, y text);
CREATE TABLE lists (id uuid PRIMARY KEY, title text);
CREATE TABLE items (id int PRIMARY KEY, a text NOT NULL, b int, m mood, list_id uuid REFERENCES lists (id) ON DELETE CASCADE);
CREATE INDEX items_a_idx ON items (a);
CREATE INDEX items_b_key ON items (b);
CREATE TABLE plain (id int PRIMARY KEY, v text);
CREATE INDEX plain_v ON plain (v);
CREATE TABLE part (id int, d text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TRIGGER tr BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION tf();
INSERT INTO items VALUES (1, 'x', 1, 'ok', NULL);
GRANT CREATE, USAGE ON SCHEMA public TO dev;
CALL electric.enable('lists');
CALL electric.enable('items');
