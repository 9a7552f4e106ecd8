"""What the event log has of interactions, from a place in it on. Other processes may be writing to it.

Reads   events.db (tables: serving.event_tables)
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from features.recent import RecentEvent
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, VALUE
from serving.item_table import LAST_SEQUENCE
from serving.moments import MICROSECONDS

_SINCE: Final = f"""
    SELECT sequence, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, min({TIMESTAMP}, received_at), {VALUE}, received_at
    FROM interactions WHERE sequence > ? AND sequence <= ? ORDER BY sequence"""


class LoggedEvent(NamedTuple):
    """An event of a user, and when it was received in seconds since the epoch."""

    user_id: str
    event: RecentEvent
    received_at: float


class RecentLog:
    """Reads one log; for one thread."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error when the file cannot be opened; a log that is not there yet is empty."""
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def after(self, sequence: int, until: int = LAST_SEQUENCE) -> Iterator[LoggedEvent]:
        """The events behind this place, in the order of the log. An event is never later than its arrival."""
        connection = self._connected()
        if connection is None:
            return
        for place, user, item, kind, at, value, received_at in connection.execute(_SINCE, (sequence, until)):
            amount = float("nan") if value is None else value
            yield LoggedEvent(
                user, RecentEvent(at / MICROSECONDS, place, item, kind, amount), received_at / MICROSECONDS
            )

    def _connected(self) -> sqlite3.Connection | None:
        if self._connection is None and self._path.exists():
            self._connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, check_same_thread=False)
        return self._connection
