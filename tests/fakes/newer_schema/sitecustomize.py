"""The next version of the program, whose journals have one more table. For a test's PYTHONPATH only."""

from jesse_paperd.records import journal

_TABLE = "CREATE TABLE moods (at INTEGER PRIMARY KEY, mood TEXT NOT NULL)"
journal.MIGRATIONS = {**journal.MIGRATIONS, journal.VERSION: _TABLE}
journal.VERSION += 1
journal.SCHEMA += f"{_TABLE};"
