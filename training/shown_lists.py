"""Logged impressions as lists to learn to rank from, or to be measured on.

What is known of a user and of items is that of a moment before all of them: nothing of a list says what followed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import polars as pl

from features.store import BehaviourStore
from recsys.catalogue import Catalogue
from recsys.schema import EVENT_TYPE, QUERY, REQUEST_ID, SURFACE, TIMESTAMP, USER_ID
from recsys.state import Floats, ItemState, Mask, Positions, UserState
from training.answers import AT, PLACE, POSITION, answers, shown_items

WEIGHT: Final = "weight"


@dataclass(frozen=True)
class ShownList:
    """What one impression showed of the catalogue: arrays (n_items,), in the order shown.

    asked    whether the user had typed a query
    items    int64, positions in the catalogue
    places   int64, where each stood, 0 = first
    weights  float64, the highest weight of the labels that it was chosen with, 0 for one that was passed over
    """

    user: str
    surface: str
    asked: bool
    items: Positions
    places: Positions
    weights: Floats

    @property
    def chosen(self) -> Mask:
        """bool (n_items,)."""
        found: Mask = self.weights > 0
        return found

    @property
    def has_order(self) -> bool:
        """Whether something was chosen and something was passed over: else no order is better than another."""
        return bool(self.chosen.any() and not self.chosen.all())


@dataclass(frozen=True)
class ShownWindow:
    """The impressions of a time, and everything known at `start`, before them.

    lists   in the order of time
    states  of every user of a list
    """

    start: datetime
    items: ItemState
    lists: list[ShownList]
    states: dict[str, UserState]


def shown_lists(
    impressions: pl.DataFrame,
    interactions: pl.DataFrame,
    catalogue: Catalogue,
    label_weights: Mapping[str, float],
    *,
    most: int | None = None,
) -> list[ShownList]:
    """The impressions of which the catalogue has an item, in the order of time.

    interactions  all that may be known of what was chosen; those of the types in `label_weights` count
    most          items of an impression that are looked at, from the top; None: all
    """
    ordered = impressions.sort(TIMESTAMP, REQUEST_ID)
    shown = shown_items(ordered, catalogue, most=most)
    for name in (SURFACE, QUERY):
        if name not in shown.columns:
            shown = shown.with_columns(pl.lit(None, pl.String).alias(name))
    weight = pl.col(EVENT_TYPE).replace_strict(label_weights, return_dtype=pl.Float64)
    chosen = (
        answers(shown, interactions, list(label_weights))
        .select(AT, POSITION, weight.alias(WEIGHT))
        .group_by(AT, POSITION)
        .agg(pl.col(WEIGHT).max())
    )
    rows = shown.join(chosen, on=[AT, POSITION], how="left").sort(AT, PLACE).with_columns(pl.col(WEIGHT).fill_null(0.0))
    if len(rows) == 0:
        return []
    starts = np.flatnonzero(rows[AT].is_first_distinct().to_numpy())
    heads = rows[starts].select(
        USER_ID, pl.col(SURFACE).fill_null(""), pl.col(QUERY).fill_null("").str.strip_chars() != ""
    )
    parts = [np.split(rows[name].to_numpy(), starts[1:]) for name in (POSITION, PLACE, WEIGHT)]
    return [ShownList(*head, *arrays) for head, *arrays in zip(heads.iter_rows(), *parts, strict=True)]


def open_shown(
    store: BehaviourStore, catalogue: Catalogue, lists: Sequence[ShownList], *, start: datetime
) -> ShownWindow:
    """These lists with what was known at `start`."""
    users = sorted({one.user for one in lists})
    states = store.users_at(users, catalogue, start) if users else []
    return ShownWindow(start, store.items_at(catalogue, start), list(lists), dict(zip(users, states, strict=True)))
