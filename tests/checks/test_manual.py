"""Manual pages and completions: made from the option tables, and understood by those who read them."""

import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest

from tests.checks import readme

SECTIONS = {"electric-tunnel": 1, "electric-proxy": 8}


def program(name):
    return os.path.abspath(os.environ[readme.PROGRAMS[name]])


def ask(name, *arguments):
    return subprocess.run([program(name), *arguments], check=True, capture_output=True, text=True, timeout=30).stdout


def flags(name):
    return re.findall(r"\| `(--[a-z0-9-]+)", readme.printed_table(name))


def commands(name):
    return readme.commands_of(program(name))


def need(command):
    if shutil.which(command) is None:
        raise unittest.SkipTest(f"no {command} here")


class Made(unittest.TestCase):
    """What --options-man and --completion print, in a directory."""

    @classmethod
    def setUpClass(cls):
        cls.directory = cls.enterClassContext(tempfile.TemporaryDirectory())
        for name, section in SECTIONS.items():
            cls.write(f"{name}.{section}", ask(name, "--options-man"))
            cls.write(f"{name}.bash", ask(name, "--completion", "bash"))
            cls.write(f"_{name}", ask(name, "--completion", "zsh"))
            cls.write(f"{name}.fish", ask(name, "--completion", "fish"))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.directory, name)

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), "w", encoding="utf-8") as file:
            file.write(text)


class Pages(Made):
    def page(self, name):
        return self.path(f"{name}.{SECTIONS[name]}")

    def test_mandoc_has_nothing_to_say(self):
        need("mandoc")
        for name in SECTIONS:
            done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", self.page(name)], capture_output=True,
                                  text=True, timeout=30)
            self.assertEqual((done.stdout, done.returncode), ("", 0))

    def test_man_shows_every_option_and_variable(self):
        need("man")
        for name in SECTIONS:
            done = subprocess.run(["man", "--warnings", "-l", self.page(name)], capture_output=True, text=True,
                                  timeout=30, env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "400"})
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            text = re.sub("\u2010\\s+", "", done.stdout)
            for word in re.findall(r"`(--[a-z0-9-]+|[A-Z][A-Z0-9_]+)", readme.printed_table(name)):
                with self.subTest(program=name, word=word):
                    self.assertIn(word, text)


class Bash(Made):
    def complete(self, name, *words):
        need("bash")
        script = f"source {self.path(name + '.bash')}; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); " \
                 f"_{name.replace('-', '_')}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "--norc", "-c", script, "bash", name, *words], check=True, capture_output=True,
                              text=True, timeout=30, cwd=self.directory)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_every_option_is_offered(self):
        for name in SECTIONS:
            offered = self.complete(name, "--")
            for command in commands(name):
                offered += self.complete(name, command, "--")
            self.assertEqual(set(flags(name)) - set(offered), set())

    def test_values(self):
        self.assertEqual(self.complete("electric-tunnel", "--log-level", ""), ["error", "warn", "info", "debug"])
        self.assertEqual(self.complete("electric-tunnel", "--log-level", "=", "w"), ["warn"])
        self.assertEqual(self.complete("electric-tunnel", "--log-level", "="), ["error", "warn", "info", "debug"])
        self.assertEqual(self.complete("electric-tunnel", "--cacert", "electric-tunnel.f"), ["electric-tunnel.fish"])
        self.assertEqual(self.complete("electric-tunnel", "--local-port", ""), [])

    def test_commands(self):
        for name in SECTIONS:
            for command in commands(name):
                self.assertEqual(self.complete(name, command[:-1]), [command])


class Fish(Made):
    def complete(self, name, line):
        need("fish")
        done = subprocess.run(["fish", "--no-config", "-c", f"source {self.path(name + '.fish')}; complete -C '{line}'"],
                              check=True, capture_output=True, text=True, timeout=60, cwd=self.directory,
                              env={**os.environ, "HOME": self.directory,
                                   "PATH": os.path.dirname(program(name)) + ":" + os.environ["PATH"]})
        self.assertEqual(done.stderr, "")
        return [entry.split("\t")[0] for entry in done.stdout.splitlines()]

    def test_every_option_is_offered(self):
        for name in SECTIONS:
            offered = self.complete(name, f"{name} --")
            for command in commands(name):
                offered += self.complete(name, f"{name} {command} --")
            self.assertEqual(set(flags(name)) - set(offered), set())

    def test_values(self):
        self.assertEqual(self.complete("electric-tunnel", "electric-tunnel --output "), ["json", "text"])
        self.assertIn("electric-tunnel.fish", self.complete("electric-tunnel", "electric-tunnel --cacert electric"))


class Zsh(Made):
    """A terminal on which somebody types and presses Tab."""

    def setUp(self):
        need("zsh")
        environment = {"PATH": os.path.dirname(program("electric-tunnel")) + ":" + os.environ["PATH"],
                       "HOME": self.directory, "TERM": "dumb", "LC_ALL": "C.UTF-8"}
        self.child, self.terminal = pty.fork()
        if self.child == 0:
            os.chdir(self.directory)
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        self.addCleanup(self.end)
        self.type(f"fpath=({self.directory} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste; "
                  "LISTMAX=1000; PS1=; echo rea''dy\n")
        self.expect("ready")

    def end(self):
        os.close(self.terminal)
        os.waitpid(self.child, 0)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, *words, timeout=60):
        """Waits for the words; answers what was shown."""
        deadline, shown = time.monotonic() + timeout, ""
        while not all(word in shown for word in words):
            if not select.select([self.terminal], [], [], deadline - time.monotonic())[0]:
                self.fail(f"zsh did not show {words}, but: {shown}")
            shown += os.read(self.terminal, 65536).decode(errors="replace")
        return shown

    def test_tab(self):
        for typed, shown in (("electric-tunnel --log-le\t", "--log-level="), ("electric-tunnel --protocol \t\t", "auto"),
                             ("electric-tunnel forward --outp\t", "--output="), ("electric-tunnel forw\t", "forward"),
                             ("electric-tunnel --cacert=electric-proxy.f\t", "electric-proxy.fish"),
                             ("electric-proxy --rel\t\t", "--relay-without-auth")):
            with self.subTest(typed):
                self.type("\x15" + typed)
                self.expect(shown)
                self.type("\x03")


class Version(unittest.TestCase):
    def test_libraries_are_named(self):
        for name, libraries in (("electric-tunnel", ("libcurl", "OpenSSL")),
                                ("electric-proxy", ("libpq", "libwebsockets", "OpenSSL", "jansson", "zlib"))):
            lines = ask(name, "--version").splitlines()
            self.assertRegex(lines[0], rf"^{name} \d+\.\d+\.\d+$")
            for library, line in zip(libraries, lines[1:]):
                self.assertRegex(line, rf"^  {library} +\d+\.[\d.]+ \(built with \d+\.[\d.]+\)$")
