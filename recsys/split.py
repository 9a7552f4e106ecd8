"""The split in time: what may be learned from, what is held back, and which items no text model may learn from."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.schema import TIMESTAMP


def split_by_time(interactions: pl.DataFrame, cut: datetime) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The interactions strictly before the cut, and those at or after it.

    Raises ValueError when the cut has no time zone.
    """
    if cut.tzinfo is None:
        raise ValueError(f"the cut {cut.isoformat()} has no time zone; tables are in UTC, give it one")
    before = pl.col(TIMESTAMP) < pl.lit(cut).dt.convert_time_zone("UTC")
    return interactions.filter(before), interactions.filter(~before)


def earlier_windows(cut: datetime, *, count: int, days: int) -> list[datetime]:
    """The cuts of the `count` windows of `days` days that lie one after another before `cut`, oldest first.

    A window runs from its cut for `days` days, so the last one ends at `cut` and none reaches beyond it.
    """
    return [cut - timedelta(days=days * back) for back in range(count, 0, -1)]


def cold_items(item_ids: Sequence[str]) -> NDArray[np.bool_]:
    """One item in ten, of which no text model of an evaluation may see an interaction: bool, in the order given.

    The first tenth, rounded down, of `numpy.random.default_rng(0).permutation` over the sorted item ids. The choice
    depends on the set of items alone, never on their order. Raises ValueError when an item stands twice.
    """
    order = sorted(range(len(item_ids)), key=item_ids.__getitem__)
    for one, following in pairwise(order):
        if item_ids[one] == item_ids[following]:
            raise ValueError(f"item {item_ids[one]!r} stands twice; give each item of the catalogue once")
    chosen = np.random.default_rng(0).permutation(len(order))[: len(order) // 10]
    cold = np.zeros(len(order), dtype=np.bool_)
    cold[np.array(order, dtype=np.int64)[chosen]] = True
    return cold
