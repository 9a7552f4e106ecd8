"""The columns of items as conditions see them: numbers, texts, times, true or false.

A bundle has a table of items, with the types of its file; an item that is sent later has values of JSON. Both become
the same, so that a condition says of an item what it would say had it come the other way.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from recsys.parsing import missing_to_null, read
from recsys.schema import OPTIONAL, UTC_MICROSECONDS

Types = Mapping[str, pl.DataType]


def types_of(items: pl.DataFrame) -> dict[str, pl.DataType]:
    """Column → String, Float64, Boolean or a time in UTC; those that the schema knows are there in any case."""
    return OPTIONAL["items"] | {name: _plain(dtype) for name, dtype in items.schema.items()}


def of_table(items: pl.DataFrame, types: Types) -> pl.DataFrame:
    """The columns of `types`, of a table of items."""
    nothing = pl.Series([None] * len(items), dtype=pl.Null)
    found = {name: items[name] if name in items.columns else nothing.alias(name) for name in types}
    return pl.DataFrame({name: _read(found[name], dtype) for name, dtype in types.items()})


def of_rows(items: Sequence[Mapping[str, Any]], types: Types) -> pl.DataFrame:
    """The same, of items as they were sent; what is missing or cannot be read is not known."""
    sent = {name: pl.Series(name, [item.get(name) for item in items], strict=False) for name in types}
    return pl.DataFrame({name: _read(sent[name], dtype) for name, dtype in types.items()})


def _plain(dtype: pl.DataType) -> pl.DataType:
    if dtype == pl.Boolean:
        return pl.Boolean()
    if dtype.is_numeric():
        return pl.Float64()
    return UTC_MICROSECONDS if dtype in (pl.Date, pl.Datetime) else pl.String()


def _read(column: pl.Series, dtype: pl.DataType) -> pl.Series:
    if dtype != pl.Boolean:
        return read(missing_to_null(column), dtype)
    if column.dtype == pl.String:
        lower = column.str.strip_chars().str.to_lowercase()
        return lower.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean)
    if column.dtype in (pl.Boolean, pl.Null) or column.dtype.is_numeric():
        return column.cast(pl.Boolean)
    return pl.Series(column.name, [None] * len(column), pl.Boolean)
