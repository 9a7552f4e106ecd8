"""Rows of the event log as tables of recsys.schema, in the order of the log.

interactions  timestamp is never later than received_at, when the event arrived
impressions   what stood first is first in `items`, and in `propensities`; where the features were logged, `candidates`
              are the items of the rows of `features`, whose columns are those of the bundle's manifest; experiment,
              variant and teams as in the log
items         a row a version, with its attributes as further columns; versions that delete an item are left out
users         a row a version, with its attributes as further columns; `deleted` where the attributes were deleted

Reads  events.db (tables: serving.event_tables)
"""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import polars as pl

from recsys.parsing import read
from recsys.schema import (
    DELETED,
    EVENT_ID,
    EVENT_TYPE,
    EXPERIMENT,
    ITEM_ID,
    ITEMS,
    PROPENSITIES,
    QUERY,
    REQUEST_ID,
    SURFACE,
    TEAMS,
    TIMESTAMP,
    UPDATED_AT,
    USER_ID,
    UTC_MICROSECONDS,
    VALUE,
    VARIANT,
    columns_of,
)
from recsys.sources.jsonlines import column_of
from serving.feature_table import FLOAT32

CANDIDATES: Final = "candidates"
FEATURES: Final = "features"
RECEIVED_AT: Final = "received_at"

ROWS_AT_ONCE: Final = {"interactions": 200_000, "impressions": 20_000, "items": 20_000, "users": 20_000}
"""So many are in memory: impressions may have the features of hundreds of candidates with them."""

MOMENT_OF: Final = {"interactions": TIMESTAMP, "impressions": TIMESTAMP, "items": UPDATED_AT, "users": UPDATED_AT}
"""Table → the column that says on which day a row belongs."""

_INTERACTIONS: Final = f"""
    SELECT sequence, {EVENT_ID}, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, min({TIMESTAMP}, received_at), {REQUEST_ID},
        {VALUE}, {QUERY}, received_at
    FROM interactions WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"""
_IMPRESSIONS: Final = f"""
    SELECT sequence, {REQUEST_ID}, {USER_ID}, {TIMESTAMP}, impressions.items, {PROPENSITIES}, {SURFACE}, bundle,
        {QUERY}, {EXPERIMENT}, {VARIANT}, {TEAMS}, candidates, matrix
    FROM impressions LEFT JOIN features USING ({REQUEST_ID})
    WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"""
_ITEMS: Final = f"""
    SELECT sequence, {ITEM_ID}, columns, {UPDATED_AT} FROM items
    WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"""
_USERS: Final = f"""
    SELECT sequence, {USER_ID}, columns, received_at FROM users
    WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"""

EXPERIMENT_COLUMNS: Final[dict[str, pl.DataType]] = {
    EXPERIMENT: pl.String(),
    VARIANT: pl.String(),
    TEAMS: pl.List(pl.String()),
}
"""Of impressions; files that were exported before there were experiments lack them."""

_INTERACTION_SCHEMA: Final = {
    name: columns_of("interactions")[name]
    for name in (EVENT_ID, USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP, REQUEST_ID, VALUE, QUERY)
} | {RECEIVED_AT: UTC_MICROSECONDS}
_IMPRESSION_SCHEMA: Final = (
    {
        name: columns_of("impressions")[name]
        for name in (REQUEST_ID, USER_ID, TIMESTAMP, ITEMS, PROPENSITIES, SURFACE, "bundle", QUERY)
    }
    | EXPERIMENT_COLUMNS
    | {CANDIDATES: pl.List(pl.String), FEATURES: pl.List(pl.List(pl.Float32))}
)

Row = tuple[Any, ...]


class LoggedRows(NamedTuple):
    """Rows of a table, and the sequences of the first and the last one that was read for them."""

    first: int
    last: int
    rows: pl.DataFrame


def logged_rows(connection: sqlite3.Connection, table: str, *, after: int, until: int) -> Iterator[LoggedRows]:
    """The rows between two sequences, a part at a time; no query is open between two parts."""
    query, made = _TABLES[table]
    while after < until:
        found = connection.execute(query, (after, until, ROWS_AT_ONCE[table])).fetchall()
        if not found:
            return
        first, after = found[0][0], found[-1][0]
        yield LoggedRows(first, after, made(found))


def _interactions(found: list[Row]) -> pl.DataFrame:
    return _frame([row[1:] for row in found], _INTERACTION_SCHEMA)


def _impressions(found: list[Row]) -> pl.DataFrame:
    rows = []
    for _, request_id, user, at, items, propensities, surface, bundle, query, *of_experiment in found:
        name, variant, teams, candidates, matrix = of_experiment
        features = None
        teams = None if teams is None else msgspec.json.decode(teams)
        if candidates is not None:
            candidates = msgspec.json.decode(candidates)
            features = np.frombuffer(matrix, FLOAT32).reshape(len(candidates), -1).tolist()
        shown = msgspec.json.decode(items), None if propensities is None else msgspec.json.decode(propensities)
        rows.append((request_id, user, at, *shown, surface, bundle, query, name, variant, teams, candidates, features))
    return _frame(rows, _IMPRESSION_SCHEMA)


def _items(found: list[Row]) -> pl.DataFrame:
    versions = [
        {**msgspec.json.decode(columns), ITEM_ID: item_id, UPDATED_AT: updated_at}
        for _, item_id, columns, updated_at in found
        if columns is not None
    ]
    known = columns_of("items")
    attributes = dict.fromkeys(name for version in versions for name in version if name not in known)
    columns = [column_of(name, [version.get(name) for version in versions]) for name in (*known, *attributes)]
    typed = [
        column.cast(UTC_MICROSECONDS) if column.name == UPDATED_AT else read(column, known[column.name])
        for column in columns[: len(known)]
    ]
    return pl.DataFrame([*typed, *columns[len(known) :]])


def _users(found: list[Row]) -> pl.DataFrame:
    versions = [{} if columns is None else msgspec.json.decode(columns) for *_, columns, _ in found]
    attributes = dict.fromkeys(name for version in versions for name in version)
    own = {
        USER_ID: pl.Series([user for _, user, *_ in found], dtype=pl.String),
        UPDATED_AT: pl.Series([at for *_, at in found], dtype=pl.Int64).cast(UTC_MICROSECONDS),
        DELETED: pl.Series([columns is None for *_, columns, _ in found], dtype=pl.Boolean),
    }
    further = [column_of(name, [version.get(name) for version in versions]) for name in attributes if name not in own]
    return pl.DataFrame([*(column.alias(name) for name, column in own.items()), *further])


def _frame(rows: list[Row], schema: dict[str, Any]) -> pl.DataFrame:
    moments = [name for name, dtype in schema.items() if dtype == UTC_MICROSECONDS]
    stored = {name: pl.Int64() if name in moments else dtype for name, dtype in schema.items()}
    return pl.DataFrame(rows, stored, orient="row").with_columns(pl.col(moments).cast(UTC_MICROSECONDS))


_TABLES: Final[dict[str, tuple[str, Callable[[list[Row]], pl.DataFrame]]]] = {
    "interactions": (_INTERACTIONS, _interactions),
    "impressions": (_IMPRESSIONS, _impressions),
    "items": (_ITEMS, _items),
    "users": (_USERS, _users),
}
