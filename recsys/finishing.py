"""Make one table of the good rows of all chunks: types of attributes, event ids, order in time."""

from hashlib import blake2b

import polars as pl

from recsys.schema import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    REQUEST_ID,
    TIMESTAMP,
    TITLE,
    USER_ID,
    VALUE,
    columns_of,
)

CONTENT = (USER_ID, ITEM_ID, EVENT_TYPE, TIMESTAMP, REQUEST_ID, VALUE)
SEPARATOR = "\x1f"
HASH_BYTES = 12


def finished(table: str, parts: list[pl.DataFrame], *, typed: bool) -> pl.DataFrame:
    """The table as it is written. typed: the source knew the types of its attributes, else they are guessed."""
    rows = pl.concat([pl.DataFrame(schema=columns_of(table)), *alike(parts)], how="diagonal_relaxed")
    attributes = [name for name in rows.columns if name not in columns_of(table)]
    rows = rows.with_columns(pl.col(pl.Null).cast(pl.String))
    if not typed:
        rows = rows.with_columns(guessed(rows.get_column(name)) for name in attributes)
    if table == "interactions":
        rows = with_event_ids(rows)
    if TIMESTAMP in rows.columns:
        rows = rows.sort(TIMESTAMP, maintain_order=True)
    return rows


def alike(parts: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """The parts with every column that has types of different kinds in them as text."""
    kinds: dict[str, set[pl.DataType]] = {}
    for part in parts:
        for name, dtype in part.schema.items():
            kinds.setdefault(name, set()).add(pl.Float64() if dtype.is_numeric() else dtype)
    mixed = [name for name, types in kinds.items() if len(types - {pl.Null()}) > 1]
    return [part.with_columns(pl.col(name).cast(pl.String) for name in mixed if name in part.columns) for part in parts]


def guessed(column: pl.Series) -> pl.Series:
    """Text as whole numbers, numbers or true and false when every value can be read so, else as it is."""
    # 01234 is a code, not a number.
    if column.dtype != pl.String or column.null_count() == len(column) or column.str.contains(r"^0\d").any():
        return column
    for dtype in (pl.Int64, pl.Float64):
        cast = column.cast(dtype, strict=False)
        if cast.null_count() == column.null_count():
            return cast
    lower = column.str.to_lowercase()
    return lower == "true" if lower.drop_nulls().is_in(["true", "false"]).all() else column


def with_event_ids(rows: pl.DataFrame) -> pl.DataFrame:
    """Interactions where each has an event_id: a hash of its content and of how often the same came before.

    The ids do not depend on the order or the number of files: importing a log again, or a longer one, repeats them.
    """
    without = rows.get_column(EVENT_ID).is_null()
    if not without.any():
        return rows
    values = (pl.col(name).to_physical().cast(pl.String).fill_null("") for name in CONTENT)
    contents = rows.filter(without).select(content=pl.concat_str(*values, separator=SEPARATOR))
    # Counting within groups is slow and repeats are few: count them alone.
    again = ~contents.get_column("content").is_first_distinct()
    nth = contents.filter(again).select(pl.col("content").cum_count().over("content")).to_series()
    contents = contents.with_columns(
        nth=pl.zeros(contents.height, pl.UInt32, eager=True).scatter(again.arg_true(), nth)
    )
    texts = contents.select(pl.concat_str("content", "nth", separator=SEPARATOR)).to_series()
    hashes = [blake2b(text.encode(), digest_size=HASH_BYTES).hexdigest() for text in texts]
    ids = rows.get_column(EVENT_ID).scatter(without.arg_true(), pl.Series(hashes, dtype=pl.String))
    return rows.with_columns(ids.alias(EVENT_ID))


def derived_items(interactions: pl.DataFrame) -> pl.DataFrame:
    """The items of a log that says nothing about them: each id is its own title."""
    ids = interactions.get_column(ITEM_ID).unique().sort()
    known = columns_of("items")
    return pl.select(
        ids.alias(name) if name in (ITEM_ID, TITLE) else pl.lit(None, dtype).alias(name)
        for name, dtype in known.items()
    )
