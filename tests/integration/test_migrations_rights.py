"""Who may do what: owners, roles taken on, a hostile search_path, and those who come without the proxy."""

import unittest

from tests.support.migrations import MigrationTest, error_of, extended

# Each of these would run instead of the built-in of its name if a name were looked up carelessly.
TRAP_FUNCTIONS = {
    "current_setting": ("text", "text"), "set_config": ("text, text, boolean", "text"), "format": ("text", "text"),
    "lower": ("text", "text"), "to_regclass": ("text", "regclass"), "pg_has_role": ("name, oid, text", "boolean"),
    "quote_ident": ("text", "text"), "parse_ident": ("text", "text[]"), "length": ("text", "integer"),
    "current_query": ("", "text"), "clock_timestamp": ("", "timestamptz"), "sha256": ("bytea", "bytea"),
    "pg_get_expr": ("pg_node_tree, oid", "text"), "format_type": ("oid, integer", "text"), "cut": ("text, integer", "text"),
    "jsonb_array_elements": ("jsonb", "SETOF jsonb"), "pg_backend_pid": ("", "integer"), "convert_to": ("text, name", "bytea"),
    "pg_current_xact_id": ("", "xid8"), "unnest": ("oid[]", "SETOF oid"), "enable_table": ("oid", "void"),
    "claim": ("text, boolean", "oid"), "snapshot": ("oid", "jsonb"), "regexp_replace": ("text, text, text", "text"),
}
TRAP_OPERATORS = (("=", "text, text", "boolean"), ("=", "oid, oid", "boolean"), ("=", "name, name", "boolean"),
                  ("=", "name, text", "boolean"), ("=", '"char", "char"', "boolean"), ("=", "jsonb, jsonb", "boolean"),
                  ("<>", "text, text", "boolean"), ("<>", "jsonb, jsonb", "boolean"), ("<>", '"char", "char"', "boolean"),
                  ("||", "text, text", "text"), ("||", "jsonb, jsonb", "jsonb"), ("->", "jsonb, text", "jsonb"),
                  ("->>", "jsonb, text", "text"), ("~", "text, text", "boolean"), (">", "integer, integer", "boolean"),
                  ("+", "bigint, integer", "bigint"), ("-", "text, text", "text"))


def traps():
    """Functions and operators of the schema `evil`, which only raise."""
    body = "LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$"
    for name, (arguments, result) in TRAP_FUNCTIONS.items():
        yield f"CREATE FUNCTION evil.{name}({arguments}) RETURNS {result} {body}"
    for i, (operator, arguments, result) in enumerate(TRAP_OPERATORS):
        left, right = arguments.split(", ")
        yield f"CREATE FUNCTION evil.o{i}({arguments}) RETURNS {result} {body}"
        yield f"CREATE OPERATOR evil.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = evil.o{i})"


class RightsTest(MigrationTest):
    @classmethod
    def prepare(cls, session):
        session.run("""
            CREATE ROLE owner; CREATE ROLE member IN ROLE owner; CREATE ROLE heir NOINHERIT IN ROLE owner; CREATE ROLE stranger;
            GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC; CREATE TABLE items (id int PRIMARY KEY, a text);
            CREATE TABLE mine (id int PRIMARY KEY, a text); ALTER TABLE mine OWNER TO owner;
            CREATE TABLE "Mine" (id int PRIMARY KEY); ALTER TABLE items ENABLE ELECTRIC; CREATE SCHEMA evil;
            GRANT CREATE, USAGE ON SCHEMA evil TO PUBLIC""")
        for trap in traps():
            session.value(trap)

    def setUp(self):
        super().setUp()
        self.app = self.through()


class Roles(RightsTest):
    """The role a session has taken on counts, not who it logged in as."""

    def test_an_owner_who_is_not_the_installer(self):
        for become in ("SET ROLE owner", "SET SESSION AUTHORIZATION owner", "SET ROLE member"):
            with self.subTest(become):
                self.app.run(f"{become}; ALTER TABLE mine ENABLE ELECTRIC; ALTER TABLE mine ADD COLUMN c int;"
                             "CREATE INDEX i ON mine (a); DROP INDEX i")
                self.assert_refused("EX010", "ALTER TABLE mine DROP a", self.app)
                self.assert_refused("EX004", "DROP TABLE mine", self.app)
                self.app.run("ALTER TABLE mine DISABLE ELECTRIC; ALTER TABLE mine DROP c")
                self.app.run("RESET ROLE; RESET SESSION AUTHORIZATION")
                self.assert_captured("create_table", "add_column", "create_index", "drop_index", "disable_table")
                self.before = self.head()

    def test_who_does_not_own_the_table(self):
        for become in ("SET ROLE stranger", "SET SESSION AUTHORIZATION stranger", "SET SESSION AUTHORIZATION heir"):
            self.app.value(become)
            for sql in ("ALTER TABLE items ENABLE ELECTRIC", "ALTER TABLE items DISABLE ELECTRIC", "ELECTRIC ENABLE mine",
                        "CALL electric.enable('mine')", "ALTER TABLE mine ADD c int", "ELECTRIC SQLITE 'SELECT 1'",
                        "ELECTRIC GRANT SELECT ON items TO 'reader'"):
                with self.subTest(f"{become}; {sql}"):
                    for ask in (self.app.query, lambda text: extended(self.app, text)):
                        self.assertEqual(error_of(ask(sql))["C"], "42501")
            self.app.run("RESET ROLE; RESET SESSION AUTHORIZATION")
        self.assert_captured()

    def test_the_role_of_a_function(self):
        """What a SECURITY DEFINER function may change it may; to enable is up to who calls."""
        self.app.run("SET ROLE owner; ALTER TABLE mine ENABLE ELECTRIC")
        for name, sql in (("grow", "ALTER TABLE mine ADD grown int"), ("enable", "CALL electric.enable(''mine'')"),
                          ("disable", "CALL electric.disable(''mine'')")):
            self.app.value(f"CREATE FUNCTION {name}_mine() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN {sql}; END'")
        self.app.run("RESET ROLE; SET ROLE stranger; SELECT grow_mine()")
        for name in ("enable", "disable"):
            self.assertIn("SECURITY DEFINER", self.assert_refused("42501", f"SELECT {name}_mine()", self.app)["H"])
        self.assert_captured("create_table", "add_column")

    def test_the_ledger_is_closed(self):
        for become in ("SET ROLE owner", "SET SESSION AUTHORIZATION stranger"):
            self.app.value(become)
            for sql in ("SELECT * FROM electric.settings", "SELECT * FROM electric.migrations", "DELETE FROM electric.tables",
                        "UPDATE electric.head SET seq = 9", "INSERT INTO electric.pending (ops) VALUES ('[]')",
                        "SELECT electric.record('[]', 'x')", "SELECT electric.sweep()", "SELECT electric.set_capture(false)",
                        "DROP TABLE electric.migrations", "DROP EVENT TRIGGER electric_ddl",
                        "SELECT electric.enable_table('items'::regclass::oid)", "CREATE TABLE electric.mine (id int)",
                        "ALTER FUNCTION electric.on_ddl() OWNER TO CURRENT_USER", "SELECT electric.store('{}')"):
                with self.subTest(f"{become}; {sql}"):
                    self.assert_refused("42501", sql, self.app)
            self.app.run("RESET ROLE; RESET SESSION AUTHORIZATION")
        self.assert_captured()

    def test_what_is_noted_of_the_session(self):
        self.through(application_name="tool 1").run(
            "SET SESSION AUTHORIZATION owner; ALTER TABLE mine ENABLE ELECTRIC; RESET SESSION AUTHORIZATION")
        self.assertEqual(self.session.value("SELECT json_build_array(source, application_name) FROM electric.migrations"
                                            f" WHERE seq > {self.before}"), '["proxy", "tool 1"]')


class SearchPath(RightsTest):
    """Names mean what they mean to the caller; nothing of his runs with other people's rights, or at all."""

    def test_functions_and_operators_in_front(self):
        with self.through() as session:
            session.value("SET search_path = evil, pg_catalog")
            for sql in ("SELECT lower('X'::text)", "SELECT 'a'::text = 'b'::text", "SELECT '{}'::jsonb || '{}'::jsonb"):
                self.assertIn("trapped as postgres", self.assert_refused("P0001", sql, session)["M"])
        for become in ("RESET ROLE", "SET ROLE owner"):
            with self.subTest(become):
                self.app.run(f"{become}; SET search_path = evil, pg_catalog, public; ALTER TABLE mine ENABLE ELECTRIC;"
                             "ALTER TABLE mine ADD COLUMN c int; BEGIN; CREATE INDEX i ON mine (c); SET CONSTRAINTS ALL IMMEDIATE;"
                             "COMMIT; ALTER TABLE IF EXISTS public.mine ENABLE ELECTRIC; ALTER TABLE IF EXISTS nowhere ENABLE ELECTRIC;"
                             "CALL electric.migration_version('1')")
                self.assert_refused("EX010", "ALTER TABLE mine DROP a", self.app)
                self.assert_refused("EX004", "DROP TABLE mine", self.app)
                self.assert_refused("42P01", "ALTER TABLE nowhere ENABLE ELECTRIC", self.app)
                self.assert_refused("42P01", "ELECTRIC DISABLE evil.mine", self.app)
                self.app.run("CREATE TABLE public.bad (id int, PRIMARY KEY (id), CHECK (true)); DROP INDEX i")
                self.assert_refused("P0001", "ALTER TABLE bad ENABLE ELECTRIC", self.app)
                self.app.run("DROP TABLE bad; ALTER TABLE mine DISABLE ELECTRIC; ALTER TABLE mine DROP c; RESET ALL; RESET ROLE")
                self.assert_captured("create_table", "add_column", "create_index", "drop_index", "disable_table")
                self.before = self.head()

    def test_grants_and_assignments(self):
        self.app.run("SET search_path = evil, pg_catalog, public; ELECTRIC GRANT ALL ON items TO 'admin';"
                     "ELECTRIC ASSIGN 'admin' TO items.a; ELECTRIC UNASSIGN 'admin' FROM items.a; ELECTRIC REVOKE ALL ON items FROM 'admin'")
        self.assert_captured("grant,grant,grant,grant", "assign", "unassign", "revoke,revoke,revoke,revoke")

    def test_operators_in_front_of_the_ledgers_readers(self):
        with self.beside(options="-c search_path=evil,pg_catalog") as session:
            self.assertEqual(self.session.value("SELECT electric.broken_link(100)"), None)
            for sql in ("SELECT count(*) FROM electric.sweep()", "SELECT count(*) FROM electric.health()",
                        "SELECT electric.broken_link(100)", "CALL electric.rebase()", "CALL electric.note_version()"):
                self.assert_done(sql, session)

    def test_a_table_of_that_name_in_front(self):
        self.app.run("CREATE TABLE evil.mine (id int PRIMARY KEY); SET search_path = evil, public")
        error = self.assert_refused("P0001", "ALTER TABLE mine ENABLE ELECTRIC", self.app)
        self.assertIn("evil", str(error))
        self.app.run("ALTER TABLE mine ADD x int; DROP TABLE mine; ALTER TABLE public.mine ENABLE ELECTRIC")
        self.assertEqual(self.session.electrified(), ["items", "mine"])
        self.assert_captured("create_table")

    def test_a_temporary_table_of_that_name(self):
        self.app.run("CREATE TEMP TABLE items (id int PRIMARY KEY)")
        self.assert_refused("P0001", "ALTER TABLE items ENABLE ELECTRIC", self.app)
        self.app.run("ALTER TABLE items ADD x int; DROP TABLE items; ALTER TABLE items ADD y int")
        self.assert_captured("add_column")

    def test_temporary_objects_do_not_hide_the_engines(self):
        self.app.run("CREATE TEMP TABLE pg_class (oid oid, relname name); CREATE TEMP TABLE settings (name text, value text);"
                     "CREATE TEMP TABLE tables (nsp text, name text); CREATE TEMP TABLE pg_attribute (attname name);"
                     "ALTER TABLE mine ENABLE ELECTRIC; ALTER TABLE mine ADD c int")
        self.assert_refused("EX010", "ALTER TABLE mine DROP a", self.app)
        self.assert_captured("create_table", "add_column")

    def test_names_as_they_are_quoted(self):
        self.app.run('ALTER TABLE "Mine" ENABLE ELECTRIC')
        self.assertEqual(self.session.electrified(), ["Mine", "items"])
        self.assert_captured("create_table")


class Direct(RightsTest):
    """Beside the proxy the table is closed, and only the table."""

    def sessions(self):
        """Directly, directly with a mark that is wrong, and through the proxy but as one it does not look at."""
        return [self.beside(), self.beside(options="-c electric.proxied=guess"), self.through(user="transparent")]

    def test_additions_are_refused(self):
        for session in self.sessions():
            for sql in ("ALTER TABLE items ADD c int", "CREATE INDEX i ON items (a)", "DO 'BEGIN ALTER TABLE items ADD c int; END'",
                        "SET electric.proxied = 'x'; ALTER TABLE items ADD c int", "CREATE INDEX CONCURRENTLY i ON items (a)"):
                with self.subTest(sql):
                    error = self.assert_refused("EX020", sql, session)
                    self.assertEqual((error["s"], error["t"]), ("public", "items"))
            session.run("DROP INDEX i")  # Postgres had committed it, not yet valid, before it was refused
        self.assert_captured()

    def test_what_nobody_may_do_has_its_own_code(self):
        for session in self.sessions():
            for code, sql in (("EX004", "DROP TABLE items"), ("EX010", "ALTER TABLE items DROP a"),
                              ("EX002", "ALTER TABLE items RENAME TO things"), ("EX004", "DROP SCHEMA public CASCADE")):
                self.assert_refused(code, sql, session)
        self.assert_captured()

    def test_the_rest_is_open(self):
        for session in self.sessions():
            session.run("INSERT INTO items VALUES (1, 'a'); UPDATE items SET a = 'b'; DELETE FROM items; TRUNCATE items;"
                        "CREATE TABLE t (id int); ALTER TABLE t ADD c int; CREATE INDEX ON t (c); DROP TABLE t;"
                        "COMMENT ON TABLE items IS 'x'; VACUUM items; GRANT SELECT ON items TO stranger;"
                        "ALTER TABLE items ADD COLUMN IF NOT EXISTS a text; CREATE VIEW w AS SELECT * FROM items; DROP VIEW w")
        self.assert_captured()

    def test_enable_and_disable_by_call(self):
        direct = self.beside()
        direct.run("CALL electric.enable('mine'); CALL electric.disable('mine')")
        self.assert_captured("create_table", "disable_table")


if __name__ == "__main__":
    unittest.main()
