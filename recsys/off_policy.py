"""What another policy would have earned, estimated from the lists that the logging policy showed.

Estimated is the mean reward of an impression (with rewards of 0 and 1 for a click: clicks per impression), summed over
the positions that are given, had the target policy filled them. Two assumptions:

- The propensity is the probability, given the request, with which the logging policy put that item at that position,
  and whatever the target puts at a position, the logging policy could have put there too.
- The reward of an item at a position depends on the request, the item and the position, and not on the other items of
  the list: the item-position model of Li et al., "Offline evaluation of ranking policies with click models", 2018. It
  holds for the position-based click model, and not where a click ends the looking (cascade). Of the first position
  alone it need not be assumed.

    estimate(pl.DataFrame({"request_id": …, "position": …, "propensity": …, "reward": …, "target": …})).snips
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recsys.errors import DataError
from recsys.mean_interval import Estimate, GroupedRows
from recsys.schema import REQUEST_ID

POSITION, PROPENSITY, REWARD, TARGET = "position", "propensity", "reward", "target"
PREDICTED, EXPECTED = "predicted", "expected"

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Diagnostics:
    """How far the estimates can be trusted.

    requests               impressions
    effective_sample_size  of the position where it is smallest: (sum of weights)² / sum of squared weights, as many
                           impressions shown by the target itself would say as much (Kish, "Survey sampling", 1965)
    largest_weight         before clipping
    clipped_share          of the rows, whose weight was above max_weight
    matched_share          of the requests, where the target could have chosen something that was shown where it was
    support                share of the target's choices that the logging policy could have shown: the mean weight,
                           whose expectation this is. Clearly below 1, all estimates but DR miss what is not supported
    """

    requests: int
    effective_sample_size: float
    largest_weight: float
    clipped_share: float
    matched_share: float
    support: Estimate


@dataclass(frozen=True)
class OffPolicy:
    """The mean reward of an impression: as it was logged, and three estimates of what the target would have earned.

    ips    inverse propensity scores: unbiased, and of high variance. Horvitz and Thompson, "A generalization of
           sampling without replacement from a finite universe", 1952; by position: Li et al., 2018
    snips  the same, each position divided by its mean weight. Swaminathan and Joachims, "The self-normalized estimator
           for counterfactual learning", 2015
    dr     what a model predicts, corrected by the weighted errors that it made on the log: unbiased however bad the
           model. Dudík, Langford and Li, "Doubly robust policy evaluation and learning", 2011. None without a model
    """

    logged: Estimate
    ips: Estimate
    snips: Estimate
    dr: Estimate | None
    diagnostics: Diagnostics


def estimate(logged: pl.DataFrame, *, by: str = REQUEST_ID, max_weight: float | None = None) -> OffPolicy:
    """Estimates from one row for each shown item.

    logged      request_id
                position    any number; the estimate is the sum over the positions that are there
                propensity  in (0, 1]
                reward      what the item earned, 0 or more
                target      probability in [0, 1] with which the target puts this item at this position
                predicted   optional, with expected: the reward that a model predicts for this item at this position,
                            a model that has not learned from this request
                expected    what it predicts on average for what the target would put at this position
    by          column whose values are independent of each other. Several requests of a user are not: "user_id" makes
                the intervals true of other users too
    max_weight  weights above it are cut down to it: less variance, and an estimate that is too low. Ionides,
                "Truncated importance sampling", 2008

    Intervals are those of recsys.mean_interval, with the ratio of SNIPS linearised. They are too narrow where the
    effective sample size is some dozens or less.

    Raises DataError when propensities are missing or zero, or nothing that was shown is what the target would show.
    """
    _check(logged, by)
    rewards, target, propensities = (_floats(logged, name) for name in (REWARD, TARGET, PROPENSITY))
    log = GroupedRows(_codes(logged, REQUEST_ID), _codes(logged, by))
    positions = _codes(logged, POSITION)
    raw = target / propensities
    weights = raw if max_weight is None else np.minimum(raw, max_weight)
    sums = np.bincount(positions, weights)
    for position in np.flatnonzero(sums == 0)[:1]:
        shown = logged[POSITION].filter(pl.Series(positions == position))[0]
        raise DataError(
            f"position {shown}: the target never puts there what was shown there, expected at least one request where "
            "it does; log more exploration, or keep the rows of the other positions alone"
        )
    means = sums / np.bincount(positions)
    values = (np.bincount(positions, weights * rewards) / sums)[positions]
    dr = None
    if PREDICTED in logged.columns:
        dr = log.mean(_floats(logged, EXPECTED) + weights * (rewards - _floats(logged, PREDICTED)))
    matched = np.bincount(log.requests, target > 0) > 0
    return OffPolicy(
        logged=log.mean(rewards),
        ips=log.mean(weights * rewards),
        snips=log.mean(values + weights * (rewards - values) / means[positions]),
        dr=dr,
        diagnostics=Diagnostics(
            requests=log.count,
            effective_sample_size=float((sums**2 / np.bincount(positions, weights**2)).min()),
            largest_weight=float(raw.max()),
            clipped_share=float((raw > weights).mean()),
            matched_share=float(matched.mean()),
            support=log.mean(raw / np.bincount(log.requests)[log.requests]),
        ),
    )


def _check(logged: pl.DataFrame, by: str) -> None:
    if logged[by].n_unique() < 2:
        raise DataError(f"off-policy: found one {by} or none, expected two or more; log more")
    if (PREDICTED in logged.columns) != (EXPECTED in logged.columns):
        raise DataError(f"off-policy: found one of {PREDICTED} and {EXPECTED}, expected both or neither")
    advice = "log the probability of each shown item's place, or leave that request out"
    rules = {
        PROPENSITY: ((pl.col(PROPENSITY) > 0) & (pl.col(PROPENSITY) <= 1), "more than 0 and at most 1", advice),
        TARGET: (pl.col(TARGET).is_between(0, 1), "a probability", "correct the target policy"),
        REWARD: (pl.col(REWARD).is_finite() & (pl.col(REWARD) >= 0), "0 or more", "correct the rewards"),
    }
    for name, (good, expected, what_to_do) in rules.items():
        # NaN is greater than any number to Polars, so that each upper limit refuses it.
        bad = logged.filter(~good.fill_null(False))
        if bad.height:
            request, position, found = bad.select(REQUEST_ID, POSITION, name).row(0)
            raise DataError(
                f"request {request!r}, position {position}: {name} is {found}, expected {expected} "
                f"(so in {bad.height:,} of {logged.height:,} rows); {what_to_do}"
            )


def _floats(logged: pl.DataFrame, name: str) -> Floats:
    return logged[name].cast(pl.Float64).to_numpy()


def _codes(logged: pl.DataFrame, name: str) -> Codes:
    """Equal values have equal numbers, from 0."""
    found: Codes = logged[name].rank("dense").to_numpy().astype(np.int64) - 1
    return found
