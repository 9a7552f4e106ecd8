"""What a user's history says of every item: computed when it is first asked for, and then kept for the request.

Channels retrieve by it, and the ranker's features hold it again for the candidates.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recsys.state import SECONDS_A_DAY, Floats, ItemState, Positions, UserState
from recsys.text_neighbours import TextNeighbours

HALF_LIFE_DAYS = 180.0
"""Of the interest in an item that was chosen, both where the regression's weights are learned and here."""


def interest_left(user: UserState, now: float) -> Floats:
    """What is left at `now`, seconds since the epoch, of the interest in each item of the history: float64 (h,)."""
    left: Floats = 0.5 ** ((now - user.last_at) / SECONDS_A_DAY / HALF_LIFE_DAYS)
    return left


class Rows(NamedTuple):
    """Some rows of a sparse matrix, one behind the other.

    lengths  how many entries each has, int64 (n_rows,)
    columns  of each entry, int64 (n,); values  float32 (n,)
    """

    lengths: Positions
    columns: Positions
    values: NDArray[np.float32]

    @classmethod
    def of(cls, matrix: sp.csr_array, rows: Positions) -> "Rows":
        """What `matrix[rows]` has; SciPy takes several times as long for a few hundred rows."""
        starts = matrix.indptr[rows].astype(np.int64)
        lengths = matrix.indptr[rows + 1] - starts
        ends = lengths.cumsum()
        entries = np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)
        return cls(lengths, matrix.indices[entries].astype(np.int64), matrix.data[entries])

    def sums(self, size: int, weights: Floats | None = None) -> Floats:
        """Of the entries of each column: float64 (size,); `weights`, float64 (n_rows,), of the rows."""
        values = self.values if weights is None else np.repeat(weights, self.lengths) * self.values
        return np.bincount(self.columns, values, size).astype(np.float64, copy=False)


@dataclass(frozen=True)
class FromHistory:
    """Of one user and the items of a moment. Nobody may write into what is kept here.

    alike  which items are alike by their texts; None when there is no text model
    """

    user: UserState
    items: ItemState
    alike: TextNeighbours | None = None

    @cached_property
    def neighbours(self) -> Rows:
        """How strongly each item of the history goes with the others, and which these are."""
        return Rows.of(self.items.neighbours.users, self.user.history)

    @cached_property
    def cooccurrence(self) -> Floats:
        """How strongly each item goes with the whole history: float64 (n_items,)."""
        return _kept(self.neighbours.sums(len(self.items)))

    @cached_property
    def regression(self) -> Floats:
        """What all that the user chose says of each item, decayed: float64 (n_items,), 0 where nothing speaks for or
        against it."""
        return self._sum(self.items.neighbours.regression)

    @cached_property
    def successors(self) -> Floats:
        """What it says of each item's being chosen next: likewise."""
        return self._sum(self.items.neighbours.successors)

    def successors_of_likes(self, positions: Positions | None = None) -> Floats:
        """What it says of the items like each of these, or like every one, being chosen next: mean, float64 (n,)."""
        assert self.alike is not None
        return self._successors_of_likes if positions is None else self.alike.smoothed(self.successors, positions)

    @cached_property
    def _successors_of_likes(self) -> Floats:
        assert self.alike is not None
        return _kept(self.alike.smoothed(self.successors))

    def compute(self) -> None:
        """All that is kept, before it is asked for."""
        _ = self.cooccurrence, self.regression, self.successors
        if self.alike is not None:
            _ = self._successors_of_likes

    def _sum(self, weights: sp.csr_array) -> Floats:
        rows = Rows.of(weights, self.user.history)
        return _kept(rows.sums(len(self.items), interest_left(self.user, self.items.now)))


def _kept(scores: Floats) -> Floats:
    scores.setflags(write=False)
    return scores
