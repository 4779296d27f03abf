-- What the scripts find in the database. They leave it as it is.
CREATE TABLE items (id int PRIMARY KEY, name text, price numeric(10,2), tags text[], made timestamptz);
INSERT INTO items VALUES
    (1, 'lamp', 12.50, '{light,home}', '2024-01-01 00:00+00'),
    (2, 'fuse', 0.99, '{}', '2024-02-29 12:30:45.678901+00'),
    (3, 'übergröße €', NULL, NULL, NULL),
    (4, NULL, -1, '{NULL,"a,b"}', 'infinity'),
    (5, 'electric kettle', 30, '{electric}', '2024-06-30 23:59:59+00');
CREATE TABLE empty (id int);
CREATE TABLE "electric bill" ("ENABLE ELECTRIC" int, electric text);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE 'noisy %', n USING DETAIL = 'a detail', HINT = 'a hint';
    RETURN n;
END $$;
CREATE FUNCTION fails() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'it fails' USING ERRCODE = 'EX999', DETAIL = 'a detail', HINT = 'a hint',
        SCHEMA = 's', TABLE = 't', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd';
END $$;
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
BEGIN
    PERFORM noisy(1);
    COMMIT;
    PERFORM noisy(2);
END $$;
CREATE PROCEDURE gives_back(INOUT a int, INOUT b text) LANGUAGE plpgsql AS $$
BEGIN
    a := a + 1;
    b := b || '!';
END $$;
