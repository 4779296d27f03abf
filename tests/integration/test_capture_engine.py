"""The capture engine: marked sessions, operations, messages, rights, switching on, health."""

import json
import threading
import unittest

from tests.integration.test_capture import EngineTest
from tests.support import wire
from tests.support.process import wait_until
from tests.support.schema import install


class Marks(EngineTest):
    """Only the proxy's sessions may change electrified tables, unless the settings say otherwise."""

    def setUp(self):
        super().setUp()
        self.set_direct("refuse")

    def test_a_marked_session(self):
        session = self.connect(options=f"-c electric.proxied={self.token()}")
        session.run("ALTER TABLE items ADD c1 int; SET electric.proxied = 'x'; RESET ALL; ALTER TABLE items ADD c2 int;"
                    "DISCARD ALL; ALTER TABLE items ADD c3 int")
        self.assertEqual(self.migrations(2), ["add_column"] * 3)
        self.assertEqual(self.session.column("SELECT DISTINCT source FROM electric.migrations WHERE seq > 2"), ["proxy"])

    def test_a_wrong_mark(self):
        session = self.connect(options="-c electric.proxied=x")
        error = self.assert_refused("EX020", 'Electrified table "public"."items" can only be changed through the '
                                    "migrations proxy", "ALTER TABLE items ADD c1 int", session)
        self.assertIn("electric-tunnel", error["H"])

    def test_other_faults_are_named_first(self):
        self.assert_refused("EX010", 'Cannot drop column "b" of electrified table "public"."items"',
                            "ALTER TABLE items DROP b")

    def test_the_notice(self):
        session = self.connect(options=f"-c electric.proxied={self.token()}")
        answers = session.query("ALTER TABLE items ADD c1 int")
        notices = [m.fields() for m in answers if m.type == "N"]
        self.assertEqual([(n["M"], n["D"], n["s"], n["t"]) for n in notices],
                         [('Migration affecting electrified table "public"."items"', "ALTER TABLE items ADD c1 int",
                           "public", "items")])


class Operations(EngineTest):
    """What is recorded is enough to build the table anywhere."""

    def ops(self, after=0):
        return [op for text in self.session.column(f"SELECT ops FROM electric.migrations WHERE seq > {after} ORDER BY seq")
                for op in json.loads(text)]

    def test_a_table_with_everything(self):
        self.session.run("""CREATE TABLE full_one (b text COLLATE "C" NOT NULL, a int, m mood, l uuid, k int,
            PRIMARY KEY (b, a), CONSTRAINT fk FOREIGN KEY (l) REFERENCES lists (id) ON DELETE SET NULL ON UPDATE RESTRICT
            DEFERRABLE INITIALLY DEFERRED, CONSTRAINT later FOREIGN KEY (k) REFERENCES plain (id));
            CREATE INDEX one ON full_one (a DESC, lower(b) text_pattern_ops NULLS FIRST) INCLUDE (l) WHERE k > 1;
            CALL electric.enable('full_one')""")
        (op,) = self.ops(2)
        self.assertEqual(op["primary_key"], {"name": "full_one_pkey", "columns": ["b", "a"]})
        self.assertEqual(op["columns"][0], {"name": "b", "type": "text", "declared": "text", "not_null": True,
                                            "collation": 'pg_catalog."C"'})
        self.assertEqual(op["columns"][2], {"name": "m", "type": "mood", "type_schema": "public", "enum": True,
                                            "declared": "public.mood", "not_null": False})
        self.assertEqual(op["foreign_keys"][0], {
            "name": "fk", "columns": ["l"], "references": {"schema": "public", "table": "lists", "columns": ["id"]},
            "on_delete": "SET NULL", "on_update": "RESTRICT", "match": "SIMPLE", "deferrable": True, "deferred": True,
            "electrified": True})
        self.assertFalse(op["foreign_keys"][1]["electrified"])
        self.assertEqual(op["indexes"], [{
            "name": "one", "method": "btree", "predicate": "(k > 1)", "include": ["l"],
            "columns": [{"column": "a", "descending": True, "nulls_first": True},
                        {"expression": "lower(b)", "opclass": "text_pattern_ops", "nulls_first": True,
                         "collation": 'pg_catalog."C"'}]}])

    def test_a_foreign_key_follows_when_its_target_joins(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, p int REFERENCES plain ON DELETE CASCADE);"
                         "CALL electric.enable('a'); ALTER TABLE plain RENAME TO plainer; CALL electric.enable('plainer')")
        ops = self.ops(3)
        self.assertEqual([op["op"] for op in ops], ["create_table", "add_foreign_key"])
        self.assertEqual(ops[1]["foreign_key"]["references"]["table"], "plainer")
        self.session.run("ALTER TABLE a ADD c int")
        self.assertEqual(self.sweep(), [])

    def test_a_target_outside_the_set_may_change_its_name(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, p int REFERENCES plain); CALL electric.enable('a');"
                         "ALTER TABLE plain RENAME TO plainer; ALTER TABLE plainer RENAME id TO ident; ALTER TABLE a ADD c int")
        self.assertEqual(self.migrations(3), ["add_column"])

    def test_enums_come_once_and_go_with_their_last_table(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, m mood); CALL electric.enable('a');"
                         "CALL electric.disable('a'); CALL electric.disable('items'); CALL electric.enable('a')")
        self.assertEqual(self.migrations(), ["create_table", "create_type,create_table", "create_table", "disable_table",
                                             "disable_table,drop_type", "create_type,create_table"])
        self.assertEqual(self.ops(5)[0], {"op": "create_type", "schema": "public", "name": "mood", "labels": ["sad", "ok"]})

    def test_a_table_lost_behind_our_back_is_disabled_before_it_comes_again(self):
        self.session.run("ALTER EVENT TRIGGER electric_drop DISABLE; DROP TABLE items; ALTER EVENT TRIGGER electric_drop ENABLE ALWAYS")
        self.assertEqual(len(self.sweep()), 1)
        self.session.run("CREATE TABLE items (id int PRIMARY KEY); CALL electric.enable('items')")
        self.assertEqual(self.migrations(2), ["disable_table,drop_type,create_table"])
        self.assertEqual(self.sweep(), [])

    def test_a_function_renamed_in_an_index(self):
        self.session.run("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
                         "CREATE INDEX i ON items (f(b)); ALTER FUNCTION f RENAME TO g; ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(2), ["create_index", "add_column,drop_index,create_index"])

    def test_settings_that_deparsing_depends_on(self):
        self.session.run("ALTER TABLE items ADD ts timestamptz; CREATE INDEX i ON items (b) WHERE ts > '2020-01-02 03:04:05+00'")
        other = self.connect()
        other.run("SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German'; SET IntervalStyle = 'iso_8601';"
                  "SET quote_all_identifiers = on; SET extra_float_digits = -5; SET bytea_output = 'escape';"
                  "SET search_path = public; COMMENT ON TABLE items IS 'x'; ALTER TABLE items ADD c int")
        self.assertEqual(self.migrations(2), ["add_column", "create_index", "add_column"])
        self.assertEqual(self.sweep(other), [])

    def test_settings_that_literals_depend_on(self):
        self.session.run("CREATE TABLE a (id int PRIMARY KEY, b int REFERENCES plain ON DELETE SET NULL DEFERRABLE);"
                         "CALL electric.enable('a')")
        other = self.connect()
        other.run("SET standard_conforming_strings = off; SET backslash_quote = off; SET transform_null_equals = on;"
                  "SET plpgsql.extra_errors = 'all'; SET array_nulls = off; ALTER TABLE a ADD c int")
        self.assertEqual((self.migrations(3), self.sweep(other)), (["add_column"], []))


class Faults(EngineTest):
    """Messages, as far as clients of the legacy product know them, and what else the table of cases lacks."""

    def test_messages(self):
        self.session.run('CREATE TABLE "T""x" (id int PRIMARY KEY, "C" int); CALL electric.enable(\'"T""x"\');'
                         "CREATE INDEX on_b ON items (b)")
        for sqlstate, message, sql in (
                ("EX002", 'Cannot rename electrified table "public"."items"', "ALTER TABLE items RENAME TO things"),
                ("EX003", 'Cannot rename property of electrified table "public"."items"',
                 "ALTER INDEX items_a_idx RENAME TO other"),
                ("EX004", 'Cannot drop electrified table "public"."T""x"', 'DROP TABLE "T""x"'),
                ("EX005", 'Cannot electrify column of type "varchar(255)"', "ALTER TABLE items ADD c varchar(255)"),
                ("EX005", 'Cannot electrify column of type "int4[]"', "ALTER TABLE items ADD c int[]"),
                ("EX005", 'Cannot electrify column of type "bpchar(1)"', "ALTER TABLE items ADD c char"),
                ("EX005", 'Cannot electrify column of type "timestamptz(6)"', "ALTER TABLE items ADD c timestamptz(6)"),
                ("EX005", 'Cannot electrify column of type "mood"', "ALTER TABLE items ADD c mood"),
                ("EX006", "Cannot electrify column with DEFAULT clause", "ALTER TABLE items ADD c text DEFAULT 'x'"),
                ("EX006", "Cannot electrify column with DEFAULT clause", "ALTER TABLE items ADD c serial"),
                ("EX007", 'Cannot alter column "b" of electrified table "public"."items"',
                 "ALTER TABLE items ADD CHECK (b > 0)"),
                ("EX007", 'Cannot alter electrified table "public"."items"', "ALTER TABLE items ENABLE ROW LEVEL SECURITY"),
                ("EX008", 'Cannot rename column "b" of electrified table "public"."items"', "ALTER TABLE items RENAME b TO c"),
                ("EX009", 'Cannot change type of column "b" of electrified table "public"."items"',
                 "ALTER TABLE items ALTER b TYPE int8"),
                ("EX010", 'Cannot drop column "b" of electrified table "public"."items"', "ALTER TABLE items DROP b"),
                ("EX011", "Cannot electrify column with FOREIGN KEY constraint", "ALTER TABLE items ADD c uuid REFERENCES lists"),
                ("EX011", "Cannot electrify column with UNIQUE constraint", "ALTER TABLE items ADD c int UNIQUE"),
                ("EX011", "Cannot electrify column with CHECK constraint", "ALTER TABLE items ADD c int CHECK (c > 0)"),
                ("EX011", "Cannot electrify column with GENERATED constraint",
                 "ALTER TABLE items ADD c int GENERATED BY DEFAULT AS IDENTITY"),
                ("EX012", 'Cannot rename constraint "items_pkey" of electrified table "public"."items"',
                 "ALTER TABLE items RENAME CONSTRAINT items_pkey TO pk"),
                ("EX013", 'Cannot change type "mood" used by electrified table "public"."items"',
                 "ALTER TYPE mood RENAME TO temper"),
                ("EX013", 'Cannot change type "mood" used by electrified table "public"."items"',
                 "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"),
                ("EX014", 'Cannot move electrified table "public"."items" to another schema',
                 "CREATE SCHEMA s; ALTER TABLE items SET SCHEMA s"),
                ("EX021", 'Cannot add column "B" to electrified table "public"."items": its name clashes with another, '
                          "ignoring case", 'ALTER TABLE items ADD "B" int'),
                ("EX022", 'Cannot add column "sqlite_c" to electrified table "public"."items": SQLite reserves names that '
                          "begin with sqlite_", "ALTER TABLE items ADD sqlite_c int"),
                ("EX023", 'Cannot create index "ON_B" on electrified table "public"."lists": its name clashes with another, '
                          "ignoring case", 'CREATE INDEX "ON_B" ON lists (title)')):
            with self.subTest(sql):
                self.assert_refused(sqlstate, message, sql)

    def test_the_other_enum_is_a_change_of_the_column(self):
        self.session.run("CREATE TYPE temper AS ENUM ('sad', 'ok')")
        self.assert_refused("EX009", 'Cannot change type of column "m" of electrified table "public"."items"',
                            "ALTER TABLE items ALTER m TYPE temper USING m::text::temper")

    def test_a_refused_unique_index_says_what_is_left(self):
        self.session.run("INSERT INTO items VALUES (2, 'y', 2)")
        error = self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                    "CREATE UNIQUE INDEX CONCURRENTLY u ON items (b)")
        self.assertIn("DROP INDEX CONCURRENTLY IF EXISTS public.u;", error["H"])
        self.assertEqual(self.sweep(), ["leftover public.items EX011 Unique index u is not valid but refuses rows: "
                                        "DROP INDEX CONCURRENTLY public.u;"])
        self.session.run("DROP INDEX CONCURRENTLY public.u")
        self.assertEqual(self.sweep(), [])
        self.assertEqual(self.migrations(2), [])

    def test_a_unique_index_refused_beforehand(self):
        """What the proxy asks before it lets CREATE UNIQUE INDEX CONCURRENTLY through."""
        self.session.run('CREATE SCHEMA s; CREATE TABLE s.items (id int); CREATE TABLE "Odd ""one" (id int PRIMARY KEY);'
                         "CALL electric.enable('\"Odd \"\"one\"'); CREATE SCHEMA closed; CREATE TABLE closed.items (id int)")
        stranger = self.connect("dev")
        for session in (self.session, stranger):
            for name in ("items", "public.items", '"items"', "ITEMS"):
                error = self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                            f"CALL electric.refuse_unique_index('{name}')", session)
                self.assertEqual((error["s"], error["t"]), ("public", "items"))
                self.assertEqual((error["D"], error["H"]), ('A unique index would constrain table "public"."items".',
                                                            "Create the index without UNIQUE."))
            self.assert_refused("EX011", "Cannot electrify column with UNIQUE constraint",
                                """CALL electric.refuse_unique_index('"Odd ""one"')""", session)
            for name in ("plain", "s.items", "closed.items", "nosuch", "no.such", "a.b.c.d", "other.public.items", "", "(", "2",
                         '"items', "items_a_idx", str(self.session.value("SELECT 'items'::regclass::oid"))):
                self.assert_ok(f"CALL electric.refuse_unique_index('{name}')", session)
            self.assert_ok("CALL electric.refuse_unique_index(NULL)", session)
        self.session.run("SET search_path = s, public; CALL electric.refuse_unique_index('items');"
                         "RESET search_path; CREATE TEMP TABLE items (id int); CALL electric.refuse_unique_index('items')")
        stranger.run("BEGIN READ ONLY; CALL electric.refuse_unique_index('plain'); COMMIT")
        self.assertEqual(install(self.cluster.url(self.dbname))["status"], "OK")
        self.assert_ok("CALL electric.refuse_unique_index('public.items')", stranger)

    def test_an_extension_that_moves(self):
        """An enum may belong to an extension; one is made here of what is installed anyway."""
        self.session.run("ALTER EXTENSION plpgsql ADD TYPE mood")
        error, _ = self.session.ask("ALTER TYPE mood ADD VALUE 'x'")
        self.assertEqual(error["C"], "EX013")


class Isolation(EngineTest):
    def test_a_snapshot_older_than_the_table_in_the_set(self):
        old = self.connect()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        self.session.run("CALL electric.enable('plain')")
        error, _ = old.ask("ALTER TABLE plain DROP COLUMN v")
        self.assertEqual(error["C"], "40001")
        old.run("ROLLBACK; BEGIN ISOLATION LEVEL SERIALIZABLE")
        error, _ = old.ask("ALTER TABLE plain DROP COLUMN v")
        self.assertEqual(error["C"], "EX010")

    def test_a_snapshot_older_than_a_change(self):
        old = self.connect()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        self.session.run("ALTER TABLE items ADD c int")
        error, _ = old.ask("ALTER TABLE items ADD d int")
        self.assertEqual(error["C"], "40001")

    def test_an_old_snapshot_keeps_nobody_from_electrifying(self):
        old = self.connect()
        old.run("BEGIN ISOLATION LEVEL REPEATABLE READ; CREATE TEMP TABLE unrelated (id int)")
        self.session.run("SET lock_timeout = '5s'; CALL electric.enable('plain')")
        old.run("COMMIT")

    def test_a_type_changed_while_a_table_that_uses_it_joins(self):
        self.session.run("CREATE TYPE tone AS ENUM ('low'); CREATE TABLE first (id int PRIMARY KEY, t tone);"
                         "CREATE TABLE second (id int PRIMARY KEY, t tone)")
        other = self.connect()
        other.run("BEGIN; ALTER TYPE tone ADD VALUE 'mid'")
        waiting = threading.Thread(target=self.connect().run, args=("CALL electric.enable('first')",))
        waiting.start()
        self.addCleanup(waiting.join)
        wait_until(lambda: self.session.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted") == "1",
                   10, "ENABLE to wait for the type")
        other.run("COMMIT")
        waiting.join()
        self.assertEqual(self.sweep(), [])
        error, _ = other.ask("ALTER TYPE tone ADD VALUE 'high'")
        self.assertEqual(error["C"], "EX013")

    def test_a_collation_renamed(self):
        self.session.run("CREATE COLLATION plainly (locale = 'C'); CREATE TABLE spelled (id int PRIMARY KEY, v text COLLATE plainly);"
                         "CALL electric.enable('spelled')")
        error, _ = self.session.ask("ALTER COLLATION plainly RENAME TO simply")
        self.assertEqual((error["C"], error["D"]),
                         ("EX009", "It would change from text COLLATE public.plainly to text COLLATE public.simply."))
        self.session.run("ALTER TABLE spelled ADD w int")

    def test_constraints_set_immediate(self):
        self.session.run("BEGIN; ALTER TABLE items ADD c int; SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE items ADD d int; COMMIT")
        self.assertEqual(self.migrations(2), ["add_column,add_column"])
        self.assertEqual(self.complaints(), [])

    def test_durability(self):
        self.session.run("SET synchronous_commit = off; BEGIN; ALTER TABLE items ADD c int; SET CONSTRAINTS ALL IMMEDIATE")
        self.assertEqual(self.session.value("SHOW synchronous_commit"), "on")
        self.session.run("COMMIT")
        self.assertEqual(self.session.value("SHOW synchronous_commit"), "off")


class SwitchingOn(EngineTest):
    """Capture is switched on in a database where tables were electrified and changed without it."""

    def setUp(self):
        super().setUp()
        self.switch(False)

    def switch(self, capture):
        self.assertEqual(install(self.cluster.url(self.dbname), capture=capture)["status"], "OK")

    def test_transactions_that_were_open(self):
        before = self.head()
        harmless, harmful, broken = (self.connect() for _ in range(3))
        harmless.run("BEGIN; ALTER TABLE lists ADD c int")
        harmful.run("BEGIN; ALTER TABLE items DROP b")
        broken.run("BEGIN; CREATE TABLE gone (id int PRIMARY KEY); CALL electric.enable('gone'); COMMIT; BEGIN; DROP TABLE gone")
        self.switch(True)
        self.assertEqual(self.sweep(), [])
        self.assertEqual(self.migrations(before), ["create_table"])
        for session in (harmless, harmful, broken):
            session.run("COMMIT")
        self.assertEqual(self.sweep(), ['removed public.gone Cannot drop electrified table "public"."gone"'.replace("gone C", "gone EX004 C"),
                                        'rejoined public.items EX010 Cannot drop column "b" of electrified table "public"."items"',
                                        "captured public.lists"])
        self.assertEqual(self.migrations(before + 1), ["disable_table,disable_table,drop_type,create_type,create_table,add_column"])
        self.assertEqual((self.sweep(), self.complaints()), ([], []))
        # From now on it is a fault again.
        self.session.run("ALTER EVENT TRIGGER electric_ddl DISABLE; ALTER EVENT TRIGGER electric_drop DISABLE; ALTER TABLE items DROP a")
        self.assertEqual([report.split()[0] for report in self.sweep()], ["drift"])

    def test_what_clients_could_not_have_leaves(self):
        before = self.head()
        self.session.run("ALTER TABLE items ADD c int[]; ALTER TABLE lists ADD d int DEFAULT 1; CREATE TABLE x (id int PRIMARY KEY);"
                         "CALL electric.enable('x'); ALTER TABLE x ADD y money")
        self.switch(True)
        self.assertEqual(self.session.electrified(), [])
        self.assertEqual(self.migrations(before), ["disable_table,disable_table,drop_type"])
        self.assertEqual((self.sweep(), self.complaints()), ([], []))

    def test_permissions_are_published_even_without_capture(self):
        """They are no changes of tables; clients may hear of them before they have the table."""
        before = self.head()
        self.session.run("""CALL electric.grant_privileges('{"privileges": [{"name": "read"}], "tables": ["items"],
            "roles": [{"name": "x"}]}')""")
        self.assertEqual(self.migrations(before), ["grant"])


class Names(EngineTest):
    """SQLite has one namespace for tables and indexes, and ignores case in it."""

    def wait_until_blocked(self, session):
        wait_until(lambda: self.session.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                              f" AND pid = {session.pid}") == "1", 20, "the other session to wait")

    def test_taken_at_once(self):
        for first, second, sqlstate in (
                ("CREATE INDEX foo ON items (b)", 'CREATE INDEX "FOO" ON lists (title)', "EX023"),
                ("CREATE INDEX foo ON items (b)", "CALL electric.enable('\"Foo\"')", "P0001"),
                ("CALL electric.enable('\"Foo\"')", "CREATE INDEX foo ON items (b)", "EX023")):
            for end in ("COMMIT", "ROLLBACK"):
                with self.subTest((first, second, end)):
                    a, b = self.connect(), self.connect()
                    self.session.run('CREATE TABLE "Foo" (id int PRIMARY KEY)')
                    a.run(f"BEGIN; {first}")
                    b.send(wire.query(second))
                    self.wait_until_blocked(b)
                    a.run(end)
                    errors = [m.fields()["C"] for m in b.receive_until("Z") if m.type == "E"]
                    self.assertEqual(errors, [sqlstate] if end == "COMMIT" else [])
                    self.session.run("DROP INDEX IF EXISTS foo; DROP INDEX IF EXISTS \"FOO\"; CALL electric.disable('\"Foo\"');"
                                     'DROP TABLE "Foo"')
        self.assertEqual((self.sweep(), self.complaints()), ([], []))

    def test_a_serializable_transaction_may_try_again(self):
        a, b = self.connect(), self.connect()
        b.run("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
        a.run("CREATE INDEX foo ON items (b)")
        self.assertEqual(b.ask('CREATE INDEX "FOO" ON lists (title)')[0]["C"], "40001")

    def test_an_index_named_like_a_table(self):
        error, _ = self.session.ask('CREATE INDEX "LISTS" ON items (b)')
        self.assertEqual((error["C"], error["D"]), ("EX023", "There is a table lists, and SQLite ignores the case of ASCII letters "
                                                             "in names."))


class Permissions(EngineTest):
    """Grants and assignments: what they may name, what is stored and published."""

    def setUp(self):
        super().setUp()
        self.session.run("CREATE TABLE projects (id int PRIMARY KEY, owner text);"
                         'CREATE TABLE issues (id int PRIMARY KEY, "Title" text, project_id int REFERENCES projects);'
                         "CREATE TABLE comments (id int PRIMARY KEY, issue_id int REFERENCES issues, other int);"
                         "CREATE TABLE members (id int PRIMARY KEY, user_id text, role text, project_id int REFERENCES projects);"
                         "CALL electric.enable('projects'); CALL electric.enable('issues'); CALL electric.enable('comments');"
                         "CALL electric.enable('members')")
        self.start = self.head()

    def ask(self, procedure, **command):
        command = {name.rstrip("_"): value for name, value in command.items()}
        text = json.dumps(command).replace("'", "''")
        return self.session.ask(f"CALL electric.{procedure}('{text}')")[0]

    def ops(self):
        return [op for text in self.session.column(f"SELECT ops FROM electric.migrations WHERE seq > {self.start} ORDER BY seq")
                for op in json.loads(text)]

    def test_a_grant(self):
        command = dict(privileges=[{"name": "UPDATE", "columns": ['"Title"', "ID"]}, {"name": "select"}], tables=["public.Issues"],
                       roles=[{"name": "house.admin", "scope": "projects"}, {"special": "AUTHENTICATED"}], check="a = 'b'")
        self.assertIsNone(self.ask("grant_privileges", **command))
        scope = {"schema": "public", "table": "projects"}
        self.assertEqual(self.ops(), [
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "select", "role": "authenticated",
             "special": True, "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "update", "role": "authenticated",
             "special": True, "columns": ["Title", "id"], "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "select", "role": "house.admin",
             "special": False, "scope": scope, "using": ["project_id"], "check": "a = 'b'"},
            {"op": "grant", "schema": "public", "table": "issues", "privilege": "update", "role": "house.admin",
             "special": False, "scope": scope, "using": ["project_id"], "columns": ["Title", "id"], "check": "a = 'b'"}])
        self.assertIsNone(self.ask("grant_privileges", **command))
        self.assertEqual(self.head(), self.start + 1)

    def test_revoke(self):
        grant = dict(tables=["issues", "comments"], roles=[{"name": "x"}])
        self.ask("grant_privileges", privileges=[{"name": "all"}], **grant)
        self.ask("revoke_privileges", privileges=[{"name": "select", "columns": ["id"]}], **grant)  # was not granted
        self.assertEqual(len(self.ops()), 8)
        self.ask("revoke_privileges", privileges=[{"name": "write"}], **grant)
        self.assertEqual([(op["op"], op["table"], op["privilege"]) for op in self.ops()[8:]],
                         [("revoke", table, privilege) for table in ("comments", "issues")
                          for privilege in ("delete", "insert", "update")])
        self.ask("revoke_privileges", privileges=[{"name": "read"}], **grant)
        self.assertEqual(self.session.value("SELECT count(*) FROM electric.grants"), "0")

    def test_paths(self):
        role = [{"name": "member", "scope": "projects"}]
        for using, sqlstate in ((["issue_id", "project_id"], None), (None, "42830"), (["issue_id"], "42830"), (["other"], "42830"),
                                (["nosuch"], "42703")):
            with self.subTest(using):
                error = self.ask("grant_privileges", privileges=[{"name": "read"}], tables=["comments"], roles=role,
                                 **({"using": using} if using else {}))
                self.assertEqual(error and error["C"], sqlstate)
        self.assertEqual(self.ops()[0]["using"], ["issue_id", "project_id"])
        self.assertIsNone(self.ask("revoke_privileges", privileges=[{"name": "read"}], tables=["comments"], roles=role))
        self.assertEqual(self.ops()[1]["op"], "revoke")

    def test_what_is_not_there(self):
        for sqlstate, change in (("42P01", {"tables": ["nosuch"]}), ("42P01", {"roles": [{"name": "a", "scope": "nosuch"}]}),
                                 ("42703", {"privileges": [{"name": "select", "columns": ["nosuch"]}]}),
                                 ("23514", {"privileges": [{"name": "truncate"}]})):
            with self.subTest(change):
                command = {"privileges": [{"name": "select"}], "tables": ["issues"], "roles": [{"name": "a"}], **change}
                self.assertEqual(self.ask("grant_privileges", **command)["C"], sqlstate)

    def test_assignments(self):
        command = dict(table="members", column="user_id", role_table="members", role_column="role", scope="projects", if_="a = 1")
        self.assertIsNone(self.ask("assign_role", **command))
        self.assertIsNone(self.ask("assign_role", **command))
        self.assertIsNone(self.ask("unassign_role", **command))
        assigned = {"schema": "public", "table": "members", "user_column": "user_id", "role_column": "role",
                    "scope": {"schema": "public", "table": "projects"}, "using": ["project_id"], "if": "a = 1"}
        self.assertEqual(self.ops(), [{"op": "assign", **assigned}, {"op": "unassign", **assigned}])
        self.assertIsNone(self.ask("assign_role", table="projects", column="owner", role="owner", scope="projects"))
        for sqlstate, change in (("42P10", {"role_table": "projects", "role_column": "owner"}), ("42703", {"column": "nosuch"}),
                                 ("42703", {"role_column": "nosuch"}), ("42830", {"scope": "issues"})):
            with self.subTest(change):
                self.assertEqual(self.ask("assign_role", **{**command, **change})["C"], sqlstate)

    def test_a_table_that_permissions_name_stays(self):
        self.ask("grant_privileges", privileges=[{"name": "select"}], tables=["members"],
                 roles=[{"name": "a", "scope": "projects"}])
        self.session.run("CALL electric.disable('comments'); CALL electric.disable('issues')")
        error, _ = self.session.ask("CALL electric.disable('members')")
        self.assertEqual(error["C"], "2BP01")
        self.ask("revoke_privileges", privileges=[{"name": "select"}], tables=["members"],
                 roles=[{"name": "a", "scope": "projects"}])
        self.session.run("CALL electric.disable('members')")

    def test_only_the_owner(self):
        self.session.run("SET ROLE dev")
        self.assertEqual(self.ask("grant_privileges", privileges=[{"name": "select"}], tables=["issues"],
                                  roles=[{"name": "a"}])["C"], "42501")
        self.assertEqual(self.ask("assign_role", table="members", column="user_id", role="a")["C"], "42501")
        self.assertEqual(self.session.ask("CALL electric.sqlite('x')")[0]["C"], "42501")
        error, _ = self.session.ask("SELECT electric.store_grants(jsonb_build_object('relations', jsonb_build_array("
                                    "'issues'::regclass::oid::int8), 'privileges', '[{\"name\": \"select\"}]'::jsonb,"
                                    " 'roles', '[{\"name\": \"a\"}]'::jsonb))")
        self.assertEqual(error["C"], "42501")

    def test_sqlite(self):
        self.session.run("CALL electric.sqlite('CREATE VIEW v AS SELECT 1')")
        self.assertEqual(self.ops(), [{"op": "sqlite", "statements": "CREATE VIEW v AS SELECT 1"}])


class Health(EngineTest):
    def test_what_is_found(self):
        for harm, item in (
                ("ALTER EVENT TRIGGER electric_ddl DISABLE", "event triggers"), ("DROP EVENT TRIGGER electric_drop", "event triggers"),
                ("ALTER EVENT TRIGGER electric_ddl ENABLE", "event triggers"),
                ("ALTER TABLE electric.pending DISABLE TRIGGER ALL", "commit hook"),
                ("CREATE OR REPLACE FUNCTION electric.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'", "functions"),
                ("UPDATE electric.migrations SET ops = '[]' WHERE seq = 1", "chain"), ("UPDATE electric.head SET seq = 1", "chain"),
                ("DELETE FROM electric.migrations WHERE seq = 2", "chain"),
                ("INSERT INTO electric.pending (xid) VALUES ('3')", "pending")):
            with self.subTest(harm):
                self.session.run(f"BEGIN; {harm}")
                self.assertEqual([text.split(":")[0] for text in self.complaints()], [item])
                self.session.run("ROLLBACK")
        self.assertEqual(self.complaints(), [])

    def test_a_start_puts_the_triggers_back(self):
        self.session.run("DROP EVENT TRIGGER electric_drop; ALTER EVENT TRIGGER electric_ddl DISABLE")
        self.assertEqual(install(self.cluster.url(self.dbname), capture=True)["status"], "OK")
        self.assertEqual(self.complaints(), [])

    def report(self):
        return [row.split("|") for row in self.session.column(
            "SELECT concat_ws('|', problem::text, item, detail) FROM electric.sweep_report()")]

    def test_the_report(self):
        self.assertEqual(self.report(), [])
        self.session.run("ALTER EVENT TRIGGER electric_ddl DISABLE; ALTER EVENT TRIGGER electric_drop DISABLE;"
                         "ALTER TABLE lists ADD c int; ALTER TABLE items DROP b")
        harmless = ["false", 'table "public"."lists"', "changes made beside the proxy are captured"]
        harmful = ["true", 'table "public"."items"', "it was changed beside the proxy in a way that clients cannot follow: "
                   'Cannot drop column "b" of electrified table "public"."items"']
        self.assertEqual(self.report(), [harmful, harmless])
        self.assertEqual(self.report(), [harmful])
        self.session.run("CREATE UNIQUE INDEX CONCURRENTLY u ON items (a); UPDATE pg_index SET indisvalid = false"
                         " WHERE indexrelid = 'u'::regclass")
        self.assertIn(["true", 'table "public"."items"', "Unique index u is not valid but refuses rows"], self.report())

    def test_an_upgrade_repairs(self):
        self.session.run("DROP EVENT TRIGGER electric_drop; ALTER EVENT TRIGGER electric_ddl DISABLE;"
                         "ALTER TABLE electric.pending DISABLE TRIGGER ALL;"
                         "UPDATE electric.settings SET value = '' WHERE name = 'functions'")
        self.assertEqual(install(self.cluster.url(self.dbname), capture=True)["status"], "OK")
        self.assertEqual(self.complaints(), [])


if __name__ == "__main__":
    unittest.main()
