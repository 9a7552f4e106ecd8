"""The population stability index: how far two distributions are apart, and how far chance alone would put them.

    index = sum over bins of (now − before) · ln(now / before)

of the shares of the bins (N. Siddiqi, "Credit Risk Scorecards", 2006), which is the divergence of Jeffreys. Customary
are 0.1 for a change that is worth a look and 0.25 for one that matters. Between two samples of the same distribution it
is (1/n + 1/m) times a chi-square with one degree of freedom less than there are bins (B. Yurdakul and J. Naranjo,
"Statistical properties of the population stability index", Journal of Risk Model Validation 14, 2020): with a hundred
users, 0.25 means nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from recsys.config import Drift
from recsys.drift import Figure, Kind, Level
from recsys.state import Floats

BINS: Final = 10
"""Deciles of the reference, and one bin more for what is not known."""

RARE: Final = 1e-3
"""How often chance alone passes for a move: there are a hundred features."""

EMPTY: Final = 0.5
"""An empty bin counts as half a row: else the index would be infinite."""

Values = NDArray[np.floating[Any]]


def stability_index(before: Sequence[float] | Floats, now: Sequence[float] | Floats) -> float:
    """Of counts by bin, (n_bins,) each; bins that are empty in both say nothing. 0 where one side has no row."""
    then, latest = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if then.sum() == 0 or latest.sum() == 0:
        return 0.0
    used = (then > 0) | (latest > 0)
    shares = [np.maximum(counts[used], EMPTY) / counts.sum() for counts in (then, latest)]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def by_chance(bins: int, before: float, now: float) -> float:
    """What the index exceeds once in 1/RARE times where nothing has moved; before, now: independent rows of each."""
    if bins < 2 or before == 0 or now == 0:
        return 0.0
    return float(scipy.stats.chi2.isf(RARE, bins - 1) * (1 / before + 1 / now))


def binned(before: Values, now: Values) -> tuple[Floats, Floats]:
    """Counts of both, float64 (n_bins,), in bins that hold as much of `before` each; NaN has one of its own.

    Where `before` has hardly more values than there are bins, each value has its own, and what is new has the last.
    """
    known = [values[~np.isnan(values)] for values in (before, now)]
    found = np.unique(known[0])
    if len(found) <= BINS:
        places = [np.where(np.isin(values, found), np.searchsorted(found, values), len(found)) for values in known]
        width = len(found) + 1
    else:
        edges = np.unique(np.quantile(known[0], np.arange(1, BINS) / BINS))
        places = [np.searchsorted(edges, values) for values in known]
        width = len(edges) + 1
    counts = [np.append(np.bincount(at, minlength=width), 0).astype(np.float64) for at in places]
    for one, values in zip(counts, (before, now), strict=True):
        one[-1] = np.isnan(values).sum()
    return counts[0], counts[1]


def judged(settings: Drift, kind: Kind, name: str, value: float, *, chance: float, before: float, now: float) -> Figure:
    """A figure with its level: beyond chance, by the thresholds of recsys.toml."""
    note, alert = settings.note, settings.alert
    if kind == "clicks":
        note, alert = settings.clicks_note, settings.clicks_alert
    level: Level = "ok"
    if abs(value) > chance and abs(value) >= note:
        level = "alert" if abs(value) >= alert else "note"
    numbers = {"value": float(value), "chance": float(chance), "before": float(before), "now": float(now)}
    return Figure(kind=kind, name=name, level=level, **numbers)


def moved(
    settings: Drift,
    kind: Kind,
    name: str,
    before: Values,
    now: Values,
    *,
    independent: tuple[float, float],
    usual: float = 0.0,
) -> Figure:
    """Values of before and of now, float (n,) each; before and now of the figure are their means.

    independent  how many users or lists the rows of each are from: rows of one are alike
    usual        the index between two times of before
    """
    then, latest = binned(before, now)
    used = int(((then > 0) | (latest > 0)).sum())
    chance = max(by_chance(used, *independent), usual)
    means = [float(known.mean()) if len(known := values[np.isfinite(values)]) else 0.0 for values in (before, now)]
    return judged(settings, kind, name, stability_index(then, latest), chance=chance, before=means[0], now=means[1])


def moved_share(
    settings: Drift,
    kind: Kind,
    name: str,
    before: tuple[float, float],
    now: tuple[float, float],
    *,
    independent: tuple[float, float] | None = None,
) -> Figure:
    """A share, as (how many, of how many) before and now; each is independent unless it is said how many are."""
    shares = [part / whole if whole else 0.0 for part, whole in (before, now)]
    value = stability_index([before[0], before[1] - before[0]], [now[0], now[1] - now[0]])
    chance = by_chance(2, *(independent or (before[1], now[1])))
    return judged(settings, kind, name, value, chance=chance, before=shares[0], now=shares[1])
