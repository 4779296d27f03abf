"""The legacy CLI's tunnel (electric-sql 0.12.1) as a foreign client, with psql behind it."""

from tests.end_to_end import rig, test_psql, tools


class LegacyCli(test_psql.PsqlTests, rig.EndToEndTest):
    entrance = "legacy"

    @classmethod
    def find_tools(cls):
        tools.legacy_cli()
