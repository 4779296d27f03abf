-- What users call. Thin on purpose: names and rights are the caller's here, so there is no SET clause
-- and everything is qualified.

CREATE OR REPLACE PROCEDURE electric.enable(name text, if_exists boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid := electric.claim(name, if_exists);
BEGIN
    IF relation IS NOT NULL THEN
        PERFORM electric.enable_table(relation);
    END IF;
END
$$;

CREATE OR REPLACE PROCEDURE electric.disable(name text, if_exists boolean DEFAULT false)
LANGUAGE plpgsql
AS $$
DECLARE
    relation pg_catalog.oid := electric.claim(name, if_exists);
BEGIN
    IF relation IS NOT NULL THEN
        PERFORM electric.disable_table(relation);
    END IF;
END
$$;

-- The name that the first versions of this product used.
CREATE OR REPLACE PROCEDURE electric.electrify(name text)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL electric.enable(name);
END
$$;

-- The two names as they are: not folded to lower case, quotes not needed.
CREATE OR REPLACE PROCEDURE electric.electrify(schema_name text, table_name text)
LANGUAGE plpgsql
AS $$
BEGIN
    CALL electric.enable(pg_catalog.format('%I.%I', schema_name, table_name));
END
$$;
