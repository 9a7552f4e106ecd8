"""Intervals that may be looked at at any time: of all the looks together 95 % say nothing wrong.

    found = of_difference(first, second, planned=10_000)     two groups of users
    found = of_share(wins, decided)                          how many of them prefer the first of two rankings

The usual 95 % interval is for one look, at a number of users that was named before: who looks every day until it
excludes zero finds something in nothing. These are confidence sequences, as the mixture sequential probability ratio
test makes them.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.optimize
import scipy.special

from recsys.mean_interval import CONFIDENCE, Estimate

ALPHA: Final = 1 - CONFIDENCE
FEWEST: Final = 100
"""Users of a group: with fewer the central limit theorem says little, and there is no interval."""


@dataclass(frozen=True)
class Group:
    """Independent users.

    users     how many
    mean      of what is compared
    variance  of one user's part in it
    """

    users: int
    mean: float
    variance: float


def of_difference(first: Group, second: Group, *, planned: int) -> Estimate | None:
    """How much more the second has than the first, with its confidence sequence; None while a group has too few users.

    planned  the number of users in both at which the interval is to be narrow, named before the first look

    Asymptotic confidence sequence of an average treatment effect: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas,
    "Time-uniform central limit theory and asymptotic confidence sequences", arXiv 2103.06476, 2021, Theorem 2.2 with
    rho of equation (10). Without covariates the variance of their estimator is that of two means.
    """
    if min(first.users, second.users) < FEWEST:
        return None
    value = second.mean - first.mean
    count = first.users + second.users
    error = np.sqrt(first.variance / first.users + second.variance / second.users)
    width = float(error * radius(count, planned=planned))
    return Estimate(value, value - width, value + width)


def radius(count: int, *, planned: int) -> float:
    """The half width of the sequence in standard errors of the mean of `count` users, where one look has 1.96."""
    scaled = count * _rho_squared(planned)
    return float(np.sqrt(2 * (scaled + 1) / scaled * np.log(np.sqrt(scaled + 1) / ALPHA)))


def _rho_squared(planned: int) -> float:
    """What makes the sequence narrow at so many users: equation (10), approximately the best."""
    wanted = -2 * np.log(ALPHA)
    return float((wanted + np.log(wanted) + 1) / planned)


def of_share(wins: int, decided: int) -> Estimate:
    """The probability of a win, with its exact confidence sequence; from 0 to 1 when nothing was decided.

    All p with (n + 1) C(n, k) p^k (1 - p)^(n - k) > alpha: Robbins, "Statistical methods related to the law of the
    iterated logarithm", 1970, the mixture of the likelihoods over a uniform p.
    """
    if not decided:
        return Estimate(0.5, 0.0, 1.0)
    share = wins / decided
    lost = decided - wins
    constant = np.log(decided + 1) - np.log(ALPHA) + _log_binomial(decided, wins)

    def above(p: float) -> float:
        return float(constant + scipy.special.xlogy(wins, p) + scipy.special.xlog1py(lost, -p))

    low = 0.0 if wins == 0 else float(scipy.optimize.brentq(above, 1e-300, share))
    high = 1.0 if lost == 0 else float(scipy.optimize.brentq(above, share, 1 - 1e-16))
    return Estimate(share, low, high)


def _log_binomial(n: int, k: int) -> float:
    return float(-np.log(n + 1) - scipy.special.betaln(n - k + 1, k + 1))
