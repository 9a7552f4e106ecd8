"""A SQLite file opened to be read, also where the disk is full.

A file in WAL mode has another one beside it that its readers share, and SQLite makes that when it is not there, for
which a full disk has no room. When there is no file of latest writes beside it, or an empty one, everything is in the
file itself, and it can be read without the other two as long as nobody writes, which takes room as well.
"""

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

NO_ROOM: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
"""What SQLite says of a disk that is full, or that takes nothing."""


class Opened(NamedTuple):
    """For one thread at a time; its owner closes the connection."""

    connection: sqlite3.Connection
    is_still: bool
    """Whether nobody could write when it was opened. What is written later would be missed: open it anew each time."""


def open_to_read(path: Path) -> Opened | None:
    """The file; None while it has no tables yet, as one that could not be made on a full disk.

    Raises sqlite3.Error when it cannot be read.
    """
    try:
        connection = _opened(path, "mode=ro")
        return None if connection is None else Opened(connection, is_still=False)
    except sqlite3.OperationalError as error:
        if not has_no_room(error):
            raise
        return open_still(path, error)


def open_still(path: Path, error: sqlite3.Error) -> Opened | None:
    """The file where `error` says that there is no room to open it as usual. Raises it when that is of no help."""
    if _has_latest_writes(path):
        raise error
    connection = _opened(path, "mode=ro&immutable=1")
    return None if connection is None else Opened(connection, is_still=True)


def has_no_room(error: sqlite3.Error) -> bool:
    """Whether it is the disk for which a file cannot be opened or written; it may have room later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in NO_ROOM


def _opened(path: Path, how: str) -> sqlite3.Connection | None:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, check_same_thread=False)
    try:
        # Nothing was read so far.
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    if tables:
        return connection
    connection.close()
    return None


def _has_latest_writes(path: Path) -> bool:
    try:
        return Path(f"{path}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False
