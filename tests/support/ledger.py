"""What the ledger of migrations says, and whether it agrees with the catalog, for test cases to mix in."""

import json

# What clients have of a table: its columns in order, and the names of its indexes.
CATALOG = """
    SELECT json_build_object('name', c.relname, 'columns', (
            SELECT json_agg(json_build_array(a.attname, y.typname) ORDER BY a.attnum)
            FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
        'indexes', (SELECT coalesce(json_agg(i.relname), '[]')
            FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
            WHERE x.indrelid = c.oid AND x.indisvalid AND NOT x.indisprimary))
    FROM electric.tables t JOIN pg_class c ON c.oid = t.relid AND c.relname = t.name AND c.relkind = 'r'"""


def replay(migrations):
    """The electrified tables that `migrations`, lists of operations, lead to: columns and indexes by name."""
    tables = {}
    for op in (op for ops in migrations for op in ops):
        table = tables.get(op.get("table"))
        match op["op"]:
            case "create_table":
                assert table is None, f"created twice: {op}"
                tables[op["table"]] = {"columns": [described(column) for column in op["columns"]],
                                       "indexes": {index["name"] for index in op["indexes"]}}
            case "disable_table":
                del tables[op["table"]]
            case "add_column":
                assert op["column"]["name"] not in [name for name, _ in table["columns"]], f"added twice: {op}"
                table["columns"].append(described(op["column"]))
            case "create_index":
                assert op["index"]["name"] not in table["indexes"], f"created twice: {op}"
                table["indexes"].add(op["index"]["name"])
            case "drop_index":
                table["indexes"].remove(op["name"])
    return tables


def described(column):
    return [column["name"], column["type"]]


class LedgerChecks:
    """For a TestCase whose `session` is a schema.Session beside the programs under test."""

    def migrations(self, after=0, session=None):
        """The operations of each migration, as they stand in the table of cases."""
        return (session or self.session).column(
            "SELECT (SELECT string_agg(op->>'op', ',' ORDER BY at) FROM jsonb_array_elements(ops) WITH ORDINALITY AS o(op, at))"
            f" FROM electric.migrations WHERE seq > {after} ORDER BY seq")

    def head(self, session=None):
        return int((session or self.session).value("SELECT seq FROM electric.head"))

    def sweep(self, session=None):
        return (session or self.session).column(
            "SELECT concat_ws(' ', state, nsp || '.' || name, code, message) FROM electric.sweep()")

    def complaints(self, session=None):
        return (session or self.session).column(
            "SELECT item || ': ' || detail FROM electric.health() WHERE NOT ok")

    def assert_sound(self, session=None):
        """Chain, order, health, and that clients who follow the ledger get what the catalog has."""
        session = session or self.session
        self.assertIsNone(session.value("SELECT electric.broken_link(1000000)"), "the hash chain is broken")
        self.assertEqual((self.complaints(session), self.sweep(session)), ([], []))
        rows = [json.loads(row) for row in session.column(
            "SELECT json_build_array(seq, version, ops) FROM electric.migrations ORDER BY seq")]
        self.assertEqual([seq for seq, _, _ in rows], list(range(1, self.head(session) + 1)))
        versions = [version for _, version, _ in rows]
        self.assertEqual(versions, sorted(set(versions), key=str.encode), "versions do not sort like seq")
        catalog = {table.pop("name"): {**table, "indexes": set(table["indexes"])}
                   for table in map(json.loads, session.column(CATALOG))}
        self.assertEqual(replay(ops for _, _, ops in rows), catalog)
