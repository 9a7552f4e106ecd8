"""Columns of the items table as numbers, for the ranker: those that recsys.toml names under features.item_attributes.

numeric      the value
timestamp    seconds since the epoch; features.families.attribute makes an age of it
categorical  the place of the name among all names in the catalogue of the cut, in their order

A name that this catalogue does not have says nothing: the ranker never saw it.
"""

from collections.abc import Mapping
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
    def of(cls, kinds: Mapping[str, AttributeKind], items: pl.DataFrame) -> "Attributes":
        """With the names in this table. Raises DataError when a column is missing that has no meaning but this one."""
        if missing := sorted(kinds.keys() - {*items.columns, *OPTIONAL["items"]}):
            raise DataError(
                f"items: found the columns {items.columns}, expected {missing}; "
                "correct item_attributes under [features]"
            )
        names = {
            column: read_text(items[column]).drop_nulls().unique().sort().to_list()
            for column, kind in kinds.items()
            if kind == "categorical" and column in items.columns
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

    def _numbers(self, column: pl.Series, kind: AttributeKind) -> pl.Series:
        if kind == "numeric":
            return read_number(column)
        if kind == "timestamp":
            return read_time(column).dt.epoch("us") / 1e6
        codes = self.codes.get(column.name, {})
        return read_text(column).replace_strict(codes, default=None, return_dtype=pl.Int64)
