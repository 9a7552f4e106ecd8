"""The table of the event log that holds what the shadows of experiments would have shown, which nobody saw.

The impression in whose place it would have stood has the same request_id; timestamp is when the list was ready, in
microseconds since 1970, UTC, and items is a JSON array.
"""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from recsys.schema import EXPERIMENT, REQUEST_ID, TIMESTAMP, VARIANT
from serving.moments import microseconds
from serving.types import ShadowList

SHADOWS: Final = "shadows"
SHADOWS_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS {SHADOWS} (
    {REQUEST_ID} TEXT NOT NULL, {EXPERIMENT} TEXT NOT NULL, {VARIANT} TEXT NOT NULL, bundle TEXT NOT NULL,
    {TIMESTAMP} INTEGER NOT NULL, items TEXT NOT NULL, took_ms REAL NOT NULL,
    UNIQUE ({REQUEST_ID}, {EXPERIMENT}, {VARIANT})) STRICT"""
SHADOWS_INDEX: Final = f"CREATE INDEX IF NOT EXISTS shadows_by_time ON {SHADOWS} ({TIMESTAMP})"
OLD_SHADOWS: Final = f"SELECT rowid FROM {SHADOWS} WHERE {TIMESTAMP} < ?"

_ADD: Final = f"INSERT INTO {SHADOWS} VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"


def shadow_row(shadow: ShadowList) -> tuple[Any, ...]:
    """A row of shadows."""
    return (
        shadow.request_id,
        shadow.experiment,
        shadow.variant,
        shadow.bundle,
        microseconds(shadow.timestamp or datetime.now(UTC)),
        msgspec.json.encode(shadow.items).decode(),
        shadow.took_ms,
    )


def insert_shadow(connection: sqlite3.Connection, row: Sequence[Any]) -> None:
    """Add what a shadow would have shown, once for each request."""
    connection.execute(_ADD, row)
