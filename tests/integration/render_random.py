"""Random electrified schemas and the changes that the engine lets pass, as SQL."""

import random

from tests.integration.render_rig import SQLITE_TYPES

ACTIONS = ("NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT")
NAMES = ("items", "Größe", "a b", 'quo"te', "it's", "select", "Table", "x.y", "%s", "CaSe", "日本", "a\\b", "[x]", "`t`", "-- c", ";")

# What an index may be on, by the type of the column: the key as SQL, and whether SQLite and another
# Postgres get it.
KEYS = {
    "text": (("{c}", True, True), ("{c} DESC", True, True), ("lower({c})", True, True), ("{c} text_pattern_ops", True, True),
             ("upper(substr({c}, 1, 3)) DESC NULLS LAST", True, True), ("({c} || 'x''y')", True, True),
             ("{c} COLLATE \"C\"", True, True), ("trim({c})", True, True), ("md5({c})", False, True),
             ("length({c})", True, True), ("public.own({c})", False, False), ("left({c}, 3)", False, True)),
    "varchar": (("{c} NULLS FIRST", True, True), ("lower({c})", True, True), ("coalesce({c}, '-')", True, True),
                ("replace({c}, 'a', 'b')", True, True), ("to_tsvector('english', {c})", False, True)),
    "int4": (("{c}", True, True), ("{c} DESC NULLS LAST", True, True), ("({c} + 1)", True, True), ("abs({c})", True, True),
             ("(- {c})", True, True), ("({c} % 7)", True, True), ("nullif({c}, -5)", True, True)),
    "int8": (("{c}", True, True), ("({c} * 2)", True, True)),
    "float8": (("{c}", True, True), ("round({c})", True, True), ("({c} / 2)", True, True), ("sqrt(abs({c}))", False, True)),
    "bool": (("{c}", True, True), ("(NOT {c})", True, True)),
    "timestamptz": (("{c} DESC", True, True),),
    "timestamp": (("{c}", True, True), ("date_trunc('day', {c})", False, True)),
    "jsonb": (("{c}", True, True), ("({c} ->> 'a')", False, True)),
    "uuid": (("{c}", True, True),),
    "bytea": (("{c}", True, True), ("length({c})", True, True)),
}
PREDICATES = {
    "text": (("{c} IS NOT NULL", True, True), ("{c} <> ''", True, True), ("{c} IN ('a', 'b')", True, True),
             ("{c} LIKE 'x%'", False, True), ("public.own({c}) = 'x'", False, False)),
    "varchar": (("{c} IN ('a', 'it''s')", True, True), ("{c} NOT IN ('a', 'b')", True, True), ("lower({c}) > 'm'", True, True)),
    "int4": (("{c} > 0 AND {c} < 100", True, True), ("{c} IS NULL OR {c} <> -5", True, True), ("{c} BETWEEN 1 AND 2", True, True),
             ("{c} > 1.5", True, True), ("{c} IS DISTINCT FROM 3", True, True)),
    "bool": (("{c}", True, True), ("NOT {c}", True, True), ("{c} IS NOT TRUE", True, True), ("{c} = true", True, True)),
    "float8": (("{c} > 1e20", True, True), ("{c} <> 'NaN'", False, True)),
    "timestamptz": (("{c} > '2020-01-02 03:04:05+01'", True, True),),
    "bytea": (("{c} = '\\x2f'", True, True),),
    "jsonb": (("{c} @> '{{}}'", False, True),),
}
METHODS = ((None, True, True),) * 8 + (("hash", False, True), ("brin", False, True))


def ident(name):
    return '"' + name.replace('"', '""') + '"'


def literal(text):
    return "'" + text.replace("'", "''") + "'"


class Table:
    def __init__(self, name):
        self.name = name
        self.sql = "public." + ident(name)
        self.columns = {}  # name -> type; an enum's is quoted
        self.key = []
        self.targets = set()
        self.indexes = []
        self.electrified = False


class Schema:
    """`step()` is a list of statements that make a transaction. It knows what it has done as if the
    transaction commits."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.tables = {}
        self.count = 0
        self.enums = []
        # Names of indexes that a dialect must leave out.
        self.not_in = {"sqlite": set(), "postgresql": set()}

    def name(self):
        self.count += 1
        return f"{self.random.choice(NAMES)} {self.count}" if self.random.random() < 0.3 else f"n{self.count}"

    def choose(self, what):
        return self.random.choice(list(what))

    def electrified(self):
        return [table for table in self.tables.values() if table.electrified]

    def step(self):
        statements = []
        for _ in range(self.random.choice((1, 1, 1, 2, 4))):
            change = self.random.choices(
                (self.create_table, self.enable, self.add_columns, self.create_index, self.drop_index, self.disable, self.drop_table),
                (4, 2, 5, 5, 2, 1, 1) if len(self.tables) < 12 else (0, 2, 5, 5, 2, 3, 3))[0]
            statements += change() or ()
        return statements

    # -- changes --------------------------------------------------------------------------------

    def create_table(self):
        table = Table(self.name())
        statements = []
        for _ in range(self.random.randint(1, 6)):
            table.columns[self.name()] = self.choose(SQLITE_TYPES)
        if self.random.random() < 0.3:
            statements += self.add_enum(table)
        possible = [name for name, kind in table.columns.items() if kind != "jsonb"]
        if not possible:
            table.columns["id"] = "int4"
            possible = ["id"]
        self.random.shuffle(possible)
        table.key = possible[:self.random.choice((1, 1, 1, 2, 3))]
        lines = [self.column(name, kind) for name, kind in table.columns.items()]
        lines.append(f"PRIMARY KEY ({', '.join(map(ident, table.key))})")
        for _ in range(self.random.choice((0, 0, 1, 2))):
            lines += self.add_foreign_key(table)
        self.tables[table.name] = table
        statements.append(f"CREATE TABLE {table.sql} ({', '.join(lines)})")
        for _ in range(self.random.choice((0, 0, 1, 2))):
            statements += self.index(table)
        if self.random.random() < 0.7:
            statements += self.enable_one(table)
        return statements

    def column(self, name, kind):
        collation = ' COLLATE "C"' if kind in ("text", "varchar") and self.random.random() < 0.1 else ""
        return f"{ident(name)} {kind}{collation}{self.random.choice(('', '', ' NOT NULL'))}"

    def add_enum(self, table):
        made = []
        if not self.enums or self.random.random() < 0.5:
            self.enums.append("public." + ident(self.name()))
            made = [f"CREATE TYPE {self.enums[-1]} AS ENUM ('One', 'two_2')"]
        table.columns[self.name()] = self.choose(self.enums)
        return made

    def add_foreign_key(self, table):
        """A constraint to the primary key of another table, or of the same, on columns of its own."""
        target = self.choose([*self.tables.values(), table])
        names = [self.name() for _ in target.key]
        lines = [f"{ident(name)} {target.columns[column]}" for name, column in zip(names, target.key)]
        table.columns.update((name, target.columns[column]) for name, column in zip(names, target.key))
        table.targets.add(target.name)
        timing = self.random.choice(("", "", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"))
        match = "MATCH FULL " if self.random.random() < 0.1 else ""
        lines.append(f"FOREIGN KEY ({', '.join(map(ident, names))}) REFERENCES {target.sql} ({', '.join(map(ident, target.key))}) "
                     f"{match}ON DELETE {self.choose(ACTIONS)} ON UPDATE {self.choose(ACTIONS)} {timing}")
        return lines

    def enable_one(self, table):
        table.electrified = True
        return [f"CALL electric.enable({literal(table.sql)})"]

    def enable(self):
        others = [table for table in self.tables.values() if not table.electrified]
        return self.enable_one(self.choose(others)) if others else None

    def add_columns(self):
        if not self.tables:
            return None
        table = self.choose(self.tables.values())
        clauses = []
        for _ in range(self.random.choice((1, 1, 2, 3))):
            name, kind = self.name(), self.choose(SQLITE_TYPES)
            table.columns[name] = kind
            clauses.append("ADD COLUMN " + self.column(name, kind))
        return [f"ALTER TABLE {table.sql} {', '.join(clauses)}"]

    def index(self, table):
        keys, method = [], self.choose(METHODS)
        seen = [method]
        for _ in range(1 if method[0] == "hash" else self.random.choice((1, 1, 2, 3))):
            name = self.choose(table.columns)
            options = KEYS.get(table.columns[name], (("{c}", True, True),))
            if method[0]:
                options = (("{c}", True, True),)
                if table.columns[name] in ("bool", "jsonb") or table.columns[name].startswith("public"):
                    return []
            option = self.choose(options)
            keys.append(option[0].format(c=ident(name)))
            seen.append(option)
        name = self.choose(table.columns)
        predicate = ""
        if self.random.random() < 0.4 and table.columns[name] in PREDICATES:
            option = self.choose(PREDICATES[table.columns[name]])
            predicate = " WHERE " + option[0].format(c=ident(name))
            seen.append(option)
        elif table.columns[name].startswith("public"):
            predicate = f" WHERE {ident(name)} = 'One' OR {ident(name)} IN ('One', 'two_2')"
        include = f" INCLUDE ({ident(self.choose(table.columns))})" if not method[0] and self.random.random() < 0.1 else ""
        name = self.name()
        table.indexes.append(name)
        if not all(option[1] for option in seen):
            self.not_in["sqlite"].add(name)
        if not all(option[2] for option in seen):
            self.not_in["postgresql"].add(name)
        using = f"USING {method[0]} " if method[0] else ""
        return [f"CREATE INDEX {ident(name)} ON {table.sql} {using}({', '.join(keys)}){include}{predicate}"]

    def create_index(self):
        return self.index(self.choose(self.tables.values())) if self.tables else None

    def drop_index(self):
        tables = [table for table in self.tables.values() if table.indexes]
        if not tables:
            return None
        indexes = self.choose(tables).indexes
        return [f"DROP INDEX public.{ident(indexes.pop(self.random.randrange(len(indexes))))}"]

    def is_free(self, table, among):
        return not any(table.name in other.targets for other in among if other is not table)

    def disable(self):
        free = [table for table in self.electrified() if self.is_free(table, self.electrified())]
        if not free:
            return None
        table = self.choose(free)
        table.electrified = False
        return [f"CALL electric.disable({literal(table.sql)})"]

    def drop_table(self):
        free = [table for table in self.tables.values() if not table.electrified and self.is_free(table, self.tables.values())]
        if not free:
            return None
        table = self.choose(free)
        del self.tables[table.name]
        return [f"DROP TABLE {table.sql}"]
