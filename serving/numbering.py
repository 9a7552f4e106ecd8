"""How the rows of the event log are numbered: each table upwards, and no number is ever given twice.

Readers go on from the number that they stopped at. So it must not start again when old rows are deleted, nor in the
log that is made in the place of one that was removed.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

NUMBERED: Final = ("interactions", "impressions", "items", "users")
NUMBERING_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS numbering (
    log_id TEXT NOT NULL, {", ".join(f"{table} INTEGER NOT NULL" for table in NUMBERED)}) STRICT"""

_LAST: Final = {
    table: f"SELECT max({table}, (SELECT coalesce(max(sequence), 0) FROM {table})) FROM numbering" for table in NUMBERED
}


def continue_after(connection: sqlite3.Connection, log_id: str, after: Mapping[str, int]) -> None:
    """Have the rows to come numbered behind these; a log without an id gets this one. Inside a transaction."""
    if connection.execute("SELECT 1 FROM numbering").fetchone() is None:
        connection.execute(f"INSERT INTO numbering VALUES (?{', 0' * len(NUMBERED)})", (log_id,))
    for table, sequence in after.items():
        connection.execute(f"UPDATE numbering SET {table} = max({table}, ?)", (sequence,))


def last_sequence(connection: sqlite3.Connection, table: str) -> int:
    """The highest number that was given; the next row is numbered from there, in the same transaction."""
    (last,) = connection.execute(_LAST[table]).fetchone()
    assert isinstance(last, int)
    return last


def log_id(connection: sqlite3.Connection) -> str:
    """What tells this log from another one that was in its place."""
    (found,) = connection.execute("SELECT log_id FROM numbering").fetchone()
    assert isinstance(found, str)
    return found
