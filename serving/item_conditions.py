"""Which items meet which conditions, and of which category each is: computed once, and followed when items change."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from recsys.rules.columns import Types, of_rows, of_table
from recsys.rules.listing import NO_CATEGORY
from recsys.schema import CATEGORY
from recsys.state import Mask, Positions


class ItemConditions:
    """Of items by their position, which are given out without a gap."""

    def __init__(self, items: pl.DataFrame, types: Types, conditions: Sequence[pl.Expr]) -> None:
        """items: the table of those at the first positions, in their order; each condition is boolean, of a row alone.

        types  of the columns of items, as recsys.rules.columns has them
        """
        self._conditions = conditions
        read = {CATEGORY, *(name for condition in conditions for name in condition.meta.root_names())}
        self._types = {name: types[name] for name in sorted(read)}
        self._codes: dict[str, int] = {}
        self._size = len(items)
        # With room to spare once items are added, which is doubled when it runs out.
        self._met = [np.empty(self._size, dtype=np.bool_) for _ in conditions]
        self._categories = np.empty(self._size, dtype=np.int64)
        self._write(np.arange(len(items)), of_table(items, self._types))

    def follow(self, changed: Mapping[int, Mapping[str, Any]]) -> None:
        """Items that were added or changed: position → all columns as they were sent, item_id among them."""
        if not changed:
            return
        self._size = max(self._size, max(changed) + 1)
        if self._size > len(self._categories):
            room = 2 * self._size
            self._met = [np.concatenate([met, np.empty(room - len(met), np.bool_)]) for met in self._met]
            more = np.full(room - len(self._categories), NO_CATEGORY)
            self._categories = np.concatenate([self._categories, more])
        rows = of_rows(list(changed.values()), self._types)
        self._write(np.fromiter(changed, dtype=np.int64, count=len(changed)), rows)

    def met(self, condition: int) -> Mask:
        """bool (n_items,), by the place of the condition among all."""
        return self._met[condition][: self._size]

    @property
    def categories(self) -> Positions:
        """int64 (n_items,): items with the same number are of one category; NO_CATEGORY without one."""
        return self._categories[: self._size]

    def _write(self, positions: Positions, items: pl.DataFrame) -> None:
        for met, condition in zip(self._met, self._conditions, strict=True):
            met[positions] = items.select(condition).to_series().to_numpy()
        codes, names = self._codes, items[CATEGORY].to_list()
        self._categories[positions] = [
            NO_CATEGORY if name is None else codes.setdefault(name, len(codes)) for name in names
        ]
