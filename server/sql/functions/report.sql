-- What the server asks every few minutes, and shows.

-- What is wrong with tables, and what the sweep has done about them. Detail and hint are for people.
CREATE OR REPLACE FUNCTION electric.sweep_report() RETURNS TABLE (problem boolean, item text, detail text, hint text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT s.state IN ('drift', 'leftover'), 'table ' || electric.title(s.nsp, s.name),
            CASE s.state WHEN 'drift' THEN 'it was changed beside the proxy in a way that clients cannot follow: ' || s.message
                         WHEN 'leftover' THEN split_part(s.message, ': ', 1)
                         WHEN 'captured' THEN 'changes made beside the proxy are captured'
                         ELSE 'it was changed while nothing was captured, and ' || CASE s.state WHEN 'removed' THEN 'left the set' ELSE 'joined it anew' END || ': ' || s.message END,
            CASE s.state WHEN 'drift' THEN format('Change it back, or run ALTER TABLE %1$s DISABLE ELECTRIC; and ENABLE ELECTRIC;',
                                                  electric.title(s.nsp, s.name))
                         WHEN 'leftover' THEN 'Run ' || split_part(s.message, ': ', 2) END
        FROM electric.sweep() s WHERE s.state <> 'busy';
END
$$;
