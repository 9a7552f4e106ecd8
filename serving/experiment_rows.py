"""What the event log and its exported files have of an experiment, each row once.

Reads   events.db, log/impressions, log/interactions (serving.exporting)
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from recsys.errors import DataError
from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    EXPERIMENT,
    ITEM_ID,
    ITEMS,
    REQUEST_ID,
    TEAMS,
    TIMESTAMP,
    USER_ID,
    UTC_MICROSECONDS,
    VALUE,
    VARIANT,
)
from recsys.workspace import Workspace
from serving.shadow_table import SHADOWS

_IMPRESSIONS: Final = {
    REQUEST_ID: pl.String(),
    USER_ID: pl.String(),
    TIMESTAMP: UTC_MICROSECONDS,
    ITEMS: pl.List(pl.String()),
    VARIANT: pl.String(),
    TEAMS: pl.List(pl.String()),
}
_EVENTS: Final = {
    EVENT_ID: pl.String(),
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    EVENT_TYPE: pl.String(),
    TIMESTAMP: UTC_MICROSECONDS,
    REQUEST_ID: pl.String(),
    VALUE: pl.Float64(),
}
_SHADOWS: Final = {
    REQUEST_ID: pl.String(),
    VARIANT: pl.String(),
    "bundle": pl.String(),
    ITEMS: pl.List(pl.String()),
    "took_ms": pl.Float64(),
}
_SHOWN: Final = f"""
    SELECT {REQUEST_ID}, {USER_ID}, {TIMESTAMP}, {ITEMS}, {VARIANT}, {TEAMS} FROM impressions WHERE {EXPERIMENT} = ?"""
_DONE: Final = f"""
    SELECT {EVENT_ID}, {USER_ID}, {ITEM_ID}, {EVENT_TYPE}, min({TIMESTAMP}, received_at), {REQUEST_ID}, {VALUE}
    FROM interactions WHERE {USER_ID} IN (SELECT {USER_ID} FROM impressions WHERE {EXPERIMENT} = ?)"""
_ALL_DONE: Final = _DONE.partition(" WHERE ")[0]
_SHADOWED: Final = f"SELECT {REQUEST_ID}, {VARIANT}, bundle, {ITEMS}, took_ms FROM {SHADOWS} WHERE {EXPERIMENT} = ?"


@dataclass(frozen=True)
class ExperimentRows:
    """What was logged.

    impressions  request_id, user_id, timestamp, items, variant, teams
    events       event_id, user_id, item_id, event_type, timestamp, request_id, value; of users of the experiment, from
                 their first impression on
    shadows      request_id, variant, bundle, items, took_ms; those that the log still has
    """

    impressions: pl.DataFrame
    events: pl.DataFrame
    shadows: pl.DataFrame


def read_experiment(workspace: Workspace, name: str) -> ExperimentRows:
    """Raises DataError when the event log cannot be read."""
    exported = _exported_impressions(workspace.exported, name)
    logged, events, shadows = _logged(workspace.events, name, all_events=exported is not None)
    impressions = _once(logged, exported, REQUEST_ID)
    first = impressions.group_by(USER_ID).agg(first=pl.col(TIMESTAMP).min())
    files = sorted((workspace.exported / "interactions").glob("day=*/*.parquet"))
    old = None
    if exported is not None and files:
        old = (
            pl.scan_parquet(files, hive_partitioning=False, extra_columns="ignore", missing_columns="insert")
            .select(pl.col(column).cast(kind) for column, kind in _EVENTS.items())
            .join(first.lazy(), on=USER_ID, how="semi")
            .collect()
        )
    done = _once(events, old, EVENT_ID).join(first, on=USER_ID).filter(pl.col(TIMESTAMP) >= pl.col("first"))
    return ExperimentRows(impressions, done.drop("first"), shadows)


def _logged(path: Path, name: str, *, all_events: bool) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """all_events: also of users whose impressions are in exported files alone."""
    if not path.exists():
        raise DataError(f"{path}: there is no event log yet; `recsys serve` writes it")
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as log:
            shown = log.execute(_SHOWN, (name,)).fetchall()
            done = log.execute(_ALL_DONE).fetchall() if all_events else log.execute(_DONE, (name,)).fetchall()
            shadowed = log.execute(_SHADOWED, (name,)).fetchall()
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}; expected the event log of this project, written by this version") from error
    impressions = [(*row[:3], _texts(row[3]), row[4], _texts(row[5])) for row in shown]
    shadows = [(*row[:3], _texts(row[3]), row[4]) for row in shadowed]
    return _frame(impressions, _IMPRESSIONS), _frame(done, _EVENTS), _frame(shadows, _SHADOWS)


def _exported_impressions(folder: Path, name: str) -> pl.DataFrame | None:
    """None when nothing of the experiment was exported."""
    found = []
    # File by file: those of before there were experiments have no such columns.
    for path in sorted((folder / "impressions").glob("day=*/*.parquet")):
        file = pl.scan_parquet(path, hive_partitioning=False)
        if EXPERIMENT in file.collect_schema():
            rows = file.filter(pl.col(EXPERIMENT) == name)
            found.append(rows.select(pl.col(column).cast(kind) for column, kind in _IMPRESSIONS.items()).collect())
    together = pl.concat(found) if found else None
    return None if together is None or together.is_empty() else together


def _once(logged: pl.DataFrame, exported: pl.DataFrame | None, key: str) -> pl.DataFrame:
    return logged if exported is None else pl.concat([logged, exported]).unique(key, keep="first", maintain_order=True)


def _frame(rows: Sequence[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    stored = {name: pl.Int64() if kind == UTC_MICROSECONDS else kind for name, kind in schema.items()}
    moments = [name for name, kind in schema.items() if kind == UTC_MICROSECONDS]
    return pl.DataFrame(rows, stored, orient="row").with_columns(pl.col(moments).cast(UTC_MICROSECONDS))


def _texts(value: str | None) -> list[str] | None:
    return None if value is None else msgspec.json.decode(value, type=list[str])
