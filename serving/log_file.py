"""The file of the event log: opened anew after it was removed or replaced, and to write also after it failed."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from features.packed.sqlite_reading import open_to_read
from recsys.errors import DataError
from serving.event_tables import NoRoomError, connect
from serving.numbering import NUMBERED, last_sequence

T = TypeVar("T")
FileIdentity = tuple[int, int]

FILE_ERRORS: Final = (sqlite3.OperationalError, DataError, OSError)
"""The disk is full, the file is locked, read-only, damaged or gone; any other error is one of the rows."""


class LogReplacedError(OSError):
    """What was written went into a file that nobody finds any more."""


class LogFile:
    """For one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Raises DataError when the file cannot be used; it is made when it is not there, and the disk has room."""
        self._path = path
        self.no_room: str | None = None
        """Why it could not be opened at first: it is tried again with each write."""
        self._last: dict[str, int] = {}
        """By table the last sequence that this process knows of."""
        self._connection: sqlite3.Connection | None = None
        try:
            self._connection = connect(path)
        except NoRoomError as error:
            self.no_room = str(error)
        self._identity = identity(path)

    def write(self, add: Callable[[sqlite3.Connection], T]) -> T:
        """Run this in a transaction; what it added is on the disk when this returns, and nothing of it when it raises.

        Raises one of FILE_ERRORS, after which the file is opened anew the next time, or whatever `add` raised.
        """
        try:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            result = add(connection)
            last = {table: last_sequence(connection, table) for table in NUMBERED}
            connection.execute("COMMIT")
            # Someone removed it, or put another one in its place: an open file lives on without a name until it is
            # closed, and takes what it holds with it.
            if identity(self._path) != self._identity:
                raise LogReplacedError(f"{self._path}: the event log was removed or replaced while it was written")
        except sqlite3.DatabaseError as error:
            self.close()
            if isinstance(error, FILE_ERRORS) or type(error) is not sqlite3.DatabaseError:
                raise
            # Its base class is what SQLite says of a damaged file, and of one that is no database.
            raise DataError(f"{self._path}: {error}") from error
        except BaseException:
            self.close()
            raise
        self._last = last
        return result

    def close(self) -> None:
        """Close the file; a transaction that is open is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            is_new = self._identity[0] != identity(self._path)[0]
            self._connection = connect(self._path, self._last if is_new else None)
            self._identity = identity(self._path)
        return self._connection


class FileToRead:
    """The file of a log as one of those sees it that read it; for one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: FileIdentity | None = None

    def connection(self) -> sqlite3.Connection | None:
        """To the file that there is now; None while there is none. Raises sqlite3.Error when it cannot be opened.

        A log that was removed is made anew, and its numbers go on from those of the old one (serving.numbering).
        """
        if self._identity != (found := file_identity(self._path)):
            stale, self._connection, self._identity = self._connection, None, None
            if stale is not None:
                stale.close()
            opened = None if found is None else open_to_read(self._path)
            if opened is not None:
                self._connection = opened.connection
                # One that stands still is opened anew the next time.
                self._identity = None if opened.is_still else found
        return self._connection


def identity(path: Path) -> tuple[FileIdentity | None, ...]:
    """That of a log, and of the file beside it that holds what was written last."""
    return file_identity(path), file_identity(f"{path}-wal")


def file_identity(path: str | Path) -> FileIdentity | None:
    """What tells this file from another one of its name: device and inode; None when there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
