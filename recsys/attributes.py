"""Columns of the tables of items and users as numbers, for the ranker: those that recsys.toml names under [features].

numeric      the value
timestamp    seconds since the epoch; features.families.attribute makes an age of it
categorical  the place of the name among all names in the table that was trained with, in their order

A name that this table does not have says nothing: the ranker never saw it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from recsys.errors import DataError
from recsys.parsing import read_number, read_text, read_time
from recsys.schema import ITEM_ID, OPTIONAL
from recsys.state import Floats

AttributeKind = Literal["numeric", "categorical", "timestamp"]


@dataclass(frozen=True)
class Attributes:
    """How columns become numbers.

    kinds  column → its kind, in the order of the numbers
    codes  of each categorical column: name → number
    """

    kinds: Mapping[str, AttributeKind]
    codes: Mapping[str, Mapping[str, int]]

    @classmethod
    def of(cls, kinds: Mapping[str, AttributeKind], rows: pl.DataFrame, *, table: str = "items") -> "Attributes":
        """With the names in this table. Raises DataError when a column is missing that has no meaning but this one."""
        if missing := sorted(kinds.keys() - {*rows.columns, *OPTIONAL[table]}):
            raise DataError(
                f"{table}: found the columns {rows.columns}, expected {missing}; "
                f"correct {table.removesuffix('s')}_attributes under [features]"
            )
        names = {
            column: read_text(rows[column]).drop_nulls().unique().sort().to_list()
            for column, kind in kinds.items()
            if kind == "categorical" and column in rows.columns
        }
        return cls(kinds, {column: {name: at for at, name in enumerate(of)} for column, of in names.items()})

    def of_table(self, items: pl.DataFrame) -> Floats:
        """float64 (n_items, n_attributes) in the order of `kinds`, NaN where nothing is known."""
        found = np.full((len(items), len(self.kinds)), np.nan)
        for at, (column, kind) in enumerate(self.kinds.items()):
            if column in items.columns:
                found[:, at] = self._numbers(items[column], kind).cast(pl.Float64).fill_null(np.nan).to_numpy()
        return found

    def of_item(self, columns: Mapping[str, Any]) -> Floats:
        """float64 (n_attributes,) of an item as it was sent."""
        known = {name: [columns[name]] for name in self.kinds if columns.get(name) is not None}
        numbers: Floats = self.of_table(pl.DataFrame({ITEM_ID: [""], **known}))[0]
        return numbers

    def of_stored(self, values: Sequence[float | str | None]) -> Floats:
        """float64 (n_attributes,) of values as `stored` gives them, in the order of `kinds`."""
        found = np.full(len(self.kinds), np.nan)
        for at, (column, value) in enumerate(zip(self.kinds, values, strict=True)):
            known = self.codes[column].get(value) if column in self.codes and isinstance(value, str) else value
            found[at] = np.nan if known is None else known
        return found

    def _numbers(self, column: pl.Series, kind: AttributeKind) -> pl.Series:
        values = stored(column, kind)
        if kind != "categorical":
            return values
        return values.replace_strict(self.codes.get(column.name, {}), default=None, return_dtype=pl.Int64)


def stored(column: pl.Series, kind: AttributeKind) -> pl.Series:
    """What is kept of a column whose names have no numbers yet: text if it is categorical, else Float64."""
    if kind == "numeric":
        return read_number(column)
    if kind == "timestamp":
        return read_time(column).dt.epoch("us") / 1e6
    return read_text(column)
