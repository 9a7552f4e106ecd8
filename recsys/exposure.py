"""How often the items were shown up to a moment, and what followed, as arrays; items are positions in the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Exposure:
    """Counts of all items, and their sums over the catalogue. They are whole numbers, so that no order rounds them.

    columns  names of the counts
    counts   float64 (n_items, len(columns)), 0 for an item that was not shown
    totals   float64 (len(columns),)
    """

    columns: tuple[str, ...]
    counts: Counts
    totals: Counts

    @classmethod
    def of(cls, columns: tuple[str, ...], counts: Counts) -> "Exposure":
        """From counts in which NaN says that nothing is known of an item."""
        known = np.nan_to_num(counts)
        return cls(columns, known, known.sum(axis=0))

    def first(self, n_items: int) -> "Exposure":
        """That of the first items, which shares all counts; the totals stay those of all."""
        return Exposure(self.columns, self.counts[:n_items], self.totals)

    def column(self, name: str) -> Counts:
        """One count of every item: float64 (n_items,)."""
        return self.counts[:, self.columns.index(name)]

    def total(self, name: str) -> float:
        """The same of all items together."""
        return float(self.totals[self.columns.index(name)])

    def add(self, name: str, more: Mapping[int, int]) -> None:
        """Count more of some items, by position, in place."""
        column = self.columns.index(name)
        positions = np.fromiter(more, dtype=np.int64, count=len(more))
        self.counts[positions, column] += np.fromiter(more.values(), dtype=np.float64, count=len(more))
        self.totals[column] += sum(more.values())
