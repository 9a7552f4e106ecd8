"""The network of a ranker: it scores candidates by the same features as the trees, and the two scores are added.

Trees cut features into steps, a network bends them; what one of them gets wrong the other often does not, so that both
together order better than either (Qin et al., "Are neural rankers still outperformed by gradient boosted decision
trees?", 2021, who also give the logarithm that features go through).

Reads and writes  ranker_network.npz of a bundle; training.rank_network learns it
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from recsys.errors import BundleError
from recsys.state import Floats

Numbers = NDArray[np.float32]

MOST_DEVIATIONS: Final = 4.0
"""A feature counts for no more than so many standard deviations: beyond them lies what training hardly saw."""

SMALLEST_DIFFERENCE: Final = 1e-9
"""Below it two numbers are one: a feature always has the same value, or a unit stays where it is in the reference."""


@dataclass(frozen=True)
class FeatureScale:
    """How features become inputs: the logarithm of each, standardised, and for some whether they are missing.

    mean, deviation  float32 (n_features,), of the logarithms
    varying          int64, the features that are not always the same
    gaps             int64, those that are missing now and then
    gap_shares       float32, how often each of these was
    """

    mean: Numbers
    deviation: Numbers
    varying: NDArray[np.int64]
    gaps: NDArray[np.int64]
    gap_shares: Numbers

    @classmethod
    def of(cls, matrix: Numbers) -> Self:
        """As they are in these rows, float32 (n, n_features)."""
        missing = ~np.isfinite(matrix)
        known = np.maximum((~missing).sum(axis=0), 1)
        values = np.where(missing, 0.0, _logarithm(matrix)).astype(np.float64)
        mean = values.sum(axis=0) / known
        deviation = np.sqrt((np.where(missing, 0.0, values - mean) ** 2).sum(axis=0) / known)
        share = missing.mean(axis=0)
        varying, gaps = np.flatnonzero(deviation > SMALLEST_DIFFERENCE), np.flatnonzero((share > 0) & (share < 1))
        return cls(
            mean.astype(np.float32),
            np.where(deviation > SMALLEST_DIFFERENCE, deviation, 1.0).astype(np.float32),
            varying,
            gaps,
            share[gaps].astype(np.float32),
        )

    @property
    def width(self) -> int:
        """The number of inputs."""
        return len(self.varying) + len(self.gaps)

    @property
    def reference(self) -> Numbers:
        """The inputs of a row that is in no way remarkable: float32 (width,)."""
        return np.concatenate([np.zeros(len(self.varying), dtype=np.float32), self.gap_shares])

    def inputs(self, matrix: Numbers) -> Numbers:
        """float32 (n, width) of a matrix (n, n_features). What is missing counts as the mean."""
        missing = ~np.isfinite(matrix)
        values = (_logarithm(matrix) - self.mean) / self.deviation
        np.clip(values, -MOST_DEVIATIONS, MOST_DEVIATIONS, out=values)
        values[missing] = 0.0
        return np.concatenate([values.take(self.varying, axis=1), missing.take(self.gaps, axis=1)], axis=1)

    def by_feature(self, of_inputs: Floats) -> Floats:
        """What inputs say, float64 (n, width), added up by their features: (n, n_features)."""
        found = np.zeros((len(of_inputs), len(self.mean)))
        found[:, self.varying] = of_inputs[:, : len(self.varying)]
        found[:, self.gaps] += of_inputs[:, len(self.varying) :]
        return found


@dataclass(frozen=True)
class RankNetwork:
    """Two hidden layers of rectified units; weights float32 (inputs, units), biases (units,)."""

    scale: FeatureScale
    first: Numbers
    first_bias: Numbers
    second: Numbers
    second_bias: Numbers
    last: Numbers
    """(units,)"""
    last_bias: Numbers
    """(1,)"""

    def times(self, factor: float) -> "RankNetwork":
        """One whose scores are so many times as far from zero."""
        number = np.float32(factor)
        return replace(self, last=self.last * number, last_bias=self.last_bias * number)

    def scores(self, matrix: Numbers) -> Floats:
        """float64 (n,) of a matrix (n, n_features)."""
        hidden = self.scale.inputs(matrix) @ self.first
        hidden += self.first_bias
        np.maximum(hidden, 0.0, out=hidden)
        hidden = hidden @ self.second
        hidden += self.second_bias
        np.maximum(hidden, 0.0, out=hidden)
        return (hidden @ self.last + self.last_bias).astype(np.float64)

    def contributions(self, matrix: Numbers) -> Floats:
        """What each feature adds to the score, and last the score of the reference: float64 (n, n_features + 1).

        A row adds up to its score. Each unit hands on the difference to the reference in proportion to what comes in:
        the rescale rule of Shrikumar et al., "Learning important features through propagating activation differences",
        2017.
        """
        inputs, reference = self.scale.inputs(matrix).astype(np.float64), self.scale.reference.astype(np.float64)
        first, second, last = (weights.astype(np.float64) for weights in (self.first, self.second, self.last))
        before, before_of = inputs @ first + self.first_bias, reference @ first + self.first_bias
        after, after_of = np.maximum(before, 0.0), np.maximum(before_of, 0.0)
        above, above_of = after @ second + self.second_bias, after_of @ second + self.second_bias
        of_second = last * _slopes(above, above_of)
        of_first = (of_second @ second.T) * _slopes(before, before_of)
        found = self.scale.by_feature((of_first @ first.T) * (inputs - reference))
        base = np.maximum(above_of, 0.0) @ last + float(self.last_bias[0])
        return np.column_stack([found, np.full(len(found), base)])

    def save(self, path: Path) -> None:
        """Write ranker_network.npz; the same network gives the same bytes."""
        of_scale = {f"scale_{one.name}": getattr(self.scale, one.name) for one in fields(FeatureScale)}
        own = {one.name: getattr(self, one.name) for one in fields(RankNetwork) if one.name != "scale"}
        np.savez(path, allow_pickle=False, **of_scale, **own)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises BundleError when the file is not one that `save` wrote."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                scale = FeatureScale(**{one.name: found[f"scale_{one.name}"] for one in fields(FeatureScale)})
                own = {one.name: found[one.name] for one in fields(cls) if one.name != "scale"}
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise BundleError(f"{path}: no network of a ranker: {error}; train again") from error
        return cls(scale, **own)


def _logarithm(values: Numbers) -> Numbers:
    """Of large and small numbers alike, with their signs: sign(x) · log(1 + |x|)."""
    # log1p would keep digits of tiny numbers that nothing here needs, in four times the time.
    found: Numbers = np.copysign(np.log(np.abs(values) + 1), values)
    return found


def _slopes(values: Floats, reference: Floats) -> Floats:
    """By how much of a difference of its input a rectified unit's output differs: float64, of each row and unit."""
    difference = values - reference
    rectified = np.maximum(values, 0.0) - np.maximum(reference, 0.0)
    is_small = np.abs(difference) < SMALLEST_DIFFERENCE
    return np.where(is_small, values > 0, rectified / np.where(is_small, 1.0, difference))
