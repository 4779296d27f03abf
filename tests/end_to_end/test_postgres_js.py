"""postgres.js."""

from tests.end_to_end import rig, tools


class PostgresJs(rig.DriverTest):
    steps = ("connect", "prepared", "electrify", "script", "rollback", "refused", "recovery", "copy", "pipeline",
             "cursor", "notify", "cancel", "large")

    @classmethod
    def find_tools(cls):
        cls.command = tools.node("postgres_js.mjs")
