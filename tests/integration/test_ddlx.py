"""ENABLE and DISABLE ELECTRIC as clients meet them: tags, transactions, both protocols, error positions."""

import unittest

from tests.support import websocket, wire
from tests.support.cluster import Cluster
from tests.support.programs import Client, ProgramTest, Server, psql

ENABLE = "ALTER TABLE items ENABLE ELECTRIC"

# With a mark in front of what is wrong, and a part of the hint.
MALFORMED = [
    ("ELECTRIC^", "followed by ENABLE, DISABLE, GRANT"),
    ("ELECTRIC ^NONSENSE items", "followed by ENABLE, DISABLE, GRANT"),
    ("ELECTRIC ENABLE^", "ALTER TABLE table ENABLE ELECTRIC"),
    ("ELECTRIC ENABLE^;", "ALTER TABLE table ENABLE ELECTRIC"),
    ("ELECTRIC ENABLE items ^extra", "ALTER TABLE table ENABLE ELECTRIC"),
    ("ALTER TABLE items ENABLE ELECTRIC^, ADD COLUMN x int", "as a statement of its own"),
    ("ELECTRIC GRANT SELECT ON items^", "ELECTRIC GRANT privilege"),
    ("ELECTRIC GRANT ^EAT ON items TO 'a'", "ELECTRIC GRANT privilege"),
    ("ELECTRIC GRANT SELECT ON items TO 'ä', ^''", "neither scope nor role may be empty"),
    ("ELECTRIC GRANT SELECT ON items TO 'a' CHECK (a ^; b)", "[CHECK (expression)]"),
    ("ELECTRIC REVOKE SELECT ON ^'items' FROM 'a'", "ELECTRIC REVOKE privilege"),
    ("ELECTRIC ASSIGN 'a' TO user_id^", "ELECTRIC ASSIGN role TO table.column"),
    ("ELECTRIC UNASSIGN 'a' ^TO items.name", "ELECTRIC UNASSIGN role FROM table.column"),
    ("ELECTRIC SQLITE ^items", "ELECTRIC SQLITE 'statements'"),
]


class DdlxTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url()))
        cls.tunnel = cls.start_once(Client(cls.server.service))

    def setUp(self):
        self.cluster.psql("""
            CREATE TABLE items (id int PRIMARY KEY, name text);
            CREATE TABLE "Größe €" (id int PRIMARY KEY);
            CREATE TABLE refused (id int)""")
        self.addCleanup(self.remove_tables)
        self.session = wire.connect("127.0.0.1", self.server.pg_port, self.server.password)
        self.addCleanup(self.session.close)

    def remove_tables(self):
        cleaner = wire.connect("127.0.0.1", self.server.pg_port, self.server.password)
        for table in ("items", '"Größe €"', "refused"):
            cleaner.query(f"ALTER TABLE {table} DISABLE ELECTRIC")
            cleaner.query(f"DROP TABLE IF EXISTS {table}")
        cleaner.close()

    def is_electrified(self, table="items"):
        return self.cluster.psql(f"SELECT count(*) FROM electric.tables WHERE name = '{table}'") == "1"

    def tags(self, answers):
        return [one.tag() for one in answers if one.type == "C"]

    def kinds(self, answers):
        return "".join(one.type for one in answers if one.type != "N")

    def error(self, answers):
        errors = [one.fields() for one in answers if one.type == "E"]
        self.assertEqual(len(errors), 1, answers)
        return errors[0]

    # -- with psql -----------------------------------------------------------------------------

    def test_psql_through_each_entrance(self):
        for url in (self.server.url(), self.tunnel.url(self.server.password)):
            done = psql(url, "-c", "ALTER TABLE public.items ENABLE ELECTRIC")
            self.assertEqual((done.stdout, done.returncode), ("ELECTRIC ENABLE\n", 0), done.stderr)
            self.assertTrue(self.is_electrified())
            done = psql(url, "-c", "ALTER TABLE public.items DISABLE ELECTRIC")
            self.assertEqual((done.stdout, done.returncode), ("ELECTRIC DISABLE\n", 0), done.stderr)
            self.assertFalse(self.is_electrified())

    def test_psql_shows_the_caret_behind_a_rewritten_statement(self):
        done = psql(self.server.url(), "-c", "ALTER TABLE items ENABLE ELECTRIC; SELECT 'ä€', nope")
        self.assertIn("LINE 1: ALTER TABLE items ENABLE ELECTRIC; SELECT 'ä€', nope", done.stderr)
        line, caret = done.stderr.splitlines()[1:3]
        self.assertEqual(line[caret.index("^"):], "nope")

    def test_psql_script_in_one_transaction(self):
        done = psql(self.server.url(), "-1", script=f"""
            CREATE TABLE more (id int PRIMARY KEY);
            {ENABLE};
            DROP TABLE more;""")
        self.assertEqual(done.stdout.splitlines(), ["CREATE TABLE", "ELECTRIC ENABLE", "DROP TABLE"], done.stderr)

    # -- simple queries ------------------------------------------------------------------------

    def test_spellings(self):
        for sql in (ENABLE, ENABLE + ";", "alter table Items enable electric", 'ALTER TABLE "items" ENABLE ELECTRIC',
                    "ALTER TABLE ONLY items ENABLE ELECTRIC", "ALTER TABLE IF EXISTS public.items ENABLE ELECTRIC",
                    "ALTER/**/TABLE items -- a comment\n ENABLE /* /* nested */ */ ELECTRIC ; ",
                    "-- migrate:up\nALTER TABLE items ENABLE ELECTRIC;\n", "ELECTRIC ENABLE items",
                    'electric enable "public"."items";'):
            with self.subTest(sql):
                answers = self.session.query(sql)
                self.assertEqual((self.kinds(answers), self.tags(answers)), ("CZ", ["ELECTRIC ENABLE"]), answers)
                self.assertTrue(self.is_electrified())
                self.assertEqual(self.tags(self.session.query("ELECTRIC DISABLE items")), ["ELECTRIC DISABLE"])

    def test_name_that_needs_quotes(self):
        self.assertEqual(self.tags(self.session.query('ALTER TABLE "Größe €" ENABLE ELECTRIC')), ["ELECTRIC ENABLE"])
        self.assertTrue(self.is_electrified("Größe €"))

    def test_among_other_statements(self):
        answers = self.session.query(f"SELECT 1; {ENABLE}; SELECT 2; CALL electric.disable('items'); SELECT 3")
        self.assertEqual(self.tags(answers), ["SELECT 1", "ELECTRIC ENABLE", "SELECT 1", "CALL", "SELECT 1"])

    def test_own_call_keeps_its_tag(self):
        self.assertEqual(self.tags(self.session.query("CALL electric.enable('items')")), ["CALL"])
        self.assertTrue(self.is_electrified())

    def test_rollback_leaves_nothing(self):
        for sql, status in (("BEGIN", b"T"), (ENABLE, b"T"), ("ROLLBACK", b"I")):
            self.assertEqual(self.session.query(sql)[-1].body, status)
        self.assertFalse(self.is_electrified())

    def test_rollback_to_a_savepoint_leaves_nothing(self):
        answers = self.session.query(f"BEGIN; SAVEPOINT a; {ENABLE}; ROLLBACK TO a; COMMIT")
        self.assertEqual(self.tags(answers), ["BEGIN", "SAVEPOINT", "ELECTRIC ENABLE", "ROLLBACK", "COMMIT"])
        self.assertFalse(self.is_electrified())

    def test_set_transaction_still_comes_first(self):
        self.session.query("BEGIN")
        self.assertEqual(self.kinds(self.session.query("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")), "CZ")
        self.assertEqual(self.kinds(self.session.query(ENABLE)), "CZ")
        self.session.query("COMMIT")
        self.assertTrue(self.is_electrified())

    def test_refused_table_leaves_an_aborted_transaction(self):
        self.session.query("BEGIN")
        answers = self.session.query("ALTER TABLE refused ENABLE ELECTRIC")
        error = self.error(answers)
        self.assertEqual(error["C"], "P0001")
        self.assertIn("primary key", error["M"].lower())
        self.assertFalse(set(error) & set("WFLRqp"), f"traces of the engine: {error}")
        self.assertEqual(answers[-1].body, b"E")
        self.assertEqual(self.error(self.session.query("SELECT 1"))["C"], "25P02")
        self.assertEqual(self.tags(self.session.query("COMMIT")), ["ROLLBACK"])

    def test_unknown_table(self):
        error = self.error(self.session.query("ALTER TABLE nowhere ENABLE ELECTRIC"))
        self.assertEqual(error["C"], "42P01")
        self.assertIn("nowhere", error["M"])

    def test_unknown_table_if_exists(self):
        answers = self.session.query("ALTER TABLE IF EXISTS nowhere ENABLE ELECTRIC")
        self.assertEqual(self.tags(answers), ["ELECTRIC ENABLE"], answers)

    def test_twice_is_a_notice(self):
        self.session.query(ENABLE)
        answers = self.session.query(ENABLE)
        self.assertEqual(self.tags(answers), ["ELECTRIC ENABLE"])
        self.assertIn("N", [one.type for one in answers])

    def test_malformed_is_a_syntax_error_in_its_place(self):
        for sql, form in MALFORMED:
            for before in ("", "SELECT 'ä€😀'; ", f"{ENABLE}; "):
                text = (before + sql).replace("^", "")
                for send in (self.session.query, self.parse):
                    if send == self.parse and before:
                        continue  # several statements are an error of their own there
                    with self.subTest(f"{send.__name__}: {text}"):
                        error = self.error(send(text))
                        place = (before + sql).index("^")
                        self.assertEqual((error["C"], int(error["P"])), ("42601", place + 1), error)
                        self.assertIn(form, error["H"])
                        self.assertRegex(error["M"], "^syntax error at end of input$|^syntax error at or near ")
                        self.assertFalse(self.is_electrified())

    def parse(self, sql):
        self.session.send(wire.parse(sql), wire.sync())
        return self.session.receive_until("Z")

    def test_psql_points_at_the_mistake(self):
        done = psql(self.server.url(), "-c", "ELECTRIC GRANT READ ON items TO\n  'ä', 'projects:'")
        self.assertEqual(done.stderr.splitlines(), [
            "ERROR:  syntax error at or near \"'projects:'\"",
            "LINE 2:   'ä', 'projects:'",
            "               ^",
            "HINT:  A role is written 'role', 'scope:role', scope:'role', (scope, 'role'), ANYONE or AUTHENTICATED;"
            " neither scope nor role may be empty."])

    def test_what_is_not_ours_is_said_by_postgres(self):
        """An unfinished quote, and names of other things than a table."""
        for sql, message in (("ELECTRIC SQLITE 'x", 'syntax error at or near "ELECTRIC"'),
                             ("ALTER TABLE 1items ENABLE ELECTRIC", "syntax error at or near \"1\"|trailing junk after numeric literal"),
                             ("ALTER TABLE items ENABLE TRIGGER electric", 'trigger "electric" for table "items" does not exist'),
                             ("ALTER TABLE items DROP COLUMN electric", 'column "electric" of relation "items" does not exist')):
            with self.subTest(sql):
                self.assertRegex(self.error(self.session.query(sql))["M"], message)

    def test_error_positions_behind_rewritten_statements(self):
        for before in (f"{ENABLE}; ", f"/* ä€😀 */ {ENABLE}; SELECT 'ä€😀'; ELECTRIC DISABLE items; ",
                       'ALTER TABLE "Größe €" ENABLE ELECTRIC;\n\n'):
            with self.subTest(before):
                sql = before + "SELECT nope FROM items"
                error = self.error(self.session.query(sql))
                self.assertEqual((error["C"], error["P"]), ("42703", str(sql.index("nope") + 1)))

    def test_syntax_error_position_in_front_of_and_behind(self):
        for sql in (f"SELEC 1; {ENABLE}", f"{ENABLE}; SELECT 'ä', FROM FROM"):
            error = self.error(self.session.query(sql))
            expected = sql.index("SELEC") if sql.startswith("SELEC") else sql.index("FROM")
            self.assertEqual((error["C"], error["P"]), ("42601", str(expected + 1)))
            self.assertFalse(self.is_electrified())

    def test_error_positions_in_another_client_encoding(self):
        self.session.query("SET client_encoding = 'LATIN1'")
        sql = "ALTER TABLE items ENABLE ELECTRIC; SELECT '\xe4\xf6\xfc', nope"
        self.session.send(wire.message("Q", sql.encode("latin-1") + b"\0"))
        self.assertEqual(self.error(self.session.receive_until("Z"))["P"], str(sql.index("nope") + 1))

    def test_search_path_of_the_caller(self):
        self.session.query("CREATE SCHEMA elsewhere; SET search_path TO elsewhere")
        self.assertEqual(self.error(self.session.query(ENABLE))["C"], "42P01")
        self.session.query("SET search_path TO elsewhere, public")
        self.assertEqual(self.tags(self.session.query(ENABLE)), ["ELECTRIC ENABLE"])
        self.session.query("DROP SCHEMA elsewhere")

    def test_standard_conforming_strings_off(self):
        self.session.query("SET standard_conforming_strings = off; SET escape_string_warning = off")
        answers = self.session.query(rf"SELECT 'a\'; ELECTRIC DISABLE nowhere; --'; {ENABLE}")
        self.assertEqual(self.tags(answers), ["SELECT 1", "ELECTRIC ENABLE"], answers)

    def test_syntax_newer_than_the_parser_beside_it(self):
        answers = self.session.query(f"{ENABLE}; SELECT JSON_ARRAY(1, 2)")
        if "E" in self.kinds(answers):  # before Postgres 16 it is Postgres that does not know it
            self.assertIn(self.error(answers)["C"], ("42601", "42883"))
        else:
            self.assertEqual(self.tags(answers), ["ELECTRIC ENABLE", "SELECT 1"])

    # -- the extended protocol -------------------------------------------------------------------

    def test_parse_and_sync(self):
        self.session.send(wire.parse(ENABLE), wire.bind(), wire.describe_portal(), wire.execute(), wire.sync())
        answers = self.session.receive_until("Z")
        self.assertEqual((self.kinds(answers), self.tags(answers)), ("12nCZ", ["ELECTRIC ENABLE"]))
        self.assertTrue(self.is_electrified())

    def test_parse_and_flush(self):
        self.session.send(wire.parse(ENABLE), wire.describe_statement(), wire.flush())
        self.assertEqual(self.kinds(self.session.receive_until("n")), "1tn")
        self.session.send(wire.bind(), wire.execute(), wire.close_statement(), wire.sync())
        answers = self.session.receive_until("Z")
        self.assertEqual((self.kinds(answers), self.tags(answers)), ("2C3Z", ["ELECTRIC ENABLE"]))

    def test_named_statement_and_deallocate(self):
        self.session.send(wire.parse(ENABLE, "pdo_stmt_1"), wire.sync())
        self.assertEqual(self.kinds(self.session.receive_until("Z")), "1Z")
        self.session.send(wire.bind("", "pdo_stmt_1"), wire.describe_portal(), wire.execute(), wire.sync())
        answers = self.session.receive_until("Z")
        self.assertEqual((self.kinds(answers), self.tags(answers)), ("2nCZ", ["ELECTRIC ENABLE"]))
        self.assertEqual(self.tags(self.session.query("DEALLOCATE pdo_stmt_1")), ["DEALLOCATE"])
        self.session.send(wire.bind("", "pdo_stmt_1"), wire.sync())
        self.assertEqual(self.error(self.session.receive_until("Z"))["C"], "26000")

    def test_statement_used_again_in_other_transactions(self):
        self.session.send(wire.parse(ENABLE, "e"), wire.parse("ALTER TABLE items DISABLE ELECTRIC", "d"), wire.sync())
        self.session.receive_until("Z")
        for _ in range(2):
            for name, tag in (("e", "ELECTRIC ENABLE"), ("d", "ELECTRIC DISABLE")):
                self.session.send(wire.bind("", name), wire.execute(), wire.sync())
                self.assertEqual(self.tags(self.session.receive_until("Z")), [tag])

    def test_replaced_statement_loses_the_tag(self):
        self.session.send(wire.parse(ENABLE), wire.parse("CALL electric.enable('items')"), wire.bind(), wire.execute(),
                          wire.sync())
        self.assertEqual(self.tags(self.session.receive_until("Z")), ["CALL"])

    def test_failed_parse_keeps_the_tag_of_the_name(self):
        self.session.send(wire.parse(ENABLE, "s"), wire.sync())
        self.session.receive_until("Z")
        self.session.send(wire.parse("CALL electric.disable('items')", "s"), wire.sync())
        self.assertEqual(self.error(self.session.receive_until("Z"))["C"], "42P05")
        self.session.send(wire.bind("", "s"), wire.execute(), wire.sync())
        self.assertEqual(self.tags(self.session.receive_until("Z")), ["ELECTRIC ENABLE"])

    def test_pipeline_with_an_error_in_front(self):
        self.session.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.parse(ENABLE), wire.bind(),
                          wire.execute(), wire.sync(), wire.query("CALL electric.enable('items')"),
                          wire.query("ELECTRIC DISABLE items"))
        answers = self.session.receive_until("Z", count=3)
        self.assertEqual(self.tags(answers), ["CALL", "ELECTRIC DISABLE"], answers)

    def test_error_position_in_parse(self):
        self.session.send(wire.parse("ELECTRIC ENABLE"), wire.sync())
        answers = self.session.receive_until("Z")
        self.assertEqual(self.error(answers)["C"], "42601")
        self.assertEqual(self.kinds(answers), "EZ")

    def test_row_limit_of_one(self):
        self.session.send(wire.parse(ENABLE), wire.bind("C_1"), wire.describe_portal("C_1"), wire.execute("C_1", 1),
                          wire.sync())
        self.assertEqual(self.tags(self.session.receive_until("Z")), ["ELECTRIC ENABLE"])

    def test_byte_by_byte(self):
        self.session.bytewise = True
        answers = self.session.query(f"SELECT 1; {ENABLE}; SELECT 2")
        self.assertEqual(self.tags(answers), ["SELECT 1", "ELECTRIC ENABLE", "SELECT 1"])

    def test_raw_web_socket(self):
        with wire.Connection(websocket.connect(self.server.http_port)) as session:
            session.login(self.server.password)
            self.assertEqual(self.tags(session.query(ENABLE)), ["ELECTRIC ENABLE"])

    def test_in_a_text_of_ten_megabytes(self):
        padding = "/* " + "x" * 5_000_000 + " */"
        answers = self.session.query(f"{padding} {ENABLE}; {padding} SELECT 1", timeout=30)
        self.assertEqual(self.tags(answers), ["ELECTRIC ENABLE", "SELECT 1"])

    def test_in_a_do_block_the_call_is_the_form(self):
        answers = self.session.query("DO $$ BEGIN ALTER TABLE items ENABLE ELECTRIC; END $$")
        error = self.error(answers)
        self.assertEqual(error["C"], "42601")
        self.assertIn("CALL electric.enable", error.get("H", ""))
        self.assertEqual(self.tags(self.session.query("DO $$ BEGIN CALL electric.enable('items'); END $$")), ["DO"])
        self.assertTrue(self.is_electrified())

    def test_transparent_user_is_not_intercepted(self):
        with wire.connect("127.0.0.1", self.server.pg_port, self.server.password, user="transparent") as session:
            self.assertEqual(self.error(session.query(ENABLE))["C"], "42601")


if __name__ == "__main__":
    unittest.main()
