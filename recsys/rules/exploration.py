"""Items that change places by chance, and how probable their places were: what an estimate from logs, and debiasing,
need to know.

With the probability `share` a list is explored: the items of a pool, which usually stand in one order, get another.

epsilon   every order alike
thompson  each gets a relevance drawn from what is known of it, a normal distribution around its relevance, and the
          highest comes first (Thompson sampling). An item that was shown n times has the standard deviation
          uncertainty / √(1 + n), but never less than a tenth of `uncertainty`: every item may get to every place.

The propensity of an item at a place is the probability that it stands there, whatever the others do: (1 - share) if it
usually does, plus share × the probability of that rank in the draw. With x(z) its relevance drawn at z, the latter is
    epsilon   1 / size of the pool
    thompson  ∫ φ(z) P(exactly rank - 1 of the others are above x(z)) dz, to some eight digits
the number of the others that are above being Poisson-binomial: Chen and Liu, "Statistical applications of the
Poisson-binomial and conditional Bernoulli distributions", 1997, with a recursion from one of the others to the next.
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.special import ndtr

from recsys.state import Floats, Positions

LEAST_DEVIATION: Final = 0.1
"""Of the uncertainty."""

REACH: Final = 6.0
"""In standard deviations: a relevance further off has a probability of 2e-9."""

SMALLEST_PROBABILITY: Final = 1e-12
"""What was drawn was possible, whatever rounding says."""


class Drawn(NamedTuple):
    """Who stands where in the places of a pool."""

    order: Positions
    """int64 (n,), of the items of the pool, each by its usual place."""
    propensities: Floats
    """float64 (shown,), in (0, 1]: of each of the first of them to stand where it does, whatever the others do."""


def deviations(shown: Floats, uncertainty: float) -> Floats:
    """float64 (n,): how far off the relevance may be of items that were shown so often."""
    found: Floats = uncertainty * np.maximum(1.0 / np.sqrt(1.0 + shown), LEAST_DEVIATION)
    return found


def draw(
    relevance: Floats, random: np.random.Generator, *, share: float, shown: int, deviation: Floats | None = None
) -> Drawn:
    """The items of a pool as they are shown.

    relevance  float64 (n,), of the items in their usual order, which need not be that of relevance
    shown      how many of the first places are shown, at most n
    deviation  float64 (n,), standard deviations of the relevance; None: every order alike
    """
    count = len(relevance)
    usual = np.arange(count)
    is_explored = random.random() < share
    if deviation is None:
        order = random.permutation(count) if is_explored else usual
        chances: Floats = np.full(shown, 1.0 / max(count, 1))
    else:
        drawn = relevance + deviation * random.standard_normal(count)
        order = np.argsort(-drawn, kind="stable") if is_explored else usual
        chances = chances_of_ranks(relevance, deviation, of=order[:shown], ranks=shown).diagonal()
    propensities = (1.0 - share) * (order[:shown] == usual[:shown]) + share * chances
    return Drawn(order, np.clip(propensities, SMALLEST_PROBABILITY, 1.0))


def chances_of_ranks(mean: Floats, deviation: Floats, *, of: Positions, ranks: int) -> Floats:
    """How probable each rank is, from the highest, of some of n independent normal numbers: float64 (len(of), ranks).

    mean, deviation  float64 (n,)
    of               int64, which of the n
    ranks            how many of the first ranks, at most n
    """
    grids = [_grid(len(mean), deviation.min() / its_deviation) for its_deviation in deviation[of]]
    starts = np.cumsum([0, *map(len, grids)])
    x = np.concatenate([mean[one] + deviation[one] * z for one, z in zip(of, grids, strict=True)])
    """One grid behind the other."""
    chances = np.zeros((ranks, len(x)))
    """At each x, by how many of the others are above."""
    chances[0] = 1.0
    own = {one: slice(*starts[at : at + 2]) for at, one in enumerate(of.tolist())}
    for other, (its_mean, its_deviation) in enumerate(zip(mean, deviation, strict=True)):
        is_above = ndtr((its_mean - x) / its_deviation)
        if other in own:
            is_above[own[other]] = 0.0
        so_far = chances[: other + 2]
        one_more = so_far[:-1] * is_above
        so_far *= 1.0 - is_above
        so_far[1:] += one_more
    chances *= np.concatenate([_weights(z) for z in grids])
    found: Floats = np.add.reduceat(chances, starts[:-1], axis=1).T
    return found


def _grid(count: int, narrowest: float) -> Floats:
    """Points of a trapezoidal rule over a standard normal density: float64 (n,).

    The probability that just so many of `count` numbers are above is a bell over z. Its standard deviation is at least
    √(π / 2) / √count × `narrowest`, that of the narrowest of them. With points so far apart the error is e^-19.7.
    """
    step = min(0.5, narrowest * np.sqrt(np.pi / 2) / np.sqrt(count))
    return np.arange(-REACH, REACH + step / 2, step)


def _weights(z: Floats) -> Floats:
    """The density × the distance of the points."""
    found: Floats = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    return found
