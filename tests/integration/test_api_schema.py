"""GET /api/schema and /api/status."""

from tests.support import api
from tests.support.cluster import Cluster
from tests.support.process import wait_until
from tests.support.programs import ProgramTest, Relay, Server, psql

JSON = {"Accept": "application/json"}


class SchemaTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(Cluster())
        cls.server = cls.start_once(Server(cls.cluster.url(), CAPTURE="true", API_TOKEN="t0ken"))
        for sql in ("CREATE TYPE mood AS ENUM ('sad', 'ok')",
                    "CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL)",
                    "CREATE TABLE members (id uuid PRIMARY KEY, user_id uuid, project uuid REFERENCES projects ON DELETE CASCADE, feels mood)",
                    "CREATE TABLE hidden (id int PRIMARY KEY)",
                    "CREATE INDEX members_user ON members (user_id)",
                    "ALTER TABLE projects ENABLE ELECTRIC", "ALTER TABLE members ENABLE ELECTRIC",
                    "ELECTRIC GRANT SELECT (id, name) ON projects TO 'member'",
                    "ELECTRIC ASSIGN 'projects:member' TO members.user_id"):
            done = psql(cls.server.url(), "-c", sql)
            if done.returncode:
                raise AssertionError(done.stderr)

    def get(self, path="/api/schema", headers=None, **keywords):
        return api.get(self.server.http_port, path, {**api.bearer("t0ken"), **(headers or {})}, **keywords)

    def test_schema(self):
        answer = self.get()
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/json"), answer.body)
        schema = answer.json()
        self.assertEqual([table["name"] for table in schema["tables"]], ["members", "projects"])
        members, projects = schema["tables"]
        self.assertEqual([(c["name"], c["type"], c.get("not_null", False)) for c in projects["columns"]],
                         [("id", "uuid", True), ("name", "text", True)])
        self.assertEqual(projects["primary_key"]["columns"], ["id"])
        self.assertEqual([index["name"] for index in members["indexes"]], ["members_user"])
        self.assertEqual([key["references"]["table"] for key in members["foreign_keys"]], ["projects"])
        self.assertEqual(schema["enums"], [{"schema": "public", "name": "mood", "labels": ["sad", "ok"]}])
        self.assertEqual([(g["table"], g["privilege"], g["role"], g["columns"]) for g in schema["grants"]],
                         [("projects", "select", "member", ["id", "name"])])
        self.assertEqual([(a["table"], a["user_column"], a["role"], a["scope"]["table"]) for a in schema["assignments"]],
                         [("members", "user_id", "member", "projects")])
        self.assertEqual(schema["seq"], int(self.cluster.psql("SELECT seq FROM electric.head")))
        self.assertEqual(schema["version"], self.cluster.psql("SELECT version FROM electric.head"))

    def test_caching(self):
        tag = self.get().headers["etag"]
        self.assertEqual(self.get(headers={"If-None-Match": tag}).status, 304)
        self.assertEqual(self.get(method="HEAD").headers["etag"], tag)

    def test_needs_credentials(self):
        self.assertEqual(api.get(self.server.http_port, "/api/schema").status, 401)

    # -- status -------------------------------------------------------------------------------

    def test_status_in_detail(self):
        status = self.get("/api/status", JSON).json()
        self.assertEqual(status["status"], "up")
        self.assertEqual(status["capture"]["mode"], "triggers")
        self.assertEqual(status["ledger"]["version"], self.cluster.psql("SELECT version FROM electric.head"))
        self.assertEqual(status["tables"], 2)
        self.assertTrue(status["postgres"]["version"])
        checked = wait_until(lambda: (c := self.get("/api/status", JSON).json()["capture"])["checked_at"] and c, 10, "a check")
        self.assertEqual(checked["problems"], [])

    def test_status_for_anybody_is_a_line(self):
        for headers in ({}, JSON, {"Accept": "text/html, */*"}):
            answer = api.get(self.server.http_port, "/api/status", headers)
            self.assertEqual((answer.status, answer.body), (200, b"Connection to Postgres is up!"), headers)
        self.assertEqual(self.get("/api/status").body, b"Connection to Postgres is up!")

    def test_status_with_wrong_credentials(self):
        self.assertEqual(api.get(self.server.http_port, "/api/status", {**JSON, **api.bearer("x")}).status, 401)

    def test_status_while_postgres_is_down(self):
        with Cluster() as cluster, Server(cluster.url(), CAPTURE="true", API_AUTH="none") as server:
            cluster.stop()
            answer = wait_until(lambda: (a := api.get(server.http_port, "/api/status", JSON)).status == 503 and a, 10)
            self.assertEqual((answer.json()["status"], answer.json()["error"]["code"][:2]), ("down", "08"))
            self.assertEqual(answer.headers["retry-after"], "5")

    def test_a_ledger_without_head(self):
        with Cluster() as cluster, Server(cluster.url(), CAPTURE="true", API_AUTH="none") as server:
            cluster.psql("DELETE FROM electric.head")
            for path in ("/api/migrations?dialect=sqlite", "/api/migrations/stream?dialect=sqlite&after=9", "/api/schema"):
                answer = api.get(server.http_port, path)
                self.assertEqual(answer.status, 503, path)
                self.assertIn("electric.head", answer.error())
            answer = api.get(server.http_port, "/api/status", JSON)
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "XX001"))

    def test_a_relay_has_no_such_thing(self):
        with Relay(self.cluster.port) as relay:
            for path in ("/api/schema", "/api/migrations?dialect=sqlite", "/api/ticket"):
                self.assertEqual(api.get(relay.http_port, path).status, 404, path)
            self.assertEqual(api.get(relay.http_port, "/api/status", JSON).body, b"Relay is up!")


if __name__ == "__main__":
    import unittest
    unittest.main()
