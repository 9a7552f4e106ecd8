"""What an item is worth beside those above it: relevance, less what they say already. A list is chosen from the top.

mmr  Carbonell and Goldstein, "The use of MMR, diversity-based reranking", 1998
dpp  Chen, Zhang and Zhou, "Fast greedy MAP inference for determinantal point process", 2018, algorithm 1 with the
     trade-off of its section 6.2

Similarity is the cosine of text vectors. A vector of zeros, of an item without text, is like nothing but itself.
"""

from typing import Final, Literal, Protocol

import numpy as np

from recsys.interest import Vectors
from recsys.state import Floats

SMALLEST: Final = 1e-6
"""Of the part of an item that those above it leave unsaid: float32 knows no smaller one."""


class Worth(Protocol):
    """Of some items, each of them a row."""

    @property
    def values(self) -> Vectors | Floats:
        """(n,), given the rows that were taken; of those themselves it means nothing."""
        ...

    def take(self, row: int) -> None:
        """The row stands above whatever comes next."""
        ...


class MaximalMarginalRelevance:
    """(1 - weight) × relevance - weight × cosine with the most similar item above, or 0 if that is negative."""

    def __init__(self, relevance: Floats, vectors: Vectors, weight: float) -> None:
        """relevance (n,), vectors float32 (n, d) of unit length, weight from 0 to 1."""
        self._vectors, self._weight = vectors, np.float32(weight)
        self._alone = ((1.0 - weight) * relevance).astype(np.float32)
        self._beside = np.empty_like(self._alone)
        self.values = self._alone.copy()

    def take(self, row: int) -> None:
        """The most similar one above is the one that leaves least: the minimum over all that were taken."""
        beside = np.matmul(self._vectors, self._vectors[row], out=self._beside)
        beside *= -self._weight
        beside += self._alone
        np.minimum(self.values, beside, out=self.values)


class DeterminantalPointProcess:
    """(1 - weight) × relevance + weight × log of the square of what is left of an item's vector beside those above."""

    def __init__(self, relevance: Floats, vectors: Vectors, weight: float, *, places: int) -> None:
        """relevance (n,), vectors float32 (n, d) of unit length, weight from 0 to 1; at most `places` are taken."""
        self._vectors, self._weight = vectors, np.float32(weight)
        self._alone = ((1.0 - weight) * relevance).astype(np.float32)
        self._left = np.ones(len(relevance), dtype=np.float32)
        """d² of the paper."""
        self._factor = np.empty((min(places, len(relevance)), len(relevance)), dtype=np.float32)
        """The columns of the Cholesky factor, as rows."""
        self._taken = 0
        self.values = self._alone.copy()

    def take(self, row: int) -> None:
        similar = np.matmul(self._vectors, self._vectors[row])
        above = self._factor[: self._taken]
        found = (similar - above[:, row] @ above) / np.sqrt(max(self._left[row], np.float32(SMALLEST)))
        self._factor[self._taken] = found
        self._taken += 1
        self._left -= found * found
        left = np.log(np.maximum(self._left, np.float32(SMALLEST)))
        np.add(self._alone, self._weight * left, out=self.values)


def worth_of(
    method: Literal["mmr", "dpp"], relevance: Floats, vectors: Vectors, *, weight: float, places: int
) -> Worth:
    """That of the method; at most `places` rows are taken."""
    if method == "mmr":
        return MaximalMarginalRelevance(relevance, vectors, weight)
    return DeterminantalPointProcess(relevance, vectors, weight, places=places)
