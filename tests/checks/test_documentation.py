"""README.md says what the programs do, and names only what is there."""

import os
import re
import unittest

from tests.checks import readme


class OptionTables(unittest.TestCase):
    maxDiff = None

    def test_the_tables_are_what_the_programs_print(self):
        for program in readme.PROGRAMS:
            with self.subTest(program):
                self.assertEqual(readme.written_table(program), readme.printed_table(program),
                                 "write it anew with: python3 -m tests.checks.readme")

    def test_help_names_every_option_and_variable(self):
        for program, variable in readme.PROGRAMS.items():
            help_of = readme.help_of_all_commands(os.environ[variable])
            for name in re.findall(r"`(--[a-z0-9-]+|[A-Z][A-Z0-9_]+)", readme.printed_table(program)):
                with self.subTest(program=program, name=name):
                    self.assertIn(name, help_of)


class Links(unittest.TestCase):
    def test_every_path_in_a_link_exists(self):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", readme.read()):
            with self.subTest(target):
                self.assertTrue(os.path.exists(os.path.join(readme.TOP, target)))

    def test_the_layout_names_only_what_is_there(self):
        layout = re.search(r"## How the code is laid out\n.*?```text\n(.*?)```", readme.read(), re.DOTALL).group(1)
        for path in re.findall(r"^([a-zA-Z./_-]+)", layout, re.MULTILINE):
            with self.subTest(path):
                self.assertTrue(os.path.exists(os.path.join(readme.TOP, path)))
