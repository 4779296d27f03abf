"""node-postgres."""

from tests.end_to_end import rig, tools


class NodePostgres(rig.DriverTest):
    steps = ("connect", "prepared", "electrify", "script", "rollback", "refused", "recovery", "copy", "queue", "notify",
             "large")

    @classmethod
    def find_tools(cls):
        cls.command = tools.node("node_pg.mjs")
