"""What a ranker learns from: rows of features, list after list, with what was chosen.

Each user of a window gives two groups of candidates as they are retrieved: every item may be recommended, and only
items that are new to the user. Without the second, what users buy again would be nearly all that the ranker learns
from. Logged impressions give further groups: training.shown_rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.recommender import Prepared, Recommender
from recsys.progress import progress
from recsys.state import UserState
from training.windows import Window

NEGATIVES = 50
"""Candidates without a label that are kept a group, drawn at random: more make training slower, not better."""


@dataclass(frozen=True)
class RankerRows:
    """Training rows, group after group.

    matrix  float32 (n, n_features); gains int32 (n,), 0 = not chosen; groups int64 (n_groups,) sizes
    places  int32 (n,), a number for each surface and place that an item was shown at, 0 for candidates that were not
            shown; None: none was
    """

    matrix: NDArray[np.float32]
    gains: NDArray[np.int32]
    groups: NDArray[np.int64]
    places: NDArray[np.int32] | None = None

    @classmethod
    def none(cls) -> "RankerRows":
        """No rows, of no features."""
        return cls(np.zeros((0, 0), np.float32), np.zeros(0, np.int32), np.zeros(0, np.int64))

    @classmethod
    def joined(cls, parts: Sequence["RankerRows"]) -> "RankerRows":
        matrix, gains, groups = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("matrix", "gains", "groups")
        )
        if all(part.places is None for part in parts):
            return cls(matrix, gains, groups)
        places = [np.zeros(len(part.gains), np.int32) if part.places is None else part.places for part in parts]
        return cls(matrix, gains, groups, np.concatenate(places))


def gains_of(weights: Iterable[float]) -> dict[float, int]:
    """The gain of each weight of the labels: its rank among them, 1 = lowest."""
    return {weight: gain for gain, weight in enumerate(sorted(set(weights)), 1)}


def ranker_rows(
    recommender: Recommender, window: Window, *, gain_of: Mapping[float, int], seed: int
) -> RankerRows | None:
    """The rows of a window: candidates as at serving, labelled with what was then chosen; None when none was."""
    random = np.random.default_rng(seed)
    matrices, gains = [], []
    with progress(f"ranker rows from {window.start:%Y-%m-%d}", len(window.users)) as advance:
        for user, labels in zip(window.states, window.labels, strict=True):
            for prepared in groups_of(recommender, user):
                items = prepared.candidates.positions.tolist()
                found = np.array([gain_of.get(labels.get(item, 0.0), 0) for item in items], dtype=np.int64)
                rows = _sample(found, random)
                if len(rows):
                    matrices.append(prepared.matrix[rows])
                    gains.append(found[rows].astype(np.int32))
            advance()
    if not matrices:
        return None
    return RankerRows(np.concatenate(matrices), np.concatenate(gains), np.array([len(part) for part in gains]))


def groups_of(recommender: Recommender, user: UserState) -> Iterator[Prepared]:
    """The two groups of a user: of every item, and of those that are new to the user."""
    signals = recommender.signals(user)
    for exclude in (recommender.nothing(), recommender.seen(user)):
        yield recommender.prepare(user, exclude, signals)


def _sample(gains: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """Rows with a gain and some of those without; none where either is missing, for then there is nothing to order."""
    chosen, others = np.flatnonzero(gains > 0), np.flatnonzero(gains == 0)
    if len(chosen) == 0 or len(others) == 0:
        return np.empty(0, dtype=np.int64)
    return np.sort(np.concatenate([chosen, random.permutation(others)[:NEGATIVES]]))
