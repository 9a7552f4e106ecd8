"""Who takes a place by chance, and how probable that was: what an estimate from logs, and debiasing, need to know.

With the probability `share` a place is drawn among the best of those that are left, the pool; else the best takes it.

epsilon   each of the pool alike
thompson  each gets a relevance drawn from what is known of it, a normal distribution around its relevance, and the
          highest wins (Thompson sampling, a draw anew for each place). An item that was shown n times has the standard
          deviation uncertainty / √(1 + n), but never less than a tenth of `uncertainty`: no item of the pool is out.

The probability of an item given those above it is (1 - share) if it is the best, plus share × its probability in the
draw; the latter is 1 / pool, or an integral that is computed to some nine digits.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import ndtr

from recsys.interest import Vectors
from recsys.state import Floats, Mask

LEAST_DEVIATION: Final = 0.1
"""Of the uncertainty; and the grid below is fine enough for deviations that differ by no more than this."""

# A trapezoidal rule over a normal density converges geometrically; with features a tenth as wide its error is e^-19.7.
_STEP: Final = 0.1
_GRID: Final = np.arange(-8.0, 8.0 + _STEP / 2, _STEP)
_DENSITY: Final = np.exp(-(_GRID**2) / 2) / np.sqrt(2 * np.pi) * _STEP
SMALLEST_PROBABILITY: Final = 1e-12
"""What was drawn was possible, whatever rounding says."""


class Draw(NamedTuple):
    """Who takes a place."""

    row: int
    propensity: float = 1.0
    """The probability with which this row would take it, the rows above being what they are: in (0, 1]."""
    is_best: bool = True
    """Whether it would have taken the place without a draw."""


def best_of(values: Vectors | Floats, allowed: Mask) -> int:
    """The allowed row of the highest value; of equal ones the first."""
    return int(np.where(allowed, values, -np.inf).argmax())


def deviations(shown: Floats, uncertainty: float) -> Floats:
    """float64 (n,): how far off the relevance may be of items that were shown so often."""
    found: Floats = uncertainty * np.maximum(1.0 / np.sqrt(1.0 + shown), LEAST_DEVIATION)
    return found


def draw(
    values: Vectors | Floats,
    allowed: Mask,
    random: np.random.Generator,
    *,
    share: float,
    pool: int,
    deviation: Floats | None = None,
) -> Draw:
    """One of the allowed rows, of which there is at least one.

    values     (n,), the higher the better; of equal ones the earlier row
    deviation  float64 (n,), standard deviations of the values; None: draw each of the pool alike
    """
    best_first = np.argsort(np.where(allowed, -values, np.inf), kind="stable")
    rows = best_first[: min(pool, np.count_nonzero(allowed))]
    is_explored = random.random() < share
    if deviation is None:
        at = int(random.integers(len(rows))) if is_explored else 0
        chance = 1.0 / len(rows)
    else:
        mean, spread = values[rows].astype(np.float64), deviation[rows]
        at = int(np.argmax(mean + spread * random.standard_normal(len(rows)))) if is_explored else 0
        chance = probability_of_highest(at, mean, spread)
    propensity = (1.0 - share) * (at == 0) + share * chance
    return Draw(int(rows[at]), float(np.clip(propensity, SMALLEST_PROBABILITY, 1.0)), at == 0)


def probability_of_highest(at: int, mean: Floats, deviation: Floats) -> float:
    """That of independent normal numbers, float64 (n,), the one `at` is the highest: ∫ φ(z) Π Φ((x(z) - m) / s) dz."""
    others = np.arange(len(mean)) != at
    x = mean[at] + deviation[at] * _GRID
    below = ndtr((x[:, None] - mean[others]) / deviation[others]).prod(axis=1)
    return float(_DENSITY @ below)
