"""From Polars to Arrow as Feast knows it."""

import polars as pl
import pyarrow as pa


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """The frame with the Arrow types that Feast knows: to it a large_string is JSON, and a category is nothing."""
    table = frame.to_arrow()
    return table.cast(pa.schema([pa.field(field.name, _plain(field.type)) for field in table.schema]))


def _plain(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, _plain(field.type)) for field in kind])
    return kind
