"""Attributes of users that were sent to a server: they stand over those of the users table.

Reads   events.db (serving.user_table), whoever writes there
"""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Final

from recsys.attributes import Attributes
from recsys.state import Floats, UserState
from serving.log_file import FileToRead
from serving.user_table import latest_user, users_after

KEPT: Final = 10_000
"""Users of the latest requests."""


class LiveUsers:
    """Not thread-safe."""

    def __init__(self, log: Path, attributes: Attributes | None) -> None:
        """`attributes` of users that the bundle reads; None: it reads none, and nothing is followed."""
        self._file, self._attributes = FileToRead(log), attributes
        self._place = 0
        """In the log, of the version that was sent last; 0 when none ever was."""
        self._known: OrderedDict[str, Floats | None] = OrderedDict()

    def follow(self) -> None:
        """See what was sent until now. Raises sqlite3.Error."""
        connection = None if self._attributes is None else self._file.connection()
        if connection is None:
            return
        for place, user_id in users_after(connection, self._place):
            self._place = place
            self._known.pop(user_id, None)

    def sent(self, user_id: str) -> bool:
        """Whether attributes of the user were ever sent. Raises sqlite3.Error."""
        return self._of(user_id) is not None

    def with_attributes(self, user_id: str, user: UserState) -> UserState:
        """The same user with the attributes that were sent, if any were; none, if they were deleted.

        Raises sqlite3.Error.
        """
        found = self._of(user_id)
        return user if found is None else replace(user, attributes=found)

    def _of(self, user_id: str) -> Floats | None:
        """float64 (n_attributes,)"""
        connection = self._file.connection() if self._place else None
        if connection is None or self._attributes is None:
            return None
        if user_id not in self._known:
            version = latest_user(connection, user_id)
            self._known[user_id] = None if version is None else self._attributes.of_item(version.columns or {})
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        return self._known[user_id]
