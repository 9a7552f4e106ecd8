"""The table of the event log that holds the features which some answers were made from, for `recsys audit parity`.

The answer itself is in impressions, by request_id. as_of and written_at are microseconds since 1970, UTC; candidates is
a JSON array of item ids, and matrix holds a row of float32, little-endian, for each of them.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from recsys.errors import DataError
from recsys.schema import QUERY, REQUEST_ID, USER_ID
from serving.moments import from_microseconds, microseconds
from serving.types import ServedFeatures

FEATURES_TABLE: Final = f"""CREATE TABLE IF NOT EXISTS features (
    {REQUEST_ID} TEXT PRIMARY KEY, as_of INTEGER NOT NULL, written_at INTEGER NOT NULL, events INTEGER NOT NULL,
    items INTEGER NOT NULL, candidates TEXT NOT NULL, matrix BLOB NOT NULL,
    impressions INTEGER NOT NULL DEFAULT 0) STRICT"""
ADD_IMPRESSIONS: Final = "ALTER TABLE features ADD COLUMN impressions INTEGER NOT NULL DEFAULT 0"
"""To a table of a log of format 3."""
FLOAT32: Final = np.dtype("<f4")

_ADD: Final = f"INSERT INTO features VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT ({REQUEST_ID}) DO NOTHING"
_LOGGED: Final = f"""
    SELECT {USER_ID}, bundle, {QUERY}, as_of, written_at, events, features.impressions, features.items, candidates,
        matrix
    FROM features JOIN impressions USING ({REQUEST_ID}) ORDER BY impressions.sequence"""


class LoggedRequest(NamedTuple):
    """An answer whose features were logged."""

    user_id: str
    bundle: str
    query: str | None
    features: ServedFeatures


def feature_row(request_id: str, features: ServedFeatures) -> tuple[Any, ...]:
    """A row of features."""
    return (
        request_id,
        microseconds(features.as_of),
        microseconds(features.written_at),
        features.events,
        features.items,
        msgspec.json.encode(features.candidates).decode(),
        features.matrix.astype(FLOAT32, copy=False).tobytes(),
        features.impressions,
    )


def insert_features(connection: sqlite3.Connection, row: Sequence[Any]) -> None:
    """Add the features of an answer, once for each request_id."""
    connection.execute(_ADD, row)


def logged_requests(path: Path) -> Iterator[LoggedRequest]:
    """Every answer whose features were logged, the oldest first. Raises DataError when the file cannot be read."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            for user, bundle, query, as_of, written_at, *places, candidates, matrix in connection.execute(_LOGGED):
                ids = msgspec.json.decode(candidates, type=list[str])
                values = np.frombuffer(matrix, dtype=FLOAT32).reshape(len(ids), -1)
                moments = from_microseconds(as_of), from_microseconds(written_at)
                events, impressions, items = places
                features = ServedFeatures(*moments, events, impressions, items, ids, values)
                yield LoggedRequest(user, bundle, query, features)
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; expected the event log of this project") from error
