"""Scored candidates in their places, by the rules of a surface; where there are none by the score alone."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from features.fields import CHOSEN_DAYS, windowed
from features.recommender import by_score
from recsys.state import Floats, Mask, Positions, UserState
from serving.asked import Asked
from serving.live import Live
from serving.surface_rules import Shown
from serving.types import Filtered

SHOWN_4_WEEKS: Final = windowed("shown", CHOSEN_DAYS)

REQUEST_FILTER: Final = "request_filter"
"""Why a candidate is not shown: it does not meet the filter of the request."""

Pins = Mapping[int, int]
"""Position of an item → its place, from 0."""


def hidden(live: Live, asked: Asked, user: UserState) -> dict[str, Mask]:
    """Why → the items that may not be shown, bool (n_items,). Raises ExpressionError."""
    rules = live.rules.of(asked.surface)
    found = {} if rules is None else rules.hidden(user, live.items.state.now)
    if asked.where is not None:
        found[REQUEST_FILTER] = ~live.filters.met(asked.where)
    return found


def not_allowed(live: Live, asked: Asked, user: UserState) -> Mask:
    """The same, whyever; with the items that were taken out."""
    found = live.items.gone.copy()
    for mask in hidden(live, asked, user).values():
        found |= mask
    return found


def known_positions(live: Live, item_ids: Iterable[str]) -> list[int]:
    """Of those that the catalogue has."""
    index = live.catalogue.index
    return [index[item] for item in item_ids if item in index]


def shown_before(live: Live, asked: Asked) -> list[int]:
    """Positions of the items that earlier answers showed, in their order, where this one goes on from there."""
    return [] if asked.page is None else known_positions(live, asked.page.shown)


def allowed(live: Live, positions: Positions, masks: Mapping[str, Mask]) -> tuple[Positions, list[Filtered]]:
    """The candidates that may be shown, and of each other one why not: the first reason that there is."""
    is_allowed = np.ones(len(positions), dtype=np.bool_)
    filtered: list[Filtered] = []
    for why, mask in masks.items():
        is_hidden = is_allowed & mask[positions]
        filtered += [Filtered(live.catalogue.item_ids[position], why) for position in positions[is_hidden]]
        is_allowed &= ~is_hidden
    return positions[is_allowed], filtered


def pins(live: Live, asked: Asked) -> dict[int, int]:
    """The pins of the surface at this moment."""
    rules = live.rules.of(asked.surface)
    return {} if rules is None else rules.pins(live.catalogue.index, at=time.time())


def arranged(live: Live, asked: Asked, positions: Positions, scores: Floats, pinned: Pins, limit: int) -> Shown:
    """At most `limit` of the candidates."""
    rules = live.rules.of(asked.surface)
    if rules is None:
        return Shown.by_score(by_score(scores)[:limit])
    exposure = live.recommender.items.exposure
    shown = np.zeros(len(positions)) if exposure is None else exposure.column(SHOWN_4_WEEKS)[positions]
    vectors = live.items.vectors[positions] if rules.reads_vectors else np.empty((len(positions), 0), np.float32)
    request_id = asked.request_id if asked.page is None else asked.page.request_id
    return rules.arrange(
        positions, scores, vectors=vectors, shown=shown, pins=pinned, limit=limit, request_id=request_id
    )
