"""psql, used as people use it, through every entrance."""

import hashlib
import os
import re
import signal
import subprocess
import tempfile
import time

from tests.end_to_end import rig
from tests.support.process import spawn, wait_until
from tests.support.programs import environment, psql

# What Postgres has to say about a table without a primary key, in the documented words.
NO_PRIMARY_KEY = "because it doesn't have a PRIMARY KEY"


class PsqlTests:
    """The same for every entrance; `entrance` names it."""

    entrance = None

    def psql(self, *arguments, **named):
        return psql(self.url(self.entrance), *arguments, **named)

    def works(self, *arguments, **named):
        done = self.psql(*arguments, **named)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_enable_answers_its_own_tag(self):
        output = self.works("-c", "CREATE TABLE items (id uuid PRIMARY KEY, value text)",
                            "-c", "ALTER TABLE public.items ENABLE ELECTRIC",
                            "-c", "ALTER TABLE items ADD COLUMN amount int4")
        self.assertEqual(output.split("\n"), ["CREATE TABLE", "ELECTRIC ENABLE", "ALTER TABLE", ""])
        self.assertTrue(self.is_electrified("items"))

    def test_rollback_leaves_nothing_behind(self):
        self.works(script="BEGIN;\nCREATE TABLE gone (id int PRIMARY KEY);\n"
                          "ALTER TABLE gone ENABLE ELECTRIC;\nROLLBACK;\n")
        self.assertFalse(self.is_electrified("gone"))
        self.assertEqual(self.works("-c", "SELECT to_regclass('gone') IS NULL"), "t\n")

    def test_single_transaction_of_a_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write("-- a migration; with a semicolon\nCREATE TABLE one (id int PRIMARY KEY);\n"
                       "ELECTRIC ENABLE one;\nDO $$ BEGIN PERFORM 1; END $$;\n")
            file.flush()
            output = self.works("-1", "-f", file.name)
        self.assertEqual(output, "CREATE TABLE\nELECTRIC ENABLE\nDO\n")

    def test_several_statements_in_one_query(self):
        output = self.works("-c", "CREATE TABLE many (id int PRIMARY KEY); ALTER TABLE many ENABLE ELECTRIC; SELECT 7")
        self.assertEqual(output, "CREATE TABLE\nELECTRIC ENABLE\n7\n")

    def test_a_refused_table_is_explained_and_aborts_the_transaction(self):
        done = self.psql(script="BEGIN;\nCREATE TABLE keyless (id int);\nALTER TABLE keyless ENABLE ELECTRIC;\n"
                                "SELECT 1;\nCOMMIT;\n", stop_on_error=False)
        self.assertIn(NO_PRIMARY_KEY, done.stderr)
        self.assertIn("current transaction is aborted", done.stderr)
        self.assertEqual(done.stdout, "BEGIN\nCREATE TABLE\nROLLBACK\n")

    def test_the_caret_stands_at_the_right_place_after_a_rewritten_statement(self):
        self.works("-c", "CREATE TABLE caret (id int PRIMARY KEY)")
        sql = "ALTER TABLE caret ENABLE ELECTRIC; SELECT 'ä', wrong FROM caret"
        said = self.psql("-c", sql).stderr.split("\n")
        line = next(index for index, text in enumerate(said) if text.startswith("LINE 1: "))
        quoted, pointer = said[line], said[line + 1]
        self.assertEqual(quoted[pointer.index("^"):pointer.index("^") + 5], "wrong", "\n".join(said))
        self.assertFalse(self.is_electrified("caret"))

    def test_copy_in_and_out_are_equal(self):
        with tempfile.TemporaryDirectory() as directory:
            source, back = (os.path.join(directory, name) for name in ("in", "out"))
            with open(source, "w", encoding="ascii") as file:
                for row in range(300_000):
                    file.write(f"{row}\tvalue {hashlib.md5(str(row).encode()).hexdigest()}\n")
            self.works("-c", "CREATE TABLE copied (id int, value text)", "-c", f"\\copy copied FROM '{source}'",
                       "-c", f"\\copy (TABLE copied ORDER BY id) TO '{back}'", timeout=120)
            self.assertEqual(self._digest(source), self._digest(back))

    @staticmethod
    def _digest(path):
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def test_ctrl_c_cancels_this_statement_and_no_other(self):
        bystander = self._start("SELECT pg_sleep(2)")
        sleeper = self._start("SELECT pg_sleep(60)")
        self._wait_for_sleepers(2)
        began = time.monotonic()
        sleeper.send_signal(signal.SIGINT)
        said = sleeper.communicate(timeout=10)[1]
        self.assertLess(time.monotonic() - began, 1.5)
        self.assertIn("canceling statement due to user request", said)
        self.assertEqual(bystander.communicate(timeout=10)[1], "")
        self.assertEqual(bystander.returncode, 0)

    def _start(self, sql):
        return spawn(["psql", "-XAt", "-d", self.url(self.entrance), "-c", sql], env=environment(),
                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _wait_for_sleepers(self, count):
        wait_until(lambda: self.cluster.psql("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
                   == str(count), 15, "the statements to run")

    def test_describing_commands_work(self):
        self.works("-c", "CREATE TABLE described (id int PRIMARY KEY)", "-c", "ELECTRIC ENABLE described")
        output = self.works("-c", "\\d described", "-c", "\\dt", "-c", "\\conninfo")
        self.assertRegex(output, re.compile(r"^id\|integer\|", re.MULTILINE))

    def test_a_wrong_password_is_said_to_be_wrong(self):
        right = self.url(self.entrance)
        done = psql(right.replace(right.split("@")[0].rpartition(":")[2], "wrong"), "-c", "SELECT 1")
        self.assertEqual(done.returncode, 2)
        self.assertIn('password authentication failed for user "postgres"', done.stderr)


class TcpPort(PsqlTests, rig.EndToEndTest):
    entrance = "tcp"


class ElectricTunnel(PsqlTests, rig.EndToEndTest):
    entrance = "tunnel"
