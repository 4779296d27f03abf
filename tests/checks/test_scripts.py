"""The scripts answer --help and refuse what they do not know, without doing anything."""

import os
import subprocess
import unittest

from tests.checks.readme import TOP


def run(script, *arguments):
    return subprocess.run([os.path.join(TOP, script), *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=30)


class Scripts(unittest.TestCase):
    def test_help(self):
        for script in ("deploy/quickstart", "tests/run"):
            with self.subTest(script):
                done = run(script, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith(f"Usage: {script}"))

    def test_quickstart_refuses_what_it_does_not_know(self):
        for arguments in (["--nonce"], ["--local-port"], ["--local-port", "65536"], ["--local-port", "http"]):
            with self.subTest(arguments):
                done = run("deploy/quickstart", *arguments)
                self.assertEqual(done.returncode, 2)
                self.assertEqual(done.stdout, "")
                self.assertIn("deploy/quickstart: ", done.stderr)
