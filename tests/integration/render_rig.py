"""What clients get of a database's migrations, applied as they would, and compared with the source.

The catalogs are read by queries of this file alone: nothing here knows the engine's snapshots or ops,
but for the ledger that is to be rendered.
"""

import collections
import json
import os
import re
import sqlite3
import subprocess

from tests.support import wire

# How each type of an electrified column is stored in SQLite; enums are TEXT.
SQLITE_TYPES = {
    "bool": "INTEGER", "int2": "INTEGER", "int4": "INTEGER", "int8": "INTEGER", "float4": "REAL", "float8": "REAL",
    "text": "TEXT", "varchar": "TEXT", "uuid": "TEXT", "date": "TEXT", "time": "TEXT", "timestamp": "TEXT",
    "timestamptz": "TEXT", "bytea": "BLOB", "jsonb": "TEXT_JSON"}

ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}

# One row a table of schema public whose name the query answers, by name.
CATALOG = """
    SELECT coalesce(jsonb_object_agg(c.relname, jsonb_build_object(
        'columns', (SELECT jsonb_agg(jsonb_build_object(
                'name', a.attname, 'type', t.typname, 'enum', t.typtype = 'e', 'not_null', a.attnotnull,
                'declared', format_type(a.atttypid, a.atttypmod), 'collation', l.collname) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        'enums', (SELECT jsonb_object_agg(DISTINCT t.typname, (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder)
                                                               FROM pg_enum e WHERE e.enumtypid = t.oid))
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'e' WHERE a.attrelid = c.oid),
        'primary_key', (SELECT jsonb_build_object('name', con.conname, 'definition', pg_get_constraintdef(con.oid), 'columns', (SELECT jsonb_agg(a.attname ORDER BY k.at)
                FROM unnest(con.conkey) WITH ORDINALITY k(n, at)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n))
            FROM pg_constraint con WHERE con.conrelid = c.oid AND con.contype = 'p'),
        'foreign_keys', (SELECT coalesce(jsonb_object_agg(con.conname, jsonb_build_object(
                'definition', pg_get_constraintdef(con.oid), 'target', f.relname,
                'on_update', con.confupdtype, 'on_delete', con.confdeltype,
                'columns', (SELECT jsonb_agg(jsonb_build_array(a.attname, b.attname) ORDER BY k.at)
                    FROM unnest(con.conkey, con.confkey) WITH ORDINALITY k(n, m, at)
                    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n
                    JOIN pg_attribute b ON b.attrelid = f.oid AND b.attnum = k.m))), '{}')
            FROM pg_constraint con JOIN pg_class f ON f.oid = con.confrelid
            WHERE con.conrelid = c.oid AND con.contype = 'f'),
        'indexes', (SELECT coalesce(jsonb_object_agg(i.relname, jsonb_build_object(
                'definition', pg_get_indexdef(i.oid), 'partial', x.indpred IS NOT NULL,
                'columns', (SELECT jsonb_agg(jsonb_build_array(a.attname, x.indoption[k.at] & 1) ORDER BY k.at)
                    FROM generate_series(0, x.indnkeyatts - 1) AS k(at)
                    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.indkey[k.at]))), '{}')
            FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
            WHERE x.indrelid = c.oid AND NOT x.indisprimary))), '{}')
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname IN (%s)"""

ELECTRIFIED = "SELECT name FROM electric.electrified"
EVERYTHING = "SELECT relname FROM pg_class"


class Renderer:
    """The renderers, as a process that answers line by line."""

    def __init__(self):
        program = os.environ.get("RENDER_OPS")
        if not program:
            raise RuntimeError("set RENDER_OPS to the path of the built program")
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()

    def render(self, dialect, ops, version="1", label=None, seq=1):
        request = {"version": version, "label": label, "dialect": dialect, "seq": seq, "ops": ops}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer["status"] != "OK":
            raise AssertionError(f"{answer['status']}: {answer['error']}\n{ops}")
        for key in ("metadata", "details", "event"):
            answer[key] = json.loads(answer[key]) if answer[key] else {}
        return answer


def run(session, sql):
    """Runs one Query message; raises ServerError."""
    for answer in session.query(sql):
        if answer.type == "E":
            raise wire.ServerError(answer.fields())


def without_casts(sql):
    """IN on a varchar is printed in two ways: Postgres reads what it has printed as something else, which
    means the same and is printed otherwise.
    """
    def plain(match):
        return "ARRAY[" + re.sub(r"\(('(?:[^']|'')*'::character varying)\)::text", r"\1", match[1]) + "]"
    return re.sub(r"\(*ARRAY\[(.*?)\]\)*(?:::text\[\])?\)*", plain, sql)


def read_catalog(session, tables=EVERYTHING):
    return json.loads(session.value(CATALOG % tables), object_hook=_plain_definition)


def _plain_definition(facts):
    if "definition" in facts:
        facts["definition"] = without_casts(facts["definition"])
    return facts


class Replica:
    """A client of each dialect, which follows a ledger.

    `left_out` is what was said to be missing: {(dialect, kind, table, name): reason}.
    """

    def __init__(self, renderer, source, target):
        self.renderer = renderer
        self.source = source
        self.postgres = target
        self.sqlite = sqlite3.connect(":memory:", isolation_level=None)
        self.sqlite.execute("PRAGMA foreign_keys = ON")
        self.seq = 0
        self.electrified = "{}"  # the source's catalog after `seq`, as JSON
        self.left_out = {}
        self.rendered = collections.defaultdict(list)  # dialect -> answers of the renderer

    def close(self):
        self.sqlite.close()

    def follow(self):
        """Applies what is new in the ledger; how many migrations it was."""
        rows = json.loads(self.source.value(
            "SELECT coalesce(jsonb_agg(jsonb_build_array(seq, version, label, ops::text) ORDER BY seq), '[]')"
            f" FROM electric.migrations WHERE seq > {self.seq}"))
        self.electrified = json.dumps(read_catalog(self.source, ELECTRIFIED))
        for seq, version, label, ops in rows:
            assert seq == self.seq + 1
            self.seq = seq
            for dialect, apply in (("sqlite", self.sqlite.executescript), ("postgresql", self._apply_postgres)):
                answer = self.renderer.render(dialect, ops, version, label, seq)
                self.rendered[dialect].append(answer)
                try:
                    apply(answer["sql"])
                except (sqlite3.Error, wire.ServerError) as error:
                    raise AssertionError(f"{error}\n{answer['sql']}\n{ops}") from None
                self._note(dialect, json.loads(ops), answer["details"].get("omitted", []))
        return len(rows)

    def _apply_postgres(self, sql):
        if sql:
            run(self.postgres, f"BEGIN; {sql} COMMIT")

    def _note(self, dialect, ops, omitted):
        anew = {op["table"] for op in ops if op["op"] in ("create_table", "disable_table")}
        self.left_out = {key: reason for key, reason in self.left_out.items() if key[0] != dialect or key[2] not in anew}
        for entry in omitted:
            (kind,) = entry.keys() & {"column", "primary_key", "foreign_key", "index"}
            if "MATCH" not in entry["reason"]:  # the key is there
                self.left_out[dialect, kind, entry["table"], entry[kind]] = entry["reason"]
        # What came and went.
        tables = self.expected()
        for key in list(self.left_out):
            if key[2] not in tables or (key[1] == "index" and key[3] not in tables[key[2]]["indexes"]):
                del self.left_out[key]

    def is_left_out(self, dialect, kind, table, name):
        return (dialect, kind, table, name) in self.left_out

    # -- comparisons ----------------------------------------------------------------------------

    def expected(self):
        """The electrified part of the source: without foreign keys to what is not electrified."""
        tables = json.loads(self.electrified)
        for table in tables.values():
            table["foreign_keys"] = {name: key for name, key in table["foreign_keys"].items() if key["target"] in tables}
        return tables

    def expected_in_postgres(self):
        tables = self.expected()
        for name, table in tables.items():
            for index in list(table["indexes"]):
                if self.is_left_out("postgresql", "index", name, index):
                    del table["indexes"][index]
            for column in table["columns"]:
                if self.is_left_out("postgresql", "column", name, column["name"]):
                    column["collation"] = "default"
        return tables

    def expected_in_sqlite(self):
        return {name: self._expected_table(name, table) for name, table in self.expected().items()}

    def _expected_table(self, name, table):
        places = {column: place for place, column in enumerate(table["primary_key"]["columns"], 1)}
        return {
            "columns": [(column["name"], "TEXT" if column["enum"] else SQLITE_TYPES[column["type"]],
                         column["not_null"] and not self.is_left_out("sqlite", "column", name, column["name"]),
                         places.get(column["name"], 0)) for column in table["columns"]],
            "foreign_keys": sorted(
                (key["target"], tuple(map(tuple, key["columns"])), ACTIONS[key["on_update"]], ACTIONS[key["on_delete"]])
                for constraint, key in table["foreign_keys"].items()
                if not self.is_left_out("sqlite", "foreign_key", name, constraint)),
            "indexes": {index: (facts["partial"], [(column, bool(descending)) for column, descending in facts["columns"]])
                        for index, facts in table["indexes"].items()
                        if not self.is_left_out("sqlite", "index", name, index)}}

    def found_in_sqlite(self):
        names = [name for name, in self.sqlite.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'")]
        return {name: self._found_table(name) for name in names}

    def _pragma(self, pragma, name):
        return self.sqlite.execute(f"SELECT * FROM pragma_{pragma}(?)", (name,)).fetchall()

    def _found_table(self, name):
        keys = collections.defaultdict(list)
        for number, _, target, column, target_column, on_update, on_delete, _ in sorted(self._pragma("foreign_key_list", name)):
            keys[number, target, on_update, on_delete].append((column, target_column))
        indexes = {}
        for _, index, unique, origin, partial in self._pragma("index_list", name):
            if origin == "c":
                assert not unique
                columns = [(column, bool(descending)) for _, _, column, descending, _, is_key
                           in self._pragma("index_xinfo", index) if is_key]
                indexes[index] = (bool(partial), columns)
        return {
            "columns": [(column, kind, bool(not_null), place)
                        for _, column, kind, not_null, _, place in self._pragma("table_info", name)],
            "foreign_keys": sorted((target, tuple(columns), on_update, on_delete)
                                   for (_, target, on_update, on_delete), columns in keys.items()),
            "indexes": indexes}


def dump(cluster, dbname):
    """What pg_dump says of schema public, by kind and name."""
    done = subprocess.run(
        [os.path.join(cluster.bindir, "pg_dump"), "-s", "-O", "-x", "-n", "public", "-h", cluster.directory,
         "-p", str(cluster.port), "-U", cluster.user, dbname],
        capture_output=True, text=True, check=True, timeout=60)
    blocks = re.split(r"^--\n-- Name: (.*); Type: (.*); Schema: (?:public|-); Owner: -\n--\n", done.stdout, flags=re.MULTILINE)
    found = {}
    for name, kind, text in zip(blocks[1::3], blocks[2::3], blocks[3::3]):
        if kind in ("SCHEMA", "COMMENT"):
            continue
        found[kind, name] = re.sub(r"^(SET .*|--.*|\\.*|)\n", "", without_casts(text), flags=re.MULTILINE).strip()
    return found
