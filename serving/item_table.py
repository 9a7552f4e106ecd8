"""The table of the event log that holds items as they were sent: one row a version, in the order of arrival.

columns is a JSON object of all but item_id; it is NULL when the item was deleted. updated_at and received_at are
microseconds since 1970, UTC.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from features.packed.sqlite_reading import open_to_read
from recsys.errors import DataError
from recsys.schema import ITEM_ID, UPDATED_AT
from serving.item_types import ItemVersion
from serving.moments import from_microseconds, microseconds
from serving.numbering import last_sequence

ITEMS_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS items (
    sequence INTEGER PRIMARY KEY, {ITEM_ID} TEXT NOT NULL, columns TEXT, {UPDATED_AT} INTEGER NOT NULL,
    received_at INTEGER NOT NULL) STRICT"""
ITEMS_INDEX: Final = f"CREATE INDEX IF NOT EXISTS items_by_id ON items ({ITEM_ID}, sequence)"

_ADD: Final = f"""
    INSERT INTO items (sequence, {ITEM_ID}, columns, {UPDATED_AT}, received_at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT DO NOTHING"""
_LATEST: Final = f"""
    SELECT max(sequence), {ITEM_ID}, columns, {UPDATED_AT} FROM items WHERE sequence > ? AND sequence <= ?
    GROUP BY {ITEM_ID}"""
LAST_SEQUENCE: Final = (1 << 63) - 1


def item_row(item: ItemVersion, received_at: int) -> tuple[Any, ...]:
    """A row of items behind its sequence. received_at: microseconds since 1970."""
    columns = None if item.columns is None else msgspec.json.encode(item.columns).decode()
    updated_at = received_at if item.updated_at is None else microseconds(item.updated_at)
    return item.item_id, columns, updated_at, received_at


def insert_item(connection: sqlite3.Connection, sequence: int, row: Sequence[Any]) -> None:
    """Add a version, unless there is one of this sequence."""
    connection.execute(_ADD, (sequence, *row))


def add_item(connection: sqlite3.Connection, item: ItemVersion, received_at: datetime) -> int:
    """Add a version; returns its sequence."""
    sequence = last_sequence(connection, "items") + 1
    insert_item(connection, sequence, item_row(item, microseconds(received_at)))
    return sequence


def latest_items(path: Path, *, after: int = 0, until: int = LAST_SEQUENCE) -> Iterator[tuple[int, ItemVersion]]:
    """The sequence and the latest version, between two places, of every item of the log; none without such a table.

    Raises DataError when the file cannot be read.
    """
    try:
        opened = open_to_read(path)
        if opened is None:
            return
        with closing(opened.connection) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'items'").fetchone():
                return
            # SQLite takes the other columns from the row that holds the maximum.
            for sequence, item_id, columns, updated_at in connection.execute(_LATEST, (after, until)):
                decoded = None if columns is None else msgspec.json.decode(columns)
                yield sequence, ItemVersion(item_id, decoded, from_microseconds(updated_at))
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; expected the event log of this project") from error
