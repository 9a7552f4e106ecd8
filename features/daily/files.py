"""Partials in a folder, which has its name from the moment that it is complete.

Reads and writes  FOLDER/{items,users,pairs,recent}/NUMBER.parquet
"""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from features.daily.partials import Partials

# Small groups of rows, so that few other users are read with those of some buckets.
ROWS_A_GROUP = 1 << 15
TABLES = ("items", "users", "pairs", "recent")


def write_partials(path: Path, parts: Iterable[Sequence[pl.DataFrame]]) -> None:
    """Write TABLES, a few rows at a time. What a killed process left is written over."""
    new = path.with_name("new")
    shutil.rmtree(new, ignore_errors=True)
    for name in TABLES:
        (new / name).mkdir(parents=True)
    for number, part in enumerate(parts):
        for name, frame in zip(TABLES, part, strict=True):
            frame.write_parquet(new / name / f"{number:04}.parquet", compression="lz4", row_group_size=ROWS_A_GROUP)
    new.rename(path)


def scan_partials(path: Path) -> Partials:
    """The partials of a folder."""
    return Partials(*(pl.scan_parquet(path / name / "*.parquet") for name in TABLES))
