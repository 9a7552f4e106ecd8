"""The tables of a project, and what was measured of each user, without forgotten users.

Reads and writes  tables/{interactions,impressions,users}.parquet, quarantine/TABLE.jsonl, *.users.parquet beside
                  recsys.toml (training.paired)

Each file is replaced at once. Models learn from these tables: their next training sees that they have changed.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from recsys.durable import sync
from recsys.forgetting.refused import forget_refused
from recsys.forgetting.who import Who, is_of
from recsys.schema import TABLES, TIMESTAMP, USER_ID
from recsys.workspace import Workspace

TIME_OF: Final = {"interactions": TIMESTAMP, "impressions": TIMESTAMP, "users": None}
"""Table with users → the column that says when a row came."""

MEASURED: Final = "*.users.parquet"
BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)


def first_seen(workspace: Workspace, who: Who) -> datetime | None:
    """The first moment at which the tables know any of these; the beginning of time for one without any."""
    found: list[datetime] = []
    for table, time in TIME_OF.items():
        path = workspace.table_path(table)
        users = who.in_column(pl.read_parquet(path, columns=[USER_ID])[USER_ID]) if path.exists() else {}
        if users and time is None:
            found.append(BEFORE_ALL)
        elif users and time is not None:
            first = pl.scan_parquet(path).filter(is_of(users, time)).select(pl.col(time).min()).collect().item()
            found += [] if first is None else [first]
    return min(found, default=None)


def forget_tables(workspace: Workspace, who: Who) -> dict[str, int]:
    """Remove the rows of these; returns how many of each table, refused ones and those of reports among them."""
    removed = {table: without_users(workspace.table_path(table), who, time=time) for table, time in TIME_OF.items()}
    removed["refused rows"] = sum(forget_refused(workspace.quarantine_path(table), who) for table in TABLES)
    removed["rows of reports"] = sum(without_users(path, who) for path in sorted(workspace.root.glob(MEASURED)))
    return removed


def without_users(path: Path, who: Who, *, time: str | None = None) -> int:
    """Remove the rows of these from a Parquet file; returns how many there were. A file without any stays as it is.

    time  the column that says when a row came; None: it does not matter
    """
    if not path.exists():
        return 0
    users = who.in_column(pl.read_parquet(path, columns=[USER_ID], hive_partitioning=False)[USER_ID])
    if not users:
        return 0
    rows = pl.read_parquet(path, hive_partitioning=False)
    kept = rows.filter(~is_of(users, time))
    if len(kept) < len(rows):
        new = path.with_name(f".{path.name}.new")
        kept.write_parquet(new, compression="zstd")
        sync(new)
        os.replace(new, path)
        sync(path.parent)
    return len(rows) - len(kept)


def without_forgotten(tables: Mapping[str, pl.DataFrame], who: Who) -> Iterator[tuple[str, pl.DataFrame]]:
    """The tables of an import that have rows of users from before they were forgotten, without these rows.

    Users have no time: a row of one stays when the user came back, and has an interaction since.
    """
    back: dict[str, datetime] = {}
    for table, time in TIME_OF.items():
        if table not in tables:
            continue
        rows = tables[table]
        users = who.in_column(rows[USER_ID])
        if time is None:
            users = {user: at for user, at in users.items() if user not in back}
        kept = rows.filter(~is_of(users, time)) if users else rows
        if table == "interactions":
            back = who.in_column(kept[USER_ID])
        if len(kept) < len(rows):
            yield table, kept
