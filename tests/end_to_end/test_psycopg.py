"""psycopg 3."""

from tests.end_to_end import rig, tools


class Psycopg(rig.DriverTest):
    steps = ("connect", "prepared", "electrify", "rollback", "refused", "recovery", "copy", "pipeline", "notify",
             "cancel", "large")

    @classmethod
    def find_tools(cls):
        cls.command = [*tools.psycopg(), rig.driver("psycopg_driver.py")]
