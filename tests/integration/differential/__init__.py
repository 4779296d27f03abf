"""Protocol scripts: what a client may send, in steps, without saying what must come back.

A script is a name and steps; a step is bytes to send and what to wait for before the next one.
"""

import os
import re
from typing import NamedTuple

from tests.support import wire

DIRECTORY = os.path.dirname(__file__)

# How a script may be sent: step by step, all messages in one write, one write a byte.
STEPS, GLUED, BYTES = "steps", "glued", "bytes"
EVERY_WAY = frozenset((STEPS, GLUED, BYTES))

END = "end"


class Step(NamedTuple):
    """Send `data`, then read until the `count`th message of a type in `until` (END: until closed)."""

    data: bytes
    until: str
    count: int = 1


class Elsewhere(NamedTuple):
    """Run `sql` on a connection of its own straight to Postgres, then read until `until`."""

    sql: str
    until: str


class Script(NamedTuple):
    name: str
    steps: tuple
    ways: frozenset


def step(*messages, until="Z", count=1):
    return Step(b"".join(messages), until, count)


def script(name, *steps, ways=EVERY_WAY):
    """Bare bytes among `steps` wait for as many ReadyForQuery as they have messages that ask for one."""
    steps = tuple(one if not isinstance(one, bytes) else Step(one, "Z", _answers_wanted(one)) for one in steps)
    if any(isinstance(one, Elsewhere) or one.until == END for one in steps):
        ways = ways - {GLUED}
    return Script(name, steps, ways)


def _answers_wanted(data):
    count, at = 0, 0
    while at < len(data):
        count += data[at:at + 1] in (b"Q", b"S", b"F")
        at += 1 + int.from_bytes(data[at + 1:at + 5], "big")
    if count == 0:
        raise AssertionError(f"nothing answers {data[:40]!r}: say what to wait for")
    return count


def statement_scripts():
    """Each text of statements.sql as a Query and in the extended protocol."""
    with open(os.path.join(DIRECTORY, "statements.sql"), encoding="utf-8") as file:
        parts = re.split(r"^--! (.*)\n", file.read(), flags=re.MULTILINE)[1:]
    for name, text in zip(parts[::2], parts[1::2]):
        text = text.removesuffix("\n")
        after = wire.query("SELECT 'after'")
        yield script(f"{name} (simple)", wire.query(text), after)
        # All but one of its messages are in one write as it is.
        yield script(f"{name} (extended)", wire.parse(text) + wire.bind() + wire.describe_portal() + wire.execute()
                     + wire.sync(), after, ways=frozenset((STEPS, BYTES)))
