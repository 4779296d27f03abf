"""The option tables in README.md, which the programs themselves print.

    ELECTRIC_PROXY=… ELECTRIC_TUNNEL=… python3 -m tests.checks.readme      writes them anew
"""

import os
import re
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(TOP, "README.md")
PROGRAMS = {"electric-proxy": "ELECTRIC_PROXY", "electric-tunnel": "ELECTRIC_TUNNEL"}


def read():
    with open(PATH, encoding="utf-8") as file:
        return file.read()


def table_pattern(program):
    return re.compile(rf"(<!-- options of {program} -->\n)(.*?)(<!-- end of options -->)", re.DOTALL)


def written_table(program):
    """What the README says."""
    match = table_pattern(program).search(read())
    return match.group(2) if match else None


def said_by(path, *arguments):
    return subprocess.run([path, *arguments], check=True, capture_output=True, text=True, timeout=30).stdout


def printed_table(program):
    """What the program says."""
    return said_by(os.environ[PROGRAMS[program]], "--options-markdown")


def commands_of(path):
    """What stands under Commands in the help."""
    block = re.search(r"^Commands:\n((?:  .*\n)+)", said_by(path, "--help"), re.MULTILINE)
    return re.findall(r"^  (\S+)", block.group(1), re.MULTILINE) if block else []


def help_of_all_commands(path):
    """--help, and that of each command that has its own."""
    text = said_by(path, "--help")
    names = commands_of(path) if " COMMAND --help tells more" in text else []
    return text + "".join(said_by(path, name, "--help") for name in names)


def main():
    text = read()
    for program in PROGRAMS:
        table = printed_table(program)
        text = table_pattern(program).sub(lambda match, table=table: match.group(1) + table + match.group(3), text)
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
