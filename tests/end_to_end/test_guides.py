"""The guides in docs/guides do what they say: their files are written as they stand there, their commands run.

In a guide a name in front of a block, as in

    `migrations/0001.sql`:

is that of the file which the block is; `sh` blocks are commands. What only installs something (`console`
blocks) is the test's own business.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from urllib.parse import quote

from tests.end_to_end import tools
from tests.support import pip
from tests.support.cluster import Cluster
from tests.support.programs import ProgramTest, Server, environment, path_of

GUIDES = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "guides")
BLOCK = re.compile(r"(?:^`(?P<file>[^`\n]+)`:\n\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND_TIMEOUT = 180


def blocks(guide):
    """(file or None, language, text) in the guide's order."""
    with open(os.path.join(GUIDES, f"{guide}.md"), encoding="utf-8") as file:
        return [match.group("file", "language", "text") for match in BLOCK.finditer(file.read())]


class Guide(ProgramTest):
    """The tables are in a database of their own; `programs` are directories to find commands in."""

    guide = None

    @classmethod
    def find_tools(cls):
        """Answers such directories, or raises SkipTest."""
        raise NotImplementedError

    @classmethod
    def setUpClass(cls):
        if cls.guide is None:
            raise unittest.SkipTest("what guides have in common")
        cls.project = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="guide-"))
        cls.bin = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="guide-bin-"))
        os.symlink(path_of("ELECTRIC_TUNNEL"), os.path.join(cls.bin, "electric-tunnel"))
        programs = cls.find_tools()
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), pg_proxy_port="http-only"))
        url = f"postgresql://postgres:{quote(cls.server.password, safe='')}@tunnel/postgres"
        cls.environment = environment({"ELECTRIC_SERVICE": cls.server.service, "DATABASE_URL": url,
                                       **cls.more_environment()})
        cls.environment["PATH"] = os.pathsep.join([cls.bin, *programs, cls.environment["PATH"]])

    @classmethod
    def more_environment(cls):
        return {}

    def write(self, name, text):
        path = os.path.join(self.project, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_line(self, line):
        try:
            done = subprocess.run(["sh", "-c", line], cwd=self.project, env=self.environment, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=COMMAND_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self.fail(f"{line} hangs; it had said: {error.stdout} {error.stderr}")
        self.assertEqual(done.returncode, 0, f"{line} said: {done.stdout}{done.stderr}")

    def electrified(self):
        return self.cluster.psql("SELECT string_agg(name, ',') FROM electric.tables")

    def test_guide(self):
        lines = []
        for file, language, text in blocks(self.guide):
            if file is not None:
                self.write(file, text)
            elif language == "sh":
                lines += text.splitlines()
                for line in text.splitlines():
                    self.run_line(line)
        self.assertEqual(self.electrified(), "items")
        # Once more: there is nothing to do.
        migrate = [line for line in lines if line.startswith("electric-tunnel exec -- ")]
        self.run_line(migrate[0])


class NodeGuide(Guide):
    @classmethod
    def find_tools(cls):
        modules = os.path.join(tools.guides(), "node_modules")
        os.symlink(modules, os.path.join(cls.project, "node_modules"))
        return [os.path.join(modules, ".bin")]


class Knex(NodeGuide):
    guide = "knex"


class Drizzle(NodeGuide):
    guide = "drizzle"


class Typeorm(NodeGuide):
    guide = "typeorm"


class Prisma(Guide):
    """Its schema engine is the one that its npm package brings: the configuration is the test's."""

    guide = "prisma"

    @classmethod
    def find_tools(cls):
        command = tools.prisma(cls.project)
        for name in ("schema.prisma", "package.json"):
            os.remove(os.path.join(cls.project, name))
        with open(os.path.join(cls.project, "prisma.config.mjs"), "r+", encoding="utf-8") as file:
            text = file.read()
            file.seek(0)
            file.write(text.replace("schema: 'schema.prisma'", "schema: 'prisma/schema.prisma'"))
            file.truncate()
        program = os.path.join(cls.bin, "npx")
        with open(program, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nshift\nexec {shutil.which("node")} {command} "$@"\n')
        os.chmod(program, 0o755)
        return []

    @classmethod
    def more_environment(cls):
        return tools.PRISMA_ENVIRONMENT


class Alembic(Guide):
    guide = "alembic"

    @classmethod
    def find_tools(cls):
        return [pip.environment("alembic==1.16.5", "psycopg[binary]==3.2.10", "sqlalchemy==2.0.43")]


class Django(Guide):
    guide = "django"

    @classmethod
    def find_tools(cls):
        os.mkdir(os.path.join(cls.project, "items"))
        with open(os.path.join(cls.project, "items", "__init__.py"), "w", encoding="ascii"):
            pass
        return [pip.environment("django==5.2.7", "psycopg[binary]==3.2.10", "dj-database-url==3.0.1")]


class Rails(Guide):
    """What `bin/rails db:migrate` does, by ActiveRecord alone."""

    guide = "rails"
    program = """\
#!/usr/bin/ruby
require 'active_record'
ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
context = ActiveRecord::MigrationContext.new('db/migrate', ActiveRecord::SchemaMigration)
case ARGV[0]
when 'db:migrate' then context.migrate
when 'db:migrate:status' then raise 'pending' if context.needs_migration?
else raise ARGV[0]
end
"""

    @classmethod
    def find_tools(cls):
        if not os.path.exists("/usr/bin/ruby") or subprocess.run(
                ["/usr/bin/ruby", "-e", "require 'active_record'; require 'pg'"], capture_output=True).returncode != 0:
            raise unittest.SkipTest("no ActiveRecord (packages ruby-activerecord, ruby-pg)")
        path = os.path.join(cls.project, "bin", "rails")
        os.mkdir(os.path.dirname(path))
        with open(path, "w", encoding="ascii") as file:
            file.write(cls.program)
        os.chmod(path, 0o755)
        return []


class PagesOfGuides(unittest.TestCase):
    """Of those that nothing here can run, too."""

    def test_each_has_a_statement_and_a_command(self):
        for name in sorted(os.listdir(GUIDES)):
            if name == "README.md":
                continue
            with self.subTest(name), open(os.path.join(GUIDES, name), encoding="utf-8") as file:
                text = file.read()
                self.assertIn("ENABLE ELECTRIC", text)
                self.assertIn("electric-tunnel exec -- ", text)

    def test_the_list_says_which_are_run(self):
        with open(os.path.join(GUIDES, "README.md"), encoding="utf-8") as file:
            listed = dict(re.findall(r"\(([a-z]+)\.md\) \| (\w+)", file.read()))
        self.assertEqual(sorted(f"{name}.md" for name in [*listed, "README"]), sorted(os.listdir(GUIDES), key=str))
        run = {kind.guide for kind in [*Guide.__subclasses__(), *NodeGuide.__subclasses__()] if kind.guide}
        self.assertEqual({name for name, said in listed.items() if said != "no"}, run)
