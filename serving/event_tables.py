"""The tables of the event log.

interactions  one row an event, in the order of arrival; an event_id occurs once
impressions   one row an answer; items is a JSON array in the order shown, and propensities one of the probability with
              which each stood at its place, whatever the others did; NULL when no place was given by chance
              experiment and variant say what it is a part of, NULL outside of experiments; where two variants are mixed
              teams is a JSON array of the one that put each item there, and variant is NULL
shadows       by request_id, what the shadows of an experiment would have shown (serving.shadow_table)
features      of some answers, by request_id, the features of all their candidates (serving.feature_table)
items         one row a version of an item (serving.item_table)
users         one row a version of the attributes of a user (serving.user_table)
stream        one row: the last entry of a Redis stream that is in these tables; without Redis it has no meaning
numbering     one row: the id of this log, and for each table a sequence that its rows come after

timestamp and received_at are microseconds since 1970, UTC. Who reads the log opens it with SQLite and needs nothing of
this package.
"""

import sqlite3
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from features.packed.sqlite_reading import has_no_room
from recsys.errors import DataError
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    EXPERIMENT,
    ITEM_ID,
    PROPENSITIES,
    QUERY,
    REQUEST_ID,
    TEAMS,
    TIMESTAMP,
    USER_ID,
    VALUE,
    VARIANT,
)
from serving.feature_table import ADD_IMPRESSIONS, FEATURES_TABLE
from serving.item_table import ITEMS_INDEX, ITEMS_TABLE
from serving.numbering import NUMBERING_TABLE, continue_after
from serving.shadow_table import SHADOWS_INDEX, SHADOWS_TABLE
from serving.stream_table import STREAM_TABLE, begin_stream
from serving.user_table import USERS_INDEX, USERS_TABLE

FORMAT_VERSION: Final = 6
BUSY_TIMEOUT_S: Final = 10.0
"""How long a process waits for another one that writes."""

WAL_BYTES: Final = 64 << 20
"""To so much the file of the latest writes shrinks after it was longer."""

_TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS interactions (
        sequence INTEGER PRIMARY KEY, {EVENT_ID} TEXT NOT NULL UNIQUE, {USER_ID} TEXT NOT NULL, {ITEM_ID} TEXT NOT NULL,
        {EVENT_TYPE} TEXT NOT NULL, {TIMESTAMP} INTEGER NOT NULL, {REQUEST_ID} TEXT, {VALUE} REAL,
        received_at INTEGER NOT NULL, {QUERY} TEXT) STRICT""",
    f"""CREATE TABLE IF NOT EXISTS impressions (
        sequence INTEGER PRIMARY KEY, {REQUEST_ID} TEXT NOT NULL UNIQUE, {USER_ID} TEXT NOT NULL,
        {TIMESTAMP} INTEGER NOT NULL, items TEXT NOT NULL, surface TEXT NOT NULL, bundle TEXT NOT NULL,
        {QUERY} TEXT, {PROPENSITIES} TEXT, {EXPERIMENT} TEXT, {VARIANT} TEXT, {TEAMS} TEXT) STRICT""",
    # For a server that starts, and looks for what was shown since its snapshot.
    f"CREATE INDEX IF NOT EXISTS impressions_by_time ON impressions ({TIMESTAMP})",
    FEATURES_TABLE,
    SHADOWS_TABLE,
    SHADOWS_INDEX,
    ITEMS_TABLE,
    ITEMS_INDEX,
    USERS_TABLE,
    USERS_INDEX,
    NUMBERING_TABLE,
    STREAM_TABLE,
)
_ADD_PROPENSITIES: Final = f"ALTER TABLE impressions ADD COLUMN {PROPENSITIES} TEXT"
_ADD_EXPERIMENTS: Final = tuple(
    f"ALTER TABLE impressions ADD COLUMN {column} TEXT" for column in (EXPERIMENT, VARIANT, TEAMS)
)
_FROM_FORMAT: Final = {
    1: (
        *(f"ALTER TABLE {table} ADD COLUMN {QUERY} TEXT" for table in ("interactions", "impressions")),
        _ADD_PROPENSITIES,
        *_ADD_EXPERIMENTS,
    ),
    2: (_ADD_PROPENSITIES, *_ADD_EXPERIMENTS),
    3: (ADD_IMPRESSIONS, _ADD_PROPENSITIES, *_ADD_EXPERIMENTS),
    4: (_ADD_PROPENSITIES, *_ADD_EXPERIMENTS),
    5: _ADD_EXPERIMENTS,
}


class NoRoomError(DataError):
    """The disk is full, or takes nothing. Nothing is wrong with the log: it can be opened when there is room."""


def connect(path: Path, after: Mapping[str, int] | None = None) -> sqlite3.Connection:
    """The log in this file, which is made when it is not there; one thread at a time may use it.

    after  table → a sequence that the rows to come must be behind: readers wait there

    Raises NoRoomError when the disk is full, another DataError when the file is something else or cannot be written.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; the folder must exist and be writable") from error
    try:
        _prepare(connection, path, after)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error) and has_no_room(error):
            raise NoRoomError(f"{path}: {error}; make room on the disk") from error
        if isinstance(error, sqlite3.Error):
            raise DataError(f"{path}: {error}; expected an event log that can be written, or no file") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, after: Mapping[str, int] | None) -> None:
    # Of a file that is still empty: what retention frees can then be given back.
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    _use_wal(connection)
    # In WAL mode, too, each commit then waits until the disk has it; NORMAL would wait at checkpoints alone.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: flush the drive's own cache as well
    connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
    version = _version(connection, path)
    if version == FORMAT_VERSION and not after:
        return  # Nothing is written: a disk that is full lets the log be opened.
    connection.execute("BEGIN IMMEDIATE")
    # Again: another process may have brought the file up to date in between.
    version = _version(connection, path)
    for statement in (*_FROM_FORMAT.get(version, ()), *_TABLES):
        connection.execute(statement)
    continue_after(connection, uuid.uuid4().hex, after or {})
    begin_stream(connection)
    if version != FORMAT_VERSION:
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= FORMAT_VERSION:
        raise DataError(
            f"{path}: the event log has format {version}, this recsys writes {FORMAT_VERSION}; update recsys"
        )
    assert isinstance(version, int)
    return version


def _use_wal(connection: sqlite3.Connection) -> None:
    # Two processes that make the file at once: here alone SQLite answers "locked" without waiting for its timeout.
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
