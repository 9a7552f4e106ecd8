"""The rows that features are asked for: each has a moment, the keys of its entities, and whatever else it brings."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.errors import EntityTimestampInferenceException, FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.offline_utils import (
    DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL,
    infer_event_timestamp_from_entity_df,
)

from features.feast_plugins.polars_join import AT

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EntityRows:
    """An entity dataframe as Feast takes it, its columns as they came."""

    def __init__(self, entity_df: pd.DataFrame | pl.DataFrame | pa.Table | str | None) -> None:
        """Raises ValueError for anything but a dataframe with one column of moments."""
        if isinstance(entity_df, pd.DataFrame):
            self.timestamp = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes.items()))
            entity_df = entity_df.assign(**{self.timestamp: _moments(entity_df[self.timestamp])})
            self.table = pa.Table.from_pandas(entity_df, preserve_index=False)
        elif isinstance(entity_df, pl.DataFrame | pa.Table):
            self.table = entity_df if isinstance(entity_df, pa.Table) else entity_df.to_arrow()
            self.timestamp = _timestamp_column(self.table.schema)
        else:
            found = "a SQL query" if isinstance(entity_df, str) else type(entity_df).__name__
            raise ValueError(
                f"entity_df: found {found}, expected a pandas or Polars DataFrame or an Arrow table; "
                "there is no database to ask: build the rows yourself"
            )
        kind = self.table.schema.field(self.timestamp).type
        if not pa.types.is_timestamp(kind):
            raise ValueError(
                f"entity_df: found {kind} in {self.timestamp!r}, expected datetimes; convert the column, "
                "for instance with pandas.to_datetime(..., utc=True)"
            )
        self._at = self._series(self.timestamp).dt.timestamp("us")

    def moments(self, keys: Sequence[tuple[str, str, pl.DataType]]) -> pl.DataFrame:
        """AT and the keys as (name here, column of the dataframe, type to compare with).

        Raises FeastEntityDFMissingColumnsError when the dataframe lacks one, ValueError when it cannot be compared.
        """
        columns = [column for _, column, _ in keys]
        self.require(columns)
        found = [_comparable(self._series(column), kind).alias(name) for name, column, kind in keys]
        return pl.DataFrame([self._at.alias(AT), *found])

    def require(self, columns: Collection[str]) -> None:
        """Raises FeastEntityDFMissingColumnsError when the dataframe lacks a column."""
        if missing := set(columns) - set(self.table.column_names):
            raise FeastEntityDFMissingColumnsError(set(columns), missing)  # type: ignore[no-untyped-call]

    @property
    def microseconds(self) -> tuple[int, int] | None:
        """The first and the last moment since the epoch; None when there is none."""
        first, last = self._at.min(), self._at.max()
        return (first, last) if isinstance(first, int) and isinstance(last, int) else None

    @property
    def span(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment."""
        if self.microseconds is None:
            return None, None
        first, last = self.microseconds
        return _EPOCH + timedelta(microseconds=first), _EPOCH + timedelta(microseconds=last)

    def _series(self, column: str) -> pl.Series:
        series = pl.from_arrow(self.table.column(column))
        assert isinstance(series, pl.Series)
        return series


def _moments(column: pd.Series) -> pd.Series:
    """A column of datetimes, texts or both, of several time zones or none, in UTC; anything else as is."""
    column = column.infer_objects()
    if isinstance(column.dtype, pd.DatetimeTZDtype) or pd.api.types.is_datetime64_dtype(column):
        return column
    if pd.api.types.is_object_dtype(column) or pd.api.types.is_string_dtype(column):
        try:
            return pd.to_datetime(column, utc=True, format="ISO8601")
        except ValueError as error:
            raise ValueError(
                f"entity_df: found {error} in {column.name!r}, expected datetimes or ISO 8601 texts; convert the column"
            ) from error
    return column


def _timestamp_column(schema: pa.Schema) -> str:
    if DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL in schema.names:
        return DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL
    found: list[str] = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if len(found) != 1:
        raise EntityTimestampInferenceException(DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL)
    return found[0]


def _comparable(keys: pl.Series, kind: pl.DataType) -> pl.Series:
    """The keys in the type that the feature view has for them; null for one that this type cannot hold."""
    texts = (pl.String, pl.Categorical, pl.Enum)
    if keys.dtype == kind or (keys.dtype in texts and kind == pl.String):
        return keys.cast(kind)
    if keys.dtype == pl.Null:
        return keys.cast(kind)
    if keys.dtype.is_numeric() and kind.is_numeric():
        cast = keys.cast(kind, strict=False)
        # What the cast has changed, such as 1.5 to 1, is no key of the view.
        same = cast.cast(keys.dtype, strict=False) == keys
        return pl.select(pl.when(same).then(cast)).to_series()
    raise ValueError(
        f"entity_df: found {keys.dtype} in {keys.name!r}, expected {kind} as in the feature view's files; "
        "cast one of them"
    )
