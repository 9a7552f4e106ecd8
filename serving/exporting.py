"""Write what came into the event log since the last time to Parquet files by day, then forget what is old.

A row that arrives late belongs to its own day: that day gets a further file. So a file is never changed, no row is
written twice, and `recsys import` reads the folder as a source.

Reads   events.db, features/online_as_of
Writes  log/TABLE/day=DATE/*.parquet for interactions, impressions, items and users (serving.export_folder)

    recsys export --config recsys.toml
"""

import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click
import polars as pl

from features.online_behaviour import OnlineBehaviour
from recsys.cli import CONFIG_OPTION
from recsys.errors import DataError, FeatureStoreError
from recsys.online_address import SQLITE, resolve
from recsys.workspace import Workspace
from serving.event_tables import connect
from serving.export_folder import STATE, ExportFolder, Places, open_folder
from serving.exported_rows import MOMENT_OF, logged_rows
from serving.numbering import last_sequence, log_id
from serving.open_log import KEY, open_stream
from serving.retention import forget

_LOG: Final = logging.getLogger(__name__)
LOG_ID_LENGTH: Final = 8
"""Of a log's id in the names of files."""


@dataclass
class Exported:
    """How many rows of each table were written, into how many files, and how many old ones were deleted."""

    rows: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOMENT_OF, 0))
    files: int = 0
    forgotten: int = 0

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {table}" for table, count in self.rows.items())
        gone = f"; {self.forgotten:,} old rows left the event log" if self.forgotten else ""
        return f"exported {counts} into {self.files:,} files{gone}"


@click.command("export")
@CONFIG_OPTION
def export_command(config_path: Path) -> None:
    """Write what is new in the event log to Parquet files by day, and delete there what is old."""
    click.echo(str(export_log(Workspace.open(config_path))))


def export_log(workspace: Workspace) -> Exported:
    """Export what is new, then delete what was exported and is older than [log] retention_days.

    Raises DataError when there is no event log, or it ends before what was exported of it.
    """
    path = workspace.events
    if not path.exists():
        raise DataError(f"{path}: there is no event log yet; `recsys serve` writes it")
    found = Exported()
    with closing(connect(path)) as log, open_folder(workspace.exported) as folder:
        places = _export(log, folder, path, workspace.exported, found)
        before = _old_before(workspace, datetime.now(UTC))
        if before is not None:
            found.forgotten = forget(log, places, before)
            if resolve(workspace.config.log.store, KEY) != SQLITE:
                _trim(workspace, before)
    return found


def _trim(workspace: Workspace, before: datetime) -> None:
    """The stream goes the way of the file. What it keeps longer, where Redis does not answer, does no harm."""
    from redis.exceptions import RedisError

    with closing(open_stream(workspace)) as stream:
        try:
            stream.trim(before)
        except RedisError as error:
            _LOG.warning("%s: %s; the next export shortens the stream", stream.name, type(error).__name__)


def _export(log: sqlite3.Connection, folder: ExportFolder, path: Path, place: Path, found: Exported) -> Places:
    """Write and count what is new; returns how far the log is exported."""
    name = log_id(log)
    places = {table: folder.exported(name).get(table, 0) for table in MOMENT_OF}
    for table, after in places.items():
        until = last_sequence(log, table)
        if until < after:
            raise DataError(
                f"{path}: {table} ends at row {until}, but {after} rows were exported; was an older copy put back? "
                f"Then remove this log from {place / STATE}, and the files {name[:LOG_ID_LENGTH]}-*.parquet of those "
                "rows, and export anew"
            )
        for part in logged_rows(log, table, after=after, until=until):
            span = f"{name[:LOG_ID_LENGTH]}-{part.first:012}-{part.last:012}"
            for day, rows in _by_day(part.rows, MOMENT_OF[table]).items():
                folder.write(table, day, span, rows)
                found.files += 1
            found.rows[table] += part.rows.height
            places[table] = part.last
    if places != folder.exported(name):
        folder.commit(name, places)
    return places


def _by_day(rows: pl.DataFrame, moment: str) -> Mapping[str, pl.DataFrame]:
    """The rows of each day, by its date, in their order."""
    dated = rows.with_columns(day=pl.col(moment).dt.strftime("%Y-%m-%d"))
    return {str(day): part for (day,), part in dated.partition_by("day", as_dict=True, include_key=False).items()}


def _old_before(workspace: Workspace, now: datetime) -> datetime | None:
    """What the log received before this moment is not needed any more; None: there is no such moment.

    A server that starts follows the log from the snapshot in the online store on, so that what the snapshot lacks
    stays, however old it is.
    """
    days = workspace.config.log.retention_days
    if days is None:
        return None
    store = OnlineBehaviour.of(workspace)
    try:
        return min(now - timedelta(days=days), store.online_as_of(), store.online_written_at())
    except FeatureStoreError:
        return None
