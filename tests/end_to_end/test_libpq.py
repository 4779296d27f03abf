"""A libpq program: pipeline mode, binary values, large objects, single-row mode, PQcancel."""

import os

from tests.end_to_end import rig


class Libpq(rig.DriverTest):
    steps = ("connect", "prepared", "electrify", "rollback", "refused", "recovery", "copy", "pipeline",
             "function call", "notify", "cancel", "large")

    @classmethod
    def find_tools(cls):
        cls.command = [os.environ["LIBPQ_DRIVER"]]
