"""Prisma's introspection, with the schema engine that comes with its npm package: `prisma db pull`."""

import re
import shutil
import subprocess
import tempfile

from tests.end_to_end import rig, tools
from tests.support.migrations import Proxied
from tests.support.programs import environment
from tests.support.schema import Session

PULL_TIMEOUT = 100

EDGE = """\
model Edge {
  id String @id @db.Uuid
  fromVertexId String
  toVertexId String?
  weight Float?
  Vertex_Edge_fromVertexIdToVertex Vertex @relation("Edge_fromVertexIdToVertex", fields: [fromVertexId], \
references: [id], onDelete: Cascade, onUpdate: NoAction)
  Vertex_Edge_toVertexIdToVertex Vertex? @relation("Edge_toVertexIdToVertex", fields: [toVertexId], \
references: [id], onDelete: NoAction, onUpdate: NoAction)

  @@index([weight(sort: Desc), toVertexId], map: "by_weight")
}"""
VERTEX = """\
model Vertex {
  id String @id
  mood mood?
  createdAt DateTime @db.Timestamp(6)
  tags Json?
  secret Int?
  Edge_Edge_fromVertexIdToVertex Edge[] @relation("Edge_fromVertexIdToVertex")
  Edge_Edge_toVertexIdToVertex Edge[] @relation("Edge_toVertexIdToVertex")
}"""
MOOD = """\
enum mood {
  sad
  ok
}"""


class Prisma(rig.EndToEndTest):
    server_settings = {"CAPTURE": "true"}

    @classmethod
    def find_tools(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.prisma = tools.prisma(cls.directory)

    def run_pull(self, entrance):
        return subprocess.run(
            [shutil.which("node"), self.prisma, "db", "pull", "--print"], cwd=self.directory,
            env=environment({"DATABASE_URL": self.url(entrance, user="prisma"), **tools.PRISMA_ENVIRONMENT}),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PULL_TIMEOUT)

    def pull(self, entrance):
        """The models and enums, each as Prisma prints it, but for how it aligns them."""
        done = self.run_pull(entrance)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        printed = re.sub(r"(?<=\S) +", " ", done.stdout)
        return re.findall(r"^(?:model|enum) .*?^}$", printed, re.MULTILINE | re.DOTALL)

    def migrate(self, script):
        with Session(self.cluster) as session:
            session.run(script)

    def test_db_pull(self):
        self.assertIn("P4001", self.run_pull("tcp").stderr)
        self.migrate("""
            CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE secret (id int PRIMARY KEY, mood mood);
            CREATE TABLE "Vertex" (id text PRIMARY KEY, mood mood, "createdAt" timestamp NOT NULL, tags jsonb,
                secret int REFERENCES secret);
            CREATE TABLE "Edge" (id uuid PRIMARY KEY, "fromVertexId" text NOT NULL REFERENCES "Vertex" ON DELETE CASCADE,
                "toVertexId" text REFERENCES "Vertex", weight float8);
            CREATE INDEX by_weight ON "Edge" (weight DESC, "toVertexId");
            CALL electric.enable('"Vertex"'); CALL electric.enable('"Edge"')""")
        for entrance in ("tcp", "tunnel", "legacy"):
            self.assertEqual(self.pull(entrance), [EDGE, VERTEX, MOOD], entrance)

        # Of the migration that was just committed, through the proxy.
        with Proxied(self.server.pg_port, self.server.password, "postgres") as app:
            app.value('ALTER TABLE "Vertex" ADD COLUMN late int8')
        models = self.pull("tcp")
        self.assertRegex(models[1], r"(?m)^  late BigInt\?$")
        self.assertNotIn("secret {", "".join(models))
