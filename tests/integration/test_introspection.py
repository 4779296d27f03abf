"""Sessions of user prisma: the electrified tables as Postgres itself describes them, and nothing else."""

import threading
import time
import unittest

from tests.support import wire
from tests.support.migrations import DATABASE, MODEL, MigrationTest, Proxied, extent, notices
from tests.support.programs import Server, login_error, run
from tests.support.schema import Session

COMPANION = DATABASE + "__electric"

# What tools ask for, of the tables in public named by "electrified": one text a fact.
FACTS = {
    "columns": """
        SELECT concat_ws('|', c.table_name, c.column_name,
                         row_number() OVER (PARTITION BY c.table_name ORDER BY c.ordinal_position), c.data_type,
                         c.udt_schema, c.udt_name, c.is_nullable, coalesce(c.column_default, '-'),
                         coalesce(c.collation_name, '-'), c.character_maximum_length, c.numeric_precision,
                         c.datetime_precision, c.is_identity, c.is_generated)
        FROM information_schema.columns c JOIN electrified e ON e.name = c.table_name WHERE c.table_schema = 'public'""",
    "constraints": """
        SELECT concat_ws('|', con.conrelid::regclass, con.conname, con.contype, pg_get_constraintdef(con.oid))
        FROM pg_constraint con JOIN electrified e ON e.oid = con.conrelid
        WHERE con.contype <> 'f' OR con.confrelid IN (SELECT oid FROM electrified)""",
    "indexes": """
        SELECT concat_ws('|', x.indrelid::regclass, x.indisprimary, x.indisunique, x.indisvalid, pg_get_indexdef(x.indexrelid))
        FROM pg_index x JOIN electrified e ON e.oid = x.indrelid""",
    "enums": """
        SELECT concat_ws('|', t.oid::regtype, (SELECT string_agg(l.enumlabel, ',' ORDER BY l.enumsortorder)
                                               FROM pg_enum l WHERE l.enumtypid = t.oid))
        FROM pg_type t WHERE t.typtype = 'e'
          AND t.oid IN (SELECT a.atttypid FROM pg_attribute a JOIN electrified e ON e.oid = a.attrelid)""",
}
SOURCE = "WITH electrified AS (SELECT t.relid AS oid, t.name FROM electric.tables t) "
ALL = """WITH electrified AS (SELECT c.oid, c.relname AS name FROM pg_class c
                              WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace) """
# Every relation and type that a tool could list, as relations of pg_class.
VISIBLE = """SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'v', 'm', 'p', 'f', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
               AND n.nspname !~ '^pg_toast' ORDER BY 1"""


class Tool(Proxied):
    """A session of user prisma, and what it was told on the way in."""

    def login(self, password, user="prisma", **login):
        self.welcome = super().login(password, user=user, **login)

    def tables(self):
        return self.column("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")

    def columns(self, table):
        return self.column("SELECT column_name FROM information_schema.columns"
                           f" WHERE table_name = '{table}' ORDER BY ordinal_position")


class IntrospectionTest(MigrationTest):
    def tool(self, server=None, **login):
        server = server or self.server
        return self.enterContext(Tool(server.pg_port, server.password, **login))

    def refusal(self, server=None, user="prisma", database=DATABASE):
        server = server or self.server
        return login_error(server.pg_port, server.password, user=user, database=database)

    def assert_alike(self):
        with self.tool() as tool:
            for name, sql in FACTS.items():
                self.assertEqual(sorted(tool.column(ALL + sql)), sorted(self.session.column(SOURCE + sql)), name)

    def drop(self, *arguments, **settings):
        """The command drop-introspection, run to its end."""
        return run("ELECTRIC_PROXY", "drop-introspection", *arguments,
                   **{"DATABASE_URL": self.cluster.url(DATABASE), "DATABASE_REQUIRE_SSL": "false", **settings})

    def assert_up_to_date(self, tool):
        self.assertEqual(notices(tool.welcome), [])


class Shapes(IntrospectionTest):
    """Tables of every shape that may be electrified."""

    @classmethod
    def prepare(cls, session):
        session.run("""
            CREATE TYPE mood AS ENUM ('sad', 'ok', 'a_1'); CREATE TYPE "Mixed Case" AS ENUM ('One');
            CREATE TYPE unused AS ENUM ('x'); CREATE SCHEMA other; CREATE TABLE other.items (id int PRIMARY KEY);
            CREATE TABLE secret (id int PRIMARY KEY, mood mood); CREATE VIEW seen AS SELECT * FROM secret;
            CREATE SEQUENCE numbers; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'""")

    def electrify(self, *tables):
        app = self.through()
        for table in tables:
            app.value(f"ALTER TABLE {table} ENABLE ELECTRIC")

    def test_every_type(self):
        self.session.run("""CREATE TABLE types (id uuid PRIMARY KEY, b bool, by bytea, d date, f4 float4, f8 float8 NOT NULL,
            i2 int2, i4 int4, i8 int8, j jsonb, t text, ti time, ts timestamp, tz timestamptz, u uuid, v varchar, m mood,
            x "Mixed Case" NOT NULL); CREATE TABLE also (m mood PRIMARY KEY)""")
        self.electrify("types", "also")
        self.assert_alike()

    def test_columns_dropped_before(self):
        self.session.run("CREATE TABLE gaps (a int, id int PRIMARY KEY, b int, c text); ALTER TABLE gaps DROP a, DROP b")
        self.electrify("gaps")
        self.assert_alike()

    def test_keys(self):
        self.session.run("""
            CREATE TABLE pairs (a int, b text, c int, CONSTRAINT "The Key" PRIMARY KEY (b, a));
            CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree ON DELETE CASCADE ON UPDATE SET NULL);
            CREATE TABLE hens (id int PRIMARY KEY, egg int); CREATE TABLE eggs (id int PRIMARY KEY, hen int REFERENCES hens);
            ALTER TABLE hens ADD FOREIGN KEY (egg) REFERENCES eggs DEFERRABLE INITIALLY DEFERRED;
            CREATE TABLE uses (id int PRIMARY KEY, x int, y text, s int REFERENCES secret,
                CONSTRAINT two FOREIGN KEY (y, x) REFERENCES pairs (b, a) MATCH FULL ON DELETE RESTRICT)""")
        self.electrify("uses", "eggs", "tree", "hens", "pairs")
        self.assert_alike()

    def test_indexes(self):
        self.session.run("""
            CREATE TABLE indexed (id int PRIMARY KEY, a text, b int, j jsonb, m mood);
            CREATE INDEX plain ON indexed (a, b DESC); CREATE INDEX nulls ON indexed (a NULLS FIRST, b DESC NULLS LAST);
            CREATE INDEX lowered ON indexed (lower(a)); CREATE INDEX partial ON indexed (b) WHERE a IS NOT NULL AND b > 7;
            CREATE INDEX covering ON indexed (a) INCLUDE (b); CREATE INDEX hashed ON indexed USING hash (a);
            CREATE INDEX gin ON indexed USING gin (j); CREATE INDEX paths ON indexed USING gin (j jsonb_path_ops);
            CREATE INDEX patterns ON indexed (a text_pattern_ops); CREATE INDEX c ON indexed (a COLLATE "C");
            CREATE INDEX "Quoted ""Name" ON indexed (b)""")
        self.electrify("indexed")
        self.assert_alike()

    def test_names(self):
        self.session.run("""CREATE TABLE "Select ""From" ("Order" int PRIMARY KEY, "a'b" text, "ä€" text COLLATE "C", "public" int);
            CREATE INDEX ON "Select ""From" ("a'b"); CREATE TABLE "table" ("user" "Mixed Case" PRIMARY KEY)""")
        self.electrify('"Select ""From"', '"table"')
        self.assert_alike()

    def test_nothing_else_is_seen(self):
        self.assertEqual(self.tool().column(VISIBLE), [])
        self.session.run("CREATE TABLE items (id int PRIMARY KEY, s int REFERENCES secret)")
        self.electrify("items")
        tool = self.tool()
        self.assertEqual(tool.column(VISIBLE), ["public.items"])
        self.assertEqual(tool.column("SELECT nspname FROM pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_'"), [])
        self.assertEqual(tool.column("SELECT schema_name FROM information_schema.schemata"
                                     " WHERE schema_name !~ '^pg_' ORDER BY 1"), ["information_schema", "public"])
        self.assertEqual(tool.column("SELECT extname FROM pg_extension"), ["plpgsql"])
        for catalog in ("pg_proc", "pg_event_trigger", "pg_constraint WHERE contype = 'f' AND oid"):
            self.assertEqual(tool.column(f"SELECT oid FROM {catalog}{' WHERE oid' * ('WHERE' not in catalog)} >= 16384"), [])
        self.assertEqual(tool.column("SELECT typname FROM pg_type WHERE typtype = 'e'"), [])

    def test_table_that_leaves(self):
        self.session.run("CREATE TABLE one (id mood PRIMARY KEY); CREATE TABLE two (id mood PRIMARY KEY)")
        self.electrify("one", "two")
        app = self.through()
        app.value("ALTER TABLE one DISABLE ELECTRIC")
        self.assertEqual(self.tool().tables(), ["two"])
        app.value("ALTER TABLE two DISABLE ELECTRIC")
        tool = self.tool()
        self.assertEqual(tool.tables(), [])
        self.assertEqual(tool.column("SELECT typname FROM pg_type WHERE typtype = 'e'"), [])


class Freshness(IntrospectionTest):
    @classmethod
    def prepare(cls, session):
        session.run("""CREATE TABLE items (id int PRIMARY KEY); CREATE TABLE lists (id int PRIMARY KEY);
                       ALTER TABLE items ENABLE ELECTRIC; ALTER TABLE lists ENABLE ELECTRIC""")

    def test_right_after_commit(self):
        app, known = self.through(), ["id"]
        for i in range(extent(8, 100)):
            app.run(f"BEGIN; ALTER TABLE items ADD COLUMN c{i} text; COMMIT")
            known.append(f"c{i}")
            with self.tool() as tool:
                self.assertEqual(tool.columns("items"), known)
                self.assert_up_to_date(tool)

    def test_not_before_commit(self):
        app = self.through()
        app.run("BEGIN; ALTER TABLE items ADD COLUMN later text")
        self.assertEqual(self.tool().columns("items"), ["id"])
        app.run("ROLLBACK")
        self.assertEqual(self.tool().columns("items"), ["id"])

    def test_through_the_tunnel(self):
        self.through("tunnel").value("ALTER TABLE items ADD COLUMN c text")
        with Tool(self.tunnel.port, self.server.password) as tool:
            self.assertEqual(tool.columns("items"), ["id", "c"])

    def test_nothing_is_made_anew_without_need(self):
        with self.tool() as tool:
            before = tool.value("SELECT oid FROM pg_class WHERE relname = 'items'")
        self.through().value("ELECTRIC GRANT SELECT ON items TO 'reader'")
        self.assertEqual(self.tool().value("SELECT oid FROM pg_class WHERE relname = 'items'"), before)

    def test_another_database_of_the_same_name(self):
        self.through().value("ALTER TABLE items ADD COLUMN old text")
        self.assertEqual(self.tool().columns("items"), ["id", "old"])
        self.session.close()
        self.copy_model()
        self.session = self.beside()
        # As many migrations, but others.
        self.through().value("ALTER TABLE items ADD COLUMN new text")
        self.assertEqual(self.tool().columns("items"), ["id", "new"])

    def test_generators_and_migrations_at_once(self):
        committed, failures = [0], []
        deadline = time.monotonic() + 120

        def migrate():
            with Proxied(self.server.pg_port, self.server.password) as app:
                for i in range(1, extent(5, 40)):
                    app.run(f"BEGIN; ALTER TABLE items ADD COLUMN c{i} text; ALTER TABLE lists ADD COLUMN c{i} text; COMMIT")
                    committed[0] = i

        def generate():
            while migrator.is_alive() and time.monotonic() < deadline:
                least = committed[0]
                with Tool(self.server.pg_port, self.server.password) as tool:
                    seen = [tool.tables(), tool.columns("items"), tool.columns("lists"),
                            tool.column("SELECT pg_get_indexdef(indexrelid) FROM pg_index"
                                        " WHERE indrelid = 'items'::regclass"), tool.columns("items")]
                    self.assert_up_to_date(tool)
                    self.assertEqual(seen[0], ["items", "lists"])
                    self.assertGreaterEqual(len(seen[1]), least + 1, "older than what was committed before")
                    self.assertEqual(seen[1], seen[2], "changed while it was being read")
                    self.assertEqual(seen[1], seen[4], "changed while it was being read")
                    self.assertEqual(len(seen[3]), 1)

        def guarded(work):
            try:
                work()
            except BaseException as error:  # noqa: B902 - shown by the main thread
                failures.append(error)

        migrator = threading.Thread(target=guarded, args=(migrate,))
        threads = [migrator, *(threading.Thread(target=guarded, args=(generate,)) for _ in range(10))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
            self.assertFalse(thread.is_alive())
        if failures:
            raise failures[0]
        self.assertEqual(len(self.tool().columns("items")), extent(5, 40))

    def test_ten_at_once_to_a_database_that_is_not_there(self):
        self.cluster.psql(f"DROP DATABASE IF EXISTS {COMPANION}")
        seen = []
        threads = [threading.Thread(target=lambda: seen.append(self.tool().tables())) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(seen, [["items", "lists"]] * 10)

    def test_tool_that_keeps_a_table(self):
        holder = self.tool()
        holder.run("BEGIN; SELECT * FROM items")
        self.through().value("ALTER TABLE items ADD COLUMN c text")
        tool = self.tool()
        self.assertEqual(tool.columns("items"), ["id"])
        self.assertIn("these may not be the newest tables", notices(tool.welcome)[0])
        self.assertEqual(holder.columns("items"), ["id"])
        holder.run("COMMIT")
        self.assertEqual(self.tool().columns("items"), ["id", "c"])

    def test_tool_that_stays_without_a_transaction(self):
        idle = self.tool()
        self.through().value("ALTER TABLE items ADD COLUMN c text")
        tool = self.tool()
        self.assertEqual(tool.columns("items"), ["id", "c"])
        self.assert_up_to_date(tool)
        self.assertEqual(idle.columns("items"), ["id", "c"])


class Sessions(IntrospectionTest):
    @classmethod
    def prepare(cls, session):
        session.run("CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items ENABLE ELECTRIC")

    def test_which_database(self):
        tool = self.tool()
        self.assertEqual(tool.value("SELECT current_database()"), COMPANION)
        for name in (COMPANION, "postgres"):
            with self.tool(database=name) as tool:
                self.assertEqual(tool.tables(), ["items"])
                self.assert_up_to_date(tool)
        with self.tool(database="missing") as tool:
            self.assertIn('database "missing" does not exist', notices(tool.welcome)[0])
        self.assertEqual(self.refusal(database=MODEL)["C"], "3D000")
        self.assertEqual(self.refusal(user="postgres", database=COMPANION)["C"], "3D000")

    def test_settings(self):
        with Server(self.cluster.url(DATABASE, options="-csearch_path=other"), CAPTURE="true") as server, \
                self.tool(server) as tool:
            self.assertEqual(tool.value("SHOW search_path"), "public")
            self.assertEqual(tool.value("SHOW default_transaction_read_only"), "on")
            self.assertEqual(tool.value("SELECT current_setting('electric.proxied', true)"), None)
        tool = self.tool(options="-c default_transaction_read_only=off -c search_path=pg_catalog", application_name="x")
        self.assertEqual(tool.value("SHOW default_transaction_read_only"), "on")
        self.assertEqual(tool.value("SHOW search_path"), "pg_catalog")
        self.assertEqual(tool.value("SHOW application_name"), "x")

    def test_nothing_can_be_changed(self):
        before = self.head()
        tool = self.tool()
        self.assert_refused("25006", "ALTER TABLE items ADD COLUMN c text", tool)
        self.assert_refused("25006", "CREATE TABLE other (id int)", tool)
        for statement in ("ALTER TABLE items DISABLE ELECTRIC", "ELECTRIC GRANT ALL ON items TO 'x'",
                          "CALL electric.disable('items')"):
            self.assertIsNotNone(tool.ask(statement)[0], statement)
        # The guard rail is no wall, but whatever is done behind it is nobody's migration.
        self.addCleanup(self.drop)
        self.addCleanup(tool.close)
        tool.run("SET transaction_read_only = off; SET default_transaction_read_only = off; DROP TABLE items")
        self.assertEqual(self.head(), before)
        self.assertEqual(self.session.electrified(), ["items"])
        self.assert_sound()

    def test_what_was_made_in_it_is_not_shown(self):
        """Nor in the way of a table that joins."""
        self.addCleanup(self.drop)
        tool = self.tool()
        tool.run("SET default_transaction_read_only = off")
        for made in ("VIEW later AS SELECT * FROM items", "MATERIALIZED VIEW rows AS SELECT 1 AS a", "SEQUENCE numbers",
                     "TABLE parts (a int, b int) PARTITION BY LIST (a)", "TYPE pair AS (a int)", "DOMAIN small AS int",
                     "TYPE span AS RANGE (subtype = int)", "SCHEMA beside", "TABLE beside.other (id serial)",
                     "FUNCTION f() RETURNS pair LANGUAGE sql AS 'SELECT NULL::pair'",
                     'COLLATION "a ""b""" FROM "C"', "STATISTICS s ON a, b FROM parts"):
            tool.run(f"CREATE {made}")
        tool.close()
        app = self.through()
        app.run("CREATE TABLE later (id int PRIMARY KEY); ALTER TABLE later ENABLE ELECTRIC")
        tool = self.tool()
        self.assert_up_to_date(tool)
        self.assertEqual(tool.column(VISIBLE), ["public.items", "public.later"])
        self.assertEqual(tool.column("SELECT oid::regprocedure FROM pg_proc WHERE pronamespace = 'public'::regnamespace"), [])
        self.assertEqual(tool.column("SELECT nspname FROM pg_namespace WHERE nspname = 'beside'"), [])

    def test_the_engine_is_not_in_it(self):
        tool = self.tool()
        self.assertEqual(tool.column("SELECT evtname FROM pg_event_trigger"), [])
        self.assertEqual(tool.column("SELECT nspname FROM pg_namespace WHERE nspname = 'electric'"), [])

    def test_cancel(self):
        tool = self.tool()
        tool.send(wire.query("SELECT pg_sleep(60)"))
        with wire.connect("127.0.0.1", self.server.pg_port) as other:
            other.send(wire.cancel_request(tool.pid, tool.secret))
            other.is_closed()
        errors = [m.fields()["C"] for m in tool.receive_until("Z", timeout=20) if m.type == "E"]
        self.assertEqual(errors, ["57014"])

    def test_others_may_not_connect(self):
        self.tool()
        self.cluster.psql("CREATE ROLE passer_by LOGIN")
        self.addCleanup(self.cluster.psql, "DROP ROLE passer_by")
        with self.assertRaises(wire.ServerError) as refused:
            Session(self.cluster, COMPANION, "passer_by")
        self.assertEqual(refused.exception.sqlstate, "42501")

    def test_capture_switched_off(self):
        with Server(self.cluster.url(DATABASE), CAPTURE="false") as server:
            refusal = self.refusal(server)
        self.assertEqual((refusal["S"], refusal["C"]), ("FATAL", "55000"))
        self.assertIn("CAPTURE=true", refusal["H"])


class Databases(IntrospectionTest):
    """Where the companion database comes from, and how it goes."""

    @classmethod
    def prepare(cls, session):
        session.run("CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items ENABLE ELECTRIC")

    def serve(self, name, **login):
        """A server for a database of its own with one electrified table."""
        server = self.start(Server(self.cluster.url(name, **login), CAPTURE="true"))
        with Proxied(server.pg_port, server.password, name) as app:
            app.run("CREATE TABLE items (id int PRIMARY KEY); ALTER TABLE items ENABLE ELECTRIC")
        return server

    def test_like_the_one_it_belongs_to(self):
        kinds = {"latin": "ENCODING 'LATIN1' LOCALE 'C'", "plain": "ENCODING 'UTF8' LOCALE 'C.UTF-8'"}
        if self.major >= 15:
            kinds["icu"] = "ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'und'"
        for name, kind in kinds.items():
            self.cluster.psql(f"CREATE DATABASE {name} TEMPLATE template0 {kind}")
            server = self.serve(name)
            with self.tool(server, database=name) as tool:
                self.assertEqual(tool.tables(), ["items"])
            with Session(self.cluster) as session:
                facts = session.column(
                    "SELECT (to_jsonb(d) - array['oid', 'datname', 'datacl', 'dattablespace', 'datfrozenxid', 'datminmxid'])::text"
                    f" FROM pg_database d WHERE datname IN ('{name}', '{name}__electric')")
            self.assertEqual(len(facts), 2)
            self.assertEqual(facts[0], facts[1])

    def test_name_that_is_long(self):
        name = "ä" * 31
        self.cluster.psql(f'CREATE DATABASE "{name}"')
        server = self.serve(name)
        with self.tool(server, database=name) as tool:
            self.assertEqual(tool.tables(), ["items"])
            self.assertRegex(tool.value("SELECT current_database()"), "^ä{22}_[0-9a-f]{8}__electric$")

    def test_role_that_may_not_create_databases(self):
        self.cluster.psql("CREATE ROLE plain LOGIN PASSWORD 'x'")
        self.cluster.psql("CREATE DATABASE owned OWNER plain")
        server = self.serve("owned", user="plain", password="x")
        refusal = self.refusal(server, database="owned")
        self.assertEqual((refusal["S"], refusal["C"]), ("FATAL", "42501"))
        self.assertIn('ALTER ROLE "plain" CREATEDB', refusal["H"])
        # The hint's other way.
        self.cluster.psql('CREATE DATABASE "owned__electric" OWNER "plain" TEMPLATE template0;')
        with self.tool(server, database="owned") as tool:
            self.assertEqual(tool.tables(), ["items"])
        # In fallback mode, too, it is as new as the migrations.
        with Proxied(server.pg_port, server.password, "owned") as app:
            app.value("ALTER TABLE items ADD COLUMN c text")
            with self.tool(server, database="owned") as tool:
                self.assertEqual(tool.columns("items"), ["id", "c"])

    def test_database_of_somebody_else(self):
        self.cluster.psql("CREATE DATABASE foreign_one")
        server = self.serve("foreign_one")
        self.cluster.psql("CREATE DATABASE foreign_one__electric")
        self.cluster.psql("CREATE TABLE theirs (id int)", "foreign_one__electric")
        refusal = self.refusal(server, database="foreign_one")
        self.assertEqual((refusal["S"], refusal["C"]), ("FATAL", "42P04"))
        self.assertIn('"foreign_one__electric" was not made by electric-proxy', refusal["M"])
        done = self.drop(DATABASE_URL=self.cluster.url("foreign_one"))
        self.assertEqual(done.returncode, 1)
        self.assertIn("was not made by electric-proxy", done.stderr)
        self.assertEqual(self.cluster.psql("SELECT count(*) FROM theirs", "foreign_one__electric"), "0")

    def databases(self):
        return self.cluster.psql("SELECT datname FROM pg_database").splitlines()

    def test_drop(self):
        self.tool().close()
        done = self.drop()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f'dropped database "{COMPANION}"\n', ""))
        self.assertNotIn(COMPANION, self.databases())
        done = self.drop()
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, f'there is no database "{COMPANION}"\n', ""))
        self.assertEqual(self.tool().tables(), ["items"])

    def test_drop_of_one_in_use(self):
        tool = self.tool()
        done = self.drop()
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("is being accessed by other users", done.stderr)
        self.assertIn('sessions of user "prisma"', done.stderr)
        self.assertEqual(tool.tables(), ["items"])

    def test_drop_of_one_left_behind(self):
        self.cluster.psql("CREATE DATABASE gone")
        with Server(self.cluster.url("gone"), CAPTURE="true") as server:
            self.tool(server, database="gone").close()
        self.cluster.psql("DROP DATABASE gone")
        done = self.drop(DATABASE_URL=self.cluster.url("gone"))
        self.assertEqual((done.returncode, done.stdout), (0, 'dropped database "gone__electric"\n'), done.stderr)
        self.assertNotIn("gone__electric", self.databases())

    def test_drop_that_cannot_be(self):
        for url, code, words in ((self.cluster.url(DATABASE, port=1), 69, "could not connect"),
                                 (self.cluster.url(DATABASE, password="wrong"), 77, "password authentication failed"),
                                 ("", 2, "DATABASE_URL is missing")):
            done = self.drop(DATABASE_URL=url)
            self.assertEqual((done.returncode, done.stdout), (code, ""))
            self.assertIn(words, done.stderr)
        done = self.drop("now")
        self.assertEqual(done.returncode, 2)


del IntrospectionTest

if __name__ == "__main__":
    unittest.main()
