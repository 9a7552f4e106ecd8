"""Clicks by place: what was expected and what came.

Expected is what the lists of before say: at each place its share of clicks then, times how much likelier the items that
stand there now are to be clicked by their scores. That is the position-based model, examination times attraction
(N. Craswell and others, "An experimental comparison of click position-bias models", WSDM 2008), with an attraction for
each decile of the scores. Scores are known where features were logged; without them the items count as alike.
"""

from datetime import timedelta
from typing import Final

import numpy as np
import polars as pl
import scipy.stats

from recsys.catalogue import Catalogue
from recsys.config import Drift
from recsys.drift import Figure, Place, Span
from recsys.schema import ITEM_ID, REQUEST_ID, USER_ID
from recsys.state import Floats
from training.answers import AT, PLACE, POSITION, answers, shown_items
from training.drift.periods import Periods, within
from training.drift.served import BothServed, Served
from training.drift.stability import BINS, RARE, judged

PLACES: Final = 10
"""From the top: what stands below is hardly ever looked at."""

FEWEST: Final = 100
"""Lists of a period; fewer say nothing."""

CLICKED: Final = "clicked"
ATTRACTION: Final = "attraction"
WIDTH_95: Final = 1.96


def click_figures(
    settings: Drift,
    impressions: pl.DataFrame | None,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    periods: Periods,
    labels: tuple[str, ...],
    served: BothServed | None,
) -> tuple[list[Figure], list[Place]] | str:
    """One figure over all places, and the places; or why there are none."""
    if impressions is None:
        return "no impressions were imported, so nobody knows what was shown"
    # A choice may come a day after its impression.
    settled = Span(periods.latest.since, periods.latest.until - timedelta(days=1))
    before = Span(settled.since - timedelta(days=settings.reference_days), settled.since)
    then, now = (_shown(within(impressions, span), interactions, catalogue, labels) for span in (before, settled))
    for rows, span in ((then, before), (now, settled)):
        if (count := rows[AT].n_unique()) < FEWEST:
            return (
                f"{count} lists were shown from {span.since:%Y-%m-%d} to {span.until:%Y-%m-%d}, expected at least "
                f"{FEWEST}"
            )
    rates, lists = _by_place(then, CLICKED), _lists(now)
    expected = rates * (_attractions(then, now, served) if served else np.ones(PLACES))
    clicked = _by_place(now, CLICKED)
    spread = np.sqrt(clicked * (1 - clicked) / np.maximum(lists, 1))
    shown = (lists > 0) & (_lists(then) > 0)
    places = [
        Place(
            at + 1,
            int(lists[at]),
            float(rates[at]),
            float(expected[at]),
            float(clicked[at]),
            (max(float(clicked[at] - WIDTH_95 * spread[at]), 0.0), float(clicked[at] + WIDTH_95 * spread[at])),
        )
        for at in np.flatnonzero(shown).tolist()
    ]
    wanted, came = (expected * lists)[shown].sum(), (clicked * lists)[shown].sum()
    if wanted == 0:
        return "nothing was chosen of what was shown in the reference"
    total = lists[shown].sum()
    figure = judged(
        settings,
        "clicks",
        "clicks",
        float(came / wanted - 1),
        chance=_by_chance(then, now, float(wanted)),
        before=float(wanted / total),
        now=float(came / total),
    )
    return [figure], places


def _by_chance(then: pl.DataFrame, now: pl.DataFrame, wanted: float) -> float:
    """How far clicks are off those expected once in 1/RARE times: those of one user go together."""
    relative = 0.0
    for rows in (then, now):
        clicks = rows.group_by(USER_ID).agg(pl.col(CLICKED).sum(), pl.len())
        rate = rows[CLICKED].sum() / len(rows)
        # The clicks of a user beyond those that so many items would have on average.
        errors = clicks[CLICKED].to_numpy() - rate * clicks["len"].to_numpy()
        relative += float((errors**2).sum()) / max(float(rows[CLICKED].sum()), 1.0) ** 2
    return float(scipy.stats.norm.isf(RARE / 2) * np.sqrt(relative))


def _shown(
    impressions: pl.DataFrame, interactions: pl.DataFrame, catalogue: Catalogue, labels: tuple[str, ...]
) -> pl.DataFrame:
    """A row for each item at one of the places: AT, USER_ID, REQUEST_ID, ITEM_ID, PLACE, and whether it was CLICKED."""
    shown = shown_items(impressions, catalogue, most=PLACES)
    chosen = answers(shown, interactions, labels).select(AT, POSITION).unique().with_columns(pl.lit(1).alias(CLICKED))
    rows = shown.join(chosen, on=[AT, POSITION], how="left").with_columns(pl.col(CLICKED).fill_null(0))
    return rows.select(AT, USER_ID, REQUEST_ID, ITEM_ID, PLACE, CLICKED)


def _attractions(then: pl.DataFrame, now: pl.DataFrame, served: BothServed) -> Floats:
    """How much more attractive the items of now are at each place: float64 (PLACES,), 1 where nothing is known."""
    if served.before.keys is None or served.now.keys is None:
        return np.ones(PLACES)
    known = _scored(then, served.before)
    if known[CLICKED].sum() == 0:
        return np.ones(PLACES)
    edges = np.unique(np.quantile(known["score"].to_numpy(), np.arange(1, BINS) / BINS))
    bins = np.searchsorted(edges, known["score"].to_numpy())
    clicks = np.bincount(bins, known[CLICKED].to_numpy(), minlength=len(edges) + 1)
    # Of a decile without a click it is not known that none would come: half a click.
    attraction = np.maximum(clicks, 0.5) / np.maximum(np.bincount(bins, minlength=len(edges) + 1), 1)
    found = []
    for rows in (known, _scored(now, served.now)):
        values = attraction[np.searchsorted(edges, rows["score"].to_numpy())]
        found.append(_by_place(rows.with_columns(pl.Series(ATTRACTION, values)), ATTRACTION))
    return np.where((found[0] > 0) & (found[1] > 0), found[1] / np.where(found[0] > 0, found[0], 1), 1.0)


def _scored(rows: pl.DataFrame, served: Served) -> pl.DataFrame:
    assert served.keys is not None
    return rows.join(served.keys.with_columns(score=pl.Series(served.scores)), on=[REQUEST_ID, ITEM_ID])


def _by_place(rows: pl.DataFrame, column: str) -> Floats:
    """The mean of a column at each place: float64 (PLACES,), 0 where nothing stood."""
    places, lists = rows[PLACE].to_numpy(), _lists(rows)
    return np.bincount(places, rows[column].to_numpy(), minlength=PLACES) / np.maximum(lists, 1)


def _lists(rows: pl.DataFrame) -> Floats:
    return np.bincount(rows[PLACE].to_numpy(), minlength=PLACES).astype(np.float64)
