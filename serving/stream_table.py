"""The table of the event log that says how far a file follows a Redis stream."""

import sqlite3
from typing import Final

STREAM_TABLE: Final = "CREATE TABLE IF NOT EXISTS stream (last_id TEXT NOT NULL) STRICT"
BEGINNING: Final = "0-0"
"""Of a stream: what its first entry comes after."""


def begin_stream(connection: sqlite3.Connection) -> None:
    """A log that knows of no stream is before its first entry. Inside a transaction."""
    connection.execute("INSERT INTO stream SELECT ? WHERE NOT EXISTS (SELECT 1 FROM stream)", (BEGINNING,))


def last_entry(connection: sqlite3.Connection) -> str:
    """The id of the last entry that is in the tables."""
    (found,) = connection.execute("SELECT last_id FROM stream").fetchone()
    assert isinstance(found, str)
    return found
