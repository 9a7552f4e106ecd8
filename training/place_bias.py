"""How well scores explain what was chosen out of lists that show some places better than others.

What stands at the top is chosen more often, whatever it is, so that good scores do not order such a log well by
themselves. Here a choice out of a list is by the score and by the place together,

    P(item) = exp(scale · score + bias of its place) / sum over the list of the same,

with the scale and the biases that make what was chosen most likely. The order by that sum is the one that is measured.

McFadden, "Conditional logit analysis of qualitative choice behavior", 1974.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from recsys.state import Floats
from training.list_ndcg import ListNdcg

PRIOR: Final = 1.0
"""Precision of the normal distribution around 0 that a bias is taken from: it counts where a place was seldom shown."""

STEPS: Final = 5
"""Each makes the choices likelier; the next call goes on from there."""


class PlaceBias:
    """Lists with places, whose scores change from call to call."""

    def __init__(self, places: NDArray[np.int32], gains: NDArray[np.int32], groups: NDArray[np.int64]) -> None:
        """Rows, list after list: places int32 (n,), 0 for an item that was not shown, which has no bias; gains int32
        (n,), 0 = not chosen; groups int64 (n_lists,), the sizes of the lists."""
        self._names, self._place = np.unique(places, return_inverse=True)
        self._ndcg = ListNdcg(gains, groups)
        self._starts, self._list = self._ndcg.starts, self._ndcg.list_of
        self._chosen = (gains > 0).astype(np.float64)
        self._choices = np.add.reduceat(self._chosen, self._starts)[self._list]
        self._scale = 1.0
        self._biases: Floats = np.zeros(len(self._names))

    @property
    def biases(self) -> dict[int, float]:
        """Of each place, as log odds."""
        return dict(zip(self._names.tolist(), self._biases.tolist(), strict=True))

    def ndcg(self, scores: Floats) -> float:
        """Mean ndcg@10 of the lists in the order of score and place together; gains count 2 ** gain - 1."""
        return self._ndcg.mean(self._fitted(scores))

    def _fitted(self, scores: Floats) -> Floats:
        """The scores, scaled, with the biases: float64 (n,). Raises the likelihood of the choices step by step."""
        shown = self._names != 0
        together: Floats = self._scale * scores + self._biases[self._place]
        for _ in range(STEPS):
            expected = self._expected(together)
            slope = np.bincount(self._place, self._chosen - expected) - PRIOR * self._biases
            # At least the true curvature, so that no step goes too far.
            curvature = np.bincount(self._place, expected) + PRIOR
            self._biases[shown] += (slope / curvature)[shown]
            together = self._scale * scores + self._biases[self._place]
            expected = self._expected(together)
            mean = np.add.reduceat(expected * scores, self._starts)[self._list] / self._choices
            spread = float(expected @ (scores - mean) ** 2)
            if spread > 0:
                self._scale = max(0.0, self._scale + float((self._chosen - expected) @ scores) / spread)
            together = self._scale * scores + self._biases[self._place]
        return together

    def _expected(self, together: Floats) -> Floats:
        """How often each row is expected to be chosen: float64 (n,), in each list as often as anything was."""
        weights = np.exp(together - np.maximum.reduceat(together, self._starts)[self._list])
        found: Floats = self._choices * weights / np.add.reduceat(weights, self._starts)[self._list]
        return found
