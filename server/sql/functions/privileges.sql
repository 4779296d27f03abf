-- Last: the public may call the entry points and what these call with the caller's rights, no more.

REVOKE ALL ON SCHEMA electric FROM PUBLIC;
GRANT USAGE ON SCHEMA electric TO PUBLIC;

REVOKE ALL ON ALL TABLES IN SCHEMA electric FROM PUBLIC;
REVOKE ALL ON ALL ROUTINES IN SCHEMA electric FROM PUBLIC;

GRANT EXECUTE ON PROCEDURE
    electric.enable(text, boolean),
    electric.disable(text, boolean),
    electric.electrify(text),
    electric.electrify(text, text),
    electric.migration_version(text),
    electric.refuse_unique_index(text),
    electric.note_version(),
    electric.capture(boolean),
    electric.capture_statement(text, boolean),
    electric.grant_privileges(jsonb),
    electric.revoke_privileges(jsonb),
    electric.assign_role(jsonb),
    electric.unassign_role(jsonb),
    electric.sqlite(text)
TO PUBLIC;

GRANT EXECUTE ON FUNCTION
    electric.claim(text, boolean),
    electric.is_created_here(oid),
    electric.is_own_xid(xid),
    electric.report_missing(text, boolean),
    electric.refuse_owner(text, text),
    electric.refuse_isolation(text),
    electric.enable_table(oid),
    electric.disable_table(oid),
    electric.set_version(text),
    electric.check_unique_index(oid),
    electric.take_note(name[]),
    electric.capture_changes(boolean),
    electric.find_scope(text),
    electric.resolve_command(jsonb),
    electric.store_grants(jsonb),
    electric.delete_grants(jsonb),
    electric.store_assignment(jsonb),
    electric.delete_assignment(jsonb),
    electric.publish_sqlite(text)
TO PUBLIC;
