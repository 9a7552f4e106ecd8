"""Read Parquet in batches of rows; the line number of a row is its number in the file, from 1."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow
import pyarrow.parquet

from recsys.errors import DataError
from recsys.sources import Chunk

BATCH_ROWS = 100_000


def read_parquet(path: Path) -> Iterator[Chunk]:
    """The rows of a Parquet file with the types that they have there. Raises DataError when it is no Parquet."""
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            total = max(file.metadata.num_rows, 1)
            size = path.stat().st_size
            first = 1
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                rows = pl.DataFrame(pl.from_arrow(batch))
                lines = pl.Series("line", range(first, first + rows.height), pl.Int64)
                first += rows.height
                yield Chunk(str(path), rows, lines, size=size * rows.height // total)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{path}: {error}; expected a readable Parquet file, write it anew") from error
