"""Partials in a folder, which has its name from the moment that it is complete.

Reads and writes  FOLDER/TABLE-NUMBER.parquet; TABLE is one of items, users, pairs, events
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import polars as pl

from features.daily.partials import Partials

# Small groups of rows, so that few other users are read with those of some keys.
ROWS_A_GROUP = 1 << 15


def write_partials(path: Path, parts: Iterable[Mapping[str, pl.DataFrame]]) -> None:
    """Write some tables by their names, a few rows at a time. What a killed process left is written over."""
    new = path.with_name(f"{path.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    for number, part in enumerate(parts):
        for table, frame in part.items():
            frame.write_parquet(
                new / f"{table}-{number:04}.parquet", compression="uncompressed", row_group_size=ROWS_A_GROUP
            )
    new.rename(path)


def scan_partials(paths: Sequence[Path], rest: Partials) -> Partials:
    """The partials of folders in their order, and the rest after them."""
    # One scan of many files is planned in a fraction of the time of many scans.
    files = [sorted(path.iterdir()) for path in paths]
    tables = {}
    for field in fields(Partials):
        found = [file for folder in files for file in folder if file.name.startswith(f"{field.name}-")]
        scanned = [pl.scan_parquet(found, glob=False)] if found else []
        tables[field.name] = pl.concat([*scanned, getattr(rest, field.name)])
    return Partials(**tables)
