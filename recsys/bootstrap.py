"""How sure a mean over users is: resampled means, their 95 % interval, and the p-value of a difference.

Users are drawn with replacement, all columns of a table by the same draws: Efron and Tibshirani, "An introduction to
the bootstrap", 1993. For two models on the same users give the differences, and all of it is paired.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES: Final = 1_000
DRAWS_AT_ONCE: Final = 4_000_000  # bounds the memory of a bootstrap over many users to some 64 MB
LEVEL: Final = (0.025, 0.975)


class Interval(NamedTuple):
    """A mean and where it lies in 19 of 20 cases, each float64 (n_columns,)."""

    mean: Floats
    low: Floats
    high: Floats


def resampled_ratios(sums: Floats, weights: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """Sum of `sums` / sum of `weights` over the users of each draw: float64 (resamples, n_columns).

    sums, weights  float64 (n_users, n_columns) each

    NaN where the weights of a draw sum to nothing. Raises ValueError when there are no users.
    """
    users = len(sums)
    if users == 0:
        raise ValueError("no values: the mean over no users does not exist")
    generator = np.random.default_rng(seed)
    both = np.column_stack([sums, weights])
    found = np.empty((resamples, both.shape[1]))
    step = max(1, DRAWS_AT_ONCE // users)
    for start in range(0, resamples, step):
        part = found[start : start + step]
        drawn = generator.integers(users, size=(len(part), users))
        # How often each user was drawn: one matrix product then gives every mean.
        drawn += np.arange(len(part))[:, None] * users
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        part[:] = times.astype(np.float64) @ both
    columns = sums.shape[1]
    with np.errstate(invalid="ignore"):
        ratios: Floats = found[:, :columns] / found[:, columns:]
    return ratios


def resampled_means(values: Floats, *, resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """The mean of each column over the users of each draw: float64 (resamples, n_columns).

    values  float64 (n_users, n_columns); NaN where a user has no value, and does not count

    Raises ValueError when there are no users.
    """
    known = ~np.isnan(values)
    return resampled_ratios(np.where(known, values, 0.0), known.astype(np.float64), resamples=resamples, seed=seed)


def interval_of(mean: Floats, resampled: Floats) -> Interval:
    """The percentile interval of means (n_columns,) from their resamples (resamples, n_columns)."""
    quantile = np.nanquantile if np.isnan(resampled).any() else np.quantile
    low, high = quantile(resampled, LEVEL, axis=0)
    return Interval(mean, low, high)


def ratio_intervals(sums: Floats, weights: Floats) -> Interval:
    """Σ sums / Σ weights of each column with its interval: of shares of which each user has several, see
    resampled_ratios. Every column needs some weight."""
    return interval_of(sums.sum(axis=0) / weights.sum(axis=0), resampled_ratios(sums, weights))


def intervals(values: Floats) -> Interval:
    """The mean of each column with its interval: see resampled_means. Every column needs a value."""
    resampled = resampled_means(values)
    return interval_of(np.nanmean(values, axis=0), resampled)


def two_sided_p(resampled: Floats) -> Floats:
    """How likely so clear a difference would be were there none: float64 (n_columns,), of resampled mean differences.

    Twice the share of the resamples on the rarer side of zero, itself counted: the level at which the percentile
    interval would just reach zero. Never below 2 / (resamples + 1). A draw without a value, NaN, does not count.
    """
    at_most = (resampled <= 0).sum(axis=0)
    at_least = (resampled >= 0).sum(axis=0)
    draws = (~np.isnan(resampled)).sum(axis=0)
    found: Floats = np.minimum(1.0, 2 * (1 + np.minimum(at_most, at_least)) / (draws + 1))
    return found
