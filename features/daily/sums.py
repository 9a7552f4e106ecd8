"""Sums of groups of rows, added row after row.

Floats come out with the same bits however many threads there are, and whether rows are added at once or are continued
from the sum of the first of them: so a moment is the same whatever was summed before, and audits can compare bits.
"""

import numpy as np
import polars as pl

from recsys.state import Positions


def places_in(groups: pl.DataFrame, rows: pl.DataFrame, *keys: str) -> Positions:
    """For each row the number of the group that has the same keys; there is exactly one."""
    numbered = groups.select(keys).with_row_index("place")
    found = rows.select(keys).join(numbered, on=keys, how="left", maintain_order="left", validate="m:1")
    return found["place"].to_numpy().astype(np.int64)


def added(rows: pl.DataFrame, places: Positions, groups: int) -> list[pl.Series]:
    """The sum of each column over the rows at each place, in the types of the columns."""
    return [
        pl.Series(column.name, np.bincount(places, column.to_numpy(), minlength=groups)).cast(column.dtype)
        for column in rows
    ]
