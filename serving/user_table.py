"""The table of the event log that holds attributes of users as they were sent: one row a version.

columns is a JSON object of all but user_id; it is NULL when they were deleted. received_at is microseconds since 1970,
UTC.
"""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from recsys.schema import USER_ID
from serving.moments import microseconds
from serving.numbering import last_sequence
from serving.user_types import UserVersion

USERS_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS users (
    sequence INTEGER PRIMARY KEY, {USER_ID} TEXT NOT NULL, columns TEXT, received_at INTEGER NOT NULL) STRICT"""
USERS_INDEX: Final = f"CREATE INDEX IF NOT EXISTS users_by_id ON users ({USER_ID}, sequence)"
_ADD: Final = f"""
    INSERT INTO users (sequence, {USER_ID}, columns, received_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"""
_AFTER: Final = f"SELECT sequence, {USER_ID} FROM users WHERE sequence > ? ORDER BY sequence"
_LATEST: Final = f"SELECT columns FROM users WHERE {USER_ID} = ? ORDER BY sequence DESC LIMIT 1"


def user_row(user: UserVersion, received_at: int) -> tuple[Any, ...]:
    """A row of users behind its sequence. received_at: microseconds since 1970."""
    columns = None if user.columns is None else msgspec.json.encode(user.columns).decode()
    return user.user_id, columns, received_at


def insert_user(connection: sqlite3.Connection, sequence: int, row: Sequence[Any]) -> None:
    """Add a version, unless there is one of this sequence."""
    connection.execute(_ADD, (sequence, *row))


def add_user(connection: sqlite3.Connection, user: UserVersion, received_at: datetime) -> int:
    """Add a version; returns its sequence."""
    sequence = last_sequence(connection, "users") + 1
    insert_user(connection, sequence, user_row(user, microseconds(received_at)))
    return sequence


def users_after(connection: sqlite3.Connection, sequence: int) -> list[tuple[int, str]]:
    """The place and the user of every version behind this one."""
    return connection.execute(_AFTER, (sequence,)).fetchall()


def latest_user(connection: sqlite3.Connection, user_id: str) -> UserVersion | None:
    """The latest version of a user; None when none was ever sent."""
    row = connection.execute(_LATEST, (user_id,)).fetchone()
    if row is None:
        return None
    return UserVersion(user_id, None if row[0] is None else msgspec.json.decode(row[0]))
