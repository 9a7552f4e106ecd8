"""ndcg@10 of lists that lie one after the other, as the rows that a ranker learns from."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsys.state import Floats, Positions

PLACES: Final = 10


class ListNdcg:
    """Of lists with known gains, in the order of scores that change from call to call."""

    def __init__(self, gains: NDArray[np.int32], groups: NDArray[np.int64]) -> None:
        """gains  int32 (n,), 0 = not chosen, in every list something is; groups  int64 (n_lists,), the sizes"""
        self._gains = gains
        self.starts: Final = np.cumsum(groups) - groups
        self.list_of: Final = np.repeat(np.arange(len(groups)), groups)
        """Of each row the number of its list."""
        self._ideal = self._dcg(np.lexsort((-gains, self.list_of)))

    def mean(self, scores: Floats) -> float:
        """Mean over the lists, by scores float64 (n,); gains count 2 ** gain - 1."""
        found: float = (self._dcg(np.lexsort((-scores, self.list_of))) / self._ideal).mean()
        return found

    def _dcg(self, order: Positions) -> Floats:
        """Of each list, its rows in an order: float64 (n_lists,)."""
        place = np.arange(len(order)) - self.starts[self.list_of]
        gained = np.where(place < PLACES, (2.0 ** self._gains[order] - 1) / np.log2(place + 2), 0.0)
        found: Floats = np.add.reduceat(gained, self.starts)
        return found
