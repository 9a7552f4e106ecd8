"""The tables that a request was answered from: what the snapshot had, and what the event log had since.

Reads  events.db
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from features.known_before import SnapshotTables
from recsys.schema import (
    EVENT_TYPE,
    ITEM_ID,
    ITEMS,
    REQUEST_ID,
    TIMESTAMP,
    USER_ID,
    UTC_MICROSECONDS,
    VALUE,
)
from serving.moments import MICROSECONDS
from serving.recent_log import RecentLog, UserDay, day_of, is_recent
from serving.types import ServedFeatures

EVENT_COLUMNS = {
    USER_ID: pl.String(),
    ITEM_ID: pl.String(),
    EVENT_TYPE: pl.String(),
    TIMESTAMP: pl.Int64(),
    VALUE: pl.Float64(),
    REQUEST_ID: pl.String(),
}
IMPRESSION_COLUMNS = {REQUEST_ID: pl.String(), TIMESTAMP: pl.Int64(), ITEMS: pl.List(pl.String())}


class TablesThen(NamedTuple):
    """What was known to an engine.

    known        interactions of before the snapshot
    recent       those since, in the order of the log, without weights
    impressions  of both times
    """

    known: pl.DataFrame
    recent: pl.DataFrame
    impressions: pl.DataFrame


def tables_then(
    log: Path, tables: SnapshotTables, served: ServedFeatures, types: Iterable[str], most_a_day: int
) -> TablesThen:
    """The tables up to the snapshot, and what the log had since up to the places that were followed.

    most_a_day  events of one user since the snapshot that count, as a server counts

    An interaction names its impression only when both are of before the snapshot, or both of since: so a server counts.
    """
    earlier = pl.col(TIMESTAMP) < served.as_of
    shown = recent_impressions(log, served)
    named = pl.col(REQUEST_ID).is_in(shown[REQUEST_ID].implode())
    known = tables.interactions.filter(earlier).with_columns(pl.when(~named).then(REQUEST_ID))
    recent = recent_interactions(log, served, types, most_a_day).with_columns(pl.when(named).then(REQUEST_ID))
    if tables.impressions is not None:
        shown = pl.concat([tables.impressions.filter(earlier).select(shown.columns), shown])
    return TablesThen(known, recent, shown)


def recent_interactions(log: Path, served: ServedFeatures, types: Iterable[str], most_a_day: int) -> pl.DataFrame:
    """The interactions that the snapshot lacks."""
    rows, of_day = [], Counter[UserDay]()
    for user, event, received_at, request_id in RecentLog(log).after(0, served.events):
        if event.event_type not in types or not is_recent(event.at, received_at, served.as_of, served.written_at):
            continue
        of_day[day := day_of(user, event)] += 1
        if of_day[day] <= most_a_day:
            value = None if event.value != event.value else event.value
            at = round(event.at * MICROSECONDS)
            rows.append((user, event.item_id, event.event_type, at, value, request_id))
    return _timed(pl.DataFrame(rows, schema=EVENT_COLUMNS, orient="row"))


def recent_impressions(log: Path, served: ServedFeatures) -> pl.DataFrame:
    """The impressions that the snapshot lacks."""
    rows = [
        (shown.request_id, round(shown.at * MICROSECONDS), list(shown.items))
        for shown in RecentLog(log).shown_after(0, served.impressions)
        if is_recent(shown.at, shown.at, served.as_of, served.written_at)
    ]
    return _timed(pl.DataFrame(rows, schema=IMPRESSION_COLUMNS, orient="row"))


def _timed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col(TIMESTAMP).cast(UTC_MICROSECONDS))
