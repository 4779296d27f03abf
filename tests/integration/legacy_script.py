"""The language of legacy_cases.tsv: what a case sends, what Postgres is sent in its place, what must come.

Columns of the table (`\\n` is a line break, `\\t` a tab):

    id          of the fact about the legacy proxy
    way         how the statements are sent
    setup       SQL run beforehand, beside the proxy; `@name` is a part of legacy_base.sql, whose first always runs
    statements  `;;` between statements, each with the verdict that follows `=>`
    ledger      the migrations that come of it, `|` between them, `,` between their operations
    check       SQL run afterwards, beside the proxy, each with `=>` and the one value expected

Every case is also played on a plain Postgres of the same contents. Without a verdict the answers must
be the same, message by message. A verdict says what is different; several are joined by ` & `:

    ELECTRIC ENABLE    a command tag: the statement is DDLX, or a call of our own; Postgres gets a call
    42601, EX010 …     an SQLSTATE, perhaps with the message: the statement is refused, Postgres raises
    captured [table]   the notice about a migration comes before the command tag (default: truths)
    NOTICE …           another notice (or WARNING …)

Ways:

    query              each statement is a Query
    one query          all statements make one Query
    extended           each: Parse, Describe, Flush, and once these are answered Bind, Execute, Close, Sync
    tx WAY             the same between BEGIN and COMMIT; ROLLBACK when the transaction has failed
    ecto WAY           tx, and before COMMIT the migration's version is inserted as Ecto does
    direct query       beside the proxy
    steps              messages one by one, in one write up to the next `wait` (until all is answered) or
                       `send` (go on at once): Q sql, P[:name] sql, B[:statement] value,…, DP, DS[:name],
                       E, C[:name], S, H, d data, c. A value `int8:1` is sent in binary.
"""

import csv
import re
import struct
from typing import NamedTuple

from tests.support import wire

COLUMNS = ("id", "way", "setup", "statements", "ledger", "check")
MIGRATION_NOTICE = 'Migration affecting electrified table "public"."{}"'
CREATE_MIGRATIONS = ("CREATE TABLE IF NOT EXISTS schema_migrations"
                     " (version bigint PRIMARY KEY, inserted_at timestamp(0) NOT NULL)")
INSERT_MIGRATION = "INSERT INTO schema_migrations (version, inserted_at) VALUES ($1, $2)"
VERSION = "20230904162657"


class Notice(NamedTuple):
    severity: str
    message: str


class Verdict(NamedTuple):
    """How the answer to a statement differs from what Postgres says to what it is sent instead."""

    tag: str = None
    code: str = None
    message: str = None
    notices: tuple = ()
    position: str = None  # filled in when the text that is sent is known

    def within(self, text):
        """Where `text` is refused: a syntax error names the word that it is near."""
        word = re.search(r' at or near "(.*)"', self.message or "")
        return self._replace(position=str(text.index(word.group(1)) + 1)) if word else self


class Statement(NamedTuple):
    sql: str
    verdict: Verdict = Verdict()

    @property
    def stand_in(self):
        """What a plain Postgres is sent: its answers have the shape that ours must have."""
        if self.verdict.tag:
            return "CALL stand_in.nothing()"
        # Malformed DDLX is malformed for Postgres, too, and refused at the same moment.
        if self.verdict.code and self.verdict.code != "42601":
            return f"DO $$BEGIN RAISE EXCEPTION USING ERRCODE = '{self.verdict.code}'; END$$"
        return self.sql


class Case(NamedTuple):
    id: str
    way: str
    setup: list
    statements: list
    ledger: list
    check: list

    @property
    def area(self):
        return self.id.rpartition("-")[0]


# -- reading ----------------------------------------------------------------------------------------


def read_cases(path):
    with open(path, encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert all(tuple(row) == COLUMNS and None not in row.values() for row in rows), "wrong number of columns"
    return [read_case({name: unescape(value) for name, value in row.items()}) for row in rows]


def read_case(row):
    return Case(row["id"], row["way"], split(row["setup"], " ;; "),
                [read_statement(one) for one in split(row["statements"], " ;; ")],
                [split(migration, ", ") for migration in split(row["ledger"], " | ")],
                [tuple(one.split(" => ")) for one in split(row["check"], " ;; ")])


def read_parts(path):
    """The parts of legacy_base.sql by name; the first has none."""
    with open(path, encoding="utf-8") as file:
        first, *others = re.split(r"^-- (?=@)", file.read(), flags=re.MULTILINE)
    return {"": first, **dict(part.split("\n", 1) for part in others)}


def unescape(cell):
    return cell.replace("\\n", "\n").replace("\\t", "\t")


def split(text, separator):
    return [part.strip(" ") for part in text.split(separator) if part.strip()]


def read_statement(text):
    sql, _, verdicts = text.partition(" => ")
    return Statement(sql, read_verdict(verdicts))


def read_verdict(text):
    found = {"notices": ()}
    for part in filter(None, text.split(" & ")):
        word, _, rest = part.partition(" ")
        if word == "captured":
            found["notices"] += (Notice("NOTICE", MIGRATION_NOTICE.format(rest or "truths")),)
        elif word in ("NOTICE", "WARNING"):
            found["notices"] += (Notice(word, rest),)
        elif re.fullmatch(r"[0-9A-Z]{5}", word):
            found.update(code=word, message=rest or None)
        else:
            found["tag"] = part
    return Verdict(**found)


# -- sending ----------------------------------------------------------------------------------------


class Player:
    """Plays a case on a connection; what it sends is the same but for the statements' texts.

    `sent` collects the statements sent, `groups` the verdicts of those executed, one list up to each
    ReadyForQuery.
    """

    def __init__(self, connection, text):
        self.connection = connection
        self.text = text
        self.answers = []
        self.groups = []
        self.sent = []

    def play(self, case):
        frame, way = re.fullmatch(r"(?:(tx|ecto|direct) )?(.*)", case.way).groups()
        send = {"query": self.each_query, "one query": self.one_query, "extended": self.each_extended,
                "steps": self.steps}[way]
        if frame not in ("tx", "ecto"):
            send(case.statements)
            return
        self.query(Statement("BEGIN"))
        send(case.statements)
        if frame == "ecto" and not self.has_failed():
            self.insert_version(extended=way == "extended")
        self.query(Statement("ROLLBACK" if self.has_failed() else "COMMIT"))

    def has_failed(self):
        return self.answers[-1].body == b"E"

    def receive(self, kinds="Z", count=1):
        self.answers += self.connection.receive_until(kinds, count)

    def query(self, *statements):
        self.sent += statements
        whole = "; ".join(one.sql for one in statements)
        self.groups.append([one.verdict.within(whole) for one in statements])
        self.connection.send(wire.query("; ".join(self.text(one) for one in statements)))
        self.receive()

    def each_query(self, statements):
        for one in statements:
            self.query(one)

    def one_query(self, statements):
        self.query(*statements)

    def each_extended(self, statements):
        for one in statements:
            self.extended(one)

    def extended(self, statement, **values):
        self.sent.append(statement)
        self.groups.append([statement.verdict.within(statement.sql)])
        self.connection.send(wire.parse(self.text(statement)), wire.describe_statement(), wire.flush())
        self.receive("nTE")
        self.connection.send(wire.bind(**values), wire.execute(), wire.close_statement(), wire.sync())
        self.receive()

    def insert_version(self, extended):
        self.query(Statement(CREATE_MIGRATIONS))
        if extended:
            self.extended(Statement(INSERT_MIGRATION), values=(struct.pack("!q", int(VERSION)), "2023-09-04 16:26:57"),
                          formats=(1, 0))
        else:
            self.query(Statement(INSERT_MIGRATION.replace("$1", VERSION).replace("$2", "'2023-09-04 16:26:57'")))

    def steps(self, steps):
        Steps(self).play(steps)


class Steps:
    """Messages one by one; which statement an Execute runs follows from Parse and Bind."""

    def __init__(self, player):
        self.player = player
        self.prepared = {}
        self.bound = Verdict()
        self.group = []
        self.messages = []
        self.awaited = 0

    def play(self, steps):
        for step in steps:
            self.step(step)
        self.wait()

    def step(self, step):
        if step.sql in ("send", "wait"):
            getattr(self, step.sql)()
            return
        letter, name, rest = re.fullmatch(r"([A-Zcd]{1,2})(?::(\w+))?(?: (.*))?", step.sql, re.DOTALL).groups()
        make = getattr(self, f"make_{letter}")
        self.messages.append(make(name or "", Statement(rest or "", step.verdict)))

    def send(self):
        self.player.connection.send(*self.messages)
        self.messages = []

    def wait(self):
        self.send()
        if self.awaited:
            self.player.receive("Z", self.awaited)
        else:
            self.player.receive("nTE")
        self.awaited = 0

    def end_group(self):
        self.player.groups.append(self.group)
        self.group = []
        self.awaited += 1

    def make_Q(self, _, statement):
        self.group.append(statement.verdict)
        self.end_group()
        return wire.query(self.player.text(statement))

    def make_P(self, name, statement):
        self.prepared[name] = statement.verdict
        if statement.verdict.code == "42601":
            self.group.append(statement.verdict)
        return wire.parse(self.player.text(statement), name)

    def make_B(self, name, values):
        self.bound = self.prepared.get(name, Verdict())
        given = [read_value(value) for value in values.sql.split(",") if value]
        return wire.bind(statement=name, values=given, formats=[isinstance(value, bytes) for value in given])

    def make_DP(self, *_):
        return wire.describe_portal()

    def make_DS(self, name, _):
        return wire.describe_statement(name)

    def make_E(self, *_):
        self.group.append(self.bound)
        return wire.execute()

    def make_C(self, name, _):
        return wire.close_statement(name)

    def make_S(self, *_):
        self.end_group()
        return wire.sync()

    def make_H(self, *_):
        return wire.flush()

    def make_d(self, _, data):
        return wire.copy_data(data.sql)

    def make_c(self, *_):
        return wire.copy_done()


def read_value(text):
    """Bytes are sent in binary."""
    return struct.pack("!q", int(text.removeprefix("int8:"))) if text.startswith("int8:") else text


# -- expecting --------------------------------------------------------------------------------------


class Refusal(NamedTuple):
    """What must be in an ErrorResponse; malformed DDLX gets a position, and a hint that shows its form."""

    code: str
    message: str
    position: str
    has_hint: bool


def expected_answers(plain, groups):
    """What the proxy must answer, made of what a plain Postgres answered to the stand-ins."""
    result, groups = [], iter(groups)
    verdicts = list(next(groups, ()))
    for one in plain:
        if one.type in "CI":
            result += executed(one, verdicts.pop(0) if verdicts else Verdict())
        elif one.type == "E":
            result.append(refused(one, verdicts))
        else:
            result.append(one)
            if one.type == "Z":
                verdicts = list(next(groups, ()))
    return result


def executed(answer, verdict):
    return [*verdict.notices, wire.Message("C", verdict.tag.encode() + b"\0") if verdict.tag else answer]


def refused(answer, verdicts):
    """A syntax error comes before anything is executed, so it may be the verdict of any statement."""
    for verdict in verdicts:
        if verdict.code == answer.fields()["C"]:
            return Refusal(verdict.code, verdict.message, verdict.position, verdict.position is not None)
    return answer


def comparable(answer, expected):
    """`answer` reduced to what is expected of it, where that is not the whole message."""
    fields = answer.fields() if answer.type in "EN" else {}
    if isinstance(expected, Refusal) and answer.type == "E":
        return Refusal(fields["C"], expected.message and fields["M"], expected.position and fields.get("P"),
                       expected.has_hint and "H" in fields)
    if isinstance(expected, Notice) and answer.type == "N":
        return Notice(fields["V"], fields["M"])
    return answer


# -- the ledger -------------------------------------------------------------------------------------


def describe_operation(op):
    """An operation in a few words: what it does, to which table, and the name that comes or goes."""
    words = [op["op"].replace("_", " ")]
    if op["op"] in ("create_type", "drop_type"):
        words.append(op["name"])
    elif op["op"] == "sqlite":
        words.append(op["statements"])
    else:
        words.append(op["table"])
    if "column" in op:
        words += [op["column"]["name"], op["column"]["type"], *(["not null"] if op["column"].get("not_null") else [])]
    elif "index" in op:
        words.append(op["index"]["name"])
    elif op["op"] == "drop_index":
        words.append(op["name"])
    elif op["op"] in ("grant", "revoke"):
        words += [op["privilege"], op["role"]]
    return " ".join(words)
