"""What the event log is kept in, as the one that writes it sees it: a SQLite file, or a stream of Redis."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from recsys.errors import RecsysError
from serving.feature_table import feature_row, insert_features
from serving.item_table import add_item
from serving.item_types import ItemVersion
from serving.log_file import FILE_ERRORS, LogFile
from serving.log_rows import Acknowledged, add_impression, add_interactions
from serving.shadow_table import insert_shadow, shadow_row
from serving.types import Impression, Interaction, ServedFeatures, ShadowList
from serving.user_table import add_user
from serving.user_types import UserVersion


class StoreUnavailableError(RecsysError):
    """Nothing can be written now; nothing of what was tried is stored, or it may be sent again without harm."""


class Entries(NamedTuple):
    """What one request has to write: all of it or nothing."""

    interactions: Sequence[Interaction] = ()
    items: Sequence[ItemVersion] = ()
    users: Sequence[UserVersion] = ()
    shown: Impression | None = None
    features: ServedFeatures | None = None
    """Of `shown`."""
    shadow: ShadowList | None = None


class Written(NamedTuple):
    """What became of Entries."""

    interactions: list[Acknowledged]
    items: list[int]
    users: list[int]
    """The sequence of each, as of the items."""


class LogStore(Protocol):
    """For one thread."""

    def write(self, groups: Sequence[Entries], received_at: datetime) -> list[Written]:
        """Store all of these; when this returns they are on the disk.

        Raises StoreUnavailableError, or another error when there is something about the entries.
        """
        ...

    def close(self) -> None: ...


class SqliteStore:
    """The tables of serving.event_tables in a file, all groups in one transaction."""

    def __init__(self, path: Path) -> None:
        """Raises DataError when the file cannot be used; a disk without room for it may have some later."""
        self._file = LogFile(path)

    @property
    def no_room(self) -> str | None:
        """Why nothing could be written when it was opened."""
        return self._file.no_room

    def write(self, groups: Sequence[Entries], received_at: datetime) -> list[Written]:
        try:
            return self._file.write(lambda connection: [_add(connection, each, received_at) for each in groups])
        except FILE_ERRORS as error:
            # The kind of error alone: a message might carry a value of an event.
            kind = getattr(error, "sqlite_errorname", None) or type(error).__name__
            raise StoreUnavailableError(kind) from error

    def close(self) -> None:
        self._file.close()


def _add(connection: sqlite3.Connection, entries: Entries, received_at: datetime) -> Written:
    if entries.shown is not None:
        add_impression(connection, entries.shown)
        if entries.features is not None:
            insert_features(connection, feature_row(entries.shown.request_id, entries.features))
    if entries.shadow is not None:
        insert_shadow(connection, shadow_row(entries.shadow))
    items = [add_item(connection, item, received_at) for item in entries.items]
    users = [add_user(connection, user, received_at) for user in entries.users]
    return Written(add_interactions(connection, entries.interactions, received_at), items, users)
