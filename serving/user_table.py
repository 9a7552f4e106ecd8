"""The table of the event log that holds attributes of users as they were sent: one row a version.

columns is a JSON object of all but user_id; it is NULL when they were deleted. received_at is microseconds since 1970,
UTC. The table is made with its first row.
"""

import sqlite3
from datetime import datetime
from typing import Final

import msgspec

from recsys.schema import USER_ID
from serving.moments import microseconds
from serving.user_types import UserVersion

_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS users (
    sequence INTEGER PRIMARY KEY, {USER_ID} TEXT NOT NULL, columns TEXT, received_at INTEGER NOT NULL) STRICT"""
_INDEX: Final = f"CREATE INDEX IF NOT EXISTS users_by_id ON users ({USER_ID}, sequence)"
_HAS_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'users'"
_ADD: Final = f"INSERT INTO users ({USER_ID}, columns, received_at) VALUES (?, ?, ?)"
_AFTER: Final = f"SELECT sequence, {USER_ID} FROM users WHERE sequence > ? ORDER BY sequence"
_LATEST: Final = f"SELECT columns FROM users WHERE {USER_ID} = ? ORDER BY sequence DESC LIMIT 1"


def add_user(connection: sqlite3.Connection, user: UserVersion, received_at: datetime) -> int:
    """Add a version; returns its sequence."""
    connection.execute(_TABLE)
    connection.execute(_INDEX)
    columns = None if user.columns is None else msgspec.json.encode(user.columns).decode()
    sequence = connection.execute(_ADD, (user.user_id, columns, microseconds(received_at))).lastrowid
    assert sequence is not None
    return sequence


def has_users(connection: sqlite3.Connection) -> bool:
    """Whether the log has such a table by now."""
    return connection.execute(_HAS_TABLE).fetchone() is not None


def users_after(connection: sqlite3.Connection, sequence: int) -> list[tuple[int, str]]:
    """The place and the user of every version behind this one."""
    return connection.execute(_AFTER, (sequence,)).fetchall()


def latest_user(connection: sqlite3.Connection, user_id: str) -> UserVersion | None:
    """The latest version of a user; None when none was ever sent."""
    row = connection.execute(_LATEST, (user_id,)).fetchone()
    if row is None:
        return None
    return UserVersion(user_id, None if row[0] is None else msgspec.json.decode(row[0]))
