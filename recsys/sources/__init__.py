"""Where rows come from: one file a log format, each of which yields chunks of raw rows.

A source knows formats and nothing of what a row means; recsys.validation does. A chunk holds what fits in memory
however long the log is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl


@dataclass(frozen=True)
class BrokenLine:
    """A line that is no row at all: too few fields, half a JSON object, bytes that are not UTF-8."""

    line: int
    reason: str
    text: str


@dataclass(frozen=True)
class Chunk:
    """Some rows of one file as they stand there, before any of them was looked at.

    rows     the raw values: String where the format has no types, else the types of the file
    lines    for each row where it starts: the physical line of a text file, the row number in Parquet; both from 1
    typed    False where the format has no types (CSV), so that 7 and "7" look alike
    loose    True where each row names its own columns (JSON): one that is absent here may come in the next chunk
    size     bytes of the file that these rows took, for the progress bar
    cleaned  rows that the source left out on purpose, counted by reason
    """

    file: str
    rows: pl.DataFrame
    lines: pl.Series
    broken: tuple[BrokenLine, ...] = ()
    typed: bool = True
    loose: bool = False
    size: int = 0
    cleaned: Mapping[str, int] = field(default_factory=dict)


class Source(Protocol):
    """A log format: which tables it has, and their rows."""

    def tables(self) -> tuple[str, ...]:
        """The tables that this source has; interactions is always among them."""
        ...

    def size(self, table: str) -> int:
        """Bytes to be read for a table, for the progress bar."""
        ...

    def chunks(self, table: str) -> Iterator[Chunk]:
        """The rows of a table in the order of the log. Raises DataError when they cannot be read at all."""
        ...
