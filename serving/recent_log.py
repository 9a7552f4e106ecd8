"""What the event log has of interactions and of impressions, from a place on. Other processes may be writing to it.

Reads   events.db (tables: serving.event_tables)
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from features.recent import RecentEvent
from recsys.schema import EVENT_TYPE, ITEM_ID, ITEMS, REQUEST_ID, TIMESTAMP, USER_ID, VALUE
from recsys.state import SECONDS_A_DAY
from serving.item_table import LAST_SEQUENCE
from serving.log_file import FileToRead
from serving.moments import MICROSECONDS, microseconds

_SINCE: Final = f"""
    SELECT sequence, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, min({TIMESTAMP}, received_at), {VALUE}, received_at,
        {REQUEST_ID}
    FROM interactions WHERE sequence > ? AND sequence <= ? ORDER BY sequence"""
_SHOWN: Final = f"SELECT sequence, {REQUEST_ID}, {TIMESTAMP}, {ITEMS} FROM impressions"

# In one statement, for others may be writing.
_SHOWN_BEFORE: Final = f"""
    SELECT coalesce(
        (SELECT min(sequence) - 1 FROM impressions WHERE {TIMESTAMP} >= ?), (SELECT max(sequence) FROM impressions), 0
    )"""


class LoggedEvent(NamedTuple):
    """An event of a user, when it was received in seconds since the epoch, and what it answers, if it says so."""

    user_id: str
    event: RecentEvent
    received_at: float
    request_id: str | None


class LoggedImpression(NamedTuple):
    """What an answer showed, its place in the log, and when that was in seconds since the epoch."""

    place: int
    request_id: str
    at: float
    items_json: str

    @property
    def items(self) -> set[str]:
        """The items, each once."""
        return msgspec.json.decode(self.items_json, type=set[str])


UserDay = tuple[str, int]
"""A user, and a day (UTC) since 1970."""


def day_of(user: str, event: RecentEvent) -> UserDay:
    """The day that an event counts for."""
    return user, int(event.at // SECONDS_A_DAY)


def is_recent(at: float, received_at: float, as_of: datetime, written_at: datetime) -> bool:
    """Whether a snapshot lacks what happened at a time: what is older, and was here before it was made, is in it."""
    return at >= as_of.timestamp() or received_at > written_at.timestamp()


class RecentLog:
    """Reads one log; for one thread."""

    def __init__(self, path: Path) -> None:
        """Raises sqlite3.Error when the file cannot be opened; a log that is not there yet is empty."""
        self._file = FileToRead(path)

    def after(self, sequence: int, until: int = LAST_SEQUENCE) -> Iterator[LoggedEvent]:
        """The events behind this place, in the order of the log. An event is never later than its arrival."""
        connection = self._file.connection()
        if connection is None:
            return
        rows = connection.execute(_SINCE, (sequence, until))
        for place, user, item, kind, at, value, received_at, request_id in rows:
            amount = float("nan") if value is None else value
            event = RecentEvent(at / MICROSECONDS, place, item, kind, amount)
            yield LoggedEvent(user, event, received_at / MICROSECONDS, request_id)

    def shown_after(self, sequence: int, until: int = LAST_SEQUENCE) -> Iterator[LoggedImpression]:
        """The impressions behind this place, in the order of the log."""
        condition = " WHERE sequence > ? AND sequence <= ? ORDER BY sequence"
        return self._impressions(condition, (sequence, until))

    def shown_before(self, moment: datetime) -> int:
        """A place up to which every impression is older than this."""
        connection = self._file.connection()
        if connection is None:
            return 0
        (place,) = connection.execute(_SHOWN_BEFORE, (microseconds(moment),)).fetchone()
        assert isinstance(place, int)
        return place

    def shown_by(self, request_id: str) -> LoggedImpression | None:
        """What this answer showed, if the log has that."""
        return next(self._impressions(f" WHERE {REQUEST_ID} = ?", (request_id,)), None)

    def _impressions(self, condition: str, values: tuple[object, ...]) -> Iterator[LoggedImpression]:
        connection = self._file.connection()
        if connection is not None:
            for place, request_id, at, items in connection.execute(_SHOWN + condition, values):
                yield LoggedImpression(place, request_id, at / MICROSECONDS, items)
