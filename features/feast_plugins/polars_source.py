"""The Parquet files of a Feast FileSource: one file, a folder (with `column=value` folders in it or not), or a glob."""

import os
import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource

from features.feast_plugins.polars_arrow import to_arrow
from features.feast_plugins.polars_join import AT, CREATED, ORDER

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WILDCARDS = frozenset("*?[")


class ParquetFiles:
    """Where a source keeps its rows, and what it calls their columns."""

    def __init__(self, source: DataSource | None, repo_path: Path | str | None, *, owner: str) -> None:
        """owner: whose source it is, for messages. Raises ValueError unless it is a FileSource of Parquet files."""
        if not isinstance(source, FileSource):
            raise ValueError(
                f"{owner}: found a {type(source).__name__}, expected a FileSource; "
                "read other sources with the offline store that Feast has for them"
            )
        if not isinstance(source.file_format, ParquetFormat | None):
            raise ValueError(
                f"{owner}: {source.path} is {type(source.file_format).__name__}, expected ParquetFormat; "
                "write the rows as Parquet, or use Feast's DuckDB store"
            )
        self._source = source
        self._owner = owner
        self.path = FileSource.get_uri_for_file_path(repo_path, source.path)

    @property
    def is_remote(self) -> bool:
        """Whether it is a URI, such as s3://bucket/folder/*.parquet."""
        return "://" in self.path

    @property
    def is_glob(self) -> bool:
        """Whether it is a pattern."""
        return not _WILDCARDS.isdisjoint(self.path)

    @property
    def is_one_file(self) -> bool:
        """Whether it is a file, there already or to be written, rather than a folder or a pattern."""
        return not self.is_glob and (Path(self.path).is_file() or self.path.endswith(".parquet"))

    def column(self, name: str) -> pl.Expr:
        """The column that Feast calls by this name, under this name."""
        in_file = {mapped: raw for raw, mapped in self._source.field_mapping.items()}.get(name, name)
        return pl.col(in_file).alias(name)

    def scan(self, columns: Iterable[pl.Expr]) -> pl.LazyFrame:
        """ORDER and these columns of all rows; nothing is read yet, except for the schema.

        Raises FileNotFoundError when there is no file, ValueError when a column is missing or AT and CREATED cannot be
        computed because theirs hold no times.
        """
        columns = list(columns)
        rows = self._rows()
        schema = rows.collect_schema()
        found = [name for name in schema if name != ORDER]
        wanted = dict.fromkeys(name for column in columns for name in column.meta.root_names())
        if missing := [name for name in wanted if name not in found]:
            raise ValueError(
                f"{self._owner}: found no column {missing} in {self.path}, which has {found}; "
                "change the schema or the field_mapping, or write the column"
            )
        for column in columns:
            for name in column.meta.root_names() if column.meta.output_name() in (AT, CREATED) else ():
                if schema[name] not in (pl.Datetime, pl.Date):
                    raise ValueError(
                        f"{self._owner}: found {schema[name]} in {name!r} of {self.path}, expected times; "
                        "write it as a timestamp, or name another column as timestamp_field"
                    )
        return rows.select(ORDER, *columns)

    def schema(self) -> pa.Schema:
        """The columns of the first file and of its folders, as Arrow. Raises FileNotFoundError when there is none."""
        if self.is_remote or not self.is_one_file:
            return to_arrow(self._rows().drop(ORDER).head(0).collect()).schema
        return pq.read_schema(self._local_files()[0])

    def append(self, table: pa.Table) -> None:
        """Add rows: a new file in a folder; a file is written anew, so that who reads it sees all of it or none.

        Raises ValueError when the columns are not those of the rows that are there, or nothing can be added here.
        """
        if self.is_remote:
            raise ValueError(f"{self._owner}: found {self.path}, expected a local path: rows are added to no other")
        folder, pattern = Path(self.path), "*.parquet"
        if self.is_glob:
            folder, pattern = folder.parent, folder.name
        if not _WILDCARDS.isdisjoint(str(folder)) or pattern != "*.parquet" or any(folder.glob("*=*/")):
            raise ValueError(
                f"{self._owner}: rows cannot be added to {self.path}, expected a file, a folder without partitions "
                "or folder/*.parquet; write the files yourself"
            )
        try:
            table = conform(table, self.schema(), owner=self._owner)
        except FileNotFoundError:
            pass  # The first rows say what the columns are.
        else:
            if self.is_one_file:
                table = pa.concat_tables([pq.read_table(folder, partitioning=None), table])
        write_whole(table, folder if self.is_one_file else folder / f"{uuid.uuid4().hex}.parquet")

    def append_part(self, table: pa.Table, partition_by: Sequence[str] | None) -> None:
        """Add rows to a folder as they are, in `column=value` folders when they are partitioned."""
        part = f"{uuid.uuid4().hex}-{{i}}.parquet"
        pq.write_to_dataset(table, self.path, partition_cols=partition_by or None, basename_template=part)

    def _rows(self) -> pl.LazyFrame:
        # Numbered by the scan itself: else no filter would be carried out while reading.
        if self.is_remote:
            options = self._storage_options()
            return pl.scan_parquet(self.path, storage_options=options, extra_columns="ignore", row_index_name=ORDER)
        # Folders above a file that is named as such are none of its columns.
        files, hive = self._local_files(), not self.is_one_file
        return pl.scan_parquet(files, hive_partitioning=hive, extra_columns="ignore", row_index_name=ORDER)

    def _local_files(self) -> list[Path]:
        """All of them in one order. Raises FileNotFoundError when there is none."""
        path = Path(self.path)
        if self.is_glob:
            root = Path(path.anchor)
            files = sorted(root.glob(str(path.relative_to(root))))
        else:
            files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files or not files[0].is_file():
            raise FileNotFoundError(
                f"{self._owner}: found no file at {self.path}, expected Parquet; write it, or change the source's path"
            )
        return files

    def _storage_options(self) -> dict[str, str]:
        options = dict(self._source.resolve_credentials() or {})
        if self._source.s3_endpoint_override:
            options["AWS_ENDPOINT_URL"] = self._source.s3_endpoint_override
        return options


def conform(table: pa.Table, schema: pa.Schema, *, owner: str) -> pa.Table:
    """The table with the columns of the schema, in its order and types. Raises ValueError when it has others."""
    if set(table.column_names) != set(schema.names):
        raise ValueError(
            f"{owner}: found the columns {sorted(table.column_names)}, expected {sorted(schema.names)}; "
            "give the rows all columns of the source and no others"
        )
    return table.select(schema.names).cast(schema.remove_metadata())


def write_whole(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that nobody can see half of."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        pq.write_table(table, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def times(timestamp: pl.Expr, created: pl.Expr | None) -> list[pl.Expr]:
    """AT and CREATED: microseconds since the epoch of datetimes or dates; those without a time zone are UTC."""
    if created is None:
        return [_microseconds(timestamp).alias(AT), pl.lit(None, dtype=pl.Int64).alias(CREATED)]
    return [_microseconds(timestamp).alias(AT), _microseconds(created).alias(CREATED)]


def epoch_microseconds(moment: datetime) -> int:
    """Microseconds since the epoch; without a time zone it is UTC."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def _microseconds(column: pl.Expr) -> pl.Expr:
    return column.dt.timestamp("us")
