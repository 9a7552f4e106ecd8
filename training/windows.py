"""Who is asked about in a window of time, and what they then chose: for training the ranker and for measuring."""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from features.store import BehaviourStore
from recsys.catalogue import Catalogue
from recsys.schema import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID
from recsys.state import ItemState, UserState


@dataclass(frozen=True)
class Window:
    """Everything known at `start`, and what happened after it.

    users    those with an interaction before the start and a label in the window, by id
    states   what is known of each at the start
    labels   position → weight of the items that each chose in the window
    """

    start: datetime
    items: ItemState
    users: list[str]
    states: list[UserState]
    labels: list[dict[int, float]]


def open_window(
    store: BehaviourStore,
    catalogue: Catalogue,
    interactions: pl.DataFrame,
    *,
    start: datetime,
    end: datetime | None,
    label_weights: dict[str, float],
) -> Window:
    """The window from `start` up to `end` (None: all that follows). Labels are of the types in `label_weights`."""
    inside = pl.col(TIMESTAMP) >= start
    if end is not None:
        inside &= pl.col(TIMESTAMP) < end
    known = interactions.filter(pl.col(TIMESTAMP) < start)[USER_ID].unique()
    weight = pl.col(EVENT_TYPE).replace_strict(label_weights, default=None, return_dtype=pl.Float64)
    chosen = (
        interactions.filter(inside & pl.col(USER_ID).is_in(known.implode()))
        .with_columns(weight=weight)
        .drop_nulls("weight")
        .group_by(USER_ID, ITEM_ID)
        .agg(pl.col("weight").max())
    )
    labels: dict[str, dict[int, float]] = {}
    for user, item, value in chosen.iter_rows():
        if item in catalogue.index:
            labels.setdefault(user, {})[catalogue.index[item]] = value
    users = sorted(labels)
    states = store.users_at(users, catalogue, start) if users else []
    return Window(start, store.items_at(catalogue, start), users, states, [labels[user] for user in users])
