"""ELECTRIC GRANT, REVOKE, ASSIGN, UNASSIGN and SQLITE through electric-proxy: what is stored and published.

LEGACY plays the statements that are known of the legacy proxy, by their numbers; where it did something
else, legacy_differences.py says why.
"""

import json
import unittest

from tests.support import wire
from tests.support.cluster import Cluster
from tests.support.programs import Client, ProgramTest, Server, psql

TABLES = """
    CREATE SCHEMA application; CREATE SCHEMA thing; CREATE SCHEMA private; CREATE SCHEMA "Private"; CREATE SCHEMA "pTw";
    CREATE TABLE projects (id int PRIMARY KEY, owner text);
    CREATE TABLE issues (id int PRIMARY KEY, title text, description text, project_id int REFERENCES projects);
    CREATE TABLE comments (id int PRIMARY KEY, issue_id int REFERENCES issues, other int);
    CREATE TABLE project_members (id int PRIMARY KEY, user_id text, role text, project_id int REFERENCES projects);
    CREATE TABLE user_roles (id int PRIMARY KEY, user_id text, role_name text);
    CREATE TABLE application.user_roles (id int PRIMARY KEY, user_id text, role_name text);
    CREATE TABLE users (id int PRIMARY KEY, user_id text);
    CREATE TABLE admin_users (id int PRIMARY KEY, user_id text);
    CREATE TABLE user_permissions (id int PRIMARY KEY, user_id text, role text);
    CREATE TABLE deliveries (id int PRIMARY KEY, driver_id text);
    CREATE TABLE t (id int PRIMARY KEY, a int);
    CREATE TABLE application.aaa (id int PRIMARY KEY);
    CREATE TABLE "pTw".cjd (id int PRIMARY KEY, twi text, aaa int REFERENCES application.aaa);
    CREATE TABLE thing.projects (id int PRIMARY KEY);
    CREATE TABLE thing."Köln_en$ts" (id int PRIMARY KEY, status text, name text, issue_id int,
                                     project_id int REFERENCES projects);
    CREATE TABLE thing."köln_en$ts" (id int PRIMARY KEY, status text, name text, project_id int REFERENCES projects,
                                     thing_id int REFERENCES thing.projects);
    CREATE TABLE thing.captain (id int PRIMARY KEY); CREATE TABLE "Thing" (id int PRIMARY KEY);
    CREATE TABLE thing."''yeks" (id int PRIMARY KEY);
    CREATE ROLE owner; CREATE ROLE stranger;
    GRANT USAGE ON SCHEMA public TO owner, stranger;
    CREATE TABLE owned (id int PRIMARY KEY, project_id int REFERENCES projects);
    ALTER TABLE owned OWNER TO owner"""

ISSUES_OF_PROJECTS = 'ALTER TABLE thing."Köln_en$ts" DROP COLUMN project_id, ADD FOREIGN KEY (issue_id) REFERENCES projects'
EVERYTHING = ("delete", "insert", "select", "update")


def grant(table, privilege="select", role="admin", schema="public", scope=None, column="*", path=(), check=None,
          special=False):
    scope_schema, _, scope_table = ("..." if scope is None else scope).rpartition(".")
    return {"nsp": schema, "table_name": table, "privilege": privilege, "special": special, "role": role,
            "scope_nsp": "" if scope is None else scope_schema, "scope_name": scope_table, "column_name": column,
            "path": list(path), "check_expr": check}


def assigned(table, column="user_id", role="", role_column="", schema="public", scope=None, path=(), check=None):
    scope_schema, _, scope_table = ("..." if scope is None else scope).rpartition(".")
    return {"nsp": schema, "table_name": table, "user_column": column, "role": role, "role_column": role_column,
            "scope_nsp": "" if scope is None else scope_schema, "scope_name": scope_table, "path": list(path),
            "if_expr": check}


def house(privilege="update", table="köln_en$ts", role="house.admin", **more):
    return grant(table, privilege, role, "thing", **more)


OF_PROJECTS = {"scope": "public.projects", "path": ["project_id"]}
GRANT_ALL = "ELECTRIC GRANT ALL ON thing.Köln_en$ts TO 'projects:house.admin'"

# (id, statements before, statement, rows of electric.grants and electric.assignments, or an SQLSTATE)
LEGACY = [
    ("004", "SET search_path = application", "ELECTRIC ENABLE user_roles;", "P0001"),  # not in schema public
    ("007", "", 'ALTER TABLE "Private"."Items" DISABLE ELECTRIC;', "42P01"),
    ("008", "", "ALTER TABLE Private.Items DISABLE ELECTRIC;", "42P01"),
    ("011", "", "ELECTRIC ASSIGN user_roles.role_name TO user_roles.user_id;",
     [assigned("user_roles", role_column="role_name")]),
    ("012", "", "ELECTRIC ASSIGN application.user_roles.role_name TO application.user_roles.user_id;",
     [assigned("user_roles", role_column="role_name", schema="application")]),
    ("013", "", "ELECTRIC ASSIGN (NuLl, application.user_roles.role_name) TO application.user_roles.user_id;",
     [assigned("user_roles", role_column="role_name", schema="application")]),
    ("015", "", "ELECTRIC ASSIGN (NuLl, Application.User_roles.Role_name) TO Application.user_roles.User_id;",
     [assigned("user_roles", role_column="role_name", schema="application")]),
    ("016", "", "ELECTRIC ASSIGN ( projects, project_members.role) TO project_members.user_id;",
     [assigned("project_members", role_column="role", **OF_PROJECTS)]),
    ("018", "", "electric assign 'projects:' to users.user_id", "42601"),
    ("019", "", "electric assign '' to users.user_id", "42601"),
    ("020", "", "electric assign ':' to users.user_id", "42601"),
    ("023", "SET search_path = application", "ELECTRIC ASSIGN aaa:'gzp' TO \"pTw\".\"cjd\".twi;",
     [assigned("cjd", "twi", "gzp", schema="pTw", scope="application.aaa", path=["aaa"])]),
    ("024", "", "ELECTRIC ASSIGN (NULL, 'admin') TO admin_users.user_id;", [assigned("admin_users", role="admin")]),
    ("025", "", "ELECTRIC ASSIGN (NULL, admin) TO admin_users.user_id;", "42601"),
    ("026", "", "ELECTRIC ASSIGN 'deliveries:driver' TO deliveries.driver_id;",
     [assigned("deliveries", "driver_id", "driver", scope="public.deliveries")]),
    ("028", "", "ELECTRIC ASSIGN deliveries:driver TO deliveries.driver_id;", "42601"),
    ("029", "", "ELECTRIC ASSIGN 'record.reader' TO user_permissions.user_id IF ( can_read_records() )",
     [assigned("user_permissions", role="record.reader", check="can_read_records()")]),
    ("030", "", "ELECTRIC ASSIGN 'record.reader' TO user_permissions.user_id IF ( role = 'reader' );",
     [assigned("user_permissions", role="record.reader", check="role = 'reader'")]),
    ("032", ISSUES_OF_PROJECTS,
     "ELECTRIC GRANT UPDATE (status, name) ON thing.\"Köln_en$ts\" TO 'projects:house.admin' USING issue_id;",
     [house(table="Köln_en$ts", column=column, scope="public.projects", path=["issue_id"])
      for column in ("name", "status")]),
    ("033", "", "ELECTRIC GRANT UPDATE ON thing.\"Köln_en$ts\" TO 'projects:house.admin';",
     [house(table="Köln_en$ts", **OF_PROJECTS)]),
    ("034", "", "ELECTRIC GRANT UPDATE ON thing.Köln_en$ts TO 'projects:house.admin' USING project_id"
     " CHECK (name = 'Paul');", [house(**OF_PROJECTS, check="name = 'Paul'")]),
    ("035", "", "ELECTRIC GRANT ALL ON thing.Köln_en$ts TO 'house.admin';", [house(one) for one in EVERYTHING]),
    ("036", "", "ELECTRIC GRANT READ (title, description) ON issues TO 'projects:member' USING project_id;",
     [grant("issues", role="member", column=column, **OF_PROJECTS) for column in ("description", "title")]),
    ("037", "", "ELECTRIC GRANT SELECT ON comments TO 'projects:owner' USING issue_id/project_id;",
     [grant("comments", role="owner", scope="public.projects", path=["issue_id", "project_id"])]),
    ("039", "", "ELECTRIC GRANT UPDATE ON thing.Köln_en$ts TO 'projects:house.admin' USING project_id"
     " CHECK (name = Paul);", [house(**OF_PROJECTS, check="name = Paul")]),
    ("040", "", "ELECTRIC GRANT ALL PRIVILEGES ON t TO 'admin';", [grant("t", one) for one in EVERYTHING]),
    ("041", "", "ELECTRIC GRANT SELECT, INSERT ON t TO 'admin';", [grant("t", "insert"), grant("t", "select")]),
    ("045", "", "ELECTRIC GRANT SELECT ON t TO projects.owner;", "42601"),
    ("046", "", "ELECTRIC GRANT SELECT ON t TO '';", "42601"),
    ("047", "", "ELECTRIC GRANT SELECT ON t TO 'admin' CHECK (a > 10);", [grant("t", check="a > 10")]),
    ("048", "", "ELECTRIC GRANT SELECT ON t TO 'admin' CHECK (a IS NOT NULL);", [grant("t", check="a IS NOT NULL")]),
    ("049", "", "ELECTRIC GRANT SELECT ON t TO 'admin' CHECK (new.role_name = 'member' OR new.role_name = 'guest');",
     [grant("t", check="new.role_name = 'member' OR new.role_name = 'guest'")]),
    ("051", "", "ELECTRIC GRANT SELECT ON t TO 'admin' CHECK (f(a, b) = 'it''s');",
     [grant("t", check="f(a, b) = 'it''s'")]),
    ("053", f"{GRANT_ALL}; ELECTRIC GRANT ALL ON thing.Köln_en$ts TO 'house.admin'",
     "ELECTRIC REVOKE ALL ON thing.Köln_en$ts FROM 'projects:house.admin';", [house(one) for one in EVERYTHING]),
    ("054", "", "ELECTRIC REVOKE UPDATE ON 'thing.Köln_en$ts' FROM 'projects:house.admin';", "42601"),
    ("055", "ELECTRIC GRANT UPDATE (status, name, id) ON thing.Köln_en$ts TO 'projects:house.admin'",
     "ELECTRIC REVOKE UPDATE (status, name) ON thing.Köln_en$ts FROM 'projects:house.admin';",
     [house(column="id", **OF_PROJECTS)]),
    ("056", "ELECTRIC GRANT UPDATE (status) ON thing.Köln_en$ts TO 'thing.projects:house.admin', 'projects:house.admin'",
     "ELECTRIC REVOKE UPDATE (status, name) ON thing.Köln_en$ts FROM 'thing.projects:house.admin';",
     [house(column="status", **OF_PROJECTS)]),
    ("057", "ELECTRIC ASSIGN 'record.reader' TO user_permissions.user_id",
     "ELECTRIC UNASSIGN 'record.reader' FROM user_permissions.user_id;", []),
    ("058", "ELECTRIC ASSIGN project_members.role TO project_members.user_id",
     "ELECTRIC UNASSIGN project_members.role FROM project_members.user_id;", []),
    ("094", "", "ELECTRIC GRANT SELECT ON thing.Köln_en$ts TO 'admin'", [house("select", role="admin")]),
    ("095", "", "ELECTRIC GRANT SELECT ON ThIng.CaPtain TO 'admin'", [grant("captain", schema="thing")]),
    ("096", "", 'ELECTRIC GRANT SELECT ON "Thing" TO \'admin\'', [grant("Thing")]),
    ("098", "", "ELECTRIC GRANT SELECT ON thing.\"''yeks\" TO 'admin'", [grant("''yeks", schema="thing")]),
    ("099", "", "ELECTRIC GRANT SELECT ON thing.captain TO 'admin'", [grant("captain", schema="thing")]),
    ("100", "", "ELECTRIC GRANT UPDATE ON thing.\"Köln_en$ts\" TO public.projects:'house.admin'",
     [house(table="Köln_en$ts", **OF_PROJECTS)]),
    ("101", GRANT_ALL, GRANT_ALL, [house(one, **OF_PROJECTS) for one in EVERYTHING]),
    ("103", "ELECTRIC GRANT SELECT, UPDATE (status) ON thing.Köln_en$ts TO 'projects:house.admin'",
     "ELECTRIC REVOKE ALL ON thing.Köln_en$ts FROM 'projects:house.admin'", []),
    ("104", GRANT_ALL, "ELECTRIC REVOKE ALL (name) ON thing.Köln_en$ts FROM 'projects:house.admin'",
     [house(one, **OF_PROJECTS) for one in EVERYTHING]),
    ("105", "", "ELECTRIC ASSIGN 'projects:member' TO project_members.user_id IF (hello)",
     [assigned("project_members", role="member", check="hello", **OF_PROJECTS)]),
    ("106", "ELECTRIC ASSIGN (projects, project_members.role) TO project_members.user_id IF (hello)",
     "ELECTRIC UNASSIGN (projects, project_members.role) FROM project_members.user_id", []),
    ("108", "", "ELECTRIC ASSIGN 'projects:admin' TO users.user_id", "42830"),
]

# (statement, rows): beyond what the legacy proxy knew.
GRANTS = [
    ("ELECTRIC GRANT READ, WRITE ON TABLE t TO ANYONE",
     [grant("t", one, "anyone", special=True) for one in EVERYTHING]),
    ("electric grant select on t, issues to 'a', (null, 'b:c'), authenticated",
     [grant(table, role=role, special=special) for table in ("issues", "t")
      for role, special in (("a", False), ("authenticated", True), ("b:c", False))]),
    ("ELECTRIC GRANT SELECT (\"id\", U&\"\\0061\") ON U&\"!0074\" UESCAPE '!' TO E'\\x61dmin'",
     [grant("t", column="a"), grant("t", column="id")]),
    ("ELECTRIC GRANT SELECT -- who\n ON t /* which /* one */ */ TO $role$projects:admin$role$ CHECK ($$a$$ = /* b */ 'c')",
     "42830"),  # t has no foreign key to projects
    ("ELECTRIC GRANT SELECT ON projects TO 'projects:admin'", [grant("projects", scope="public.projects")]),
    ("ELECTRIC GRANT SELECT ON nowhere TO 'admin'", "42P01"),
    ("ELECTRIC GRANT SELECT ON nowhere.t TO 'admin'", "3F000"),
    ("ELECTRIC GRANT SELECT ON t TO 'nowhere:admin'", "42P01"),
    ("ELECTRIC GRANT SELECT (nowhere) ON t TO 'admin'", "42703"),
    ("ELECTRIC GRANT SELECT ON comments TO 'projects:admin' USING nowhere", "42703"),
    ("ELECTRIC GRANT SELECT ON comments TO 'projects:admin' USING issue_id", "42830"),
    ("ELECTRIC GRANT SELECT ON comments TO 'projects:admin' USING other", "42830"),
    ("ELECTRIC GRANT SELECT ON comments TO 'projects:admin'", "42830"),
    ("ELECTRIC ASSIGN 'a' TO users.nowhere", "42703"),
    ("ELECTRIC ASSIGN users.nowhere TO users.user_id", "42703"),
    ("ELECTRIC ASSIGN user_roles.role_name TO users.user_id", "42P10"),
    ("ELECTRIC ASSIGN 'projects:a' TO comments.other USING issue_id/project_id",
     [assigned("comments", "other", "a", scope="public.projects", path=["issue_id", "project_id"])]),
]

ROWS = """
    SELECT coalesce(jsonb_agg(line), '[]') FROM (
        SELECT to_jsonb(g) AS line FROM electric.grants g UNION ALL SELECT to_jsonb(a) FROM electric.assignments a) stored"""


class PermissionTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster(auth="trust"))
        cls.server = cls.start_once(Server(cls.cluster.url(), CAPTURE="true"))
        cls.tunnel = cls.start_once(Client(cls.server.service))
        cls.cluster.psql(TABLES)

    def setUp(self):
        self.session = self.connect()

    def connect(self, **login):
        return self.enterContext(wire.connect("127.0.0.1", self.server.pg_port, self.server.password, **login))

    def extended(self, sql):
        self.session.send(wire.parse(sql), wire.bind(), wire.execute(), wire.sync())
        return self.session.receive_until("Z")

    def run_all(self, script):
        """Statement by statement, because an implicit transaction would hide what COMMIT says; none may fail."""
        for sql in filter(None, script.split("; ")):
            self.assertEqual(self.errors(self.session.query(sql)), [], sql)

    def errors(self, answers):
        return [one.fields() for one in answers if one.type == "E"]

    def tags(self, answers):
        return [one.tag() for one in answers if one.type == "C"]

    def assert_stored(self, expected):
        stored = json.loads(self.session.value(ROWS))
        self.assertEqual(*(sorted(rows, key=lambda row: json.dumps(row, sort_keys=True)) for rows in (stored, expected)))

    def check(self, before, sql, expected, run):
        """In a transaction that is rolled back, so that cases do not meet."""
        self.run_all("ROLLBACK; BEGIN; " + before)
        answers = run(sql)
        if isinstance(expected, str):
            self.assertEqual([error["C"] for error in self.errors(answers)], [expected], answers)
            self.assertEqual(answers[-1].body, b"E")
        else:
            word = sql.split()[1].upper()
            self.assertEqual((self.errors(answers), self.tags(answers)), ([], [f"ELECTRIC {word}"]))
            self.assert_stored(expected)

    # -- statements ----------------------------------------------------------------------------

    def test_what_the_legacy_proxy_knew(self):
        for name, before, sql, expected in LEGACY:
            for run in (self.session.query, self.extended):
                with self.subTest(f"{name} {run.__name__}: {sql}"):
                    self.check(before, sql, expected, run)

    def test_what_it_did_not(self):
        for sql, expected in GRANTS:
            for run in (self.session.query, self.extended):
                with self.subTest(f"{run.__name__}: {sql}"):
                    self.check("", sql, expected, run)


    def test_every_tag_in_psql(self):
        for url in (self.server.url(), self.tunnel.url(self.server.password)):
            done = psql(url, script="""
                CREATE TABLE tagged (id int PRIMARY KEY);
                ALTER TABLE tagged ENABLE ELECTRIC;
                ELECTRIC GRANT ALL ON tagged TO 'admin';
                ELECTRIC ASSIGN 'admin' TO tagged.id;
                ELECTRIC SQLITE '-- a comment;';
                ELECTRIC UNASSIGN 'admin' FROM tagged.id;
                ELECTRIC REVOKE ALL ON tagged FROM 'admin';
                ELECTRIC DISABLE tagged;
                DROP TABLE tagged""")
            self.assertEqual((done.stdout.splitlines(), done.returncode), (
                ["CREATE TABLE", "ELECTRIC ENABLE", "ELECTRIC GRANT", "ELECTRIC ASSIGN", "ELECTRIC SQLITE",
                 "ELECTRIC UNASSIGN", "ELECTRIC REVOKE", "ELECTRIC DISABLE", "DROP TABLE"], 0), done.stderr)

    def test_among_other_statements(self):
        answers = self.session.query("SELECT 1; ELECTRIC GRANT SELECT ON t TO 'a'; SELECT 2; ELECTRIC REVOKE ALL ON t FROM 'a';"
                                     "CALL electric.sqlite('x'); ELECTRIC SQLITE $$y;$$; SELECT 3")
        self.assertEqual(self.tags(answers), ["SELECT 1", "ELECTRIC GRANT", "SELECT 1", "ELECTRIC REVOKE", "CALL",
                                              "ELECTRIC SQLITE", "SELECT 1"])
        self.assert_stored([])

    def test_one_mistake_among_others_undoes_them(self):
        answers = self.session.query("ELECTRIC GRANT SELECT ON t TO 'a'; ELECTRIC GRANT SELECT ON t TO ''")
        self.assertEqual(([error["C"] for error in self.errors(answers)], self.tags(answers)), (["42601"], []))
        answers = self.session.query("ELECTRIC GRANT SELECT ON t TO 'a'; ELECTRIC GRANT SELECT (nowhere) ON t TO 'a'")
        self.assertEqual(([error["C"] for error in self.errors(answers)], self.tags(answers)), (["42703"], ["ELECTRIC GRANT"]))
        self.assert_stored([])

    def test_transactions_and_savepoints(self):
        self.run_all("BEGIN; ELECTRIC GRANT SELECT ON t TO 'a'; SAVEPOINT s; ELECTRIC GRANT INSERT ON t TO 'a'; ROLLBACK TO s")
        self.assert_stored([grant("t", role="a")])
        self.assertEqual([error["C"] for error in self.errors(self.session.query("ELECTRIC GRANT SELECT ON nowhere TO 'a'"))],
                         ["42P01"])
        self.run_all("ROLLBACK TO s; ELECTRIC ASSIGN 'a' TO users.user_id; ROLLBACK")
        self.assert_stored([])

    def test_a_statement_prepared_once(self):
        self.session.send(wire.parse("ELECTRIC GRANT SELECT ON t TO 'a'", "g"), wire.parse("ELECTRIC REVOKE ALL ON t FROM 'a'", "r"),
                          wire.sync())
        self.session.receive_until("Z")
        for _ in range(2):
            for name, tag, rows in (("g", "ELECTRIC GRANT", [grant("t", role="a")]), ("r", "ELECTRIC REVOKE", [])):
                self.session.send(wire.bind("", name), wire.execute(), wire.sync())
                self.assertEqual(self.tags(self.session.receive_until("Z")), [tag])
                self.assert_stored(rows)

    # -- names and literals --------------------------------------------------------------------

    def test_roles_of_any_characters(self):
        for literal, role in (("'it''s \\ \"x\" {'", 'it\'s \\ "x" {'), ("E'\\x01\\t\\n\\\\\\'\\u20ac'", "\x01\t\n\\'€"),
                              ("U&'\\00f6\\+01F600'", "ö😀"), ("E'\\ud83d\\ude00\\xc3\\266'", "😀ö"), ("'a' \n 'b'", "ab"),
                              ("$x$a'$$'$x$", "a'$$'"), ("'\x7f\x1f\v€😀'", "\x7f\x1f\v€😀"), ("N'n'", "n")):
            with self.subTest(literal):
                self.check("", f"ELECTRIC GRANT SELECT ON t TO (NULL, {literal})", [grant("t", role=role)], self.session.query)

    def test_a_check_as_it_was_written(self):
        text = "\"A\" = E'\\n\\\\' -- it's ( \n\t AND f('{\"a\": \\b}', $$)$$) >= '€'"
        self.check("", f"ELECTRIC GRANT SELECT ON t TO 'admin' CHECK (  {text} /* end */ )", [grant("t", check=text)],
                   self.session.query)

    def test_standard_conforming_strings_off(self):
        self.run_all("SET standard_conforming_strings = off")
        for literal, role in ((r"'it\'s \\'", "it's \\"), (r"$$a\'$$", "a\\'")):
            self.check("", f"ELECTRIC GRANT SELECT ON t TO {literal}", [grant("t", role=role)], self.session.query)

    def test_another_client_encoding(self):
        self.run_all("BEGIN; SET client_encoding = 'LATIN1'")
        for sql in ("ELECTRIC GRANT SELECT ON thing.k\xf6ln_en$ts TO '\xe4'", "ELECTRIC GRANT INSERT ON U&\"k\\00f6ln_en$ts\" TO U&'\\20ac'"):
            self.run_all("SET search_path = thing")
            self.session.send(wire.message("Q", sql.encode("latin-1") + b"\0"))
            self.assertEqual(self.errors(self.session.receive_until("Z")), [])
        self.run_all("SET client_encoding = 'UTF8'")
        self.assert_stored([house("select", role="ä"), house("insert", role="€")])
        self.run_all("ROLLBACK")

    def test_a_list_of_a_megabyte(self):
        roles = ",".join(f"'{i:06}'" for i in range(20_000))
        padding = "/* " + "x" * 900_000 + " */"
        answers = self.session.query(f"BEGIN; ELECTRIC GRANT SELECT ON t TO {padding} {roles}; SELECT count(*) FROM electric.grants;"
                                     "ROLLBACK", timeout=60)
        self.assertEqual([one.row() for one in answers if one.type == "D"], [[b"20000"]], self.errors(answers))

    # -- rights ----------------------------------------------------------------------------------

    def test_owners_and_others(self):
        for role, sqlstate in (("owner", None), ("stranger", "42501")):
            for sql in ("ELECTRIC GRANT SELECT ON owned TO 'projects:admin'", "ELECTRIC REVOKE SELECT ON owned FROM 'projects:admin'",
                        "ELECTRIC ASSIGN 'projects:admin' TO owned.id", "ELECTRIC UNASSIGN 'projects:admin' FROM owned.id"):
                with self.subTest(f"{role}: {sql}"):
                    self.run_all(f"BEGIN; SET LOCAL ROLE {role}")
                    errors = self.errors(self.session.query(sql))
                    self.assertEqual([error["C"] for error in errors], [sqlstate] if sqlstate else [])
                    self.run_all("ROLLBACK")
        self.run_all("BEGIN; SET LOCAL ROLE owner")
        for sql in ("ELECTRIC GRANT SELECT ON owned, t TO 'a'", "ELECTRIC SQLITE 'x'"):
            self.run_all("SAVEPOINT s")
            self.assertEqual([error["C"] for error in self.errors(self.session.query(sql))], ["42501"])
            self.run_all("ROLLBACK TO s")
        self.run_all("ROLLBACK")

    def test_a_hostile_search_path(self):
        """Nothing that we call is found by name in a schema of the caller's."""
        self.run_all("""BEGIN; CREATE SCHEMA hostile; CREATE DOMAIN hostile.jsonb AS text CHECK (false);
            CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (false); CREATE DOMAIN hostile.oid AS pg_catalog.oid CHECK (false);
            CREATE FUNCTION hostile.fail(pg_catalog.text) RETURNS pg_catalog.text[] LANGUAGE sql AS 'SELECT ARRAY[(1/0)::pg_catalog.text]';
            CREATE FUNCTION hostile.parse_ident(pg_catalog.text) RETURNS pg_catalog.text[] LANGUAGE sql AS 'SELECT hostile.fail($1)';
            CREATE FUNCTION hostile.jsonb_array_elements_text(pg_catalog.jsonb) RETURNS SETOF pg_catalog.text LANGUAGE sql AS 'SELECT (hostile.fail(NULL))[1]';
            CREATE FUNCTION hostile.fails(pg_catalog.jsonb, pg_catalog.text) RETURNS pg_catalog.jsonb LANGUAGE sql AS 'SELECT (1/0)::pg_catalog.text::pg_catalog.jsonb';
            CREATE OPERATOR hostile.-> (LEFTARG = pg_catalog.jsonb, RIGHTARG = pg_catalog.text, FUNCTION = hostile.fails);
            CREATE TABLE hostile.issues (id int PRIMARY KEY);
            SET search_path = hostile, pg_catalog, public""".replace(";\n", "; "))
        for sql in ("ELECTRIC GRANT SELECT (title) ON public.issues TO 'projects:a' CHECK (x)", "ELECTRIC GRANT SELECT ON issues TO 'b'",
                    "ELECTRIC ASSIGN project_members.role TO project_members.user_id", "ELECTRIC SQLITE 'x'"):
            answers = self.session.query(sql)
            self.assertEqual(self.errors(answers), [], sql)
        self.run_all("SET search_path = public")
        self.assert_stored([grant("issues", role="a", column="title", check="x", **OF_PROJECTS),
                            grant("issues", schema="hostile", role="b"), assigned("project_members", role_column="role")])
        self.run_all("ROLLBACK")

    # -- what others see -------------------------------------------------------------------------

    def test_what_is_published(self):
        head = self.session.value("SELECT seq FROM electric.head")
        self.run_all("BEGIN; ELECTRIC GRANT READ ON t TO 'a'; ELECTRIC ASSIGN 'a' TO users.user_id; ELECTRIC SQLITE 'b'; COMMIT")
        self.addCleanup(self.run_all, "ELECTRIC REVOKE ALL ON t FROM 'a'; ELECTRIC UNASSIGN 'a' FROM users.user_id")
        ops = json.loads(self.session.value(f"SELECT jsonb_agg(ops) FROM electric.migrations WHERE seq > {head}"))
        self.assertEqual(ops, [[
            {"op": "grant", "schema": "public", "table": "t", "privilege": "select", "role": "a", "special": False},
            {"op": "assign", "schema": "public", "table": "users", "user_column": "user_id", "role": "a"},
            {"op": "sqlite", "statements": "b"}]])

    def test_a_table_that_is_not_electrified_is_a_warning(self):
        answers = self.session.query("BEGIN; ELECTRIC GRANT READ ON t TO 'a'; ROLLBACK")
        self.assertEqual([(one.fields()["C"], one.fields()["M"]) for one in answers if one.type == "N"],
                         [("01000", "table public.t is not electrified")])

    def test_a_table_with_permissions_stays_electrified(self):
        self.run_all("BEGIN; CREATE TABLE kept (id int PRIMARY KEY); ELECTRIC ENABLE kept; ELECTRIC GRANT READ ON kept TO 'a'")
        error, = self.errors(self.session.query("ELECTRIC DISABLE kept"))
        self.assertEqual((error["C"], error["D"]), ("2BP01", "select on table public.kept is granted to 'a'"))
        self.run_all("ROLLBACK")



if __name__ == "__main__":
    unittest.main()
