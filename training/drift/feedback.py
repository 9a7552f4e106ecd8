"""The tone of feedback by category: which types of events there are, and the values that they carry.

What a value is, a price or a rating, is for who reads it to know; here only that it is another one than before.
"""

from typing import Final

import numpy as np
import polars as pl

from recsys.catalogue import Catalogue
from recsys.config import Drift
from recsys.drift import Figure
from recsys.schema import EVENT_TYPE, ITEM_ID, USER_ID, VALUE
from recsys.state import Floats
from training.drift.periods import Periods, within
from training.drift.stability import by_chance, judged, moved, stability_index

BIGGEST: Final = 10
"""Categories that are looked at, those with the most interactions of the reference."""

OF: Final = "category of the item"


def feedback_figures(
    settings: Drift, interactions: pl.DataFrame, catalogue: Catalogue, periods: Periods, labels: tuple[str, ...]
) -> list[Figure] | str:
    """For each category one of its types of events and one of their values, where there are any; or why there is none.

    Of the types, before and now are the share of the labels.
    """
    if not catalogue.category_of:
        return "the items have no categories"
    category = pl.col(ITEM_ID).replace_strict(catalogue.category_of, default=None, return_dtype=pl.String)
    known = interactions.with_columns(category.alias(OF)).drop_nulls(OF)
    reference, latest = (within(known, span) for span in (periods.reference, periods.latest))
    names = reference[OF].value_counts().sort(["count", OF], descending=[True, False])[OF].head(BIGGEST).to_list()
    types = sorted(known[EVENT_TYPE].unique())
    found = []
    for name in names:
        then, now = (rows.filter(pl.col(OF) == name) for rows in (reference, latest))
        if now.is_empty():
            continue
        users = float(then[USER_ID].n_unique()), float(now[USER_ID].n_unique())
        if len(types) > 1:
            found.append(_of_types(settings, name, _counts(then, types), _counts(now, types), users, types, labels))
        found += _of_values(settings, name, then, now, types)
    return found or "there is one type of event, and none of them carries a value"


def _of_types(
    settings: Drift,
    name: str,
    then: Floats,
    now: Floats,
    users: tuple[float, float],
    types: list[str],
    labels: tuple[str, ...],
) -> Figure:
    is_label = np.isin(types, labels)
    return judged(
        settings,
        "feedback",
        f"{name}: event types",
        stability_index(then, now),
        chance=by_chance(int(((then > 0) | (now > 0)).sum()), *users),
        before=float(then[is_label].sum() / then.sum()),
        now=float(now[is_label].sum() / now.sum()),
    )


def _of_values(settings: Drift, name: str, then: pl.DataFrame, now: pl.DataFrame, types: list[str]) -> list[Figure]:
    """Of each type by itself: a rating and a price have nothing in common."""
    found = []
    for of_type in types:
        pair = [
            rows.filter(pl.col(EVENT_TYPE) == of_type).drop_nulls(VALUE) if VALUE in rows.columns else rows.clear()
            for rows in (then, now)
        ]
        if any(rows.is_empty() for rows in pair):
            continue
        users = float(pair[0][USER_ID].n_unique()), float(pair[1][USER_ID].n_unique())
        before, after = (rows[VALUE].to_numpy() for rows in pair)
        found.append(moved(settings, "feedback", f"{name}: value of {of_type}", before, after, independent=users))
    return found


def _counts(rows: pl.DataFrame, types: list[str]) -> Floats:
    counted = dict(rows[EVENT_TYPE].value_counts().iter_rows())
    return np.array([counted.get(name, 0) for name in types], dtype=np.float64)
