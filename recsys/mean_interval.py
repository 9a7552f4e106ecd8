"""The mean of rows that go together, and a 95 % interval that holds where they are skewed."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.stats
from numpy.typing import NDArray

CONFIDENCE: Final = 0.95

NO_SKEW: Final = 1e-9
"""Below it the transformation is the identity, and dividing by it would not be accurate."""

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Estimate:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GroupedRows:
    """Which rows go together: int64 (n_rows,) each, numbered from 0 without gaps.

    requests     rows that are summed
    independent  requests that may depend on each other, such as those of one user, have the same number
    """

    requests: Codes
    independent: Codes

    @property
    def count(self) -> int:
        """How many requests there are."""
        return int(self.requests.max()) + 1

    def mean(self, rows: Floats) -> Estimate:
        """The mean over requests of the sums of their rows; there must be two or more independent groups."""
        value = float(rows.sum() / self.count)
        # Each request once, however many rows it has.
        first = np.unique(self.requests, return_index=True)[1]
        errors = np.bincount(self.independent[first], np.bincount(self.requests, rows) - value)
        low, high = limits(errors.astype(np.float64))
        return Estimate(value, value + low / self.count, value + high / self.count)


def limits(errors: Floats) -> tuple[float, float]:
    """How far below and above a sum its true value may lie, at 95 %, from the errors of its independent parts.

    Weighted rewards are skewed: hardly any is large, and where those few are missing, the estimate and its variance are
    both too low. Hall's transformation takes the skewness away: "On the removal of skewness by transformation", 1992.
    Without skewness these are 1.96 standard errors.
    """
    count = len(errors)
    variance = float((errors**2).mean())
    if variance == 0:
        return 0.0, 0.0
    skew = float((errors**3).mean()) / variance**1.5 / np.sqrt(count)
    quantile = float(scipy.stats.norm.ppf((1 + CONFIDENCE) / 2))
    low, high = (
        -y if abs(skew) < NO_SKEW else -3 / skew * (np.cbrt(1 + skew * (y - skew / 6)) - 1)
        for y in (quantile, -quantile)
    )
    spread = np.sqrt(variance * count * count / (count - 1))
    return float(low * spread), float(high * spread)
