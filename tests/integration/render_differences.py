"""Where migrations differ from those of the legacy proxy, and why that is better.

One row: the ids of the facts, what we do instead, why. The other facts are tested where SQL is
rendered, in render_sql_test.c and render_expression_test.c.
"""


def ids(area, numbers):
    return tuple(f"{area}-{int(number):03d}" for number in numbers.split())


RENDERED = ids("sqlite-translate", "1 3 4 6 7 11 38 41 43 44")

DIFFERENCES = (
    (ids("sqlite-translate", "2"),
     "REAL for float4 and float8; columns of type numeric and money are refused.",
     "SQLite would round what Postgres keeps exactly."),
    (ids("sqlite-translate", "5"),
     "TEXT for date, time, timestamp and timestamptz; timetz is refused.",
     "ENABLE lists the types it takes; a time of day with a zone means nothing without its date."),
    (ids("sqlite-translate", "8"),
     "TEXT_JSON for jsonb; json is refused.",
     "json keeps the white space of its writer, which does not come back from clients."),
    (ids("sqlite-translate", "9"),
     "Arrays are refused.",
     "Clients have no type for them."),
    (ids("sqlite-translate", "17 29 30 32"),
     "CHECK constraints and generated columns are refused.",
     "Rows are made on clients, where functions and operators mean something else."),
    (ids("sqlite-translate", "19 34 40"),
     "UNIQUE constraints and unique indexes are refused with EX011.",
     "Two clients can each make a row that is unique there, and only one of them could ever be kept."),
    (ids("sqlite-translate", "20 21 23 24 26 28 31 37"),
     "DEFAULT, serial, and lengths of varchar are refused.",
     "Values come from the application; SQLite does not enforce a length."),
    (ids("sqlite-translate", "35"),
     "A new column with REFERENCES is refused with EX011; foreign keys are rendered in CREATE TABLE.",
     "Rows that break it may be on clients already."),
    (ids("sqlite-translate", "49"),
     "An index always has the name that Postgres gave it.",
     'The empty name "" clashed with the next one.'),
    (ids("http-api", "24"),
     "DROP INDEX reaches clients, as DROP INDEX IF EXISTS.",
     "Clients kept what the source had dropped."),
    (ids("http-api", "25"),
     "Each added column is one statement in both dialects.",
     "The whole text of the ALTER TABLE was sent once a column, and failed the second time."),
)
