"""The legacy command line's `generate`: fetches the migrations of both dialects, introspects as user prisma.

Prisma 6 introspects in place of the Prisma 4 that the command line brings, whose engine is not in its
npm package; everything else is the command line's own.
"""

import glob
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile

from tests.end_to_end import rig, tools
from tests.support.migrations import Proxied
from tests.support.programs import environment

GENERATE_TIMEOUT = 200
MIGRATIONS = """
    CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE secret (id int PRIMARY KEY);
    CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL);
    CREATE TABLE items (id uuid PRIMARY KEY, mood mood, project_id uuid REFERENCES projects (id) ON DELETE CASCADE,
        amount float8, blob bytea, extra jsonb); CREATE INDEX by_amount ON items (amount DESC);
    ALTER TABLE projects ENABLE ELECTRIC; ALTER TABLE items ENABLE ELECTRIC; ALTER TABLE items ADD COLUMN late int4"""
SCHEMA = """SELECT table_name, column_name, udt_name, is_nullable FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name <> '{}' ORDER BY table_name, ordinal_position"""


class Generate(rig.EndToEndTest):
    server_settings = {"CAPTURE": "true", "API_AUTH": "none"}

    @classmethod
    def find_tools(cls):
        cls.projects = {name: tools.legacy_cli(name) for name in ("legacy_cli", "legacy_cli_0_9")}
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.prisma = tools.prisma(cls.directory)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Proxied(cls.server.pg_port, cls.server.password, "postgres") as app:
            app.run(MIGRATIONS)

    def setUp(self):
        self.target = tempfile.mkdtemp(dir=self.directory, prefix="client-")

    def generate(self, project):
        """Runs it; answers the directory where it keeps what it fetched."""
        installed = self.projects[project]
        url = self.server.url(user="prisma")
        done = subprocess.run(
            [shutil.which("node"), "--require", rig.driver("prisma", "instead.cjs"),
             os.path.realpath(os.path.join(installed, "node_modules/.bin/electric-sql")), "generate", "--debug",
             "--service", self.server.service, "--proxy", url, "--client-path", os.path.relpath(self.target, self.directory)],
            cwd=self.directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=GENERATE_TIMEOUT,
            env=environment({"DATABASE_URL": url, "PRISMA": self.prisma, **tools.PRISMA_ENVIRONMENT}))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("Successfully built migrations", done.stdout)
        (fetched,) = glob.glob(os.path.join(self.directory, ".electric_migrations_tmp_*"))
        self.addCleanup(shutil.rmtree, fetched)
        return fetched

    def read(self, *path):
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()

    def versions(self):
        return self.cluster.psql("SELECT version FROM electric.migrations ORDER BY seq").splitlines()

    def scripts(self, folder):
        """What was unpacked, in the order of versions."""
        self.assertEqual(sorted(os.listdir(folder)), self.versions())
        return [self.read(folder, version, "migration.sql") for version in self.versions()]

    def check_client(self):
        """The client has the electrified tables, as they are now, and every migration."""
        client = self.read(self.target, "index.ts")
        # Models and enums alike.
        models = re.findall(r"^export const (\w+)ScalarFieldEnumSchema = z.enum\(\[(.*)\]\)", client, re.MULTILINE)
        columns = {name: re.findall(r"'(\w+)'", names) for name, names in models}
        self.assertEqual(columns.get("Items"), ["id", "mood", "project_id", "amount", "blob", "extra", "late"])
        self.assertEqual(columns.get("Projects"), ["id", "name"])
        self.assertNotIn("ecret", client)
        self.assertEqual(re.findall(r'"version": "(\w+)"', self.read(self.target, "migrations.ts")), self.versions())

    def check_sqlite(self, folder):
        with sqlite3.connect(":memory:") as database:
            database.execute("PRAGMA foreign_keys = on")
            for script in self.scripts(folder):
                database.executescript(script)
            tables = {name: [row[1:3] for row in database.execute(f"PRAGMA table_info({name})")]
                      for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.assertEqual(tables, {
            "projects": [("id", "TEXT"), ("name", "TEXT")],
            "items": [("id", "TEXT"), ("mood", "TEXT"), ("project_id", "TEXT"), ("amount", "REAL"), ("blob", "BLOB"),
                      ("extra", "TEXT_JSON"), ("late", "INTEGER")]})

    def check_postgres(self, folder):
        name = self.cluster.createdb()
        for script in self.scripts(folder):
            self.cluster.psql(script, name)
        self.assertEqual(self.cluster.psql(SCHEMA.format(""), name), self.cluster.psql(SCHEMA.format("secret")))

    def test_version_0_12(self):
        fetched = self.generate("legacy_cli")
        self.check_client()
        self.check_sqlite(os.path.join(fetched, "migrations"))
        self.check_postgres(os.path.join(fetched, "pg-migrations"))

    def test_version_0_9(self):
        fetched = self.generate("legacy_cli_0_9")
        self.check_client()
        self.check_sqlite(os.path.join(fetched, "migrations"))
