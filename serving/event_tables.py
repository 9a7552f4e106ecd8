"""The tables of the event log.

interactions  one row an event, in the order of arrival; an event_id occurs once
impressions   one row an answer; items is a JSON array in the order shown, and propensities one of the probability with
              which each stood at its place, whatever the others did; NULL when no place was given by chance
features      of some answers, by request_id, the features of all their candidates (serving.feature_table)
items         one row a version of an item (serving.item_table)

timestamp and received_at are microseconds since 1970, UTC. Who reads the log opens it with SQLite and needs nothing of
this package.
"""

import sqlite3
import time
import uuid
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from recsys.errors import DataError
from recsys.schema import EVENT_ID, EVENT_TYPE, ITEM_ID, PROPENSITIES, QUERY, REQUEST_ID, TIMESTAMP, USER_ID, VALUE
from serving.feature_table import ADD_IMPRESSIONS, FEATURES_TABLE
from serving.item_table import ITEMS_INDEX, ITEMS_TABLE
from serving.moments import microseconds
from serving.types import Impression, Interaction

FORMAT_VERSION: Final = 5
BUSY_TIMEOUT_S: Final = 10.0
"""How long a process waits for another one that writes."""

_TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS interactions (
        sequence INTEGER PRIMARY KEY, {EVENT_ID} TEXT NOT NULL UNIQUE, {USER_ID} TEXT NOT NULL, {ITEM_ID} TEXT NOT NULL,
        {EVENT_TYPE} TEXT NOT NULL, {TIMESTAMP} INTEGER NOT NULL, {REQUEST_ID} TEXT, {VALUE} REAL,
        received_at INTEGER NOT NULL, {QUERY} TEXT) STRICT""",
    f"""CREATE TABLE IF NOT EXISTS impressions (
        sequence INTEGER PRIMARY KEY, {REQUEST_ID} TEXT NOT NULL UNIQUE, {USER_ID} TEXT NOT NULL,
        {TIMESTAMP} INTEGER NOT NULL, items TEXT NOT NULL, surface TEXT NOT NULL, bundle TEXT NOT NULL,
        {QUERY} TEXT, {PROPENSITIES} TEXT) STRICT""",
    # For a server that starts, and looks for what was shown since its snapshot.
    f"CREATE INDEX IF NOT EXISTS impressions_by_time ON impressions ({TIMESTAMP})",
    FEATURES_TABLE,
    ITEMS_TABLE,
    ITEMS_INDEX,
)
_ADD_PROPENSITIES: Final = f"ALTER TABLE impressions ADD COLUMN {PROPENSITIES} TEXT"
_FROM_FORMAT: Final = {
    1: (
        *(f"ALTER TABLE {table} ADD COLUMN {QUERY} TEXT" for table in ("interactions", "impressions")),
        _ADD_PROPENSITIES,
    ),
    2: (_ADD_PROPENSITIES,),
    3: (ADD_IMPRESSIONS, _ADD_PROPENSITIES),
    4: (_ADD_PROPENSITIES,),
}
_ADD_INTERACTION: Final = f"""
    INSERT INTO interactions
        ({EVENT_ID}, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, {TIMESTAMP}, {REQUEST_ID}, {VALUE}, received_at, {QUERY})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({EVENT_ID}) DO NOTHING"""
_ADD_IMPRESSION: Final = f"""
    INSERT INTO impressions ({REQUEST_ID}, {USER_ID}, {TIMESTAMP}, items, surface, bundle, {QUERY}, {PROPENSITIES})
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({REQUEST_ID}) DO NOTHING"""


class Acknowledged(NamedTuple):
    """This event is on the disk; as a duplicate it was there before."""

    event_id: str
    duplicate: bool


def connect(path: Path) -> sqlite3.Connection:
    """The log in this file, which is made when it is not there; one thread at a time may use it.

    Raises DataError when the file is something else or cannot be written.
    """
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; the folder must exist and be writable") from error
    try:
        _prepare(connection, path)
    except BaseException as error:
        connection.close()
        if isinstance(error, sqlite3.Error):
            raise DataError(f"{path}: {error}; expected an event log that can be written, or no file") from error
        raise
    return connection


def add_interaction(connection: sqlite3.Connection, event: Interaction, received_at: datetime) -> Acknowledged:
    """Add an event unless its event_id is there; absent, it gets a new event_id and happened when it was received."""
    event_id = event.event_id or uuid.uuid4().hex
    row = (
        event_id,
        event.user_id,
        event.item_id,
        event.event_type,
        microseconds(event.timestamp or received_at),
        event.request_id,
        event.value,
        microseconds(received_at),
        event.query,
    )
    return Acknowledged(event_id, duplicate=connection.execute(_ADD_INTERACTION, row).rowcount == 0)


def add_impression(connection: sqlite3.Connection, shown: Impression) -> None:
    """Add what an answer showed, once for each request_id."""
    row = (
        shown.request_id,
        shown.user_id,
        microseconds(shown.timestamp),
        msgspec.json.encode(shown.items).decode(),
        shown.surface,
        shown.bundle,
        shown.query,
        None if shown.propensities is None else msgspec.json.encode(shown.propensities).decode(),
    )
    connection.execute(_ADD_IMPRESSION, row)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    _use_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: flush the drive's own cache as well
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not 0 <= version <= FORMAT_VERSION:
        raise DataError(
            f"{path}: the event log has format {version}, this recsys writes {FORMAT_VERSION}; update recsys"
        )
    connection.execute("BEGIN IMMEDIATE")
    # Again: another process may have brought the file up to date in between.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for statement in (*_FROM_FORMAT.get(version, ()), *_TABLES):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


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
